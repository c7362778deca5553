//! Evidence about a build: its last day of support, whether it fixes a vulnerability, the advisory, its components.
//!
//! The law asks for these fields. The support period ends on a date (UK PSTI, SI 2023/1007 schedule 1 paragraph 3;
//! EN 303 645 clause 5.3). Security updates are told apart from others, with advisories and a software bill of
//! materials (EU Cyber Resilience Act, annex I part II). otaseal cannot check whether they are true.

use crate::format::digest::{Sha256Digest, sha256};
use crate::format::input::Input;
use crate::key::KeySize;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

/// Longest address of an advisory, in bytes.
const MAX_URL: usize = 2048;
/// Largest bill of materials, in bytes.
pub const MAX_SBOM: usize = 16 << 20;

/// The evidence that a manifest holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Evidence {
    /// The last day of support.
    pub support_until: Option<SupportDate>,
    /// Whether this update fixes a vulnerability.
    pub security: Option<bool>,
    /// The address of the advisory that describes the vulnerability.
    pub advisory: Option<Advisory>,
    /// Software bill of materials: CycloneDX or SPDX, JSON.
    pub sbom: Option<PathBuf>,
    /// The bytes of `sbom` if the caller has read it, as [`read_sbom_from`] does. otaseal then does not open it.
    pub sbom_bytes: Option<Arc<Vec<u8>>>,
}

impl Evidence {
    /// Returns the bill of materials, if there is one.
    pub(super) fn read_sbom(&self) -> Result<Option<Arc<Vec<u8>>>, SbomError> {
        match (&self.sbom, &self.sbom_bytes) {
            (_, Some(bytes)) => Ok(Some(Arc::clone(bytes))),
            (Some(path), None) => read_sbom(path).map(|bytes| Some(Arc::new(bytes))),
            (None, None) => Ok(None),
        }
    }
}

/// A day: `2030-12-31`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SupportDate(jiff::civil::Date);

impl FromStr for SupportDate {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const WRONG: &str = "expected a day as YYYY-MM-DD, such as 2030-12-31";
        let digits = |part: Option<&str>, count: usize| -> Option<i16> {
            let part =
                part.filter(|part| part.len() == count && part.bytes().all(|byte| byte.is_ascii_digit()))?;
            part.parse().ok()
        };
        let mut parts = text.split('-');
        let (year, month, day) = (digits(parts.next(), 4), digits(parts.next(), 2), digits(parts.next(), 2));
        let (Some(year), Some(month), Some(day), None) = (year, month, day, parts.next()) else {
            return Err(WRONG);
        };
        let date = jiff::civil::Date::new(year, month as i8, day as i8).map_err(|_| WRONG)?;
        // Nobody means another century: it is a typing mistake.
        match (2000..2200).contains(&year) {
            true => Ok(Self(date)),
            false => Err("expected a day of the years 2000 to 2199"),
        }
    }
}

impl fmt::Display for SupportDate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The last day on which RSA-2048 may sign, by NIST SP 800-57 part 1.
const RSA_2048_GOOD_THROUGH: SupportDate = SupportDate(jiff::civil::date(2030, 12, 31));

/// A reason to doubt a promise of support. `Display` is a sentence without its full stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SupportDoubt {
    /// The last day of support is over.
    Over(SupportDate),
    /// The devices trust a key that is not good until then.
    LongerThanTheKey(SupportDate),
}

impl fmt::Display for SupportDoubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Over(until) => write!(f, "support ended on {until} already"),
            Self::LongerThanTheKey(until) => write!(
                f,
                "support is promised until {until}, RSA-2048 is good through 2030 (NIST SP 800-57 part 1)"
            ),
        }
    }
}

/// Judges a last day of support. `weakest` is the size of the smallest key that the devices trust, if they trust one.
/// `now` is in seconds since 1970; without it, the clock tells the day. Nothing else in otaseal depends on the clock.
pub fn support_doubts(
    until: Option<SupportDate>,
    weakest: Option<KeySize>,
    now: Option<u64>,
) -> Vec<SupportDoubt> {
    let Some(until) = until else { return Vec::new() };
    let now = now.and_then(|seconds| jiff::Timestamp::from_second(i64::try_from(seconds).ok()?).ok());
    let now = now.unwrap_or_else(jiff::Timestamp::now);
    let today = SupportDate(now.to_zoned(jiff::tz::TimeZone::UTC).date());
    let over = (until < today).then_some(SupportDoubt::Over(until));
    let longer = weakest == Some(KeySize::Rsa2048) && until > RSA_2048_GOOD_THROUGH;
    over.into_iter().chain(longer.then_some(SupportDoubt::LongerThanTheKey(until))).collect()
}

/// The address of an advisory: `https://` or `http://`, printable ASCII.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advisory(String);

impl FromStr for Advisory {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
        let host = rest.unwrap_or_default().split(['/', '?', '#']).next().unwrap_or_default();
        let plain = text.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&byte));
        match !host.is_empty() && plain && text.len() <= MAX_URL {
            true => Ok(Self(text.into())),
            false => Err("expected an address that starts with https:// or http:// and has no spaces"),
        }
    }
}

impl fmt::Display for Advisory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

macro_rules! as_text {
    ($($name:ty),*) => {$(
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}
as_text!(SupportDate, Advisory);

/// A bill of materials in a package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Sbom {
    /// Its name beside the manifest.
    pub file: String,
    /// Size in bytes.
    pub size_bytes: u64,
    /// Its SHA-256.
    pub sha256: Sha256Digest,
}

impl Sbom {
    /// Describes the bytes that a package holds under this name.
    pub fn new(file: String, bytes: &[u8]) -> Self {
        Self { file, size_bytes: bytes.len() as u64, sha256: sha256(bytes) }
    }
}

/// Why otaseal did not take a bill of materials.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SbomError {
    /// The file could not be read.
    #[error("the bill of materials {} could not be read: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The file is larger than a bill of materials can be ([`MAX_SBOM`]).
    #[error("the bill of materials {} is larger than {} MiB", .0.display(), MAX_SBOM >> 20)]
    TooLarge(PathBuf),
    /// Neither CycloneDX nor SPDX in JSON.
    #[error("{} is not a bill of materials: {what}", path.display())]
    Form {
        /// The file.
        path: PathBuf,
        /// The fault.
        what: String,
    },
}

/// Reads a bill of materials: CycloneDX (`bomFormat`) or SPDX 2 (`spdxVersion`), JSON.
///
/// # Errors
/// [`SbomError`].
pub fn read_sbom(path: &Path) -> Result<Vec<u8>, SbomError> {
    read_sbom_from(path, Input::named(path))
}

/// Does the same as [`read_sbom`], for a file that the caller has opened, or could not open. Messages call it `path`.
///
/// # Errors
/// [`SbomError`].
pub fn read_sbom_from(path: &Path, input: io::Result<Input>) -> Result<Vec<u8>, SbomError> {
    let bytes = input.and_then(|input| input.read(MAX_SBOM)).map_err(|source| match source.kind() {
        io::ErrorKind::FileTooLarge => SbomError::TooLarge(path.into()),
        _ => SbomError::Read { path: path.into(), source },
    })?;
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Start {
        bom_format: Option<String>,
        spdx_version: Option<String>,
    }
    let wrong = |what: String| SbomError::Form { path: path.into(), what };
    let start: Start = serde_json::from_slice(&bytes).map_err(|error| wrong(error.to_string()))?;
    match (start.bom_format.as_deref(), start.spdx_version) {
        (Some("CycloneDX"), _) | (_, Some(_)) => Ok(bytes),
        _ => Err(wrong("it has neither bomFormat nor spdxVersion".into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_days() {
        for good in ["2030-12-31", "2028-02-29"] {
            assert_eq!(good.parse::<SupportDate>().unwrap().to_string(), good);
        }
        for bad in [
            "",
            "2030",
            "2030-13-01",
            "2030-02-30",
            "2030-2-3",
            "20301231",
            "2030-12-31T00:00",
            "30-12-31",
            "+030-12-31",
        ] {
            assert!(bad.parse::<SupportDate>().is_err(), "{bad}");
        }
        assert!("1030-12-31".parse::<SupportDate>().is_err() && "2O30-12-31".parse::<SupportDate>().is_err());
    }

    #[test]
    fn support_is_compared_with_the_key_and_with_the_day() {
        let doubts = |until: &str, bits, now| {
            let doubts = support_doubts(Some(until.parse().unwrap()), Some(bits), Some(now));
            doubts.iter().map(SupportDoubt::to_string).collect::<Vec<_>>().join("; ")
        };
        // 2026-11-21, and its last second.
        for now in [1_795_219_200, 1_795_305_599] {
            assert_eq!(doubts("2026-11-21", KeySize::Rsa2048, now), "", "today is a day of support");
            assert_eq!(doubts("2026-11-20", KeySize::Rsa2048, now), "support ended on 2026-11-20 already");
            assert_eq!(doubts("2030-12-31", KeySize::Rsa2048, now), "");
            assert!(
                doubts("2031-01-01", KeySize::Rsa2048, now)
                    .starts_with("support is promised until 2031-01-01, RSA-2048")
            );
            assert_eq!(doubts("2040-12-31", KeySize::Rsa3072, now), "");
        }
        assert_eq!(
            doubts("2031-01-01", KeySize::Rsa2048, 2_000_000_000).matches(';').count(),
            1,
            "both in 2033"
        );
        // A number that is not a time stops nothing.
        assert_eq!(doubts("2199-12-31", KeySize::Rsa3072, u64::MAX), "");
        assert_eq!(doubts("2000-01-01", KeySize::Rsa3072, u64::MAX), "support ended on 2000-01-01 already");
        assert_eq!(support_doubts(None, Some(KeySize::Rsa2048), None), []);
    }

    #[test]
    fn addresses_are_addresses() {
        for good in ["https://example.com/advisories/1", "http://a"] {
            assert!(good.parse::<Advisory>().is_ok(), "{good}");
        }
        let long = format!("https://a/{}", "x".repeat(3000));
        for bad in [
            "",
            "example.com",
            "https://",
            "https:///x",
            "ftp://a",
            "https://a b",
            "https://a\nb",
            "javascript:x",
            &long,
        ] {
            assert!(bad.parse::<Advisory>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_bill_of_materials_says_what_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sbom.json");
        for (text, good) in [
            (r#"{"bomFormat":"CycloneDX","specVersion":"1.5"}"#, true),
            (r#"{"spdxVersion":"SPDX-2.3"}"#, true),
            (r#"{"bomFormat":"other"}"#, false),
            ("{}", false),
            ("[]", false),
            ("", false),
        ] {
            std::fs::write(&path, text).unwrap();
            assert_eq!(read_sbom(&path).is_ok(), good, "{text}");
        }
        assert!(matches!(read_sbom(dir.path()), Err(SbomError::Read { .. })));
    }
}
