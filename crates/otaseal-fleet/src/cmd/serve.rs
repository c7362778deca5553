//! `serve`: serves the packages of a folder to devices that pull by HTTP, or the fleet.

mod fleet;
mod log;

use crate::error::{Exit, Failure};
use crate::folder::{self, Cache, Found};
use crate::package;
use crate::report::Reporter;
use crate::secret::{self, PasswordArgs};
use clap::Args;
use log::Log;
use notify::{RecursiveMode, Watcher};
use otaseal::key::material;
use otaseal_delivery::pull::answer::RedirectStatus;
use otaseal_delivery::pull::catalogue::Settings;
use otaseal_delivery::pull::redirect::{Elsewhere, TokenKey};
use otaseal_delivery::pull::request::Secret;
use otaseal_delivery::pull::server::{self, Limits, Shared};
use otaseal_delivery::pull::tls::{RECORD_BYTES, Tls};
use otaseal_delivery::release::Trust;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;
use tokio_rustls::TlsAcceptor;
use zeroize::Zeroizing;

/// Images in memory, in bytes.
const CACHE: usize = 64 << 20;

/// A folder that changes is read again when it has been still for this long.
const STILL: Duration = Duration::from_millis(300);

/// How long a redirect is good, in seconds: a device follows at once.
const REDIRECT_LIFE: u64 = 300;

#[derive(Debug, Args)]
#[command(after_help = "\
Without DIR it serves a fleet: an inventory of devices, releases, and rollouts that are proved. Its data
and its settings, fleet.toml, are in the folder of --data. At the first start it prints a token for its API.

With DIR it keeps nothing. Which firmware a device gets is never a guess. The first of these counts:
  1. the line of devices.toml with its MAC address or chip id
  2. the file that the address names: /arduino.bin
  3. the newest release of the firmware that it runs, known by its digest
  4. the firmware that Homie 1 names
  5. the firmware that the address names: /ota/NAME or /ota/NAME/BOARD
A device for which none of them holds gets 404.

Examples:
  otaseal-fleet serve
  otaseal-fleet serve dist --key keys/public.pem
  otaseal-fleet serve dist --key keys/public.pem --tls-cert server.pem --tls-key server.key")]
pub(crate) struct ServeArgs {
    /// The folder with packages and bare images; none to serve a fleet
    #[arg(value_name = "DIR")]
    directory: Option<PathBuf>,
    /// The folder with the data of the fleet; it is made if it is not there
    #[arg(
        long,
        value_name = "DIR",
        default_value = "otaseal-fleet",
        conflicts_with = "directory",
        help_heading = "Fleet"
    )]
    data: PathBuf,
    /// Serve only what this public key verifies; can be given more than once
    #[arg(long, value_name = "FILE", requires = "directory", help_heading = "Trust")]
    key: Vec<PathBuf>,
    /// Serve also what nobody signed
    #[arg(long, requires = "directory", help_heading = "Trust")]
    allow_unsigned: bool,
    /// Address and port to which devices come
    #[arg(
        long,
        value_name = "ADDR:PORT",
        default_value = "0.0.0.0:8080",
        requires = "directory",
        help_heading = "Port"
    )]
    listen: SocketAddr,
    /// Certificate for TLS, with its chain, in PEM form
    #[arg(long, value_name = "FILE", requires = "tls_key", requires = "directory", help_heading = "Port")]
    tls_cert: Option<PathBuf>,
    /// Private key of the certificate, in PEM form
    #[arg(long, value_name = "FILE", requires = "tls_cert", requires = "directory", help_heading = "Port")]
    tls_key: Option<PathBuf>,
    /// Largest TLS record in bytes: at most the buffer that the sketches set
    #[arg(long, value_name = "BYTES", default_value_t = RECORD_BYTES, requires = "directory", help_heading = "Port")]
    tls_record: usize,
    /// Downloads at a time
    #[arg(long, value_name = "NUMBER", requires = "directory", help_heading = "Port")]
    downloads: Option<usize>,
    /// User name that devices must send; the password is given by a file, a variable or a descriptor
    #[arg(long, value_name = "NAME", requires = "directory", help_heading = "Password")]
    user: Option<String>,
    #[command(flatten)]
    password: PasswordArgs,
    /// Send devices to this address for the images, such as that of a CDN
    #[arg(
        long,
        value_name = "URL",
        requires = "redirect_secret",
        requires = "directory",
        help_heading = "Redirect"
    )]
    redirect: Option<String>,
    /// File with the secret that signs the addresses, of at least 32 bytes
    #[arg(
        long,
        value_name = "FILE",
        requires = "redirect",
        requires = "directory",
        help_heading = "Redirect"
    )]
    redirect_secret: Option<PathBuf>,
    /// Print also the polls of devices that are up to date
    #[arg(short, long, help_heading = "General")]
    verbose: bool,
}

pub(crate) fn run(args: &ServeArgs, reporter: Reporter) -> Result<Exit, Failure> {
    let Some(directory) = &args.directory else { return fleet::run(&args.data, args.verbose, reporter) };
    let trust = trust(args)?;
    let tls = tls(args)?;
    let settings = settings(args, tls.is_some())?;
    if !directory.is_dir() {
        return Err(Failure::usage(
            format!("{} is no directory", material::shown(directory)),
            "name the folder with the packages: `otaseal package --out-dir` makes one",
        ));
    }
    // Before anything is printed or read: nothing that the user or the folder does from here on is missed.
    let (to_main, from_watcher) = mpsc::channel();
    ctrl_c(to_main.clone())?;
    let _watcher = watch(directory, to_main.clone())?;
    let cache = Arc::new(Cache::new(CACHE));
    let read = || folder::read(directory, &trust, &cache);
    let found = read().map_err(|why| Failure::new(why, "mend the file, and start again"))?;
    let listener = server::listen(args.listen).map_err(|error| {
        Failure::new(
            format!("{} cannot be opened: {error}", args.listen),
            "another program may have it: choose another port with --listen",
        )
    })?;
    let address = listener.local_addr().unwrap_or(args.listen);
    let scheme = if tls.is_some() { "https" } else { "http" };
    let log = Log::new(reporter, args.verbose, scheme, address);
    log.started(directory, &found, tls.as_ref());
    let mut limits = Limits::default();
    if let Some(downloads) = args.downloads {
        limits.downloads = downloads;
    }
    let _ = otaseal_delivery::pull::server::more_descriptors();
    let shared = Arc::new(Shared::new(found.catalogue, settings, limits));
    let port = {
        let (shared, log) = (Arc::clone(&shared), log.clone());
        let acceptor = tls.as_ref().map(|tls| TlsAcceptor::from(Arc::clone(&tls.config)));
        move || {
            let ended = server::run(listener, shared, acceptor, Rc::new(move |record| log.record(&record)));
            let _ = to_main.send(Event::Ended(ended.map_err(|error| error.to_string())));
        }
    };
    std::thread::Builder::new()
        .name("port".into())
        .spawn(port)
        .map_err(|error| Failure::new(format!("no thread for the port: {error}"), "free some memory"))?;
    loop {
        match from_watcher.recv() {
            Ok(Event::Changed) => {
                // A package is several files: wait until nobody writes.
                let end = loop {
                    match from_watcher.recv_timeout(STILL) {
                        Ok(Event::Changed) => {}
                        Ok(other) => break Some(other),
                        Err(RecvTimeoutError::Timeout) => break None,
                        Err(RecvTimeoutError::Disconnected) => break Some(Event::Ended(Ok(()))),
                    }
                };
                if let Some(end) = end {
                    return over(end, &log);
                }
                match read() {
                    Ok(Found { catalogue, refused }) => {
                        log.changed(&catalogue, &refused);
                        shared.replace(catalogue);
                    }
                    Err(why) => reporter.warn(format!("{why}; the server goes on with what it had")),
                }
            }
            Ok(end) => return over(end, &log),
            Err(_) => return over(Event::Ended(Ok(())), &log),
        }
    }
}

/// What the main thread waits for.
enum Event {
    /// A file of the folder changed.
    Changed,
    /// The user ends the server.
    Stop,
    /// The port failed.
    Ended(Result<(), String>),
}

fn over(event: Event, log: &Log) -> Result<Exit, Failure> {
    log.ended();
    match event {
        Event::Ended(Err(error)) => {
            Err(Failure::new(format!("the port failed: {error}"), "start the server again"))
        }
        _ => Ok(Exit::Done),
    }
}

/// Tells the main thread when the user wants an end. Returns when it listens for that.
fn ctrl_c(to_main: mpsc::Sender<Event>) -> Result<(), Failure> {
    let (ready, is_ready) = mpsc::channel::<()>();
    let wait = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        if let Ok(runtime) = runtime {
            runtime.block_on(async {
                let listens = async {
                    drop(ready);
                    std::future::pending().await
                };
                tokio::select! {
                    biased;
                    () = crate::cmd::interrupted() => {}
                    () = listens => {}
                }
            });
            let _ = to_main.send(Event::Stop);
        }
    };
    std::thread::Builder::new()
        .name("signals".into())
        .spawn(wait)
        .map_err(|error| Failure::new(format!("no thread for signals: {error}"), "free some memory"))?;
    // The other end is dropped when it listens.
    let _ = is_ready.recv();
    Ok(())
}

/// Tells the main thread when something in the folder changes.
fn watch(directory: &Path, to_main: mpsc::Sender<Event>) -> Result<impl Watcher + use<>, Failure> {
    use notify::EventKind;
    use notify::event::{AccessKind, AccessMode};
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        // The server itself opens and reads the files: that is no change.
        let reads = event.is_ok_and(|event| match event.kind {
            EventKind::Access(AccessKind::Close(AccessMode::Write)) => false,
            EventKind::Access(_) => true,
            _ => false,
        });
        if !reads {
            let _ = to_main.send(Event::Changed);
        }
    })
    .map_err(|error| no_watch(directory, &error))?;
    watcher.watch(directory, RecursiveMode::Recursive).map_err(|error| no_watch(directory, &error))?;
    Ok(watcher)
}

fn no_watch(directory: &Path, error: &notify::Error) -> Failure {
    Failure::new(
        format!("{} cannot be watched: {error}", material::shown(directory)),
        "raise the system's limit of watched files, or serve a folder with fewer packages",
    )
}

fn trust(args: &ServeArgs) -> Result<Trust, Failure> {
    let keys = package::keys(&args.key)?;
    match (keys.is_empty(), args.allow_unsigned) {
        (true, false) => Err(Failure::usage(
            "it is not said whom to believe",
            "give --key with the public key of your firmware, or --allow-unsigned to serve what anybody can put there",
        )),
        (_, true) => Ok(Trust::Unsigned(keys)),
        (false, false) => Ok(Trust::Keys(keys)),
    }
}

fn tls(args: &ServeArgs) -> Result<Option<Tls>, Failure> {
    let (Some(cert), Some(key)) = (&args.tls_cert, &args.tls_key) else { return Ok(None) };
    tls_of(cert, key, args.tls_record).map(Some)
}

fn tls_of(cert: &Path, key: &Path, record: usize) -> Result<Tls, Failure> {
    let of = |path: &Path| package::read(path, 1 << 20).map_err(|error| Failure::file(path, &error));
    let (chain, own) = (of(cert)?, Zeroizing::new(of(key)?));
    Tls::new(&chain, &own, record).map_err(|error| {
        Failure::new(
            format!("{}: {error}", material::shown(cert)),
            "make one with: openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 \
             -subj /CN=NAME -keyout server.key -out server.pem",
        )
    })
}

fn settings(args: &ServeArgs, tls: bool) -> Result<Settings, Failure> {
    let mut settings = Settings::default();
    let password = args.password.read("the devices")?;
    settings.credentials = match (&args.user, password) {
        (None, None) => None,
        (Some(user), Some(password)) if !user.is_empty() && !user.contains(':') => {
            Some(Secret(format!("{user}:{}", *password).into_bytes()))
        }
        (Some(_), Some(_)) => {
            return Err(Failure::usage("the user name is empty or has a colon", "choose another name"));
        }
        (Some(_), None) => {
            return Err(Failure::usage(
                "--user needs a password",
                "give it with --password-file, --password-env or --password-fd",
            ));
        }
        (None, Some(_)) => return Err(Failure::usage("a password needs --user", "give the user name too")),
    };
    if let (Some(base), Some(path)) = (&args.redirect, &args.redirect_secret) {
        let secret = secret::line_of(path)?;
        let own = if tls { "https" } else { "http" };
        let made = TokenKey::new(Zeroizing::new(secret.as_bytes().to_vec()))
            .and_then(|key| Elsewhere::new(base, own, RedirectStatus::Found, key, REDIRECT_LIFE));
        let help = "devices follow a redirect only if the sketch allows it, and only by the same scheme";
        settings.elsewhere = Some(made.map_err(|error| Failure::usage(error, help))?);
    }
    Ok(settings)
}
