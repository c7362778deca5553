//! Explains what the updater of a device says when it refuses an image.
//!
//! ESP8266 and arduino-pico print a number: `ERROR[4]: Not Enough Space`. arduino-esp32 prints the text alone. The device
//! never says why, so each entry names the usual causes and what to do.
//!
//! Sources: esp8266/Arduino `cores/esp8266/Updater.h` and `Updater.cpp` (`printError`); earlephilhower/arduino-pico
//! `libraries/Updater`; espressif/arduino-esp32 `libraries/Update/src/Update.h` and `Updater.cpp` (`_err2str`).

/// What a device meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// A stable code: the number of an ESP8266 or an arduino-pico, `esp32-N` for an ESP32, and `update-error` for words
    /// that are not in the tables.
    pub code: String,
    /// The usual causes, and what to do.
    pub why: &'static str,
}

/// Explains the text of an updater. Text around it does no harm: `Update error: ERROR[12]: …` is found too.
pub fn explain(text: &str) -> Explanation {
    if let Some(number) = number(text)
        && let Some((_, why)) = NUMBERED.iter().find(|(known, _)| *known == number)
    {
        return Explanation { code: number.to_string(), why };
    }
    if let Some((number, _, why)) = ESP32.iter().find(|(_, words, _)| text.contains(words)) {
        return Explanation { code: format!("esp32-{number}"), why };
    }
    if text.contains("No Filesystem") {
        return Explanation { code: "no-filesystem".into(), why: NO_FILESYSTEM };
    }
    Explanation { code: "update-error".into(), why: UNKNOWN }
}

/// The number in `ERROR[n]`.
fn number(text: &str) -> Option<u8> {
    let (_, rest) = text.split_once("ERROR[")?;
    let (digits, _) = rest.split_once(']')?;
    digits.parse().ok()
}

const NO_FILESYSTEM: &str = "The firmware on the device was built without a filesystem. Build it with one, and put that \
    firmware on the device first.";
const UNKNOWN: &str = "otaseal does not know these words. The sketch, or a newer core, wrote them.";

/// The errors of the esp8266 core and of arduino-pico.
const NUMBERED: &[(u8, &str)] = &[
    (0, "The updater found no error, but it did not finish. Restart the device and try again."),
    (
        1,
        "The flash chip did not take the bytes. Try again. If it fails again, the chip or its power supply is bad.",
    ),
    (
        2,
        "The flash chip did not erase a sector. Try again. If it fails again, the chip or its power supply is bad.",
    ),
    (3, "The flash chip did not give back what was written. Try again. If it fails again, the chip is bad."),
    (4, "There is no room for the image beside the firmware that runs. Send a gzip or a smaller image."),
    (5, "The device was told a size that it cannot use. An empty file has that effect."),
    (
        6,
        "The bytes came too slowly, or the connection broke. Bring the device nearer to its access point and try again.",
    ),
    (
        7,
        "The device computed another MD5 than the one it was told. Bytes were lost, or the flash-mode byte of the image \
         is above 3.",
    ),
    (
        8,
        "The firmware that runs was built for a larger flash chip than the board has. It refuses every update. Flash \
         the board by cable once.",
    ),
    (9, "The image was built for a larger flash chip than the board has. Build it for this board."),
    (10, "The file is no image for this device: its first byte is neither E9 nor 1F."),
    (
        11,
        "The board was flashed by cable and was not switched off since. Press its reset button or cut its power once, \
         then try again.",
    ),
    (
        12,
        "The device verifies signatures and did not accept this one. Sign the image with the key whose public half is \
         in the firmware that runs.",
    ),
    (
        13,
        "The updater got no data. Either the device could not connect to this computer, or a web form got fewer than \
         4096 bytes.",
    ),
    (14, "The device has too little free memory for an update. Restart it and try again."),
    (15, "An earlier update did not end. Try again: the device has now given up the earlier one."),
    (16, "The device does not know this kind of update."),
];

/// The errors of arduino-esp32: its own number, the words that it prints, and our explanation.
const ESP32: &[(u8, &str, &str)] = &[
    (
        1,
        "Flash Write Failed",
        "The flash chip did not take the bytes. Try again. If it fails again, the chip is bad.",
    ),
    (
        2,
        "Flash Erase Failed",
        "The flash chip did not erase a sector. Try again. If it fails again, the chip is bad.",
    ),
    (
        3,
        "Flash Read Failed",
        "The start of the image could not be read back. The file is short or no ESP32 image.",
    ),
    (4, "Not Enough Space", "The device got more bytes than it was told, or than its partition holds."),
    (5, "Bad Size Given", "The image is larger than the partition for updates, or it is empty."),
    (6, "Stream Read Timeout", "The bytes came too slowly, or the connection broke. Try again."),
    (7, "MD5 Check Failed", "The device computed another MD5 than the one it was told. Try again."),
    (8, "Wrong Magic Byte", "The file is no ESP32 image: its first byte is not E9. An ESP32 takes no gzip."),
    (
        9,
        "Could Not Activate The Firmware",
        "The image is damaged, for another chip of the family, or for a newer revision of the chip.",
    ),
    (
        10,
        "Partition Could Not be Found",
        "The partition table of the device has no second place for an update. Choose a scheme with OTA and flash the \
         board by cable once.",
    ),
    (11, "Bad Argument", "The device does not know this kind of update."),
    (12, "Aborted", "The device did not get the whole image. Try again."),
    (
        13,
        "Decryption error",
        "The first byte of the file is not E9, so the device took it for an encrypted image.",
    ),
    (
        14,
        "Signature Verification Failed",
        "The device verifies signatures and did not accept this one. Sign the image with the key whose public half is \
         in the firmware that runs.",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_numbered_error_is_explained() {
        for number in 0..=16 {
            let found = explain(&format!("ERROR[{number}]: some text\r\n"));
            assert_eq!(found.code, number.to_string());
            assert_ne!(found.why, UNKNOWN, "{number}");
        }
        assert_eq!(explain("Update error: ERROR[12]: Signature verification failed").code, "12");
        assert_eq!(explain("ERR: ERROR[4]: Not Enough Space\n").code, "4");
    }

    #[test]
    fn every_text_of_an_esp32_is_explained() {
        for (number, words, why) in ESP32 {
            let found = explain(&format!("{words}\r\n"));
            assert_eq!((found.code, found.why), (format!("esp32-{number}"), *why));
        }
    }

    #[test]
    fn other_words_are_said_to_be_unknown() {
        assert_eq!(explain("ERR: No Filesystem").code, "no-filesystem");
        for text in ["", "ERROR[", "ERROR[]", "ERROR[99999999999999]", "ERROR[17]: x", "banana"] {
            assert_eq!(explain(text), Explanation { code: "update-error".into(), why: UNKNOWN }, "{text}");
        }
    }
}
