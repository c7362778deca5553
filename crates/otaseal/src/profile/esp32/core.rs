//! Names a core of arduino-esp32 by its chip and its version.

use std::fmt;

use crate::format::image::esp32::Esp32Chip;

/// arduino-esp32 on one chip. As text: `esp32c3@3.x`, or `esp32c3@3.3.8` for one release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Esp32Core {
    /// The chip.
    pub chip: Esp32Chip,
    /// The major version: 1, 2 or 3.
    pub major: u16,
    /// The minor version and the patch, if they are known.
    pub release: Option<(u16, u16)>,
}

/// The names of the chips, their numbers in the header of an image, and the major version that came with them.
///
/// The numbers are those of esptool. The chips are those of arduino-esp32's README; it has the C2 and the C61 as a
/// component of esp-idf only.
const CHIPS: [(&str, u16, u16); 10] = [
    ("esp32", 0, 1),
    ("esp32s2", 2, 2),
    ("esp32c3", 5, 2),
    ("esp32s3", 9, 2),
    ("esp32c2", 12, 3),
    ("esp32c6", 13, 3),
    ("esp32h2", 16, 3),
    ("esp32p4", 18, 3),
    ("esp32c61", 20, 3),
    ("esp32c5", 23, 3),
];

/// The newest major version that otaseal knows.
const NEWEST: u16 = 3;

impl Esp32Core {
    /// A core of this major version on this chip. Which release it is does not matter.
    pub const fn new(chip: Esp32Chip, major: u16) -> Self {
        Self { chip, major, release: None }
    }

    /// Reads the two sides of a name. Returns `None` if the first is no chip of the family.
    pub(in crate::profile) fn read(chip: &str, version: Option<&str>) -> Option<Result<Self, &'static str>> {
        let &(_, id, since) = CHIPS.iter().find(|(name, ..)| *name == chip)?;
        let chip = Esp32Chip::from_id(id)?;
        let Some(version) = version else {
            return Some(Err(
                "say which version of arduino-esp32 the device runs, such as esp32@2.x or esp32@3.3.8",
            ));
        };
        Some(match read_version(version) {
            None => Err("the version of arduino-esp32 is 1.x, 2.x or 3.x, or three numbers such as 3.3.8"),
            Some((major, _)) if major < since && since == 2 => Err("arduino-esp32 has this chip since 2.x"),
            Some((major, _)) if major < since => Err("arduino-esp32 has this chip since 3.x"),
            Some((major, release)) => Ok(Self { chip, major, release }),
        })
    }

    /// Whether a release refuses files without arduino-esp32's own signature, if it was built with `UPDATE_SIGN`.
    ///
    /// Up to 3.3.7, `begin()` forgets the verifier, and everything passes (espressif/arduino-esp32 12422).
    pub(super) fn may_verify(&self) -> bool {
        const LAST_WITHOUT: (u16, u16) = (3, 7);
        self.major >= 3 && self.release.is_none_or(|release| release > LAST_WITHOUT)
    }
}

/// Reads `3.x` or `3.3.8`.
fn read_version(text: &str) -> Option<(u16, Option<(u16, u16)>)> {
    let number =
        |part: &str| part.bytes().all(|byte| byte.is_ascii_digit()).then(|| part.parse().ok()).flatten();
    let parts: Vec<_> = text.split('.').collect();
    let (major, release) = match parts[..] {
        [major, "x"] => (number(major)?, None),
        [major, minor, patch] => (number(major)?, Some((number(minor)?, number(patch)?))),
        _ => return None,
    };
    (1..=NEWEST).contains(&major).then_some((major, release))
}

impl fmt::Display for Esp32Core {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = CHIPS.iter().find(|(_, id, _)| *id == self.chip.id()).map_or("esp32", |(name, ..)| name);
        write!(f, "{name}@{}.", self.major)?;
        match self.release {
            Some((minor, patch)) => write!(f, "{minor}.{patch}"),
            None => f.write_str("x"),
        }
    }
}
