//! Brings a firmware package to a device, and proves that the device runs it.
//!
//! | protocol | who starts | proof that the device can give |
//! |---|---|---|
//! | [`pull`]: HTTP, `ESP8266httpUpdate` and its siblings | the device | its next request names what it runs |
//! | [`homie`]: Homie 2 and 3 over MQTT, the trigger of Homie 1 | the host | the updater's verdict, then `$fw/checksum` |
//! | [`espota`]: `ArduinoOTA` | the host | the updater's verdict |
//! | [`form`]: `ESP8266HTTPUpdateServer` and its siblings | the host | the updater's verdict |
//!
//! A protocol is three things: facts from what the device says ([`device::DeviceFacts`]), an offer that [`offer::choose`]
//! makes from them, and [`evidence::Evidence`] from what happens after. Nothing else decides what a device is offered, and
//! nothing else decides that an update succeeded.
//!
//! What a device says is a stranger's text. It is bounded when it is read, and [`text::said`] makes it fit to be shown.

pub mod device;
pub mod espota;
pub mod evidence;
pub mod form;
pub mod homie;
pub mod mdns;
pub mod mqtt;
pub mod offer;
mod patience;
pub mod pull;
mod receipt;
pub mod release;
pub mod sim;
#[cfg(test)]
mod testing;
pub mod text;
pub mod updater;
