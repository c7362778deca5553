//! `fleet.toml`: the settings of the service. Without the file, every setting has its default.
//!
//! A name that is not known stops the start. In another service, a renamed setting switched the login off at an upgrade
//! (CVE-2026-59178): here, an old name is never passed over.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use serde::Deserialize;

use crate::filter::{Filter, FilterError};

/// Longest file in bytes.
pub const MAX_CONFIG: usize = 256 * 1024;

/// The settings.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
#[derive(Default)]
pub struct Config {
    /// The port for devices.
    pub devices: Devices,
    /// The port for people and programs.
    pub admin: Admin,
    /// What is taken in.
    pub releases: Releases,
    /// Which devices belong to the fleet.
    pub inventory: Inventory,
}

/// The port for devices.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Devices {
    /// Address and port.
    pub listen: SocketAddr,
    /// The name that devices must send, with the password of `password-file`.
    pub user: Option<String>,
    /// The file with that password.
    pub password_file: Option<PathBuf>,
    /// The certificate for TLS, with its chain.
    pub tls_cert: Option<PathBuf>,
    /// The private key of the certificate.
    pub tls_key: Option<PathBuf>,
    /// Largest TLS record in bytes: at most the buffer that the sketches set.
    pub tls_record: Option<usize>,
    /// Downloads at a time.
    pub downloads: Option<usize>,
}

impl Default for Devices {
    fn default() -> Self {
        Self {
            listen: (Ipv4Addr::UNSPECIFIED, 8080).into(),
            user: None,
            password_file: None,
            tls_cert: None,
            tls_key: None,
            tls_record: None,
            downloads: None,
        }
    }
}

/// The port for people and programs.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Admin {
    /// Address and port. Only an address of this machine is allowed: the port has no TLS.
    pub listen: SocketAddr,
}

impl Default for Admin {
    fn default() -> Self {
        Self { listen: (Ipv4Addr::LOCALHOST, 8081).into() }
    }
}

/// What is taken in.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Releases {
    /// Whether releases are taken that no trusted key signed.
    pub unsigned: bool,
    /// Largest upload in bytes.
    pub upload_bytes: u64,
}

impl Default for Releases {
    fn default() -> Self {
        Self { unsigned: false, upload_bytes: crate::intake::MAX_UPLOAD }
    }
}

/// Which devices belong to the fleet.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Inventory {
    /// A filter: new devices for which it holds are accepted at once. None: a person accepts them.
    pub accept: Option<String>,
}

/// Why a configuration stops the start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// It is no TOML, or a name or a value is not known.
    #[error("{0}")]
    Form(String),
    /// The admin port is open to others.
    #[error(
        "`admin.listen` is {0}: the admin port has no TLS, so it opens only on an address of this machine"
    )]
    AdminOpen(SocketAddr),
    /// One of two settings that go together.
    #[error("`{0}` needs `{1}`")]
    Needs(&'static str, &'static str),
    /// A name that no device can send.
    #[error("`devices.user` is empty or has a colon")]
    User,
    /// A filter that is none.
    #[error("`inventory.accept`: {0}")]
    Accept(FilterError),
    /// A limit that lets nothing through.
    #[error("`{0}` is 0")]
    Zero(&'static str),
}

impl Config {
    /// Reads the text of `fleet.toml`.
    ///
    /// # Errors
    /// [`ConfigError`]: the first fault.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        let config: Self = toml::from_str(text).map_err(|error| ConfigError::Form(error.to_string()))?;
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<(), ConfigError> {
        if !self.admin.listen.ip().to_canonical().is_loopback() {
            return Err(ConfigError::AdminOpen(self.admin.listen));
        }
        let devices = &self.devices;
        for (one, other) in [
            ((&devices.tls_cert, "devices.tls-cert"), (&devices.tls_key, "devices.tls-key")),
            ((&devices.tls_key, "devices.tls-key"), (&devices.tls_cert, "devices.tls-cert")),
        ] {
            if one.0.is_some() && other.0.is_none() {
                return Err(ConfigError::Needs(one.1, other.1));
            }
        }
        match (&devices.user, &devices.password_file) {
            (Some(_), None) => return Err(ConfigError::Needs("devices.user", "devices.password-file")),
            (None, Some(_)) => return Err(ConfigError::Needs("devices.password-file", "devices.user")),
            (Some(user), _) if user.is_empty() || user.contains(':') => return Err(ConfigError::User),
            _ => {}
        }
        if devices.downloads == Some(0) {
            return Err(ConfigError::Zero("devices.downloads"));
        }
        if self.releases.upload_bytes == 0 {
            return Err(ConfigError::Zero("releases.upload-bytes"));
        }
        self.accept().map(drop)
    }

    /// The filter of `inventory.accept`.
    ///
    /// # Errors
    /// It is no filter.
    pub fn accept(&self) -> Result<Option<Filter>, ConfigError> {
        let filter = self.inventory.accept.as_deref().map(Filter::parse);
        filter.transpose().map_err(ConfigError::Accept)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_a_configuration() {
        let config = Config::parse("").unwrap();
        assert_eq!(config, Config::default());
        assert!(config.admin.listen.ip().is_loopback(), "nobody else reaches it");
        assert!(!config.releases.unsigned, "nothing unsigned is taken in unasked");
        assert_eq!(config.inventory.accept, None, "nobody belongs to the fleet unasked");
    }

    #[test]
    fn each_setting_is_read() {
        let text = "
            [devices]
            listen = '127.0.0.1:9000'
            user = 'device'
            password-file = 'secret'
            tls-cert = 'cert.pem'
            tls-key = 'key.pem'
            tls-record = 512
            downloads = 10
            [admin]
            listen = '[::1]:9001'
            [releases]
            unsigned = true
            upload-bytes = 1000
            [inventory]
            accept = 'family:esp8266 site:berlin'
        ";
        let config = Config::parse(text).unwrap();
        assert_eq!(config.devices.tls_record, Some(512));
        assert!(config.releases.unsigned && config.releases.upload_bytes == 1_000);
        assert!(config.accept().unwrap().is_some());
    }

    #[test]
    fn what_is_not_known_stops_the_start() {
        for text in [
            "listen = '127.0.0.1:1'",
            "[device]\nlisten = '127.0.0.1:1'",
            "[devices]\nlissten = '127.0.0.1:1'",
            "[devices]\nlisten = 8080",
            "[admin]\npassword = 'x'",
            "[admin]\nlisten = '127.0.0.1:1'\nlisten = '127.0.0.1:2'",
            "[releases]\nunsigned = 'yes'",
            "[inventory]\naccept = 'colour:red'",
            "[releases]\nupload-bytes = -1",
            "\u{0}",
        ] {
            assert!(Config::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_makes_no_sense_stops_the_start() {
        for (text, code) in [
            ("[admin]\nlisten = '0.0.0.0:8081'", "AdminOpen"),
            ("[admin]\nlisten = '[::]:8081'", "AdminOpen"),
            ("[admin]\nlisten = '[::ffff:192.168.1.2]:8081'", "AdminOpen"),
            ("[devices]\nuser = 'a'", "Needs"),
            ("[devices]\npassword-file = 'a'", "Needs"),
            ("[devices]\ntls-cert = 'a'", "Needs"),
            ("[devices]\ntls-key = 'a'", "Needs"),
            ("[devices]\nuser = 'a:b'\npassword-file = 'x'", "User"),
            ("[devices]\nuser = ''\npassword-file = 'x'", "User"),
            ("[devices]\ndownloads = 0", "Zero"),
            ("[releases]\nupload-bytes = 0", "Zero"),
        ] {
            let error = Config::parse(text).unwrap_err();
            assert!(format!("{error:?}").starts_with(code), "{text}: {error:?}");
        }
    }
}
