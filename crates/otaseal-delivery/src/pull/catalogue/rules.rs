//! The rules that say which release is meant, in their order.

use std::cmp::Ordering;

use otaseal::format::image::Content;

use super::address::{Address, FileWanted};
use super::listed::Line;
use super::why::Why;
use super::{Catalogue, Entry};
use crate::offer::{self, Policy, Way};
use crate::pull::homie_v1;
use crate::pull::request::{Mode, Request};
use crate::release::Release;
use crate::text::said;

/// What a rule says.
pub(super) struct Target {
    pub(super) entry: usize,
    /// This file alone.
    pub(super) artefact: Option<usize>,
    pub(super) policy: Policy,
    /// The board that the address names.
    pub(super) board: Option<String>,
    /// The kind of device that the list names.
    pub(super) line: Option<Line>,
}

impl Catalogue {
    pub(super) fn target(
        &self,
        request: &Request,
        address: &Address<'_>,
        running: Option<usize>,
        mode: Mode,
    ) -> Result<Target, Why> {
        let content = if mode == Mode::Spiffs { Content::Filesystem } else { Content::Firmware };
        let mut policy = Policy::new(Way::Pull);
        policy.content = content;
        let board = match address {
            Address::Firmware { board, .. } => board.map(str::to_owned),
            _ => None,
        };
        let target =
            |entry, policy| Target { entry, artefact: None, policy, board: board.clone(), line: None };
        if let Some(line) = self.listed.find(&request.facts) {
            let name = match content {
                Content::Filesystem => line.filesystem.as_ref().unwrap_or(&line.firmware),
                _ => &line.firmware,
            };
            let board = line.board.as_deref().or(board.as_deref());
            let pinned = line.version.as_deref().filter(|_| content == Content::Firmware);
            let entry = self.newest(name, content, pinned, board, request)?;
            // A person moves this device there, whatever it runs.
            policy.other_firmware = true;
            policy.downgrade = pinned.is_some();
            return Ok(Target { line: Some(line.clone()), ..target(entry, policy) });
        }
        if let Address::File(FileWanted { name, .. }) = address {
            if let Some(&(entry, number)) = self.by_file.get(*name) {
                policy.other_firmware = true;
                policy.downgrade = true;
                policy.content = self.entries[entry].release.content;
                if policy.content != content {
                    return Err(Why::NoSuchFile { name: said(name.as_bytes()) });
                }
                return Ok(Target { artefact: Some(number), ..target(entry, policy) });
            }
            if running.is_none() && request.homie.is_none() {
                return Err(Why::NoSuchFile { name: said(name.as_bytes()) });
            }
        }
        if let Some(running) = running {
            let of = &self.entries[running];
            let found = match self.newest(of.name(), content, None, board.as_deref(), request) {
                // One build for each board: the one that runs says which.
                Err(Why::Ambiguous { name }) => {
                    let own = of.release.board.as_deref().or(of.folder.as_deref());
                    let own = own.ok_or(Why::Ambiguous { name })?;
                    self.newest(of.name(), content, None, Some(own), request)
                }
                found => found,
            };
            return Ok(target(found?, policy));
        }
        if let Some(homie) = &request.homie {
            if let Some(wanted) = &homie.target {
                policy.downgrade = true;
                policy.other_firmware = true;
                let entry = self.of_target(wanted, &homie.firmware)?;
                return Ok(target(entry, policy));
            }
            return Ok(target(
                self.newest(&homie.firmware, content, None, board.as_deref(), request)?,
                policy,
            ));
        }
        match address {
            Address::Firmware { name, .. } => {
                Ok(target(self.newest(name, content, None, board.as_deref(), request)?, policy))
            }
            _ => Err(Why::NoRule),
        }
    }

    /// The newest release of a name, or the one of a version.
    fn newest(
        &self,
        name: &str,
        content: Content,
        version: Option<&str>,
        board: Option<&str>,
        request: &Request,
    ) -> Result<usize, Why> {
        let shown = || said(name.as_bytes());
        let of_content = |index: &usize| self.entries[*index].release.content == content;
        let all = || self.by_name.get(name).into_iter().flatten().copied().filter(of_content);
        if all().next().is_none() {
            return Err(Why::NoSuchFirmware { name: shown() });
        }
        let family = request.facts.family.as_ref().map(|family| family.value);
        let suits = |index: &usize| {
            let entry = &self.entries[*index];
            let chip = entry.release.family.is_none() || family.is_none() || entry.release.family == family;
            chip && board.is_none_or(|board| entry.is_for(board))
        };
        let mut found: Vec<usize> = all().filter(suits).collect();
        if found.is_empty() {
            // The one refusal of the offer says what does not suit. A board that nobody builds for is a wrong address.
            found = match board {
                Some(board) => {
                    let name = format!("{} for {}", shown(), said(board.as_bytes()));
                    return Err(Why::NoSuchFirmware { name });
                }
                None => all().collect(),
            };
        }
        if let Some(version) = version {
            found.retain(|index| self.entries[*index].release.version.as_deref() == Some(version));
            if found.is_empty() {
                return Err(Why::NoSuchVersion { name: format!("{} {}", shown(), said(version.as_bytes())) });
            }
        }
        let first = found[0];
        let release = &self.entries[first].release;
        let equal = |other: &&usize| {
            let other = &self.entries[**other].release;
            newer(release, other) == Ordering::Equal && other.installed.sha256 != release.installed.sha256
        };
        match found[1..].iter().find(equal) {
            Some(_) => Err(Why::Ambiguous { name: said(release.title().as_bytes()) }),
            None => Ok(first),
        }
    }

    /// The release that the target of Homie 1 names.
    fn of_target(&self, target: &str, running: &str) -> Result<usize, Why> {
        let named = |entry: &Entry| {
            let version = entry.release.version.as_deref().unwrap_or_default();
            homie_v1::names(target, running, entry.name(), version)
        };
        let mut found = (0..self.entries.len()).filter(|index| named(&self.entries[*index]));
        let name = || said(format!("{running} -> {target}").as_bytes());
        let first = found.next().ok_or_else(|| Why::NoSuchVersion { name: name() })?;
        let of = |index: usize| self.entries[index].release.installed.sha256;
        // The short hash of homie-ota can be that of two names.
        match found.find(|other| of(*other) != of(first)) {
            Some(_) => Err(Why::Ambiguous { name: name() }),
            None => Ok(first),
        }
    }
}

/// Orders releases of one firmware: by version, else by the time of the package.
pub(super) fn newer(one: &Release, other: &Release) -> Ordering {
    let by_version = match (&one.version, &other.version) {
        (Some(one), Some(other)) => offer::order(one, other),
        _ => None,
    };
    by_version.unwrap_or(Ordering::Equal).then_with(|| one.timestamp.cmp(&other.timestamp))
}
