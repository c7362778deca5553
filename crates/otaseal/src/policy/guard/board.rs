//! Compares what is said of the board with what the image says of itself.
//!
//! An image says for which chip it is, and a build of the pico-sdk also for which board. Only a name that is known to
//! be another chip's or another board's contradicts that. Any other text is the user's own name for a board.

use super::GuardError;
use crate::format::image::Kind;
use crate::format::image::rp::BinaryInfo;

/// A chip, or a family of chips where the name says no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Chip {
    Esp8266,
    Esp32,
    /// A chip of the ESP32 family, by esptool's name.
    Esp32Only(&'static str),
    Rp2040,
    Rp2350,
}

/// Names of chips, and of boards whose name says no chip, without separators. Sources: `boards.txt` of
/// esp8266/Arduino and earlephilhower/arduino-pico, `boards/` of platformio/platform-espressif32, `IMAGE_CHIP_ID` of
/// esptool, `src/boards/include/boards` of raspberrypi/pico-sdk.
const NAMES: &[(&str, Chip)] = &[
    ("esp8266", Chip::Esp8266),
    ("esp8285", Chip::Esp8266),
    ("d1mini", Chip::Esp8266),
    ("d1minilite", Chip::Esp8266),
    ("d1minipro", Chip::Esp8266),
    ("nodemcu", Chip::Esp8266),
    ("nodemcuv2", Chip::Esp8266),
    ("esp01", Chip::Esp8266),
    ("esp011m", Chip::Esp8266),
    ("esp07", Chip::Esp8266),
    ("esp12e", Chip::Esp8266),
    ("huzzah", Chip::Esp8266),
    ("esp32", Chip::Esp32),
    ("esp32dev", Chip::Esp32Only("ESP32")),
    ("nodemcu32s", Chip::Esp32Only("ESP32")),
    ("lolin32", Chip::Esp32Only("ESP32")),
    ("featheresp32", Chip::Esp32Only("ESP32")),
    ("esp32s2", Chip::Esp32Only("ESP32-S2")),
    ("esp32s2saola1", Chip::Esp32Only("ESP32-S2")),
    ("esp32s3", Chip::Esp32Only("ESP32-S3")),
    ("esp32s3devkitc1", Chip::Esp32Only("ESP32-S3")),
    ("esp32s3devkitm1", Chip::Esp32Only("ESP32-S3")),
    ("esp32c2", Chip::Esp32Only("ESP32-C2")),
    ("esp32c3", Chip::Esp32Only("ESP32-C3")),
    ("esp32c3devkitm1", Chip::Esp32Only("ESP32-C3")),
    ("esp32c3devkitc02", Chip::Esp32Only("ESP32-C3")),
    ("esp32c5", Chip::Esp32Only("ESP32-C5")),
    ("esp32c6", Chip::Esp32Only("ESP32-C6")),
    ("esp32c6devkitc1", Chip::Esp32Only("ESP32-C6")),
    ("esp32c61", Chip::Esp32Only("ESP32-C61")),
    ("esp32h2", Chip::Esp32Only("ESP32-H2")),
    ("esp32p4", Chip::Esp32Only("ESP32-P4")),
    ("rp2040", Chip::Rp2040),
    ("pico", Chip::Rp2040),
    ("picow", Chip::Rp2040),
    ("rp2350", Chip::Rp2350),
    ("pico2", Chip::Rp2350),
    ("pico2w", Chip::Rp2350),
];

/// Other boards of the pico-sdk. Where the name has the number of a chip, that is the board's chip.
const PICO_SDK_BOARDS: &[&str] = &[
    "0xcb_helios",
    "adafruit_feather_rp2040",
    "adafruit_feather_rp2040_adalogger",
    "adafruit_feather_rp2040_usb_host",
    "adafruit_feather_rp2350",
    "adafruit_fruit_jam",
    "adafruit_itsybitsy_rp2040",
    "adafruit_kb2040",
    "adafruit_macropad_rp2040",
    "adafruit_metro_rp2350",
    "adafruit_qtpy_rp2040",
    "adafruit_trinkey_qt2040",
    "arduino_nano_rp2040_connect",
    "cytron_maker_pi_rp2040",
    "cytron_motion_2350_pro",
    "debug_probe",
    "eetree_gamekit_rp2040",
    "garatronic_pybstick26_rp2040",
    "ilabs_challenger_rp2350_bconnect",
    "ilabs_challenger_rp2350_wifi_ble",
    "melopero_perpetuo_rp2350_lora",
    "melopero_shake_rp2040",
    "metrotech_xerxes_rp2040",
    "nologo_rp2350_usb",
    "pimoroni_badger2040",
    "pimoroni_badger2350",
    "pimoroni_blinky2350",
    "pimoroni_keybow2040",
    "pimoroni_motor2040",
    "pimoroni_pga2040",
    "pimoroni_pga2350",
    "pimoroni_pico_plus2_rp2350",
    "pimoroni_pico_plus2_w_rp2350",
    "pimoroni_picolipo_16mb",
    "pimoroni_picolipo_4mb",
    "pimoroni_picosystem",
    "pimoroni_plasma2040",
    "pimoroni_plasma2350",
    "pimoroni_plasma2350_w",
    "pimoroni_servo2040",
    "pimoroni_tiny2040",
    "pimoroni_tiny2040_2mb",
    "pimoroni_tiny2350",
    "pimoroni_tufty2040",
    "pimoroni_tufty2350",
    "pololu_3pi_2040_robot",
    "pololu_zumo_2040_robot",
];

/// Checks a name of a board against an image.
///
/// # Errors
/// [`GuardError::OtherBoard`] if the name is that of another chip, or of another board of the pico-sdk than the one that
/// the image names.
pub(crate) fn check_board(kind: &Kind, said: &str) -> Result<(), GuardError> {
    let name = normalised(said);
    let named = chip_of(&name);
    let board = binary_info(kind).and_then(|info| info.board.as_deref());
    let other_chip = matches!((named, chip_in(kind)), (Some(named), Some(chip)) if contradicts(named, chip));
    let is_board = sdk_boards().any(|board| board == name);
    let other_board = is_board && board.is_some_and(|board| normalised(board) != name);
    if !other_chip && !other_board {
        return Ok(());
    }
    let found = match board {
        Some(board) => format!("{kind} for the board {board}"),
        None => kind.to_string(),
    };
    Err(GuardError::OtherBoard { said: said.to_owned(), found })
}

/// Writes a name in lower case without separators. Other tools put the maker before the names of his boards.
fn normalised(name: &str) -> String {
    const SEPARATORS: [char; 5] = ['-', '_', '.', '+', ' '];
    let plain = name.replace(SEPARATORS, "");
    let plain = plain.to_ascii_lowercase();
    let makers = ["raspberrypi", "rpi"];
    let short =
        makers.iter().find_map(|maker| plain.strip_prefix(maker).filter(|rest| rest.starts_with("pico")));
    short.unwrap_or(&plain).to_owned()
}

fn sdk_boards() -> impl Iterator<Item = String> {
    const OWN: &[&str] = &["pico", "pico_w", "pico2", "pico2_w"];
    OWN.iter().chain(PICO_SDK_BOARDS).map(|name| normalised(name))
}

fn chip_of(name: &str) -> Option<Chip> {
    if let Some((_, chip)) = NAMES.iter().find(|(known, _)| *known == name) {
        return Some(*chip);
    }
    let board = sdk_boards().find(|board| board == name)?;
    match (board.contains("2040"), board.contains("2350")) {
        (true, false) => Some(Chip::Rp2040),
        (false, true) => Some(Chip::Rp2350),
        _ => None,
    }
}

fn chip_in(kind: &Kind) -> Option<Chip> {
    match kind {
        Kind::Esp8266(_) | Kind::Esp8266V2(_) => Some(Chip::Esp8266),
        Kind::Esp32(image) => Some(Chip::Esp32Only(image.header.chip.name())),
        Kind::Rp2040(_) => Some(Chip::Rp2040),
        Kind::Rp2350(_) => Some(Chip::Rp2350),
        _ => None,
    }
}

fn contradicts(named: Chip, found: Chip) -> bool {
    match (named, found) {
        (Chip::Esp32, Chip::Esp32Only(_)) => false,
        (named, found) => named != found,
    }
}

fn binary_info(kind: &Kind) -> Option<&BinaryInfo> {
    match kind {
        Kind::Rp2040(image) => image.binary_info.as_ref(),
        Kind::Rp2350(image) => image.binary_info.as_ref(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::image::identify;
    use crate::testing::{esp_image, pico_image};

    fn refused(image: &[u8], said: &str) -> Option<String> {
        check_board(&identify(image), said).err().map(|error| error.to_string())
    }

    /// As [`pico_image`], for an RP2350: an image definition in place of the boot loader. RP2350 datasheet 5.9.5.1.
    fn pico2_image(board: &str) -> Vec<u8> {
        let mut image = pico_image(Some(board));
        image[..0x100].fill(0);
        let definition: [u32; 5] = [0xFFFF_DED3, 0x1021_0142, 0x0000_01FF, 0, 0xAB12_3579];
        let bytes: Vec<u8> = definition.into_iter().flat_map(u32::to_le_bytes).collect();
        image[0x200..0x200 + bytes.len()].copy_from_slice(&bytes);
        image
    }

    #[test]
    fn an_rp2350_image_says_its_chip_and_its_board() {
        let image = pico2_image("pico2");
        for other in ["pico", "rp2040", "pico2_w", "pimoroni_tiny2040", "pimoroni_tiny2350", "esp8266"] {
            let said = refused(&image, other).unwrap_or_else(|| panic!("{other}"));
            assert!(said.ends_with("an RP2350 image (Arm, secure) for the board pico2"), "{said}");
        }
        for same in ["pico2", "Pico-2", "rp2350", "my pico"] {
            assert_eq!(refused(&image, same), None, "{same}");
        }
    }

    #[test]
    fn another_chip_and_another_board_contradict_and_free_text_does_not() {
        let pico_w = pico_image(Some("pico_w"));
        assert!(matches!(identify(&pico_w), Kind::Rp2040(_)));
        assert_eq!(
            refused(&pico_w, "pico2").as_deref(),
            Some("it is said to be for the board pico2, but it is an RP2040 image for the board pico_w")
        );
        for other in [
            "pico",
            "PICO",
            "rpi-pico",
            "pico-2-w",
            "rp2350",
            "RP2350",
            "esp32",
            "esp32-c3",
            "d1-mini",
            "D1_mini",
            "Pico 2 W",
            "esp8266",
            "adafruit_feather_rp2040",
            "Adafruit.Feather.RP2350",
            "pimoroni_picosystem",
        ] {
            assert!(refused(&pico_w, other).is_some(), "{other}");
        }
        for same in ["pico_w", "Pico-W", "picow", "rpipicow", "Raspberry-Pi-Pico-W", "rp2040"] {
            assert_eq!(refused(&pico_w, same), None, "{same}");
        }
        for own in [
            "lamp-2",
            "",
            "board-2350",
            "esp32-gateway-client",
            "pico-lamp",
            "w",
            "é",
            "picoé",
            "pico 2 é",
            "pico2!",
        ] {
            assert_eq!(refused(&pico_w, own), None, "{own}");
        }
        // A build that does not name its board has a chip all the same.
        let unnamed = pico_image(None);
        assert_eq!(refused(&unnamed, "pico"), None);
        assert_eq!(refused(&unnamed, "pimoroni_tiny2040"), None);
        assert!(refused(&unnamed, "pimoroni_tiny2350").is_some());
        assert!(refused(&unnamed, "pico2").is_some());
        let esp8266 = esp_image();
        assert_eq!(refused(&esp8266, "d1_mini"), None);
        assert_eq!(refused(&esp8266, "nodemcuv2"), None);
        for other in ["nodemcu-32s", "pimoroni_tiny2040", "pimoroni_tiny2350"] {
            assert!(refused(&esp8266, other).is_some(), "{other}");
        }
        assert!(refused(&esp8266, "pico_w").unwrap().contains("an ESP8266 image"));
        // An image of an unknown kind says nothing.
        assert_eq!(refused(b"vector table and so on", "pico2"), None);
    }

    #[test]
    fn esp32_names_the_family_and_a_chip_of_it_only_that_chip() {
        let image = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/cmd/in/esp32.bin"));
        let Kind::Esp32(found) = identify(image) else { panic!() };
        let chip = found.header.chip.name();
        assert_eq!(refused(image, "esp32"), None);
        assert_eq!(refused(image, chip), None);
        for (name, other) in NAMES.iter().filter(|(_, other)| matches!(other, Chip::Esp32Only(_))) {
            assert_eq!(refused(image, name).is_some(), *other != Chip::Esp32Only(chip), "{name}");
        }
        assert!(refused(image, "esp8266").is_some() && refused(image, "pico").is_some());
    }

    #[test]
    fn every_name_in_the_tables_is_normalised_and_stands_there_once() {
        let names: Vec<_> = NAMES.iter().map(|(name, _)| (*name).to_owned()).collect();
        assert!(names.iter().all(|name| normalised(name) == *name));
        let mut all: Vec<_> =
            names.into_iter().chain(PICO_SDK_BOARDS.iter().map(|name| normalised(name))).collect();
        let count = all.len();
        all.sort();
        all.dedup();
        assert_eq!(all.len(), count);
    }
}
