//! What a device was sent lately, to stop a device that loads the same image again and again.
//!
//! A server whose label differs from what the device reports would send the image at every poll. The digests find most of
//! these; this counter finds the rest.

const HOUR: u64 = 60 * 60;
const DAY: u64 = 24 * HOUR;

/// Whole downloads of one release in an hour.
const WHOLE: u8 = 2;

/// So many times the size of the image in a day.
const SIZES: u64 = 5;

/// What a device was sent lately.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Loads {
    /// When the hour began, in seconds since 1970, and the whole downloads in it.
    pub hour: (u64, u8),
    /// When the day began, in seconds since 1970, and the bytes in it.
    pub day: (u64, u64),
}

impl Loads {
    /// Counts a download.
    pub fn add(&mut self, bytes: u64, whole: bool, now: u64) {
        if now >= self.hour.0 + HOUR {
            self.hour = (now, 0);
        }
        if now >= self.day.0 + DAY {
            self.day = (now, 0);
        }
        self.hour.1 = self.hour.1.saturating_add(u8::from(whole));
        self.day.1 = self.day.1.saturating_add(bytes);
    }

    /// Whether the device got the image too often.
    pub fn is_loop(&self, bytes: u64, now: u64) -> bool {
        (now < self.hour.0 + HOUR && self.hour.1 > WHOLE)
            || (now < self.day.0 + DAY && self.day.1 > SIZES * bytes)
    }
}
