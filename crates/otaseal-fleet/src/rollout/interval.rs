//! How often a device comes, learned from when it came, and the deadlines that follow from it.

/// Gaps that are remembered.
const GAPS: usize = 8;

/// The interval of a device of which nothing is known, in seconds.
const UNKNOWN: u64 = 24 * HOUR;

/// A device that came twice in less than this did not wait for its interval: it started again. In seconds.
const SHORT: u64 = 5;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// The last gaps between two contacts of a device.
///
/// A gap takes two bytes: seconds up to nine hours, then steps of 64 seconds up to 24 days.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Interval {
    gaps: [u16; GAPS],
    /// Where the next one goes.
    next: u8,
}

impl Interval {
    /// Bytes of the stored form.
    pub const BYTES: usize = 2 * GAPS + 1;

    /// Remembers that the device came so many seconds after its last contact.
    pub fn learn(&mut self, gap: u64) {
        if gap < SHORT {
            return;
        }
        let slot = usize::from(self.next) % GAPS;
        self.gaps[slot] = pack(gap);
        self.next = ((slot + 1) % GAPS) as u8;
    }

    /// The median of the last gaps in seconds, or a day if there is none.
    pub fn seconds(&self) -> u64 {
        let mut known = self.gaps;
        known.sort_unstable();
        let first = known.iter().take_while(|gap| **gap == 0).count();
        match &known[first..] {
            [] => UNKNOWN,
            gaps => unpack(gaps[gaps.len() / 2]),
        }
    }

    /// Whether any gap is known.
    pub fn is_known(&self) -> bool {
        self.gaps != [0; GAPS]
    }

    /// The form in which it is stored.
    pub fn to_bytes(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        for (pair, gap) in bytes.chunks_exact_mut(2).zip(self.gaps) {
            pair.copy_from_slice(&gap.to_le_bytes());
        }
        bytes[2 * GAPS] = self.next;
        bytes
    }

    /// Reads the stored form. Other bytes are no memory.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let Ok(bytes) = <[u8; Self::BYTES]>::try_from(bytes) else { return Self::default() };
        let mut made = Self::default();
        for (gap, pair) in made.gaps.iter_mut().zip(bytes.chunks_exact(2)) {
            *gap = u16::from_le_bytes([pair[0], pair[1]]);
        }
        made.next = bytes[2 * GAPS] % GAPS as u8;
        made
    }

    /// Seconds in which a device that got the image should be back: three intervals, between 15 minutes and a week.
    pub fn proof(&self) -> u64 {
        (3 * self.seconds()).clamp(15 * MINUTE, 7 * DAY)
    }

    /// Seconds until the next try after so many failures. `spread` is 0 to 255: devices that failed together do not come
    /// back together.
    pub fn backoff(&self, failures: u8, spread: u8) -> u64 {
        let first = self.seconds().max(15 * MINUTE);
        let factor = match failures {
            0 | 1 => 1,
            2 => 4,
            _ => 16,
        };
        let wait = (first * factor).min(DAY);
        // Minus 25 % to plus 25 %.
        wait * (768 + 2 * u64::from(spread)) / 1_023
    }
}

const FINE: u64 = 1 << 15;
const STEP: u64 = 64;

fn pack(gap: u64) -> u16 {
    match gap {
        0..FINE => gap as u16,
        _ => (FINE + ((gap - FINE) / STEP).min(FINE - 1)) as u16,
    }
}

fn unpack(gap: u16) -> u64 {
    match u64::from(gap) {
        gap @ 0..FINE => gap,
        gap => FINE + (gap - FINE) * STEP,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(gaps: &[u64]) -> Interval {
        let mut interval = Interval::default();
        gaps.iter().for_each(|gap| interval.learn(*gap));
        interval
    }

    #[test]
    fn it_is_the_median_of_the_last_eight() {
        assert_eq!(of(&[]).seconds(), DAY);
        assert_eq!(of(&[300]).seconds(), 300);
        assert_eq!(of(&[300, 300, 86_400]).seconds(), 300, "one outlier does not count");
        assert_eq!(of(&[[60; 8], [300; 8]].concat()).seconds(), 300, "old gaps are forgotten");
        assert_eq!(of(&[300, 0, 1, 4, 300]).seconds(), 300, "a restart is no interval");
    }

    #[test]
    fn long_gaps_are_kept_within_a_minute() {
        for gap in [32_767, 32_768, 40_000, DAY, 7 * DAY, 20 * DAY] {
            let learned = of(&[gap]).seconds();
            assert!(learned <= gap && gap - learned < STEP, "{gap}: {learned}");
        }
        assert!(of(&[u64::MAX]).seconds() > 20 * DAY);
    }

    #[test]
    fn the_stored_form_is_read_back() {
        let interval = of(&[300, 301, 302, 40_000]);
        assert_eq!(Interval::from_bytes(&interval.to_bytes()), interval);
        assert_eq!(Interval::from_bytes(b"short"), Interval::default());
        let mut odd = interval.to_bytes();
        odd[16] = 255;
        Interval::from_bytes(&odd).learn(9);
    }

    #[test]
    fn deadlines_follow_the_interval() {
        assert_eq!(of(&[30]).proof(), 15 * MINUTE);
        assert_eq!(of(&[HOUR]).proof(), 3 * HOUR);
        assert_eq!(of(&[20 * DAY]).proof(), 7 * DAY);
        assert_eq!(of(&[]).proof(), 3 * DAY);
    }

    #[test]
    fn the_backoff_grows_and_spreads() {
        let interval = of(&[60]);
        assert_eq!(interval.backoff(1, 128) / MINUTE, 15);
        assert_eq!(interval.backoff(2, 128) / MINUTE, 60);
        assert_eq!(interval.backoff(3, 128) / MINUTE, 240);
        assert_eq!(interval.backoff(1, 0), 15 * MINUTE * 768 / 1_023);
        assert!(interval.backoff(1, 255) <= 15 * MINUTE * 5 / 4);
        assert!(of(&[DAY]).backoff(9, 255) <= DAY * 5 / 4);
    }
}
