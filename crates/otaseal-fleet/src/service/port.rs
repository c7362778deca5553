//! What the device port answers.
//!
//! A poll of a device that gets nothing is answered from memory. An image leaves only when the store has it that it leaves:
//! after a crash, nothing is offered twice at a time.

use std::net::{IpAddr, SocketAddr};

use otaseal_delivery::device::{DeviceFacts, Family};
use otaseal_delivery::evidence::Evidence;
use otaseal_delivery::offer::{self, Decision};
use otaseal_delivery::pull::answer::{Answer, FileAnswer};
use otaseal_delivery::pull::catalogue::{Served, Why};
use otaseal_delivery::pull::request::{Mode, Request};
use otaseal_delivery::pull::server::{Answers, Limits, Record};

use super::Service;
use crate::engine::{Candidate, Contact, Lease, Nothing, Polled};
use crate::rollout::update::Transfer;
use crate::store::rows::{DeviceId, Source};

impl Answers for Service {
    fn limits(&self) -> &Limits {
        &self.settings.limits
    }

    fn quick(&self, request: &Request, peer: SocketAddr, _: u64) -> Option<Served> {
        if let Some(refused) = self.refused(request) {
            return Some(refused);
        }
        let (facts, address) = (&request.facts, digest(peer.ip()));
        let polled =
            self.note(|engine, now| engine.poll(Contact { facts, source: Source::Pull, address, now }));
        match polled {
            Polled::Nothing(why) => Some(nothing(request, why)),
            Polled::May(_) => None,
        }
    }

    fn slow(&self, request: &Request, peer: SocketAddr, _: u64) -> Served {
        let (facts, address) = (&request.facts, digest(peer.ip()));
        let polled =
            self.note(|engine, now| engine.poll(Contact { facts, source: Source::Pull, address, now }));
        let candidate = match polled {
            Polled::May(candidate) => candidate,
            Polled::Nothing(why) => return nothing(request, why),
        };
        match self.offer(facts, &candidate) {
            Ok(served) => served,
            Err(why) => nothing(request, why),
        }
    }
}

impl Service {
    /// What is refused whatever the fleet says.
    fn refused(&self, request: &Request) -> Option<Served> {
        let wanted = self.settings.credentials.as_ref();
        if wanted.is_some_and(|wanted| !request.is_from(wanted)) {
            return Some(Served::new(Answer::Unauthorized, Why::Credentials));
        }
        let why = |code, text: &str| Why::Fleet { code, text: text.to_owned() };
        match request.mode {
            Some(Mode::Sketch) => None,
            Some(Mode::Spiffs) => {
                let why = why("no-filesystem", "the fleet has no filesystem images");
                Some(Served::new(Answer::NotFound, why))
            }
            Some(Mode::Version) => {
                let why = why("no-version", "the fleet does not say which version a device would get");
                Some(Served::new(Answer::NotFound, why))
            }
            None => Some(Served::new(Answer::NotFound, Why::UnknownMode)),
        }
    }

    /// Judges the release for the device, takes the lease, and waits until it is durable.
    fn offer(&self, facts: &DeviceFacts, candidate: &Candidate) -> Result<Served, Nothing> {
        let mut facts = facts.clone();
        if let Some(running) = &candidate.running {
            running.release.tell(&mut facts);
        }
        let known = &candidate.known;
        let decision =
            offer::choose_remembering(&known.release, None, &facts, candidate.policy, &known.memo, true);
        let Some(decision) = decision else { return Err(Nothing::NoRelease) };
        // The bytes come before the lease: what cannot be read is not offered.
        let bytes = match &decision {
            Decision::Offer(offer) => match offer.artefact.contents.load() {
                Ok(bytes) => Some(bytes),
                Err(_) => {
                    let (release, file) = (known.id, offer.artefact.file.as_str());
                    self.note(|engine, now| engine.damaged(release, file, now));
                    return Err(Nothing::NoRelease);
                }
            },
            _ => None,
        };
        let (lease, receipt) = self.change(|engine, now| engine.offer(candidate, &decision, now));
        let lease = lease?;
        if !receipt.wait() {
            self.note(|engine, now| engine.transferred(lease, Transfer::NotBegun, now));
            return Err(Nothing::Closed);
        }
        let (Decision::Offer(offer), Some(bytes)) = (decision, bytes) else { return Err(Nothing::NoRelease) };
        let family = facts.family.as_ref().map_or(Family::Esp8266, |family| family.value);
        let (file, version) = (&offer.artefact.file, known.release.version.as_deref());
        let answer = FileAnswer::new(bytes, offer.artefact.digests, file, version, family);
        let why = Why::Offered { file: file.clone(), because: offer.because, assumed: offer.assumed };
        let mut served = Served::new(Answer::File(answer), why);
        served.release = Some(known.release.title());
        served.ticket = Some(ticket(lease));
        Ok(served)
    }

    /// Hears how a connection ended.
    pub fn ended(&self, record: &Record) {
        let Some(lease) = record.ticket.map(lease) else { return };
        let transfer = match record.evidence {
            Some(evidence @ (Evidence::HandedOver | Evidence::Sent)) => Transfer::Whole(evidence),
            Some(_) => Transfer::Cut(record.sent),
            // There was no place for the download.
            None => Transfer::NotBegun,
        };
        self.note(|engine, now| engine.transferred(lease, transfer, now));
    }
}

fn ticket(lease: Lease) -> u64 {
    u64::from(lease.device.0) << 16 | u64::from(lease.attempt)
}

fn lease(ticket: u64) -> Lease {
    Lease { device: DeviceId((ticket >> 16) as u32), attempt: ticket as u16 }
}

/// Nothing for this device: it comes back at its next poll. Tasmota takes 304 for success, and starts again.
fn nothing(request: &Request, why: Nothing) -> Served {
    let answer = if request.tasmota { Answer::NotFound } else { Answer::NotModified };
    Served::new(answer, Why::Fleet { code: why.code(), text: why.sentence() })
}

/// An address in 32 bits. It is never zero.
fn digest(address: IpAddr) -> u32 {
    match address.to_canonical() {
        IpAddr::V4(address) => u32::from(address).max(1),
        IpAddr::V6(address) => {
            // A network gives its devices addresses of one half.
            let half = (u128::from(address) >> 64) as u64;
            ((half >> 32) as u32 ^ half as u32).max(1)
        }
    }
}
