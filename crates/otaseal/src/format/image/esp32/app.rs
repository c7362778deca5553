//! Reads what the application of an ESP32 says of itself: esp-idf `esp_app_desc.h`.

use serde::Serialize;

const MAGIC: [u8; 4] = 0xABCD_5432_u32.to_le_bytes();

/// The description of an application. Arduino builds have the name and the version of the library's builder there, not
/// those of the sketch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Esp32App {
    /// Name of the project.
    pub project_name: String,
    /// Version of the project.
    pub version: String,
    /// Version of ESP-IDF.
    pub idf_version: String,
    /// Date and time of the build.
    pub built: String,
    /// The number that a device compares for anti-rollback.
    pub secure_version: u32,
}

impl Esp32App {
    /// Reads the description at the start of a segment's data. It is the first thing in the segment that the chip maps
    /// from flash.
    pub(super) fn read(data: &[u8]) -> Option<Self> {
        let description = data.first_chunk::<256>().filter(|description| description.starts_with(&MAGIC))?;
        let text = |at: usize, len: usize| text(description.get(at..at + len).unwrap_or_default());
        let secure_version = description.get(4..)?.first_chunk().map(|word| u32::from_le_bytes(*word))?;
        let built = format!("{} {}", text(96, 16), text(80, 16)).trim().to_owned();
        Some(Self {
            version: text(16, 32),
            project_name: text(48, 32),
            built,
            idf_version: text(112, 32),
            secure_version,
        })
    }
}

/// Returns NUL-terminated text, made safe to print.
fn text(field: &[u8]) -> String {
    let end = field.iter().position(|&byte| byte == 0).unwrap_or(field.len());
    let is_plain = |letter: char| letter.is_alphanumeric() || letter.is_ascii_graphic() || letter == ' ';
    let text = String::from_utf8_lossy(&field[..end]);
    text.chars().map(|it| if is_plain(it) { it } else { char::REPLACEMENT_CHARACTER }).collect()
}
