//! Which firmware a device gets. Never a guess: a rule says it, or the device gets 404.
//!
//! 1. a person's list names the device;
//! 2. the address names one file;
//! 3. the digest of what runs is that of a release: the newest release of that firmware, for the same board;
//! 4. Homie 1 says the name of its firmware, and its target;
//! 5. the address names a firmware: `/ota/NAME` or `/ota/NAME/BOARD`.

mod address;
mod listed;
mod rules;
mod why;

pub use address::{Address, FileWanted};
pub use listed::{Line, Listed, ListedError, MAX_LIST};
pub use why::Why;

use std::collections::HashMap;

use otaseal::format::digest::{Md5Digest, Sha256Digest};

use super::answer::{Answer, FileAnswer};
use super::redirect::{Elsewhere, TokenError};
use super::request::{Mode, Request, Secret};
use crate::device::{DeviceFacts, DeviceKey, Family, Identity, Known, Origin, is_same_board};
use crate::offer::{self, Code, Decision, Memo, Refusal};
use crate::release::{Artefact, Release};
use crate::text::said;
use rules::{Target, newer};

/// The releases that a server has, and who gets which.
#[derive(Debug, Default)]
pub struct Catalogue {
    entries: Vec<Entry>,
    /// Every MD5 that a device may report, of the newest release with it.
    by_md5: HashMap<Md5Digest, usize>,
    /// By what an ESP32 reports.
    by_sha256: HashMap<Sha256Digest, usize>,
    /// By the name of the firmware, newest first. Filesystem images stand under the start of their file names.
    by_name: HashMap<String, Vec<usize>>,
    /// Files that lie at the top of the folder, by their name.
    by_file: HashMap<String, (usize, usize)>,
    /// Every file, by what it is.
    by_digest: HashMap<Sha256Digest, (usize, usize)>,
    listed: Listed,
}

/// A release, and where it lies.
#[derive(Debug)]
pub struct Entry {
    /// The release.
    pub release: Release,
    /// The name of its folder, below the served one. `None` at the top.
    pub folder: Option<String>,
    /// What was found out of it.
    memo: Memo,
}

impl Entry {
    /// A release in this folder.
    pub fn new(release: Release, folder: Option<String>) -> Self {
        Self { release, folder, memo: Memo::default() }
    }

    /// The name under which it is asked for.
    fn name(&self) -> &str {
        self.release.firmware.as_deref().unwrap_or(&self.release.base)
    }

    /// Whether it is for this board: by the image, or by the name of its folder.
    fn is_for(&self, board: &str) -> bool {
        [&self.release.board, &self.folder].into_iter().flatten().any(|name| is_same_board(name, board))
    }
}

/// What the server demands, and where it sends devices.
#[derive(Debug, Default)]
pub struct Settings {
    /// `user:password` that devices must send.
    pub credentials: Option<Secret>,
    /// Where images are fetched.
    pub elsewhere: Option<Elsewhere>,
}

/// An answer, and why.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Served {
    /// The answer.
    pub answer: Answer,
    /// Why.
    pub why: Why,
    /// The firmware and version that is meant, if one is.
    pub release: Option<String>,
    /// The running image, if it is one of ours.
    pub running: Option<String>,
    /// A number by which the record of the connection is found again.
    pub ticket: Option<u64>,
}

impl Served {
    /// An answer for this reason.
    pub fn new(answer: Answer, why: Why) -> Self {
        Self { answer, why, release: None, running: None, ticket: None }
    }
}

/// A decision that takes no time, or one that has to judge files.
pub enum Quick {
    /// The answer.
    Done(Box<Served>),
    /// Call [`Catalogue::answer`] where it may take a while.
    MustJudge,
}

impl Catalogue {
    /// Puts the releases in order.
    pub fn new(entries: Vec<Entry>, listed: Listed) -> Self {
        let mut made = Self { entries, listed, ..Self::default() };
        for index in 0..made.entries.len() {
            let name = made.entries[index].name().to_owned();
            made.by_name.entry(name).or_default().push(index);
        }
        for indices in made.by_name.values_mut() {
            let entries = &made.entries;
            // A stable order even where versions have none.
            indices.sort_by(|one, other| newer(&entries[*one].release, &entries[*other].release).reverse());
        }
        for (index, entry) in made.entries.iter().enumerate() {
            for md5 in entry.release.running_md5s() {
                made.by_md5.entry(md5).or_insert(index);
            }
            if let Some(sha256) = entry.release.esp32_sha256 {
                made.by_sha256.entry(sha256).or_insert(index);
            }
            for (number, artefact) in entry.release.artefacts.iter().enumerate() {
                made.by_digest.entry(artefact.digests.sha256).or_insert((index, number));
                if entry.folder.is_none() {
                    made.by_file.entry(artefact.file.clone()).or_insert((index, number));
                }
            }
        }
        made
    }

    /// The releases.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Answers without judging any file, if the answer needs none: that is nearly every poll.
    pub fn quick(&self, request: &Request, settings: &Settings, now: u64) -> Quick {
        match self.serve(request, settings, now, false) {
            Some(served) => Quick::Done(Box::new(served)),
            None => Quick::MustJudge,
        }
    }

    /// Answers a request. `now` is in seconds since 1970. The first device of a kind may take a tenth of a second of
    /// computing.
    pub fn answer(&self, request: &Request, settings: &Settings, now: u64) -> Served {
        self.serve(request, settings, now, true).unwrap_or_else(|| unreachable!("it may judge"))
    }

    fn serve(&self, request: &Request, settings: &Settings, now: u64, may_judge: bool) -> Option<Served> {
        let running = self.running(&request.facts);
        let served = |answer, why, release: Option<usize>| {
            let title = |index: usize| self.entries[index].release.title();
            let (release, running) = (release.map(title), running.map(title));
            Some(Served { release, running, ..Served::new(answer, why) })
        };
        let address = Address::parse(&request.path);
        // The client that fetches a digest sends no credentials: see `Request::parse`.
        if !matches!(address, Address::Digest(..)) && !authorised(request, settings) {
            return served(Answer::Unauthorized, Why::Credentials, None);
        }
        if let Address::Content(digest) = address {
            return self.by_token(request, settings, digest, now, may_judge);
        }
        if let Address::Digest(FileWanted { name, .. }, of) = &address {
            let found = self
                .by_file
                .get(*name)
                .map(|(entry, number)| &self.entries[*entry].release.artefacts[*number]);
            return match found {
                Some(artefact) => served(Answer::Digest(of.text(&artefact.digests)), Why::Digest, None),
                None => served(Answer::NotFound, Why::NoSuchFile { name: said(name.as_bytes()) }, None),
            };
        }
        let Some(mode) = request.mode else { return served(Answer::NotFound, Why::UnknownMode, None) };
        let target = match self.target(request, &address, running, mode) {
            Ok(target) => target,
            Err(why) => return served(Answer::NotFound, why, None),
        };
        let entry = &self.entries[target.entry];
        if mode == Mode::Version {
            // Homie 1 and this mode exclude each other. 304 would be an error to the device.
            return match &entry.release.version {
                Some(version) => served(Answer::Version(version.clone()), Why::Version, Some(target.entry)),
                None => served(
                    Answer::NotFound,
                    Why::NoSuchVersion { name: said(entry.name().as_bytes()) },
                    Some(target.entry),
                ),
            };
        }
        let only = target.artefact.map(|number| &entry.release.artefacts[number]);
        // Tasmota takes 304 for success, and starts again.
        let nothing = || if request.tasmota { Answer::NotFound } else { Answer::NotModified };
        let choose = |facts, may_judge| {
            offer::choose_remembering(&entry.release, only, facts, target.policy, &entry.memo, may_judge)
        };
        // Nearly every poll: it runs what it would get. Nothing has to be learnt to see this.
        if running == Some(target.entry)
            && let Some(Decision::NotNow(refusal)) = choose(&request.facts, false)
        {
            return served(nothing(), Why::Refused(refusal), Some(target.entry));
        }
        let facts = self.learn(&request.facts, running, &target);
        let decision = choose(&facts, may_judge)?;
        let family = facts.family.as_ref().map_or(Family::Esp8266, |family| family.value);
        match decision {
            Decision::Offer(offer) => {
                let why = Why::Offered {
                    file: offer.artefact.file.clone(),
                    because: offer.because,
                    assumed: offer.assumed,
                };
                let answer = match &settings.elsewhere {
                    Some(elsewhere) => {
                        let device = facts.identity().map(|id: Identity| id.to_string()).unwrap_or_default();
                        Answer::Elsewhere(elsewhere.of(&device, offer.artefact.digests.sha256, now))
                    }
                    None => match file(offer.artefact, &entry.release, family, may_judge)? {
                        Ok(answer) => answer,
                        Err(why) => return served(Answer::NotFound, why, Some(target.entry)),
                    },
                };
                served(answer, why, Some(target.entry))
            }
            Decision::NotNow(refusal) | Decision::Never(refusal) => {
                match only.and_then(|artefact| self.minimal_first(request, artefact, &refusal)) {
                    Some((artefact, why)) => match file(artefact, &entry.release, family, may_judge)? {
                        Ok(answer) => served(answer, why, Some(target.entry)),
                        Err(why) => served(Answer::NotFound, why, Some(target.entry)),
                    },
                    None => served(nothing(), Why::Refused(refusal), Some(target.entry)),
                }
            }
        }
    }

    /// Tasmota asks for `NAME-minimal` only after its own error -100: the file that it asked for is larger than the free
    /// space. It compares before it reads the file. So where that file is there too, Tasmota gets this 200.
    ///
    /// Source: arendst/Tasmota `support_tasmota.ino` (`Every250mSeconds`), commit `3fb12310`.
    fn minimal_first<'r>(
        &self,
        request: &Request,
        artefact: &'r Artefact,
        refusal: &Refusal,
    ) -> Option<(&'r Artefact, Why)> {
        let minimal = address::minimal(&artefact.file);
        let free = request.facts.free_bytes.as_ref()?.value;
        let will_refuse = request.tasmota
            && refusal.code == Code::NoSpace
            && artefact.digests.size_bytes > free
            && minimal != artefact.file
            && self.by_file.contains_key(&minimal);
        will_refuse.then(|| (artefact, Why::MinimalFirst { file: artefact.file.clone(), minimal }))
    }

    /// The release that the device runs.
    fn running(&self, facts: &DeviceFacts) -> Option<usize> {
        let by_md5 = facts.md5.as_ref().and_then(|md5| self.by_md5.get(&md5.value));
        by_md5.or_else(|| facts.sha256.as_ref().and_then(|sha256| self.by_sha256.get(&sha256.value))).copied()
    }

    /// Follows a redirect of ours. The device says nothing of itself any more.
    fn by_token(
        &self,
        request: &Request,
        settings: &Settings,
        digest: Sha256Digest,
        now: u64,
        may_judge: bool,
    ) -> Option<Served> {
        let served = |answer, why| Some(Served::new(answer, why));
        let text =
            request.query.as_deref().and_then(|query| query.strip_prefix("token=")).unwrap_or_default();
        let token = match &settings.elsewhere {
            Some(elsewhere) => elsewhere.check(text, now),
            None => Err(TokenError::Forged),
        };
        match token {
            Ok(token) if token.file == digest => match self.by_digest.get(&digest) {
                Some(&(entry, number)) => {
                    let (release, family) = (&self.entries[entry].release, request.facts.family.as_ref());
                    let artefact = &release.artefacts[number];
                    let because = "a redirect of this server names it".to_owned();
                    let why = Why::Offered { file: artefact.file.clone(), because, assumed: Vec::new() };
                    let family = family.map_or(Family::Esp8266, |family| family.value);
                    match file(artefact, release, family, may_judge)? {
                        Ok(answer) => served(answer, why),
                        Err(why) => served(Answer::NotFound, why),
                    }
                }
                None => served(Answer::NotFound, Why::NoSuchFile { name: digest.to_string() }),
            },
            Ok(_) => served(Answer::Forbidden, Why::Token { fault: TokenError::Forged.to_string() }),
            Err(fault) => served(Answer::Forbidden, Why::Token { fault: fault.to_string() }),
        }
    }

    /// Adds what follows from the image that runs, and what a person says.
    fn learn(&self, facts: &DeviceFacts, running: Option<usize>, target: &Target) -> DeviceFacts {
        let mut facts = facts.clone();
        if let Some(entry) = running.map(|index| &self.entries[index]) {
            entry.release.tell(&mut facts);
        }
        let person = Origin::Person;
        let by_address =
            |board: &String| Known::new(board.clone(), Origin::Inferred("the address that it asks"));
        facts.board = facts.board.or(target.board.as_ref().map(by_address));
        if let Some(line) = &target.line {
            if let Some(profile) = line.profile {
                facts.profile = Some(Known::new(profile, person));
                if !profile.has_key {
                    facts.key = DeviceKey::None(person);
                }
            }
            facts.board = line.board.clone().map(|board| Known::new(board, person)).or(facts.board);
        }
        facts
    }
}

/// The answer with a file. `None`: it would have to be read from a disk, and `may_read` forbids it.
fn file(
    artefact: &Artefact,
    release: &Release,
    family: Family,
    may_read: bool,
) -> Option<Result<Answer, Why>> {
    let version = release.version.as_deref();
    let bytes = match artefact.contents.held() {
        Some(bytes) => Ok(bytes),
        None if may_read => artefact.contents.load(),
        None => return None,
    };
    let answer =
        |bytes| Answer::File(FileAnswer::new(bytes, artefact.digests, &artefact.file, version, family));
    Some(
        bytes
            .map(answer)
            .map_err(|error| Why::Unreadable { file: artefact.file.clone(), fault: error.to_string() }),
    )
}

fn authorised(request: &Request, settings: &Settings) -> bool {
    settings.credentials.as_ref().is_none_or(|wanted| request.is_from(wanted))
}

#[cfg(test)]
mod tests;
