//! Decides what a device is offered: which file of a release, or why none.
//!
//! [`choose`] is the one function that decides, for every protocol. It asks [`otaseal::profile::judge`] what the device
//! would do with each file. Facts that are not known become several possible devices: one without a key and one with the
//! key that signed, one for each generation of the core. A file is offered only if no possible device comes to harm by it
//! and at least one takes it. So a signed gzip goes to a device only if it is known to have the key: a device without one
//! says "OK" to it and destroys its first sector (esp8266/Arduino `bootloaders/eboot/eboot.c`).

mod memo;
mod possible;
mod refusal;
mod version;

pub use memo::Memo;
pub use refusal::{Code, Refusal};
pub use version::{order, order_key};

use otaseal::format::image::Content;
use otaseal::format::layers::Encoding;
use otaseal::profile::{self, Assumption, Reason, Verdict, Via};
use serde::Serialize;
use std::cmp::Ordering;
use std::io;

use crate::device::DeviceFacts;
use crate::release::{Artefact, Release};
use memo::Found;
use possible::Possible;

/// How the file reaches the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Way {
    /// The device pulls it by HTTP.
    Pull,
    /// ArduinoOTA.
    Espota,
    /// A web form.
    Form,
    /// Homie's push over MQTT.
    HomieMqtt,
}

impl Way {
    /// The name that the library has for it. Homie's push has none.
    fn via(self) -> Option<Via> {
        match self {
            Self::Pull => Some(Via::Http),
            Self::Espota => Some(Via::Espota),
            Self::Form => Some(Via::Form),
            Self::HomieMqtt => None,
        }
    }
}

/// What the caller allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Policy {
    /// How the file reaches the device.
    pub way: Way,
    /// What the device asks for.
    pub content: Content,
    /// Whether a version that is older than the running one is offered.
    pub downgrade: bool,
    /// Whether the image that runs already is offered again.
    pub reinstall: bool,
    /// Whether another firmware than the running one is offered.
    pub other_firmware: bool,
}

impl Policy {
    /// Firmware for this way, nothing allowed.
    pub fn new(way: Way) -> Self {
        Self { way, content: Content::Firmware, downgrade: false, reinstall: false, other_firmware: false }
    }
}

/// The decision.
#[derive(Debug, Clone)]
pub enum Decision<'r> {
    /// The device is offered this file.
    Offer(Offer<'r>),
    /// Not at present: the device has the image already, or takes no update now.
    NotNow(Refusal),
    /// Not this release to this device.
    Never(Refusal),
}

/// A file for a device.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Offer<'r> {
    /// The file.
    pub artefact: &'r Artefact,
    /// Why this file, as a sentence.
    pub because: String,
    /// What had to be assumed, as sentences.
    pub assumed: Vec<String>,
}

/// Decides what a device is offered of a release.
///
/// The work is bounded by the files of the release: each is judged at most once for each possible device.
pub fn choose<'r>(release: &'r Release, facts: &DeviceFacts, policy: Policy) -> Decision<'r> {
    choose_remembering(release, None, facts, policy, &Memo::default(), true)
        .unwrap_or_else(|| unreachable!("it may judge"))
}

/// Does the same as [`choose`], and remembers what it found out for all devices of one kind. `only` is the one file that
/// counts, if one does. Returns `None` if a file would have to be judged and `may_judge` forbids it: to judge takes a
/// while.
pub fn choose_remembering<'r>(
    release: &'r Release,
    only: Option<&'r Artefact>,
    facts: &DeviceFacts,
    policy: Policy,
    memo: &Memo,
    may_judge: bool,
) -> Option<Decision<'r>> {
    match refusal::without_judging(release, facts, policy) {
        Err(refusal) if matches!(refusal.code, Code::AlreadyRunning | Code::OtaDisabled) => {
            return Some(Decision::NotNow(refusal));
        }
        Err(refusal) => return Some(Decision::Never(refusal)),
        Ok(()) => {}
    }
    let kind = memo::kind(only, facts, policy);
    let found = match memo.get(&kind) {
        Some(found) => found,
        None if may_judge => match judge(release, only, facts, policy) {
            Ok(found) => {
                memo.put(kind, found.clone());
                found
            }
            Err(error) => {
                Found::Never(Code::CannotRead, format!("a file of the release cannot be read: {error}"))
            }
        },
        None => return None,
    };
    Some(match found {
        Found::Offer { file, because, assumed } => {
            let artefact = release.artefacts.iter().find(|artefact| artefact.file == file)?;
            Decision::Offer(Offer { artefact, because, assumed })
        }
        Found::Never(code, why) => {
            let facts = match facts.shown() {
                shown if shown.is_empty() => vec!["nothing is known of the device".into()],
                shown => shown,
            };
            Decision::Never(Refusal { code, facts, why })
        }
    })
}

fn judge<'r>(
    release: &'r Release,
    only: Option<&'r Artefact>,
    facts: &DeviceFacts,
    policy: Policy,
) -> io::Result<Found> {
    let possible = match Possible::devices(release, facts, policy) {
        Ok(possible) => possible,
        Err(refusal) => return Ok(Found::Never(refusal.code, refusal.why)),
    };
    let counts = |artefact: &&Artefact| only.is_none_or(|only| only.file == artefact.file);
    let counting: Vec<&Artefact> = release.artefacts.iter().filter(counts).collect();
    // A few files, each of which a simulated boot loader unpacks.
    let mut tried: Vec<Tried<'_>> = std::thread::scope(|scope| {
        let each = |artefact| {
            let possible = &possible;
            scope.spawn(move || Tried::new(artefact, possible, policy))
        };
        let threads: Vec<_> = counting.into_iter().map(each).collect();
        let join = |thread: std::thread::ScopedJoinHandle<'_, io::Result<Tried<'r>>>| {
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        threads.into_iter().map(join).collect::<io::Result<_>>()
    })?;
    // First the file that most of the possible devices take, then the smallest.
    tried.sort_by_key(|tried| (tried.refused_by(), tried.blind_gzip, tried.artefact.digests.size_bytes));
    Ok(match tried.iter().find(|tried| tried.is_offered()) {
        Some(best) => {
            let mut assumed = possible.assumed.clone();
            assumed.extend(best.assumed.iter().map(ToString::to_string));
            assumed.extend(best.only_if());
            Found::Offer { file: best.artefact.file.clone(), because: best.because(&tried), assumed }
        }
        None => {
            let (code, why) = refusal::of_verdicts(release, &tried);
            Found::Never(code, why)
        }
    })
}

/// Returns whether a device that says this runs the release already: by a digest of what it runs, else by its version.
pub fn runs(release: &Release, facts: &DeviceFacts) -> bool {
    refusal::running(release, facts).is_some()
}

/// A file, and what each possible device does with it.
pub(crate) struct Tried<'r> {
    pub(crate) artefact: &'r Artefact,
    /// Name of the possible device, and its verdict.
    pub(crate) verdicts: Vec<(String, Verdict)>,
    assumed: Vec<Assumption>,
    /// A gzip for a device whose flash is not known: whether its boot loader can unpack it there is not known either.
    blind_gzip: bool,
}

impl<'r> Tried<'r> {
    fn new(artefact: &'r Artefact, possible: &Possible<'_>, policy: Policy) -> io::Result<Self> {
        let bytes = artefact.contents.load()?;
        let ways: Vec<Via> = policy.way.via().into_iter().collect();
        let mut tried = Self {
            artefact,
            verdicts: Vec::new(),
            assumed: Vec::new(),
            blind_gzip: artefact.encoding == Encoding::Gzip
                && possible.devices.iter().any(|one| one.flash.is_none()),
        };
        for device in &possible.devices {
            let mut device = *device;
            device.via = (!ways.is_empty()).then_some(ways.as_slice());
            let judgement = profile::judge(&bytes, &device);
            for what in judgement.assumed {
                if !tried.assumed.contains(&what) {
                    tried.assumed.push(what);
                }
            }
            let name = match (device.profile.has_key, device.key) {
                (true, Some(key)) => format!("{} with the key {}", device.profile, key.id()),
                _ => device.profile.to_string(),
            };
            tried.verdicts.push((name, judgement.verdict));
        }
        Ok(tried)
    }

    fn accepts(verdict: &Verdict) -> bool {
        // Nobody knows what an ESP32 does with a filesystem image, so nobody speaks against it.
        matches!(verdict, Verdict::Accepts | Verdict::Unknown { reason: Reason::FileSystemNotJudged })
    }

    fn is_offered(&self) -> bool {
        self.verdicts.iter().any(|(_, verdict)| Self::accepts(verdict))
            && self
                .verdicts
                .iter()
                .all(|(_, verdict)| Self::accepts(verdict) || matches!(verdict, Verdict::Refuses { .. }))
    }

    /// How many possible devices do not take it.
    fn refused_by(&self) -> usize {
        self.verdicts.iter().filter(|(_, verdict)| !Self::accepts(verdict)).count()
    }

    /// Says which devices are assumed not to be the one.
    fn only_if(&self) -> Option<String> {
        let refuse = self.verdicts.iter().filter(|(_, verdict)| !Self::accepts(verdict));
        let names: Vec<&str> = refuse.map(|(name, _)| name.as_str()).collect();
        (!names.is_empty())
            .then(|| format!("that the device is not {}, which refuses this file", names.join(" or ")))
    }

    fn because(&self, all: &[Self]) -> String {
        let what = match (self.artefact.encoding, self.artefact.signature) {
            (Encoding::Plain, None) => "the plain image",
            (Encoding::Plain, Some(_)) => "the signed plain image",
            (Encoding::Gzip, None) => "the gzip",
            (Encoding::Gzip, Some(_)) => "the signed gzip",
        };
        let smaller = all.iter().filter(|other| {
            other.artefact.digests.size_bytes.cmp(&self.artefact.digests.size_bytes) == Ordering::Less
        });
        let mut against = Vec::new();
        for other in smaller {
            let bad = other.verdicts.iter().find(|(_, verdict)| !Self::accepts(verdict));
            match bad {
                Some((name, verdict)) => against.push(format!("{}: {name}: {verdict}", other.artefact.file)),
                None if other.blind_gzip => {
                    against
                        .push(format!("{}: it is not known whether it can be unpacked", other.artefact.file));
                }
                None => {}
            }
        }
        match against.as_slice() {
            [] => format!("it is {what}, the smallest file that the device takes"),
            some => format!("it is {what}; smaller files are no choice ({})", some.join("; ")),
        }
    }
}

#[cfg(test)]
mod tests;
