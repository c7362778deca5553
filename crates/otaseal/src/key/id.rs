//! Key ids as text: 64 hexadecimal digits, and so in JSON. The type is the device's, which knows no JSON.

use crate::format::digest::from_hex;
use otaseal_device::KeyId;
use serde::Serializer;

/// Reads a key id: 64 hexadecimal digits of either case.
///
/// # Errors
/// What was expected.
pub fn parse_key_id(text: &str) -> Result<KeyId, &'static str> {
    from_hex(text).map(KeyId).ok_or("expected the 64 hexadecimal digits of a key id")
}

pub(crate) fn serialize<S: Serializer>(id: &KeyId, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(id)
}
