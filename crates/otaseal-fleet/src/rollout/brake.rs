//! The brakes of a rollout: how many devices may have an image of which nothing is proved.
//!
//! Gates need verdicts, and a verdict of a silent device comes hours later. So the window is the main brake: it begins with
//! two devices, grows by one with each device that came back as the new image, and halves with each bad verdict. A bad
//! build stops at a few devices although no deadline has passed.

use serde::{Deserialize, Serialize};

use super::update::Verdict;

/// Devices that may be unproven at the beginning.
const FIRST: u32 = 2;

/// How many devices may be unproven at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Window(pub u32);

impl Default for Window {
    fn default() -> Self {
        Self(FIRST)
    }
}

impl Window {
    /// The window that counts: at most one for each device that had time to fail and did not, and the first two. Good
    /// devices are back within seconds and bad ones are not, so a window that only follows the good ones would have grown
    /// over the whole fleet before the first bad one is missed.
    pub fn within(self, cohort: Cohort) -> Self {
        let most = cohort.confirmed + u64::from(FIRST);
        Self(self.0.min(u32::try_from(most).unwrap_or(u32::MAX)))
    }

    /// Follows a verdict.
    pub fn hear(&mut self, verdict: Verdict) {
        self.0 = match verdict {
            Verdict::Confirmed => self.0.saturating_add(1),
            Verdict::Failed | Verdict::Silent => (self.0 / 2).max(1),
        };
    }
}

/// How long the devices of a rollout take to come back after the transfer: the mean, and the mean deviation from it, as TCP
/// estimates a round trip (RFC 6298). A device that is later than that is overdue, hours before its deadline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Comeback {
    /// Eight times the mean, in seconds. Zero: nobody came back yet.
    mean: u64,
    /// Four times the deviation, in seconds.
    deviation: u64,
}

impl Comeback {
    /// Nobody is overdue before this, in seconds: an ESP8266 that unpacks an image and joins its network takes about ten.
    const LEAST: u64 = 20;

    /// A device came back after so many seconds.
    pub fn learn(&mut self, seconds: u64) {
        // A device that was given up says nothing of the others.
        let seconds = seconds.clamp(1, 7 * 86_400);
        if self.mean == 0 {
            (self.mean, self.deviation) = (8 * seconds, 2 * seconds);
            return;
        }
        let off = seconds.abs_diff(self.mean / 8);
        self.deviation = self.deviation - self.deviation / 4 + off;
        self.mean = (self.mean - self.mean / 8 + seconds).max(1);
    }

    /// Seconds after which a device is overdue. `None` while nobody came back: then the window holds.
    pub fn overdue_after(&self) -> Option<u64> {
        (self.mean != 0).then(|| (self.mean / 8 + self.deviation).max(Self::LEAST))
    }
}

/// The devices that were served so long ago that they should be back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cohort {
    /// They are not.
    pub overdue: u64,
    /// They are, as the new image.
    pub confirmed: u64,
}

/// Limits that a person sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Limits {
    /// Unproven devices at a time, however large the window grows.
    pub unproven: u32,
    /// Transfers to one site at a time.
    pub per_site: u32,
    /// Unproven devices of one site, in percent of its devices. One is always allowed.
    pub site_percent: u8,
    /// Offers in a minute.
    pub per_minute: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { unproven: 10_000, per_site: 2, site_percent: 100, per_minute: 600 }
    }
}

/// What a site has at present.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Site {
    /// Its devices.
    pub devices: u32,
    /// Those that are being sent an image.
    pub sending: u32,
    /// Those with an image of which nothing is proved.
    pub unproven: u32,
}

/// Why a device must wait although its stage is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Brake {
    /// So many devices are unproven as the window allows.
    Window,
    /// Devices are later than the others were. If they have failed, the release is bad.
    Overdue,
    /// The limit of unproven devices.
    Unproven,
    /// The transfers of its site.
    Site,
    /// The unproven devices of its site.
    SitePercent,
    /// The offers of this minute.
    Rate,
}

impl Brake {
    /// The reason as a sentence.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::Window => "other devices must come back as the new image first",
            Self::Overdue => "devices that got the image should have come back by now",
            Self::Unproven => "so many devices are unproven as the rollout allows",
            Self::Site => "other devices of its site are being updated",
            Self::SitePercent => "too large a share of its site is unproven",
            Self::Rate => "the rollout has made its offers of this minute",
        }
    }
}

/// Whether one more device may be offered the release.
///
/// # Errors
/// The brake that forbids it.
pub fn may_offer(
    limits: &Limits,
    window: Window,
    unproven: u32,
    site: Option<Site>,
    offered_in_minute: u32,
) -> Result<(), Brake> {
    if unproven >= window.0 {
        return Err(Brake::Window);
    }
    if unproven >= limits.unproven {
        return Err(Brake::Unproven);
    }
    if offered_in_minute >= limits.per_minute {
        return Err(Brake::Rate);
    }
    // A device without a site shares no access point that we know of.
    let Some(site) = site else { return Ok(()) };
    if site.sending >= limits.per_site {
        return Err(Brake::Site);
    }
    let allowed = u64::from(site.devices) * u64::from(limits.site_percent) / 100;
    if u64::from(site.unproven) >= allowed.max(1) {
        return Err(Brake::SitePercent);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_grows_by_one_and_halves() {
        let mut window = Window::default();
        let mut after = |verdict| {
            window.hear(verdict);
            window.0
        };
        assert_eq!(after(Verdict::Confirmed), 3);
        assert_eq!(after(Verdict::Confirmed), 4);
        assert_eq!(after(Verdict::Confirmed), 5);
        assert_eq!(after(Verdict::Silent), 2);
        assert_eq!(after(Verdict::Failed), 1);
        assert_eq!(after(Verdict::Failed), 1, "one device may always be tried");
    }

    #[test]
    fn the_window_waits_until_bad_devices_would_be_known() {
        let cohort = |confirmed| Cohort { overdue: 0, confirmed };
        assert_eq!(Window(500).within(cohort(0)), Window(2));
        assert_eq!(Window(500).within(cohort(10)), Window(12));
        assert_eq!(Window(5).within(cohort(10)), Window(5));
    }

    #[test]
    fn a_device_is_overdue_when_it_is_later_than_the_others() {
        let mut comeback = Comeback::default();
        assert_eq!(comeback.overdue_after(), None);
        (0..50).for_each(|_| comeback.learn(30));
        assert!(comeback.overdue_after().is_some_and(|after| (30..40).contains(&after)), "{comeback:?}");
        let mut comeback = Comeback::default();
        (0..50).for_each(|_| comeback.learn(2));
        assert_eq!(comeback.overdue_after(), Some(20), "seconds say nothing");
        let mut comeback = Comeback::default();
        (0..50).for_each(|number| comeback.learn(600 + number % 60));
        let after = comeback.overdue_after().unwrap();
        assert!((660..900).contains(&after), "{after}");
        let mut comeback = Comeback::default();
        (0..50).for_each(|number| comeback.learn(if number % 2 == 0 { 30 } else { 7_200 }));
        let after = comeback.overdue_after().unwrap();
        assert!(after > 7_200, "half of them sleep for two hours: {after}");
        comeback.learn(u64::MAX);
        assert!(comeback.overdue_after().is_some());
    }

    #[test]
    fn each_brake_holds() {
        let limits = Limits { unproven: 10, per_site: 2, site_percent: 50, per_minute: 60 };
        let site = |devices, sending, unproven| Some(Site { devices, sending, unproven });
        let may = |unproven, site, minute| may_offer(&limits, Window(20), unproven, site, minute);
        assert_eq!(may(9, site(10, 1, 4), 59), Ok(()));
        assert_eq!(may(9, None, 59), Ok(()));
        assert_eq!(may_offer(&limits, Window(2), 2, None, 0), Err(Brake::Window));
        assert_eq!(may(10, None, 0), Err(Brake::Unproven));
        assert_eq!(may(0, None, 60), Err(Brake::Rate));
        assert_eq!(may(0, site(10, 2, 2), 0), Err(Brake::Site));
        assert_eq!(may(5, site(10, 1, 5), 0), Err(Brake::SitePercent));
        assert_eq!(may(0, site(1, 0, 0), 0), Ok(()), "a site with one device is not locked out");
    }
}
