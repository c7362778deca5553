//! Reads the address of a broker: `mqtt[s]://[user[:password]@]host[:port]`.

use std::fmt;
use std::str::FromStr;

use zeroize::Zeroizing;

/// Longest address in bytes.
const MAX_ADDRESS: usize = 4096;

/// Where a broker is, and how to log in.
#[derive(Clone)]
pub struct Address {
    /// Whether the connection uses TLS.
    pub tls: bool,
    /// Its host: a name or an IP address. IPv6 without brackets.
    pub host: String,
    /// Its port: 1883, or 8883 with TLS, unless the address says another.
    pub port: u16,
    /// The user's name.
    pub user: Option<String>,
    /// The user's password.
    pub password: Option<Secret>,
}

/// A password. It is never shown, and it is wiped from memory.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Keeps a password.
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The password itself.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// The text is no address of a broker. The text itself is not repeated: it may contain a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("this is no address of a broker: {why}")]
pub struct BadAddress {
    /// The fault.
    pub why: &'static str,
}

impl FromStr for Address {
    type Err = BadAddress;

    fn from_str(text: &str) -> Result<Self, BadAddress> {
        let bad = |why| BadAddress { why };
        if text.len() > MAX_ADDRESS {
            return Err(bad("it is too long"));
        }
        let (tls, rest) = match text.split_once("://") {
            Some(("mqtt", rest)) => (false, rest),
            Some(("mqtts", rest)) => (true, rest),
            _ => return Err(bad("it begins with mqtt:// or mqtts://")),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        if rest.contains(['/', '?', '#']) {
            return Err(bad("nothing follows the port"));
        }
        // A password may contain an unescaped `@`. No host does.
        let (login, place) = match rest.rsplit_once('@') {
            Some((login, place)) => (Some(login), place),
            None => (None, rest),
        };
        let (user, password) = match login.map(|login| login.split_once(':').unwrap_or((login, ""))) {
            None => (None, None),
            Some((user, password)) => {
                let user = decoded(user).ok_or(bad("the user's name has a wrong % escape"))?;
                if user.is_empty() {
                    return Err(bad("a password needs a user's name"));
                }
                let password = decoded(password).ok_or(bad("the password has a wrong % escape"))?;
                let given = login.is_some_and(|login| login.contains(':'));
                (Some(user), given.then(|| Secret::new(password)))
            }
        };
        let (host, port) = host_and_port(place).ok_or(bad("expected HOST or HOST:PORT"))?;
        Ok(Self {
            tls,
            host: host.to_owned(),
            port: port.unwrap_or(if tls { 8883 } else { 1883 }),
            user,
            password,
        })
    }
}

fn host_and_port(place: &str) -> Option<(&str, Option<u16>)> {
    let (host, port) = match place.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest.split_once(']')?;
            host.parse::<std::net::Ipv6Addr>().ok()?;
            match rest {
                "" => (host, None),
                rest => (host, Some(rest.strip_prefix(':')?)),
            }
        }
        None => match place.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (place, None),
        },
    };
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b':');
    if host.is_empty() || host.len() > 253 || !host.bytes().all(is_name) {
        return None;
    }
    match port {
        None => Some((host, None)),
        Some(port) if port.bytes().all(|byte| byte.is_ascii_digit()) => {
            port.parse().ok().filter(|port| *port != 0).map(|port| (host, Some(port)))
        }
        Some(_) => None,
    }
}

/// Resolves `%XX`.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        if *first == b'%' {
            let (digits, tail) = tail.split_at_checked(2)?;
            let digits = std::str::from_utf8(digits).ok().filter(|digits| !digits.starts_with('+'))?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = tail;
        } else {
            bytes.push(*first);
            rest = tail;
        }
    }
    String::from_utf8(bytes).ok()
}

impl fmt::Display for Address {
    /// Writes the address without the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.tls { "mqtts://" } else { "mqtt://" })?;
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")?;
        match (&self.user, &self.password) {
            (Some(user), Some(_)) => write!(f, " as {user:?} with a password"),
            (Some(user), None) => write!(f, " as {user:?}"),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_its_parts() {
        let address: Address = "mqtt://localhost".parse().unwrap();
        assert_eq!((address.tls, address.host.as_str(), address.port), (false, "localhost", 1883));
        let address: Address = "mqtts://broker.lan/".parse().unwrap();
        assert_eq!((address.tls, address.port, address.user), (true, 8883, None));
        let address: Address = "mqtt://me:p%40ss@x@[::1]:18830".parse().unwrap();
        assert_eq!((address.host.as_str(), address.port), ("::1", 18830));
        assert_eq!(address.user.as_deref(), Some("me"));
        assert_eq!(address.password.unwrap().reveal(), "p@ss@x");
        let address: Address = "mqtt://me@host".parse().unwrap();
        assert!(address.user.is_some() && address.password.is_none());
        let address: Address = "mqtt://me:@host".parse().unwrap();
        assert_eq!(address.password.unwrap().reveal(), "");
    }

    #[test]
    fn a_password_is_never_shown() {
        let address: Address = "mqtts://me:geheim@host:1".parse().unwrap();
        assert_eq!(address.to_string(), "mqtts://host:1");
        assert!(!format!("{address:?} {:?}", address.password).contains("geheim"));
        let error = "mqtt://me:geheim@:1".parse::<Address>().unwrap_err();
        assert!(!format!("{error} {error:?}").contains("geheim"));
    }

    #[test]
    fn other_texts_are_no_addresses() {
        for text in [
            "",
            "host",
            "tcp://host",
            "mqtt://",
            "mqtt://:1883",
            "mqtt://host:",
            "mqtt://host:0",
            "mqtt://host:65536",
            "mqtt://host:+1",
            "mqtt://host/path",
            "mqtt://host?x",
            "mqtt://ho st",
            "mqtt://[::1",
            "mqtt://[host]:1",
            "mqtt://[::1]x",
            "mqtt://:pw@host",
            "mqtt://a%zz@host",
            "mqtt://a%ff@host",
            "mqtt://a%2@host",
            "mqtt://a\r\nb",
            "mqtt://a%+1@host",
        ] {
            assert!(text.parse::<Address>().is_err(), "{text:?}");
        }
        assert!(format!("mqtt://{}", "x".repeat(10_000)).parse::<Address>().is_err());
    }
}
