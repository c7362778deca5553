//! What the server prints: one line for each answer that somebody may want to know of.

use crate::folder::{DEVICES, Found};
use crate::report::Reporter;
use otaseal_delivery::evidence::Evidence;
use otaseal_delivery::offer::Code;
use otaseal_delivery::pull::catalogue::{Catalogue, Why};
use otaseal_delivery::pull::server::Record;
use otaseal_delivery::pull::tls::Tls;
use otaseal_delivery::text::said;
use serde::Serialize;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

#[derive(Clone)]
pub(super) struct Log(Arc<Inner>);

struct Inner {
    reporter: Reporter,
    verbose: bool,
    scheme: &'static str,
    address: SocketAddr,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// How often each reason came up.
    counts: BTreeMap<&'static str, u64>,
    /// Whether the advice of the first request that no rule fits was given.
    advised: bool,
}

#[derive(Serialize)]
struct Line<'a> {
    peer: SocketAddr,
    asked: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    device: Option<String>,
    status: Option<u16>,
    code: &'a str,
    why: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    release: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    running: Option<&'a str>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    odd: &'a [String],
    #[serde(skip_serializing_if = "Vec::is_empty")]
    facts: Vec<String>,
    sent_bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    evidence: Option<Evidence>,
}

impl Log {
    pub(super) fn new(reporter: Reporter, verbose: bool, scheme: &'static str, address: SocketAddr) -> Self {
        Self(Arc::new(Inner { reporter, verbose, scheme, address, state: Mutex::default() }))
    }

    pub(super) fn started(&self, directory: &Path, found: &Found, tls: Option<&Tls>) {
        let inner = &self.0;
        self.changed(&found.catalogue, &found.refused);
        if let Some(tls) = tls {
            for doubt in &tls.doubts {
                inner.reporter.warn(doubt);
            }
            inner.reporter.note(format!(
                "TLS: setFingerprint and the configuration of Homie 1 want {}",
                tls.fingerprint
            ));
        }
        let shown = otaseal::key::material::shown(directory);
        let text = format!("serving {shown} on {}://{}", inner.scheme, inner.address);
        let object = serde_json::json!({
            "serving": shown,
            "address": format!("{}://{}", inner.scheme, inner.address),
            "tls_fingerprint": tls.map(|tls| &tls.fingerprint),
        });
        let _ = inner.reporter.result(text, &object);
    }

    pub(super) fn changed(&self, catalogue: &Catalogue, refused: &[(String, String)]) {
        let reporter = self.0.reporter;
        for (path, why) in refused {
            reporter.warn(format!("{path} is not served: {why}"));
        }
        /// So many are listed.
        const MOST: usize = 20;
        for entry in catalogue.entries().iter().take(MOST) {
            let release = &entry.release;
            let by = match &release.signer {
                Some(key) => format!("signed by {}", key.id()),
                None => "not signed".to_owned(),
            };
            let files: Vec<&str> = release.artefacts.iter().map(|artefact| artefact.file.as_str()).collect();
            reporter.note(format!("has {} ({by}): {}", said(release.title().as_bytes()), files.join(", ")));
        }
        match catalogue.entries().len() {
            0 => reporter.warn("there is nothing to serve yet: put a package into the folder"),
            more if more > MOST => reporter.note(format!("and {} more releases", more - MOST)),
            _ => {}
        }
    }

    /// Counts and prints one connection.
    pub(super) fn record(&self, record: &Record) {
        let inner = &self.0;
        let code = match &record.why {
            Ok(why) => why.code(),
            Err(_) if record.status.is_none() => "broken",
            Err(_) if record.status == Some(403) => "no-updater",
            Err(_) => "other",
        };
        let mut state = inner.state.lock().unwrap_or_else(PoisonError::into_inner);
        *state.counts.entry(code).or_default() += 1;
        let up_to_date =
            matches!(&record.why, Ok(Why::Refused(refusal)) if refusal.code == Code::AlreadyRunning);
        let advise = matches!(&record.why, Ok(Why::NoRule | Why::NoSuchFirmware { .. })) && !state.advised;
        state.advised |= advise;
        drop(state);
        if (up_to_date || inner.reporter.quiet) && !inner.verbose {
            return;
        }
        let why = match &record.why {
            Ok(why) => why.to_string(),
            Err(why) => why.clone(),
        };
        let device =
            record.facts.as_ref().and_then(|facts| facts.identity()).map(|identity| identity.to_string());
        let line = Line {
            peer: record.peer,
            asked: &record.asked,
            device: device.clone(),
            status: record.status,
            code,
            why: why.clone(),
            release: record.release.as_deref(),
            running: record.running.as_deref(),
            odd: &record.odd,
            facts: record.facts.as_ref().map(|facts| facts.shown()).unwrap_or_default(),
            sent_bytes: record.sent,
            evidence: record.evidence,
        };
        let who = device.unwrap_or_else(|| record.peer.ip().to_string());
        let status = record.status.map(|status| format!(" {status}")).unwrap_or_default();
        let release =
            record.release.as_deref().map(|title| format!(" {}", said(title.as_bytes()))).unwrap_or_default();
        let evidence = record.evidence.map(|evidence| format!("; {evidence}")).unwrap_or_default();
        let odd = match record.odd.as_slice() {
            [] => String::new(),
            odd => format!("; odd: {}", odd.join(", ")),
        };
        let text = format!("{who}:{status} {}{release}: {why}{evidence}{odd}", record.asked);
        let _ = inner.reporter.result(text, &line);
        if advise {
            self.advise(record);
        }
    }

    /// Says what to put into the sketch, or into the list.
    fn advise(&self, record: &Record) {
        let inner = &self.0;
        let device = record.facts.as_ref().and_then(|facts| facts.identity());
        let id = device.map_or_else(|| "5C:CF:7F:AA:BB:CC".to_owned(), |device| said(device.id.as_bytes()));
        let host = match inner.address.ip().is_unspecified() {
            true => "ADDRESS-OF-THIS-COMPUTER".to_owned(),
            false => inner.address.ip().to_string(),
        };
        inner.reporter.note(format!(
            "help: no rule says which firmware this device gets. Name it in the sketch:\n        \
             ESPhttpUpdate.update(client, \"{}://{host}:{}/ota/NAME\");\n      or in {DEVICES} in the folder:\n        \
             \"{id}\" = \"NAME\"",
            inner.scheme,
            inner.address.port(),
        ));
    }

    pub(super) fn ended(&self) {
        let state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        let counts: Vec<String> =
            state.counts.iter().map(|(code, count)| format!("{count} {code}")).collect();
        let text = match counts.as_slice() {
            [] => "nobody asked".to_owned(),
            counts => format!("answered: {}", counts.join(", ")),
        };
        let _ = self.0.reporter.result(text, &serde_json::json!({ "answered": state.counts }));
    }
}
