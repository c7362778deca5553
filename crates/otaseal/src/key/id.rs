//! Reads and writes key ids and sizes in text and JSON: 64 hexadecimal digits, and a number of bits. The device crate
//! owns the type of key ids and knows no JSON, so a field names this module: `#[serde(with = "crate::key::id")]`.

use crate::format::digest::from_hex;
use crate::key::KeySize;
use otaseal_device::KeyId;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

/// Reads a key id: 64 hexadecimal digits of either case.
///
/// # Errors
/// The expected text.
pub fn parse_key_id(text: &str) -> Result<KeyId, &'static str> {
    from_hex(text).map(KeyId).ok_or("expected the 64 hexadecimal digits of a key id")
}

pub(crate) fn serialize<S: Serializer>(id: &KeyId, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(id)
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<KeyId, D::Error> {
    parse_key_id(&String::deserialize(deserializer)?).map_err(D::Error::custom)
}

/// A key id inside another value.
#[derive(Serialize, Deserialize)]
struct Inner(#[serde(with = "self")] KeyId);

/// Writes a list of key ids.
pub(crate) fn serialize_list<S: Serializer>(ids: &[KeyId], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(ids.iter().copied().map(Inner))
}

/// A list of key ids that may be missing: `#[serde(default, with = "crate::key::id::optional_list")]`.
pub(crate) mod optional_list {
    use super::{Deserialize, Deserializer, Inner, KeyId, Serialize, Serializer};

    pub(crate) fn serialize<S: Serializer>(
        ids: &Option<Vec<KeyId>>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let ids = ids.as_ref().map(|ids| ids.iter().copied().map(Inner).collect::<Vec<_>>());
        ids.serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Vec<KeyId>>, D::Error> {
        let ids = Option::<Vec<Inner>>::deserialize(deserializer)?;
        Ok(ids.map(|ids| ids.into_iter().map(|id| id.0).collect()))
    }
}

impl From<KeySize> for u32 {
    fn from(size: KeySize) -> Self {
        size.bits()
    }
}

impl TryFrom<u32> for KeySize {
    type Error = &'static str;

    fn try_from(bits: u32) -> Result<Self, Self::Error> {
        Self::from_bits(bits).ok_or("expected 2048, 3072 or 4096 bits")
    }
}
