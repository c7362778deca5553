//! Finds devices by mDNS, and asks a device for its own address.
//!
//! What comes by mDNS is a hint: anybody on the network can answer, and devices stop answering while they run. So nothing
//! rests on it but where to knock.
//!
//! | service | who | port | texts |
//! |---|---|---|---|
//! | `_arduino._tcp` | `ArduinoOTA` | its UDP port | `board`, `auth_upload`, `tcp_check`, `ssh_upload` |
//! | `_http._tcp` | a web server, which may have the form of `HTTPUpdateServer` | its TCP port | |
//!
//! Source: `libraries/ArduinoOTA/ArduinoOTA.cpp` of esp8266/Arduino, earlephilhower/arduino-pico and
//! espressif/arduino-esp32.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use mdns_sd::{HostnameResolutionEvent, ServiceDaemon, ServiceEvent};
use serde::Serialize;
use tokio::time::{Instant, timeout_at};

use crate::device::{DeviceFacts, Family, Known, Origin};
use crate::text::said;

/// Most services that are kept. A hostile network can send any number.
const MOST: usize = 4_096;

/// Longest name of a host (RFC 1035 2.3.4), in bytes.
const MAX_HOST: usize = 253;

/// A device is asked for its address for this long. Several questions go out in this time (RFC 6762 5.2).
pub const RESOLVE: Duration = Duration::from_secs(4);

/// What a device announces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Announced {
    /// `_arduino._tcp`: it takes pushes by espota.
    Espota,
    /// `_http._tcp`: it has a web server.
    Http,
}

impl Announced {
    const ALL: [(Self, &'static str); 2] =
        [(Self::Espota, "_arduino._tcp.local."), (Self::Http, "_http._tcp.local.")];
}

/// A service that was found. All texts are the device's own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Service {
    /// What it announces.
    pub announced: Announced,
    /// Its host name, without the final dot.
    pub host: String,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
    /// Its port.
    pub port: u16,
    /// Its board, where it says one.
    pub board: Option<String>,
    /// Whether it asks for a password, where it says so.
    pub asks_password: Option<bool>,
    /// Its family, by the form of its host name.
    pub family: Option<Family>,
}

/// Why nothing can be found.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MdnsError {
    /// There is no mDNS on this machine.
    #[error("mDNS does not work here: {0}")]
    Unavailable(String),
    /// Nobody of this name answered.
    #[error("no device answered to the name {host}")]
    NoAnswer {
        /// The name, escaped.
        host: String,
    },
    /// The system does not know the name.
    #[error("the name {host} is not known: {why}")]
    Unknown {
        /// The name, escaped.
        host: String,
        /// The system's words.
        why: String,
    },
    /// The text is no host and port.
    #[error("\"{text}\" is not a host: expected a name or an address, and perhaps a port")]
    NoHost {
        /// The text, escaped.
        text: String,
    },
}

impl Service {
    /// Reads what a device announces. Returns `None` for names that no host has.
    pub fn of(
        announced: Announced,
        host: &str,
        port: u16,
        addresses: impl IntoIterator<Item = IpAddr>,
        texts: &BTreeMap<String, String>,
    ) -> Option<Self> {
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        if host.is_empty() || host.len() > MAX_HOST || port == 0 {
            return None;
        }
        let mut addresses: Vec<IpAddr> = addresses.into_iter().take(16).collect();
        addresses.sort();
        addresses.dedup();
        let text =
            |name: &str| texts.get(name).map(|text| said(text.as_bytes())).filter(|text| !text.is_empty());
        Some(Self {
            announced,
            family: family(&host),
            host: said(host.as_bytes()),
            addresses,
            port,
            board: text("board"),
            asks_password: text("auth_upload").map(|answer| answer == "yes"),
        })
    }

    /// The facts that it tells.
    pub fn facts(&self) -> DeviceFacts {
        DeviceFacts {
            family: self.family.map(|family| Known::new(family, Origin::Mdns)),
            name: Some(Known::new(self.host.clone(), Origin::Mdns)),
            board: self.board.clone().map(|board| Known::new(board, Origin::Mdns)),
            ..DeviceFacts::default()
        }
    }
}

/// The cores name a device after its chip: `esp8266-%06x`, `pico-` with 16 digits, `esp32-` with 12 digits. A sketch may
/// choose any name.
fn family(host: &str) -> Option<Family> {
    let name = host.strip_suffix(".local").unwrap_or(host);
    [("esp8266-", 6, Family::Esp8266), ("pico-", 16, Family::Rp2040), ("esp32-", 12, Family::Esp32)]
        .into_iter()
        .find(|(start, digits, _)| {
            name.strip_prefix(start).is_some_and(|rest| {
                rest.len() == *digits && rest.bytes().all(|byte| byte.is_ascii_hexdigit())
            })
        })
        .map(|(.., family)| family)
}

/// Listens for devices for a while. Returns them by kind and name.
///
/// # Errors
/// [`MdnsError::Unavailable`].
pub async fn browse(time: Duration) -> Result<Vec<Service>, MdnsError> {
    let unavailable = |error: mdns_sd::Error| MdnsError::Unavailable(error.to_string());
    let daemon = ServiceDaemon::new().map_err(unavailable)?;
    let mut found: BTreeMap<(Announced, String), Service> = BTreeMap::new();
    let end = Instant::now() + time;
    let receivers = [
        (Announced::ALL[0].0, daemon.browse(Announced::ALL[0].1).map_err(unavailable)?),
        (Announced::ALL[1].0, daemon.browse(Announced::ALL[1].1).map_err(unavailable)?),
    ];
    loop {
        let next = async {
            tokio::select! {
                event = receivers[0].1.recv_async() => (receivers[0].0, event),
                event = receivers[1].1.recv_async() => (receivers[1].0, event),
            }
        };
        let Ok((announced, Ok(event))) = timeout_at(end, next).await else { break };
        let ServiceEvent::ServiceResolved(service) = event else { continue };
        let mut texts = BTreeMap::new();
        for name in ["board", "auth_upload"] {
            if let Some(text) = service.txt_properties.get_property_val_str(name) {
                texts.insert(name.to_owned(), text.to_owned());
            }
        }
        let addresses = service.addresses.iter().map(mdns_sd::ScopedIp::to_ip_addr);
        let service = Service::of(announced, &service.host, service.port, addresses, &texts);
        if let Some(service) = service.filter(|_| found.len() < MOST) {
            found.insert((announced, service.host.clone()), service);
        }
    }
    let _ = daemon.shutdown();
    Ok(found.into_values().collect())
}

/// Splits `HOST`, `HOST:PORT`, `[ADDRESS]:PORT`.
///
/// # Errors
/// [`MdnsError::NoHost`].
pub fn split(text: &str) -> Result<(&str, Option<u16>), MdnsError> {
    let wrong = || MdnsError::NoHost { text: said(text.as_bytes()) };
    if text.parse::<IpAddr>().is_ok() {
        return Ok((text, None));
    }
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, "")) => (host, None),
        Some((host, port)) => (host, Some(port.strip_prefix(':').ok_or_else(wrong)?)),
        None => match text.rsplit_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    let port = match port {
        Some(port) => Some(port.parse().ok().filter(|port| *port != 0).ok_or_else(wrong)?),
        None => None,
    };
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:%".contains(&byte);
    let good = !host.is_empty() && host.len() <= MAX_HOST && host.bytes().all(plain);
    if good { Ok((host, port)) } else { Err(wrong()) }
}

/// Finds the address of a host. A name that ends in `.local` is asked of the device itself, so that it works where the
/// system has no mDNS too.
///
/// # Errors
/// [`MdnsError`]: nobody answered, or the name is not known.
pub async fn address(host: &str, port: u16, time: Duration) -> Result<SocketAddr, MdnsError> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(SocketAddr::new(address, port));
    }
    if host.to_ascii_lowercase().trim_end_matches('.').ends_with(".local") {
        return resolve(host, time).await.map(|address| SocketAddr::new(address, port));
    }
    let shown = || said(host.as_bytes());
    let mut found = tokio::net::lookup_host((host, port))
        .await
        .map_err(|error| MdnsError::Unknown { host: shown(), why: error.to_string() })?
        .collect::<Vec<_>>();
    // Devices of these families speak IPv4 first.
    found.sort_by_key(SocketAddr::is_ipv6);
    let none = || MdnsError::Unknown { host: shown(), why: "it has no address".into() };
    found.first().copied().ok_or_else(none)
}

async fn resolve(host: &str, time: Duration) -> Result<IpAddr, MdnsError> {
    let unavailable = |error: mdns_sd::Error| MdnsError::Unavailable(error.to_string());
    let daemon = ServiceDaemon::new().map_err(unavailable)?;
    let name = format!("{}.", host.trim_end_matches('.'));
    let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let answers = daemon.resolve_hostname(&name, Some(millis)).map_err(unavailable)?;
    let end = Instant::now() + time;
    let mut found: Vec<IpAddr> = Vec::new();
    while let Ok(Ok(event)) = timeout_at(end, answers.recv_async()).await {
        match event {
            HostnameResolutionEvent::AddressesFound(_, addresses) => {
                found.extend(addresses.iter().take(16).map(mdns_sd::ScopedIp::to_ip_addr));
                if found.iter().any(IpAddr::is_ipv4) {
                    break;
                }
            }
            HostnameResolutionEvent::SearchTimeout(_) => break,
            _ => {}
        }
    }
    let _ = daemon.shutdown();
    found.sort_by_key(IpAddr::is_ipv6);
    found.first().copied().ok_or_else(|| MdnsError::NoAnswer { host: said(host.as_bytes()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_ports_are_split() {
        for (text, is) in [
            ("lamp.local", ("lamp.local", None)),
            ("lamp.local:8266", ("lamp.local", Some(8266))),
            ("192.168.1.5", ("192.168.1.5", None)),
            ("192.168.1.5:2040", ("192.168.1.5", Some(2040))),
            ("fe80::1", ("fe80::1", None)),
            ("[fe80::1]", ("fe80::1", None)),
            ("[fe80::1]:3232", ("fe80::1", Some(3232))),
        ] {
            assert_eq!(split(text), Ok(is), "{text}");
        }
        for text in [
            "",
            ":1",
            "a:",
            "a:0",
            "a:65536",
            "a:b",
            "a b",
            "a/b",
            "[::1",
            "[::1]x",
            "é",
            "a\n",
            &"a".repeat(254),
        ] {
            assert!(split(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_announcement_is_bounded_and_escaped() {
        let texts = |board: &str| {
            BTreeMap::from([
                ("board".to_owned(), board.to_owned()),
                ("auth_upload".to_owned(), "yes".to_owned()),
            ])
        };
        let address: IpAddr = "192.168.1.5".parse().unwrap();
        let of = |host: &str, port, board: &str| {
            Service::of(Announced::Espota, host, port, [address; 100], &texts(board))
        };
        let lamp = of("esp8266-A1B2C3.local.", 8266, "ESP8266_WEMOS_D1MINI").unwrap();
        assert_eq!((lamp.host.as_str(), lamp.family), ("esp8266-a1b2c3.local", Some(Family::Esp8266)));
        assert_eq!((lamp.addresses.len(), lamp.asks_password), (1, Some(true)));
        let evil = of("\u{1b}[2Jx.local", 1, "\u{1b}]0;x\u{7}").unwrap();
        assert!(!format!("{}{:?}", evil.host, evil.board).chars().any(char::is_control));
        assert!(evil.facts().family.is_none());
        assert!(of("", 1, "").is_none() && of("x", 0, "").is_none() && of(&"x".repeat(300), 1, "").is_none());
    }

    #[test]
    fn the_name_of_a_host_tells_its_family() {
        for (host, is) in [
            ("esp8266-0a1b2c.local", Some(Family::Esp8266)),
            ("pico-e6614103e7452d2f.local", Some(Family::Rp2040)),
            ("esp32-0123456789ab.local", Some(Family::Esp32)),
            ("esp8266-kitchen.local", None),
            ("kitchen.local", None),
            ("esp8266-0a1b2c3.local", None),
        ] {
            assert_eq!(family(host), is, "{host}");
        }
    }
}
