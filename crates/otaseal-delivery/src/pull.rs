//! HTTP pull: a device asks a server for an update.
//!
//! ```text
//! request::Request::parse      header fields -> DeviceFacts, mode, what is odd
//!   catalogue::Catalogue       which firmware this device gets, never a guess
//!     offer::choose            which file of it, or why none
//!       answer::Answer         a value; `server` writes it to the socket
//! ```
//!
//! | client | User-Agent | fields |
//! |---|---|---|
//! | `ESP8266httpUpdate`, Homie 1, Tasmota | `ESP8266-http-Update` | `x-ESP8266-*` |
//! | arduino-esp32 `HTTPUpdate` | `ESP32-http-Update` | `x-ESP32-*` |
//! | arduino-pico `HTTPUpdate` | `Pico-HTTP-Update` | `x-Pico-*` |
//!
//! Sources: esp8266/Arduino `libraries/ESP8266httpUpdate/src/ESP8266httpUpdate.cpp` (f946290e),
//! earlephilhower/arduino-pico `libraries/HTTPUpdate` (387294c5), espressif/arduino-esp32 `libraries/HTTPUpdate`,
//! homieiot/homie-esp8266 `BootOta.cpp` (v1.0.0 to v1.5.0).

pub mod answer;
pub mod catalogue;
pub mod homie_v1;
pub mod redirect;
pub mod request;
pub mod server;
pub mod tls;
