//! What a device says when it asks, byte by byte.

use std::fmt::Write;

use otaseal::format::image::{Kind, identify};
use otaseal::profile::CoreVersion;

use super::{Client, Device, HomieForm, Mode, Says};

/// `ESP8266HTTPUpdate::handleUpdate` and `HTTPClient::sendHeader`, or their siblings. `bare` leaves out what a client
/// forgets when it follows a redirect.
pub(super) fn request(device: &Device, mode: Mode, host: &str, path: &str, bare: bool) -> String {
    let client = device.client();
    let newer = client.core() >= CoreVersion(2, 6, 0);
    let mut text = format!("GET {path} HTTP/1.0\r\nHost: {host}\r\nUser-Agent: {}\r\n", client.agent());
    let login = device.login.as_ref().map(|login| format!("Authorization: Basic {login}\r\n"));
    let login = login.unwrap_or_default();
    let close = "Connection: close\r\n";
    // The order changed with core 2.6.0. arduino-pico has the newer one, arduino-esp32 the older one.
    match newer && client != Client::Esp32 {
        true => text.extend([login.as_str(), close]),
        false => text.extend([close, login.as_str()]),
    }
    if !bare {
        match client {
            Client::Esp8266(core) => esp8266(&mut text, device, mode, core),
            Client::Pico => pico(&mut text, device, mode),
            Client::Esp32 => esp32(&mut text, device, mode),
        }
    }
    if newer && client != Client::Esp32 {
        text.push_str("Content-Length: 0\r\n");
    }
    text + "\r\n"
}

fn put(text: &mut String, name: &str, value: impl std::fmt::Display) {
    let _ = write!(text, "{name}: {value}\r\n");
}

fn esp8266(text: &mut String, device: &Device, mode: Mode, core: CoreVersion) {
    let (board, [_, _, _, a, b, c]) = (&device.board, device.mac);
    if core >= CoreVersion(2, 6, 0) {
        put(text, "x-ESP8266-Chip-ID", u32::from_be_bytes([0, a, b, c]));
    }
    put(text, "x-ESP8266-STA-MAC", mac(device.mac));
    put(text, "x-ESP8266-AP-MAC", mac(access_point(device.mac)));
    put(text, "x-ESP8266-free-space", board.free_space());
    put(text, "x-ESP8266-sketch-size", board.running().len());
    if core >= CoreVersion(2, 4, 0) {
        put(text, "x-ESP8266-sketch-md5", board.sketch_md5());
    }
    put(text, "x-ESP8266-chip-size", board.chip_bytes);
    put(text, "x-ESP8266-sdk-version", "2.2.2-dev(38a443e)");
    put(text, "x-ESP8266-mode", mode.word());
    if let Some(version) = version(device) {
        put(text, "x-ESP8266-version", version);
    }
}

fn pico(text: &mut String, device: &Device, mode: Mode) {
    let [a, b, c, d, e, f] = device.mac;
    put(text, "x-Pico-Chip-ID", format!("E661{a:02X}{b:02X}{c:02X}{d:02X}{e:02X}{f:02X}"));
    put(text, "x-Pico-STA-MAC", mac(device.mac));
    put(text, "x-Pico-AP-MAC", mac(device.mac));
    put(text, "x-Pico-Mode", mode.word());
    if let Some(version) = version(device) {
        put(text, "x-Pico-Version", version);
    }
}

fn esp32(text: &mut String, device: &Device, mode: Mode) {
    let board = &device.board;
    put(text, "Cache-Control", "no-cache");
    put(text, "x-ESP32-STA-MAC", mac(device.mac));
    put(text, "x-ESP32-AP-MAC", mac(access_point(device.mac)));
    put(text, "x-ESP32-free-space", board.free_space());
    put(text, "x-ESP32-sketch-size", board.running().len());
    put(text, "x-ESP32-sketch-md5", board.sketch_md5());
    if let Kind::Esp32(image) = identify(board.running())
        && let Some(hash) = image.hash
    {
        put(text, "x-ESP32-sketch-sha256", hash.to_string().to_ascii_uppercase());
    }
    put(text, "x-ESP32-chip-size", board.chip_bytes);
    put(text, "x-ESP32-sdk-version", "v5.1.4");
    put(text, "x-ESP32-mode", mode.word());
    if let Some(version) = version(device) {
        put(text, "x-ESP32-version", version);
    }
}

/// What the sketch gives as its version.
fn version(device: &Device) -> Option<String> {
    let tokens = device.board.tokens();
    let own = tokens.version.map(|version| version.value.as_str().to_owned()).unwrap_or_default();
    match &device.says {
        Says::Nothing => None,
        Says::Version(version) => Some(version.clone()).filter(|version| !version.is_empty()),
        Says::OwnVersion => Some(own).filter(|own| !own.is_empty()),
        Says::Tasmota(image) => Some(format!("{own}({image})")),
        Says::Homie { form, id, target } => {
            let name = tokens.name.map(|name| name.value.as_str().to_owned()).unwrap_or_default();
            let target = target.as_deref().unwrap_or_default();
            Some(match form {
                HomieForm::V1_0 => format!("{id}={name}@{own}"),
                HomieForm::March2016 => format!("{id}={name}@{own}->{target}"),
                HomieForm::V1_3 => format!("{id}={name}={own}={target}"),
            })
        }
    }
}

/// What Tasmota makes of the path of its firmware: `-minimal` stands before the type, in place of what follows a dash.
pub(super) fn minimal(path: &str) -> String {
    let (folder, file) = path.rsplit_once('/').unwrap_or(("", path));
    let kind = file.find('.').map_or("", |at| &file[at..]);
    let name = file.rsplit_once('-').map_or(&file[..file.len() - kind.len()], |(name, _)| name);
    format!("{folder}/{name}-minimal{kind}")
}

fn mac([a, b, c, d, e, f]: [u8; 6]) -> String {
    format!("{a:02X}:{b:02X}:{c:02X}:{d:02X}:{e:02X}:{f:02X}")
}

/// Espressif's chips set the bit of local addresses.
fn access_point([a, rest @ ..]: [u8; 6]) -> [u8; 6] {
    let [b, c, d, e, f] = rest;
    [a | 2, b, c, d, e, f]
}
