//! Chooses the MD5 in the topic of a push.
//!
//! The device calls `Update.setMD5(topic)` and then `Update.begin()`. Cores from 3.0.0 on, and all cores of the ESP32, forget
//! the MD5 in `begin()` (esp8266/Arduino commit c33a6a26). Devices that verify a signature look at no MD5 at all. On both,
//! the MD5 in the topic does one thing: the device answers `304` if it is the MD5 of what runs.

use otaseal::format::digest::Md5Digest;
use otaseal::profile::CoreVersion;

/// What is known of the device's updater.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Core {
    /// Nothing.
    Unknown,
    /// It is an ESP8266 core of this version.
    Esp8266(CoreVersion),
    /// It is a core of the ESP32.
    Esp32,
}

/// Whether the device was built with a public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verifies {
    /// It is not known.
    Unknown,
    /// It was. Such a device runs nothing that is not signed.
    Yes,
    /// It was not.
    No,
}

/// Returns the MD5 to push under.
///
/// `file` is the MD5 of the bytes that are sent. `running` is the MD5 that the device will report once it runs them: of the
/// unsigned image, with the device's flash mode where that is known. They differ for signed images. Under `running` a
/// second push of the same image ends with `304`. Where the device may check the MD5 it must be `file`.
pub fn topic_md5(file: Md5Digest, running: Md5Digest, verifies: Verifies, core: Core) -> Md5Digest {
    let ignores_it = match (verifies, core) {
        (Verifies::Yes, _) | (_, Core::Esp32) => true,
        (_, Core::Esp8266(version)) => version >= CoreVersion(3, 0, 0),
        (_, Core::Unknown) => false,
    };
    if ignores_it { running } else { file }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_topic_md5_lets_304_work_wherever_the_device_does_not_check_it() {
        let (file, running) = (Md5Digest([1; 16]), Md5Digest([2; 16]));
        let old = Core::Esp8266(CoreVersion(2, 7, 4));
        let new = Core::Esp8266(CoreVersion(3, 0, 0));
        let table = [
            (Verifies::Yes, old, running),
            (Verifies::Yes, new, running),
            (Verifies::Yes, Core::Esp32, running),
            (Verifies::Yes, Core::Unknown, running),
            (Verifies::No, old, file),
            (Verifies::No, new, running),
            (Verifies::No, Core::Esp32, running),
            (Verifies::No, Core::Unknown, file),
            (Verifies::Unknown, old, file),
            (Verifies::Unknown, new, running),
            (Verifies::Unknown, Core::Esp32, running),
            (Verifies::Unknown, Core::Unknown, file),
        ];
        for (verifies, core, expected) in table {
            assert_eq!(topic_md5(file, running, verifies, core), expected, "{verifies:?} {core:?}");
        }
    }
}
