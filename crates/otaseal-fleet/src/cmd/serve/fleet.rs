//! `serve` without a folder of packages: the service with an inventory and rollouts.

use crate::error::{Exit, Failure};
use crate::report::Reporter;
use crate::secret;
use otaseal::key::material;
use otaseal_delivery::pull::request::Secret;
use otaseal_delivery::pull::server::{self, Answers, Limits};
use otaseal_delivery::pull::tls::{RECORD_BYTES, Tls};
use otaseal_fleet::api;
use otaseal_fleet::config::{Config, MAX_CONFIG};
use otaseal_fleet::objects::{Depot, Folder};
use otaseal_fleet::operations::{OperationError, Operations};
use otaseal_fleet::service::Settings;
use otaseal_fleet::store::Store;
use otaseal_fleet::store::sqlite::Sqlite;
use std::fmt::Display;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use tokio_rustls::TlsAcceptor;

use super::{CACHE, Event, ctrl_c, log::Log};

/// The settings, below the data folder.
const CONFIG: &str = "fleet.toml";

pub(super) fn run(data: &Path, verbose: bool, reporter: Reporter) -> Result<Exit, Failure> {
    let (to_main, from_others) = mpsc::channel();
    // Before anything is printed: nothing that the user does from here on is missed.
    ctrl_c(to_main.clone())?;
    folder(data)?;
    let config = config(&data.join(CONFIG))?;
    let settings = settings(data, &config)?;
    let tls = tls(data, &config)?;
    let failed = |error: &dyn Display| {
        Failure::new(format!("{}: {error}", material::shown(data)), "mend it, and start again")
    };
    let objects = Folder::open(data.join("objects")).map_err(|error| failed(&error))?;
    let store = |path: &Path| Ok(Box::new(Sqlite::open(path)?) as Box<dyn Store>);
    let operations = Operations::start(data, store, Depot::new(objects, CACHE), config.clone(), settings)
        .map_err(|error| failed(&error))?;
    for fault in operations.faults() {
        reporter.warn(fault);
    }
    let listener = server::listen(config.devices.listen)
        .map_err(|error| taken("devices.listen", &config.devices.listen, &error))?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| Failure::new(format!("no threads: {error}"), "free some memory"))?;
    let admin = runtime
        .block_on(tokio::net::TcpListener::bind(config.admin.listen))
        .map_err(|error| taken("admin.listen", &config.admin.listen, &error))?;
    let address = listener.local_addr().unwrap_or(config.devices.listen);
    let admin_address = admin.local_addr().unwrap_or(config.admin.listen);
    let _ = server::more_descriptors();
    let scheme = if tls.is_some() { "https" } else { "http" };
    let log = Log::new(reporter, verbose, scheme, address);
    if let Some(token) = operations.first_token().map_err(|error| failed(&error))? {
        let text = format!("the token of the owner, which is shown this once: {}", *token);
        reporter.result(text, &serde_json::json!({ "owner-token": *token }))?;
    }
    let text = format!(
        "devices: {scheme}://{address}, API: http://{admin_address}/api/v1, data: {}",
        material::shown(data)
    );
    let object = serde_json::json!({
        "devices": format!("{scheme}://{address}"), "api": format!("http://{admin_address}/api/v1"),
    });
    reporter.result(text, &object)?;
    port(&operations, listener, tls.as_ref(), &log, to_main.clone())?;
    let ends = Arc::new(AtomicBool::new(false));
    let clock = keep_time(&operations, &ends, reporter)?;
    let routes = api::router(Arc::clone(&operations));
    let serving = runtime.spawn(async move { axum::serve(admin, routes).await });
    let event = from_others.recv().unwrap_or(Event::Stop);
    serving.abort();
    ends.store(true, Ordering::Relaxed);
    let _ = clock.join();
    // What was decided is written down before the program ends.
    operations.service().writer().with(|_| ());
    super::over(event, &log)
}

fn taken(setting: &str, address: &impl Display, error: &io::Error) -> Failure {
    Failure::new(
        format!("{address} cannot be opened: {error}"),
        format!("another program may have it: choose another port with `{setting}` in {CONFIG}"),
    )
}

/// Makes the data folder for its owner alone.
fn folder(data: &Path) -> Result<(), Failure> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(data).map_err(|error| {
        Failure::new(format!("{}: {error}", material::shown(data)), "choose another folder with --data")
    })
}

fn config(path: &Path) -> Result<Config, Failure> {
    let text = match crate::package::read(path, MAX_CONFIG) {
        Ok(bytes) => String::from_utf8(bytes).map_err(|_| {
            Failure::new(format!("{} is no UTF-8 text", material::shown(path)), "write it again")
        })?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Config::default()),
        Err(error) => {
            return Err(Failure::new(format!("{}: {error}", material::shown(path)), "make it readable"));
        }
    };
    Config::parse(&text).map_err(|error| {
        Failure::new(
            format!("{}: {error}", material::shown(path)),
            "mend the setting: a name that is not known stops the start, so that no protection is lost",
        )
    })
}

/// A path of the settings stands for a file of the data folder, unless it is absolute.
fn below(data: &Path, path: &Path) -> PathBuf {
    data.join(path)
}

fn settings(data: &Path, config: &Config) -> Result<Settings, Failure> {
    let mut settings = Settings { credentials: None, limits: Limits::default() };
    if let Some(downloads) = config.devices.downloads {
        settings.limits.downloads = downloads;
    }
    if let (Some(user), Some(file)) = (&config.devices.user, &config.devices.password_file) {
        let password = secret::line_of(&below(data, file))?;
        settings.credentials = Some(Secret(format!("{user}:{}", *password).into_bytes()));
    }
    Ok(settings)
}

fn tls(data: &Path, config: &Config) -> Result<Option<Tls>, Failure> {
    let (Some(cert), Some(key)) = (&config.devices.tls_cert, &config.devices.tls_key) else {
        return Ok(None);
    };
    let record = config.devices.tls_record.unwrap_or(RECORD_BYTES);
    super::tls_of(&below(data, cert), &below(data, key), record).map(Some)
}

/// Opens the port for devices, on a thread of its own.
fn port(
    operations: &Arc<Operations>,
    listener: std::net::TcpListener,
    tls: Option<&Tls>,
    log: &Log,
    to_main: mpsc::Sender<Event>,
) -> Result<(), Failure> {
    let (service, log) = (Arc::clone(operations.service()), log.clone());
    let acceptor = tls.map(|tls| TlsAcceptor::from(Arc::clone(&tls.config)));
    let port = move || {
        let answers = Arc::clone(&service) as Arc<dyn Answers>;
        let tell = Rc::new(move |record| {
            service.ended(&record);
            log.record(&record);
        });
        let ended = server::run(listener, answers, acceptor, tell);
        let _ = to_main.send(Event::Ended(ended.map_err(|error| error.to_string())));
    };
    let thread = std::thread::Builder::new().name("port".into()).spawn(port);
    thread
        .map(drop)
        .map_err(|error| Failure::new(format!("no thread for the port: {error}"), "free some memory"))
}

/// Tells the fleet the time, and looks at new devices.
fn keep_time(
    operations: &Arc<Operations>,
    ends: &Arc<AtomicBool>,
    reporter: Reporter,
) -> Result<std::thread::JoinHandle<()>, Failure> {
    let (operations, ends) = (Arc::clone(operations), Arc::clone(ends));
    let work = move || {
        let mut told = String::new();
        operations.service().keep_time(|| {
            let fault = match operations.admit() {
                Ok(()) | Err(OperationError::Ended) => String::new(),
                Err(error) => error.to_string(),
            };
            // Once, not every second.
            if fault != told && !fault.is_empty() {
                reporter.warn(&fault);
            }
            told = fault;
            ends.load(Ordering::Relaxed)
        });
    };
    std::thread::Builder::new()
        .name("clock".into())
        .spawn(work)
        .map_err(|error| Failure::new(format!("no thread for the clock: {error}"), "free some memory"))
}
