//! Answers filters.
//!
//! A window of devices is looked at at a time: each term gives a set of devices, from an index, and the sets are joined as the
//! filter says. A list needs a few small windows if many devices fit, and a few large ones if few fit. If few devices are
//! left of a window, the other terms are asked for these devices alone. A term with few devices comes first.

use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

use super::bits::{Bits, Window};
use super::leaf::{self, Leaf};
use crate::filter::{Expr, Filter, Seen, Term};
use crate::store::StoreError;
use crate::store::rows::{Source, Standing};

/// Devices of the first window of a list.
const FIRST: u32 = 2_048;

/// Devices of the largest window.
const LARGEST: u32 = 1 << 22;

/// A window grows by this factor.
const GROWS: u32 = 8;

/// One device of so many is few.
const FEW: u64 = 64;

/// The window with all devices.
const EVERYONE: Window = Window { after: 0, to: u32::MAX };

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
        let expr = plan(filter.expr(), false);
        // A list of all devices needs no more than there are rows.
        let mut size = if filter.is_all() { wanted.max(1) } else { FIRST.max(wanted) }.min(LARGEST);
        while let Some(first) = self.next(after)? {
            let window = Window { after: first - 1, to: (first - 1).saturating_add(size) };
            for device in self.set(&expr, window)?.iter() {
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
        let expr = plan(filter.expr(), false);
        match &expr {
            Expr::And(parts) if parts.is_empty() => return self.sum(leaf::ALL, Vec::new()),
            Expr::Term(term) => return self.sum_of(term),
            Expr::Not(inner) => {
                if let Expr::Term(term) = &**inner {
                    return Ok(self.sum(leaf::ALL, Vec::new())?.saturating_sub(self.sum_of(term)?));
                }
            }
            _ => {}
        }
        let mut count = 0;
        let mut after = 0;
        while let Some(first) = self.next(after)? {
            let window = Window { after: first - 1, to: (first - 1).saturating_add(LARGEST) };
            count += self.set(&expr, window)?.count();
            after = window.to;
        }
        Ok(count)
    }

    /// How many devices a term holds for. SQLite counts faster than it gives rows.
    fn sum_of(&self, term: &Term) -> Result<u64, StoreError> {
        let Leaf { sql, values } = leaf::leaf(term, EVERYONE, self.now);
        self.sum(sql, values)
    }

    /// How many devices a statement gives.
    fn sum(&self, sql: &'static str, values: Vec<Value>) -> Result<u64, StoreError> {
        let mut statement = self.connection.prepare_cached(&format!("SELECT count(*) FROM ({sql})"))?;
        let count: i64 = statement.query_row(params_from_iter(bound(EVERYONE, values)), |row| row.get(0))?;
        Ok(u64::try_from(count).unwrap_or(0))
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
        let limit = u64::from(window.len()) / FEW;
        let mut parts: Vec<&Expr> = parts.iter().collect();
        parts.sort_by_key(|part| rank(part));
        let mut few = None;
        for (number, part) in parts.iter().enumerate() {
            if let Some(set) = self.few(part, window, limit)? {
                few = Some((number, set));
                break;
            }
        }
        let mut set = match few {
            Some((number, set)) => {
                parts.remove(number);
                set
            }
            None if matches!(parts.first(), None | Some(Expr::Not(_))) => self.all(window)?,
            None => self.set(parts.remove(0), window)?,
        };
        for part in parts {
            let left = set.count();
            if left == 0 {
                break;
            }
            if left <= limit {
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

    /// The devices of a part, if they are few: at most so many. It does not look further than that.
    fn few(&self, expr: &Expr, window: Window, limit: u64) -> Result<Option<Bits>, StoreError> {
        match expr {
            Expr::Term(Term::Word(_) | Term::Name(_)) | Expr::Not(_) | Expr::And(_) => Ok(None),
            Expr::Term(term) => {
                let Leaf { sql, values } = leaf::leaf(term, window, self.now);
                self.bits(sql, window, values, limit)
            }
            Expr::Or(parts) => {
                let mut set = Bits::none(window);
                for part in parts {
                    match self.few(part, window, limit - set.count().min(limit))? {
                        Some(more) => set.or(&more),
                        None => return Ok(None),
                    }
                }
                Ok(Some(set))
            }
        }
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
        Ok(self.bits(sql, window, values, u64::MAX)?.unwrap_or_else(|| Bits::none(window)))
    }

    fn all(&self, window: Window) -> Result<Bits, StoreError> {
        let all = self.bits(leaf::ALL, window, Vec::new(), u64::MAX)?;
        Ok(all.unwrap_or_else(|| Bits::none(window)))
    }

    /// The devices that a statement gives, or nothing if they are more than so many.
    fn bits(
        &self,
        sql: &str,
        window: Window,
        values: Vec<Value>,
        limit: u64,
    ) -> Result<Option<Bits>, StoreError> {
        let mut set = Bits::none(window);
        let mut count = 0;
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut rows = statement.query(params_from_iter(bound(window, values)))?;
        while let Some(row) = rows.next()? {
            count += 1;
            if count > limit {
                return Ok(None);
            }
            set.put(row.get(0)?);
        }
        Ok(Some(set))
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

/// Returns the same filter with its negations at the terms, and without those that other terms say.
fn plan(expr: &Expr, negated: bool) -> Expr {
    let all = |parts: &[Expr]| parts.iter().map(|part| plan(part, negated)).collect();
    match (expr, negated) {
        (Expr::Not(inner), _) => plan(inner, !negated),
        (Expr::And(parts), false) | (Expr::Or(parts), true) => Expr::And(all(parts)),
        (Expr::Or(parts), false) | (Expr::And(parts), true) => Expr::Or(all(parts)),
        (Expr::Term(term), false) => Expr::Term(term.clone()),
        // Each device has one standing and one source, and was or was not heard of.
        (Expr::Term(Term::Standing(standing)), true) => {
            let others = Standing::ALL.into_iter().filter(|other| other != standing);
            Expr::Or(others.map(|other| Expr::Term(Term::Standing(other))).collect())
        }
        (Expr::Term(Term::Source(source)), true) => {
            let others = Source::ALL.into_iter().filter(|other| other != source);
            Expr::Or(others.map(|other| Expr::Term(Term::Source(other))).collect())
        }
        (Expr::Term(Term::Seen(Seen::Within, span)), true) => Expr::Term(Term::Seen(Seen::NotSince, *span)),
        (Expr::Term(Term::Seen(Seen::NotSince, span)), true) => Expr::Term(Term::Seen(Seen::Within, *span)),
        (Expr::Term(term), true) => Expr::Not(Box::new(Expr::Term(term.clone()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn negations_stand_at_terms() {
        for (text, planned) in [
            ("-(a b)", "-a or -b"),
            ("-(a or b) c", "-a -b c"),
            ("-(-a)", "a"),
            ("-(a -(b or -c))", "-a or b or -c"),
            ("-standing:accepted", "standing:pending or standing:ignored"),
            ("-(-source:pull)", "source:pull"),
            ("-source:pull", "source:homie or source:mdns or source:person"),
            ("-seen<7d", "seen>7d"),
            ("-seen>7d", "seen<7d"),
        ] {
            let planned = Filter::parse(planned).unwrap().to_string();
            assert_eq!(plan(Filter::parse(text).unwrap().expr(), false).to_string(), planned, "{text}");
        }
    }
}
