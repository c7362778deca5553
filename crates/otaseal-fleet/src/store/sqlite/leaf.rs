//! The statement of each term of a filter.
//!
//! The statements are constants. What a person typed is bound to them, so no text of a filter is ever SQL. Each statement
//! gives the numbers of the devices of a window (`?1`, `?2`) for which the term holds, in any order.

use otaseal_delivery::device::plain_board;
use otaseal_delivery::offer::order_key;
use rusqlite::types::Value;

use super::bits::Window;
use super::row::{family_code, signed};
use crate::filter::{Seen, Side, Term, fold};

/// Windows up to this size are read device by device. An index that is not in the order of devices is read as a whole, so it
/// is for larger windows.
const SMALL: u32 = 1 << 14;

/// A statement and the values of `?3` and `?4`.
pub(super) struct Leaf {
    pub(super) sql: &'static str,
    pub(super) values: Vec<Value>,
}

/// A statement on an index that has the devices of one value in order.
macro_rules! of {
    ($table:literal, $key:literal, $index:literal, $condition:literal) => {
        concat!(
            "SELECT ",
            $key,
            " FROM ",
            $table,
            " INDEXED BY ",
            $index,
            " WHERE ",
            $condition,
            " AND ",
            $key,
            " > ?1 AND ",
            $key,
            " <= ?2"
        )
    };
}

/// Two statements: one that reads an index, and one that reads the devices of the window.
macro_rules! either {
    ($window:expr, $table:literal, $key:literal, $index:literal, $condition:literal) => {
        match $window.len() > SMALL {
            true => of!($table, $key, $index, $condition),
            false => concat!(
                "SELECT ",
                $key,
                " FROM ",
                $table,
                " NOT INDEXED WHERE ",
                $condition,
                " AND ",
                $key,
                " > ?1 AND ",
                $key,
                " <= ?2"
            ),
        }
    };
}

/// All devices of the window.
pub(super) const ALL: &str = "SELECT device FROM contacts WHERE device > ?1 AND device <= ?2";

/// Returns the statement of a term.
pub(super) fn leaf(term: &Term, window: Window, now: u64) -> Leaf {
    let text = |text: &str| Value::Text(text.to_owned());
    let number = |number: u64| Value::Integer(signed(number));
    let (sql, values) = match term {
        Term::Word(word) => (
            "SELECT device FROM finds WHERE (instr(name, ?3) OR instr(rest, ?3)) AND device > ?1 AND device <= ?2",
            vec![Value::Text(fold(word))],
        ),
        Term::Name(part) => (
            "SELECT device FROM finds WHERE instr(name, ?3) AND device > ?1 AND device <= ?2",
            vec![Value::Text(fold(part))],
        ),
        Term::Site(site) => (of!("devices", "id", "devices_site", "site = ?3"), vec![text(site)]),
        Term::Tag(tag) => (of!("tags", "device", "tags_tag", "tag = ?3"), vec![text(tag)]),
        Term::Board(board) => {
            (of!("devices", "id", "devices_board", "board_key = ?3"), vec![Value::Text(plain_board(board))])
        }
        Term::Family(family) => (
            of!("devices", "id", "devices_family", "family = ?3"),
            vec![Value::Integer(family_code(*family))],
        ),
        Term::Standing(standing) => {
            (of!("devices", "id", "devices_standing", "standing = ?3"), vec![number(*standing as u64)])
        }
        Term::Source(source) => {
            (of!("devices", "id", "devices_source", "source = ?3"), vec![number(*source as u64)])
        }
        Term::Firmware(firmware) => {
            (of!("devices", "id", "devices_firmware", "coalesce(firmware, '') = ?3"), vec![text(firmware)])
        }
        Term::Version(version) => {
            (of!("devices", "id", "devices_version", "coalesce(version, '') = ?3"), vec![text(version)])
        }
        Term::Versions(side, version) => {
            let (from, to) = versions(*side, version);
            let sql =
                either!(window, "devices", "id", "devices_order", "version_key >= ?3 AND version_key < ?4");
            (sql, vec![Value::Blob(from), Value::Blob(to)])
        }
        Term::Release(id) => {
            let value = id.map_or(Value::Null, |id| number(id.0.into()));
            (of!("devices", "id", "devices_running", "running IS ?3"), vec![value])
        }
        Term::State(state) => {
            let sql = either!(window, "updates", "device", "updates_state", "state = ?3");
            (sql, vec![number(*state as u64)])
        }
        Term::Rollout(id) => {
            (of!("updates", "device", "updates_rollout", "rollout = ?3"), vec![number(id.0.into())])
        }
        Term::Seen(seen, span) => {
            let limit = signed(now.saturating_sub(span.seconds()));
            let (from, to) = match seen {
                Seen::Within => (limit, i64::MAX),
                Seen::NotSince => (0, limit),
            };
            let sql =
                either!(window, "contacts", "device", "contacts_seen", "last_seen >= ?3 AND last_seen < ?4");
            (sql, vec![Value::Integer(from), Value::Integer(to)])
        }
        Term::Id(id) => {
            ("SELECT id FROM devices WHERE id = ?3 AND id > ?1 AND id <= ?2", vec![number(id.0.into())])
        }
        Term::Mac(start) => {
            let (first, last) = start.range();
            let sql = either!(window, "devices", "id", "devices_mac", "mac >= ?3 AND mac <= ?4");
            (sql, vec![number(first), number(last)])
        }
    };
    Leaf { sql, values }
}

/// The keys of the versions on a side: from the first, up to before the second.
fn versions(side: Side, version: &str) -> (Vec<u8>, Vec<u8>) {
    // No key begins with a byte above 8.
    let end = vec![0xFF];
    // The parser lets only versions with an order through. Without one, no version is on its side.
    let Some(key) = order_key(version) else { return (end.clone(), end) };
    let mut next = key.clone();
    next.push(0);
    match side {
        Side::Below => (Vec::new(), key),
        Side::UpTo => (Vec::new(), next),
        Side::Above => (next, end),
        Side::From => (key, end),
    }
}

/// How many devices a term holds for, as a guess: the lower, the sooner it is asked.
pub(super) fn rank(term: &Term) -> u8 {
    match term {
        Term::Id(_) => 0,
        Term::Mac(start) => 6 - start.bytes().len() as u8,
        Term::Tag(_) | Term::Rollout(_) => 6,
        Term::State(_) | Term::Site(_) | Term::Release(Some(_)) => 7,
        Term::Version(_) | Term::Firmware(_) | Term::Board(_) => 8,
        Term::Versions(..) | Term::Release(None) | Term::Seen(..) => 9,
        Term::Standing(_) | Term::Source(_) | Term::Family(_) => 10,
        Term::Word(_) | Term::Name(_) => 12,
    }
}
