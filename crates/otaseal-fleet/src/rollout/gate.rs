//! The gates of a rollout: whether the verdicts so far stop it, let it go on, or say too little.
//!
//! Only devices with a verdict count, never all targets: a device that was not asked says nothing. A device that is silent
//! after an update counts as failed, because a bricked device is silent.
//!
//! The bounds are Wilson's score bounds, one-sided, at 95 %. A gate pauses if the lower bound of the failure rate is above
//! the tolerated rate, so bad luck alone seldom pauses. It lets the rollout go on if the upper bound is not above it, so few
//! verdicts prove nothing.

use serde::{Deserialize, Serialize};

/// The 95 % quantile of the normal distribution.
const Z: f64 = 1.644_853_626_951_472_7;

/// Fewer failures than this never pause: one or two say too little about a rate.
const LEAST_FAILURES: u64 = 3;

/// Fewer verdicts than this never let a rollout go on by themselves.
pub const LEAST_VERDICTS: u64 = 25;

/// A tolerated failure rate, in hundredths of a percent: 500 is 5 %.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Rate(pub u16);

impl Rate {
    fn value(self) -> f64 {
        f64::from(self.0) / 10_000.0
    }
}

impl std::fmt::Display for Rate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.0 / 100, self.0 % 100) {
            (whole, 0) => write!(f, "{whole} %"),
            (whole, part) => write!(f, "{whole}.{part:02} %"),
        }
    }
}

/// The verdicts of the devices that were offered the release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Verdicts {
    /// They run it.
    pub confirmed: u64,
    /// They do not, or a person must look.
    pub failed: u64,
    /// They were not heard of since.
    pub silent: u64,
}

impl Verdicts {
    /// Devices with a verdict.
    pub fn decided(self) -> u64 {
        self.confirmed + self.failed + self.silent
    }

    /// Devices with a bad one.
    pub fn bad(self) -> u64 {
        self.failed + self.silent
    }
}

/// What a gate says.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(tag = "gate", rename_all = "kebab-case")]
pub enum Judgement {
    /// Too many failures.
    Pause {
        /// Devices with a bad verdict.
        bad: u64,
        /// Devices with a verdict.
        decided: u64,
        /// The lower bound of the failure rate, in hundredths of a percent.
        bound: Rate,
    },
    /// The failure rate is at most the tolerated one.
    GoOn {
        /// The upper bound of the failure rate, in hundredths of a percent.
        bound: Rate,
    },
    /// The verdicts fit both.
    NotEnough {
        /// Devices with a verdict.
        decided: u64,
        /// So many would be enough if none more fails.
        need: u64,
    },
}

/// Judges the verdicts against the tolerated failure rate.
pub fn judge(verdicts: Verdicts, tolerated: Rate) -> Judgement {
    let (bad, decided) = (verdicts.bad(), verdicts.decided());
    let (low, high) = bounds(bad, decided);
    if bad >= LEAST_FAILURES && low > tolerated.value() {
        return Judgement::Pause { bad, decided, bound: rate(low) };
    }
    if decided >= LEAST_VERDICTS && high <= tolerated.value() {
        return Judgement::GoOn { bound: rate(high) };
    }
    Judgement::NotEnough { decided, need: enough(bad, tolerated).max(decided + 1) }
}

/// The bounds of the failure rate. Without a verdict, every rate is possible.
fn bounds(bad: u64, decided: u64) -> (f64, f64) {
    if decided == 0 {
        return (0.0, 1.0);
    }
    let n = decided as f64;
    let p = bad as f64 / n;
    let z2 = Z * Z;
    let middle = p + z2 / (2.0 * n);
    let spread = Z * (p * (1.0 - p) / n + z2 / (4.0 * n * n)).sqrt();
    let scale = 1.0 + z2 / n;
    (((middle - spread) / scale).max(0.0), ((middle + spread) / scale).min(1.0))
}

fn rate(value: f64) -> Rate {
    Rate((value * 10_000.0).round() as u16)
}

/// The least number of verdicts with which the gate opens, at so many bad ones.
fn enough(bad: u64, tolerated: Rate) -> u64 {
    let opens = |decided: u64| decided >= LEAST_VERDICTS && bounds(bad, decided).1 <= tolerated.value();
    // The upper bound falls with each good verdict. Nothing tolerated is never shown by a sample.
    let (mut low, mut high) = (bad, LEAST_VERDICTS.max(bad));
    while !opens(high) {
        if high >= 1 << 32 {
            return u64::MAX;
        }
        (low, high) = (high, high * 2);
    }
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        if opens(middle) { high = middle } else { low = middle }
    }
    high
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdicts(bad: u64, decided: u64) -> Verdicts {
        Verdicts { confirmed: decided - bad, failed: bad, silent: 0 }
    }

    fn pauses(bad: u64, decided: u64, percent: u16) -> bool {
        matches!(judge(verdicts(bad, decided), Rate(percent * 100)), Judgement::Pause { .. })
    }

    fn goes_on(bad: u64, decided: u64, percent: u16) -> bool {
        matches!(judge(verdicts(bad, decided), Rate(percent * 100)), Judgement::GoOn { .. })
    }

    #[test]
    fn so_many_failures_pause_and_one_fewer_does_not() {
        for (percent, row) in [
            (2, [(20, 3), (50, 3), (100, 5), (200, 8), (500, 16)]),
            (5, [(20, 3), (50, 6), (100, 9), (200, 16), (500, 34)]),
            (10, [(20, 5), (50, 9), (100, 15), (200, 27), (500, 62)]),
        ] {
            for (decided, failures) in row {
                assert!(pauses(failures, decided, percent), "{failures} of {decided} at {percent} %");
                assert!(
                    !pauses(failures - 1, decided, percent),
                    "{failures} - 1 of {decided} at {percent} %"
                );
            }
        }
    }

    #[test]
    fn so_many_failures_are_allowed_and_one_more_is_not() {
        for (percent, row) in [
            (2, vec![(133, 0), (300, 2), (500, 4)]),
            (5, vec![(52, 0), (100, 1), (200, 4), (500, 16)]),
            (10, vec![(25, 0), (50, 1), (100, 5), (200, 13)]),
        ] {
            for (decided, failures) in row {
                assert!(goes_on(failures, decided, percent), "{failures} of {decided} at {percent} %");
                assert!(
                    !goes_on(failures + 1, decided, percent),
                    "{failures} + 1 of {decided} at {percent} %"
                );
            }
        }
        assert!(!goes_on(0, 132, 2));
        assert!(!goes_on(0, 51, 5));
        assert!(!goes_on(0, 24, 10), "fewer than 25 verdicts are not enough");
    }

    #[test]
    fn silent_devices_count_as_failed_and_no_others_count_at_all() {
        let silent = Verdicts { confirmed: 17, failed: 0, silent: 3 };
        assert!(matches!(judge(silent, Rate(500)), Judgement::Pause { bad: 3, decided: 20, .. }));
        assert_eq!(judge(Verdicts::default(), Rate(500)), Judgement::NotEnough { decided: 0, need: 52 });
    }

    #[test]
    fn it_says_how_many_more_would_do() {
        let Judgement::NotEnough { decided: 12, need } = judge(verdicts(0, 12), Rate(1_000)) else {
            panic!("12 are too few")
        };
        assert_eq!(need, 25);
        let Judgement::NotEnough { need, .. } = judge(verdicts(1, 30), Rate(500)) else { panic!("too few") };
        assert!(goes_on(1, need, 5) && !goes_on(1, need - 1, 5), "{need}");
        let never = judge(verdicts(0, 1_000), Rate(0));
        assert_eq!(
            never,
            Judgement::NotEnough { decided: 1_000, need: u64::MAX },
            "no sample shows a rate of 0"
        );
    }
}
