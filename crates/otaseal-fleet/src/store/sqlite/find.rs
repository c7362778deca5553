//! Answers filters.
//!
//! A window of devices is looked at at a time: each term gives a set of devices, from an index, and the sets are joined as the
//! filter says. A list needs a few small windows if many devices fit, and a few large ones if few fit. If few devices are
//! left of a window, the other terms are asked for these devices alone.

use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

use super::bits::{Bits, Window};
use super::leaf::{self, Leaf};
use crate::filter::{Expr, Filter, Term};
use crate::store::StoreError;

/// Devices of the first window of a list.
const FIRST: u32 = 2_048;

/// Devices of the largest window.
const LARGEST: u32 = 1 << 22;

/// A window grows by this factor.
const GROWS: u32 = 8;

/// One device of so many is few.
const FEW: u64 = 64;

/// Answers filters on a connection. It should be in a transaction, so that all windows are of the same time.
pub(super) struct Finder<'a> {
    connection: &'a Connection,
    now: u64,
}

impl<'a> Finder<'a> {
    pub(super) fn new(connection: &'a Connection, now: u64) -> Self {
        Self { connection, now }
    }

    /// Gives the devices that the filter holds for, in order, from after `after` on, until `each` wants no more.
    pub(super) fn each(
        &self,
        filter: &Filter,
        mut after: u32,
        wanted: u32,
        mut each: impl FnMut(u32) -> bool,
    ) -> Result<(), StoreError> {
        // A list of all devices needs no more than there are rows.
        let mut size = if filter.is_all() { wanted.max(1) } else { FIRST.max(wanted) }.min(LARGEST);
        while let Some(first) = self.next(after)? {
            let window = Window { after: first - 1, to: (first - 1).saturating_add(size) };
            for device in self.set(filter.expr(), window)?.iter() {
                if !each(device) {
                    return Ok(());
                }
            }
            after = window.to;
            size = size.saturating_mul(GROWS).min(LARGEST);
        }
        Ok(())
    }

    /// How many devices the filter holds for.
    pub(super) fn count(&self, filter: &Filter) -> Result<u64, StoreError> {
        let mut count = 0;
        let mut after = 0;
        while let Some(first) = self.next(after)? {
            let window = Window { after: first - 1, to: (first - 1).saturating_add(LARGEST) };
            count += self.set(filter.expr(), window)?.count();
            after = window.to;
        }
        Ok(count)
    }

    /// Whether the filter holds for a device, and the device is there.
    pub(super) fn holds(&self, filter: &Filter, device: u32) -> Result<bool, StoreError> {
        Ok(self.any(leaf::ALL, Window::of(device), Vec::new())? && self.one(filter.expr(), device)?)
    }

    /// The next device after a number.
    fn next(&self, after: u32) -> Result<Option<u32>, StoreError> {
        let mut statement =
            self.connection.prepare_cached("SELECT min(device) FROM contacts WHERE device > ?1")?;
        Ok(statement.query_row([after], |row| row.get(0))?)
    }

    fn set(&self, expr: &Expr, window: Window) -> Result<Bits, StoreError> {
        match expr {
            Expr::Term(term) => self.term(term, window),
            Expr::Not(inner) => {
                let mut set = self.all(window)?;
                set.and_not(&self.set(inner, window)?);
                Ok(set)
            }
            Expr::Or(parts) => {
                let mut set = Bits::none(window);
                for part in parts {
                    set.or(&self.set(part, window)?);
                }
                Ok(set)
            }
            Expr::And(parts) => self.every(parts, window),
        }
    }

    fn every(&self, parts: &[Expr], window: Window) -> Result<Bits, StoreError> {
        let mut parts: Vec<&Expr> = parts.iter().collect();
        parts.sort_by_key(|part| rank(part));
        let mut parts = parts.into_iter().peekable();
        let mut set = match parts.next_if(|part| !matches!(part, Expr::Not(_))) {
            Some(part) => self.set(part, window)?,
            None => self.all(window)?,
        };
        for part in parts {
            let left = set.count();
            if left == 0 {
                break;
            }
            if left <= u64::from(window.len()) / FEW {
                let devices: Vec<u32> = set.iter().collect();
                for device in devices {
                    if !self.one(part, device)? {
                        set.take(device);
                    }
                }
                continue;
            }
            match part {
                Expr::Not(inner) => set.and_not(&self.set(inner, window)?),
                part => set.and(&self.set(part, window)?),
            }
        }
        Ok(set)
    }

    /// Whether it holds for a device that is there.
    fn one(&self, expr: &Expr, device: u32) -> Result<bool, StoreError> {
        match expr {
            Expr::Term(term) => {
                let window = Window::of(device);
                let Leaf { sql, values } = leaf::leaf(term, window, self.now);
                self.any(sql, window, values)
            }
            Expr::Not(inner) => Ok(!self.one(inner, device)?),
            Expr::And(parts) => {
                for part in parts {
                    if !self.one(part, device)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            Expr::Or(parts) => {
                for part in parts {
                    if self.one(part, device)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
        }
    }

    fn term(&self, term: &Term, window: Window) -> Result<Bits, StoreError> {
        let Leaf { sql, values } = leaf::leaf(term, window, self.now);
        self.bits(sql, window, values)
    }

    fn all(&self, window: Window) -> Result<Bits, StoreError> {
        self.bits(leaf::ALL, window, Vec::new())
    }

    fn bits(&self, sql: &str, window: Window, values: Vec<Value>) -> Result<Bits, StoreError> {
        let mut set = Bits::none(window);
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut rows = statement.query(params_from_iter(bound(window, values)))?;
        while let Some(row) = rows.next()? {
            set.put(row.get(0)?);
        }
        Ok(set)
    }

    fn any(&self, sql: &str, window: Window, values: Vec<Value>) -> Result<bool, StoreError> {
        Ok(self.connection.prepare_cached(sql)?.exists(params_from_iter(bound(window, values)))?)
    }
}

fn bound(window: Window, values: Vec<Value>) -> impl Iterator<Item = Value> {
    [window.after, window.to].map(|end| Value::Integer(end.into())).into_iter().chain(values)
}

/// Where a part stands among those that must all hold: what is cheap to ask and leaves few devices comes first. Parts that
/// do not hold for most devices come before negations, which start from all devices.
fn rank(expr: &Expr) -> (u8, u8) {
    match expr {
        Expr::Term(term) => (0, leaf::rank(term)),
        Expr::And(parts) => (0, parts.iter().map(|part| rank(part).1).min().unwrap_or(0)),
        Expr::Or(parts) => (0, parts.iter().map(|part| rank(part).1).max().unwrap_or(0).saturating_add(1)),
        Expr::Not(inner) => (1, rank(inner).1),
    }
}
