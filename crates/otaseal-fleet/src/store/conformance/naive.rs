//! What a filter means, said as plainly as possible: a device at a time, without an index.

use otaseal_delivery::device::is_same_board;
use otaseal_delivery::offer::order;

use crate::filter::{Expr, Seen, Term, fold};
use crate::store::rows::{DeviceRow, UpdateRow};

/// Whether the filter holds for the device.
pub(super) fn holds(expr: &Expr, device: &DeviceRow, update: Option<&UpdateRow>, now: u64) -> bool {
    match expr {
        Expr::And(parts) => parts.iter().all(|part| holds(part, device, update, now)),
        Expr::Or(parts) => parts.iter().any(|part| holds(part, device, update, now)),
        Expr::Not(inner) => !holds(inner, device, update, now),
        Expr::Term(term) => holds_term(term, device, update, now),
    }
}

fn holds_term(term: &Term, device: &DeviceRow, update: Option<&UpdateRow>, now: u64) -> bool {
    let contains = |text: &str, part: &str| fold(text).contains(&fold(part));
    let mac = device.mac.map(|mac| mac.to_string()).unwrap_or_default();
    match term {
        Term::Word(word) => {
            let mac_plain = mac.replace(':', "");
            let texts = [&device.name, &mac, &mac_plain, &device.site];
            texts.into_iter().chain(&device.tags).any(|text| contains(text, word))
        }
        Term::Name(part) => contains(&device.name, part),
        Term::Site(site) => device.site == *site,
        Term::Tag(tag) => device.tags.contains(tag),
        Term::Board(board) => is_same_board(device.board.as_deref().unwrap_or(""), board),
        Term::Family(family) => device.family == Some(*family),
        Term::Standing(standing) => device.standing == *standing,
        Term::Source(source) => device.source == *source,
        Term::Firmware(firmware) => device.firmware.as_deref().unwrap_or("") == firmware,
        Term::Version(version) => device.version.as_deref().unwrap_or("") == version,
        Term::Versions(side, version) => {
            let ordered = device.version.as_deref().and_then(|said| order(said, version));
            ordered.is_some_and(|ordered| side.has(ordered))
        }
        Term::Release(release) => device.running == *release,
        Term::State(state) => update.is_some_and(|update| update.update.state == *state),
        Term::Rollout(rollout) => update.is_some_and(|update| update.rollout == Some(*rollout)),
        Term::Seen(seen, span) => {
            let is_within = device.last_seen >= now.saturating_sub(span.seconds());
            is_within == (*seen == Seen::Within)
        }
        Term::Id(id) => device.id == *id,
        Term::Mac(start) => device.mac.is_some_and(|mac| mac.0.starts_with(start.bytes())),
    }
}
