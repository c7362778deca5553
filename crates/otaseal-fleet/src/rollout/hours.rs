//! The hours at which devices are updated, in local time.

use std::fmt;
use std::str::FromStr;

use jiff::civil::{Time, Weekday};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use serde::{Deserialize, Serialize};

/// Some hours of some days of the week: `Mon-Fri 22:00-05:00 Europe/Berlin`.
///
/// Days count by the begin of the hours: `Fri 22:00-05:00` ends on Saturday. Without days, every day counts.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Hours {
    /// Monday first.
    days: [bool; 7],
    from: Time,
    to: Time,
    zone: TimeZone,
    /// As a person wrote it.
    text: String,
}

/// Why a text names no hours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HoursError {
    /// Another form.
    #[error("`{0}` names no hours: write them like `Mon-Fri 22:00-05:00 Europe/Berlin`")]
    Form(String),
    /// No such zone on this machine.
    #[error("the time zone `{0}` is not known on this machine: install the package tzdata, or write UTC")]
    Zone(String),
}

const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

impl FromStr for Hours {
    type Err = HoursError;

    fn from_str(text: &str) -> Result<Self, HoursError> {
        let wrong = || HoursError::Form(text.chars().take(80).collect());
        let words: Vec<&str> = text.split_whitespace().collect();
        let (days, hours, zone) = match words.as_slice() {
            [days, hours, zone] => (days_of(days).ok_or_else(wrong)?, hours, zone),
            [hours, zone] => ([true; 7], hours, zone),
            _ => return Err(wrong()),
        };
        let (from, to) = hours.split_once('-').ok_or_else(wrong)?;
        let (from, to) = (time(from).ok_or_else(wrong)?, time(to).ok_or_else(wrong)?);
        if from == to {
            return Err(wrong());
        }
        let zone = match *zone {
            "UTC" => TimeZone::UTC,
            name => TimeZone::get(name).map_err(|_| HoursError::Zone(name.chars().take(80).collect()))?,
        };
        Ok(Self { days, from, to, zone, text: words.join(" ") })
    }
}

fn days_of(text: &str) -> Option<[bool; 7]> {
    let of = |name: &str| DAYS.iter().position(|day| day.eq_ignore_ascii_case(name));
    let mut days = [false; 7];
    for part in text.split(',') {
        let (first, last) = match part.split_once('-') {
            Some((first, last)) => (of(first)?, of(last)?),
            None => (of(part)?, of(part)?),
        };
        let mut day = first;
        loop {
            days[day] = true;
            if day == last {
                break;
            }
            day = (day + 1) % 7;
        }
    }
    Some(days)
}

fn time(text: &str) -> Option<Time> {
    let (hour, minute) = text.split_once(':')?;
    let two = |text: &str| {
        let digits = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| text.parse::<i8>().ok()).flatten()
    };
    Time::new(two(hour)?, two(minute)?, 0, 0).ok()
}

impl Hours {
    /// Whether devices are updated at this time, in seconds since 1970.
    pub fn allow(&self, now: u64) -> bool {
        let Some(local) = i64::try_from(now).ok().and_then(|now| Timestamp::from_second(now).ok()) else {
            return false;
        };
        let local = local.to_zoned(self.zone.clone());
        let on = |day: Weekday| self.days[day.to_monday_zero_offset() as usize];
        let (time, day) = (local.time(), local.weekday());
        if self.from < self.to {
            return on(day) && self.from <= time && time < self.to;
        }
        (on(day) && self.from <= time) || (on(day.previous()) && time < self.to)
    }

    /// When devices are updated again, in seconds since 1970: now, or within eight days.
    pub fn next(&self, now: u64) -> Option<u64> {
        if self.allow(now) {
            return Some(now);
        }
        let start = Timestamp::from_second(i64::try_from(now).ok()?).ok()?.to_zoned(self.zone.clone());
        (0..9).find_map(|days| {
            let day = start.date().checked_add(days.days()).ok()?;
            let begin = day.to_datetime(self.from).to_zoned(self.zone.clone()).ok()?;
            let begin = u64::try_from(begin.timestamp().as_second()).ok()?;
            (begin >= now && self.allow(begin)).then_some(begin)
        })
    }
}

impl fmt::Display for Hours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Hours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hours({})", self.text)
    }
}

impl TryFrom<String> for Hours {
    type Error = HoursError;

    fn try_from(text: String) -> Result<Self, HoursError> {
        text.parse()
    }
}

impl From<Hours> for String {
    fn from(hours: Hours) -> Self {
        hours.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> u64 {
        u64::try_from(text.parse::<Timestamp>().unwrap().as_second()).unwrap()
    }

    fn hours(text: &str) -> Hours {
        text.parse().unwrap()
    }

    #[test]
    fn hours_are_local() {
        let night = hours("01:00-05:00 Europe/Berlin");
        // Summer: two hours before UTC. Winter: one.
        assert!(night.allow(at("2026-07-01T00:30:00Z")) && !night.allow(at("2026-07-01T03:30:00Z")));
        assert!(!night.allow(at("2026-12-01T23:30:00Z")) && night.allow(at("2026-12-01T03:30:00Z")));
    }

    #[test]
    fn a_night_belongs_to_the_day_on_which_it_begins() {
        let friday = hours("fri 22:00-05:00 UTC");
        // 27 November 2026 is a Friday.
        for (time, allowed) in [
            ("2026-11-27T21:59:59Z", false),
            ("2026-11-27T22:00:00Z", true),
            ("2026-11-28T04:59:59Z", true),
            ("2026-11-28T05:00:00Z", false),
            ("2026-11-28T22:30:00Z", false),
            ("2026-11-27T04:00:00Z", false),
        ] {
            assert_eq!(friday.allow(at(time)), allowed, "{time}");
        }
        assert_eq!(friday.next(at("2026-11-28T05:00:00Z")), Some(at("2026-12-04T22:00:00Z")));
        assert_eq!(friday.next(at("2026-11-27T23:00:00Z")), Some(at("2026-11-27T23:00:00Z")));
    }

    #[test]
    fn days_wrap_and_are_listed() {
        let weekend = hours("Sat-Mon,Wed 00:00-23:59 UTC");
        // From Monday, 30 November 2026.
        let days = (30..37).map(|day| weekend.allow(at("2026-11-30T12:00:00Z") + (day - 30) * 86_400));
        assert_eq!(days.collect::<Vec<_>>(), [true, false, true, false, false, true, true]);
    }

    #[test]
    fn hours_that_the_clock_skips_are_not_lost() {
        // In Berlin, 02:30 does not exist on 29 March 2026.
        let hours = hours("02:30-02:45 Europe/Berlin");
        let next = hours.next(at("2026-03-29T00:00:00Z"));
        assert!(next.is_some_and(|next| next >= at("2026-03-29T00:00:00Z")));
    }

    #[test]
    fn what_names_no_hours_is_refused() {
        for text in [
            "",
            "01:00-05:00",
            "1:00-05:00 UTC",
            "01:00-01:00 UTC",
            "24:00-05:00 UTC",
            "01:60-05:00 UTC",
            "Mo 01:00-05:00 UTC",
            "Mon-Fri 01:00 UTC",
            "Mon Fri 01:00-05:00 UTC",
            "+1:00-05:00 UTC",
        ] {
            assert!(matches!(text.parse::<Hours>(), Err(HoursError::Form(_))), "{text}");
        }
        assert!(matches!("01:00-05:00 Mars/Olympus".parse::<Hours>(), Err(HoursError::Zone(_))));
        assert!("01:00-05:00 ../../etc/passwd".parse::<Hours>().is_err());
    }
}
