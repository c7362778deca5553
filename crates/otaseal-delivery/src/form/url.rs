//! The address of a web form.

use std::fmt;

use crate::espota::Password;

/// Longest address, in bytes. The device reads the request line into its memory.
const MAX_URL: usize = 1024;

/// The path of `ESP8266HTTPUpdateServer::setup`, if the sketch gives no other one.
const DEFAULT_PATH: &str = "/update";

/// A user and a password. Nothing shows the password.
#[derive(Debug, Clone)]
pub struct Login {
    /// The user.
    pub user: String,
    /// The password.
    pub password: Password,
}

/// The address of a web form: `http://user:password@host:port/path`.
#[derive(Debug, Clone)]
pub struct Url {
    /// A name or an address. An IPv6 address stands here without its brackets.
    pub host: String,
    /// The TCP port.
    pub port: u16,
    /// The path, with the query if there is one.
    pub path: String,
    /// User and password, if the address has them.
    pub login: Option<Login>,
}

/// What is wrong with an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UrlError {
    /// It is longer than 1024 bytes.
    #[error("the address is longer than 1024 bytes")]
    TooLong,
    /// It has a blank, a control character or a character that is not ASCII.
    #[error("the address has a character that must be written as %XX")]
    Character,
    /// It begins with `https://`.
    #[error("the web form is reached by http only: the certificate of such a device proves nothing")]
    Https,
    /// It does not begin with `http://`.
    #[error("the address does not begin with http://")]
    Scheme,
    /// It has no host, or one with impossible characters.
    #[error("the address names no host")]
    Host,
    /// Its port is no number from 1 to 65535.
    #[error("the port is no number from 1 to 65535")]
    Port,
    /// A user without a password, a percent sign without two digits, or a user with a colon.
    #[error(
        "the user and the password must stand as user:password before the @, with %XX for special characters"
    )]
    Login,
}

impl Url {
    /// Reads an address. Without a path, it is `/update`.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        if text.len() > MAX_URL {
            return Err(UrlError::TooLong);
        }
        // A line break here would be a header of its own.
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(UrlError::Character);
        }
        let rest = match split_scheme(text) {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => rest,
            Some((scheme, _)) if scheme.eq_ignore_ascii_case("https") => return Err(UrlError::Https),
            _ => return Err(UrlError::Scheme),
        };
        let rest = rest.split_once('#').map_or(rest, |(before, _)| before);
        let (authority, path) = match rest.find(['/', '?']) {
            Some(at) => rest.split_at(at),
            None => (rest, ""),
        };
        let (login, place) = match authority.rsplit_once('@') {
            Some((login, place)) => (Some(read_login(login)?), place),
            None => (None, authority),
        };
        let (host, port) = read_place(place)?;
        let path = match path {
            "" | "/" => DEFAULT_PATH.to_owned(),
            path if path.starts_with('?') => format!("/{path}"),
            path => path.to_owned(),
        };
        Ok(Self { host, port, path, login })
    }

    /// Host and port, as the header `Host` has them.
    pub(crate) fn place(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        if self.port == 80 { host } else { format!("{host}:{}", self.port) }
    }
}

impl fmt::Display for Url {
    /// Shows the address without its user and password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}{}", self.place(), self.path)
    }
}

fn split_scheme(text: &str) -> Option<(&str, &str)> {
    text.split_once("://")
}

fn read_login(text: &str) -> Result<Login, UrlError> {
    let (user, password) = text.split_once(':').ok_or(UrlError::Login)?;
    let user = decode(user).ok_or(UrlError::Login)?;
    // In `Authorization: Basic`, the first colon ends the user.
    if user.contains(':') {
        return Err(UrlError::Login);
    }
    Ok(Login { user, password: Password::new(decode(password).ok_or(UrlError::Login)?) })
}

/// Resolves `%XX`.
fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let (digits, after) = rest.split_at_checked(2)?;
        let digits =
            std::str::from_utf8(digits).ok().filter(|text| text.bytes().all(|b| b.is_ascii_hexdigit()))?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        rest = after;
    }
    String::from_utf8(bytes).ok()
}

/// `host`, `host:port`, `[address]` or `[address]:port`.
fn read_place(place: &str) -> Result<(String, u16), UrlError> {
    let (host, port) = match place.strip_prefix('[') {
        Some(rest) => {
            let (host, after) = rest.split_once(']').ok_or(UrlError::Host)?;
            host.parse::<std::net::Ipv6Addr>().map_err(|_| UrlError::Host)?;
            match after {
                "" => (host, None),
                after => (host, Some(after.strip_prefix(':').ok_or(UrlError::Host)?)),
            }
        }
        None => match place.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (place, None),
        },
    };
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b':');
    if host.is_empty() || !host.bytes().all(is_name) {
        return Err(UrlError::Host);
    }
    let port = match port {
        None => 80,
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            digits.parse().ok().filter(|port| *port != 0).ok_or(UrlError::Port)?
        }
        Some(_) => return Err(UrlError::Port),
    };
    Ok((host.to_owned(), port))
}

#[cfg(test)]
mod tests;
