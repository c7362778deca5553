//! Writes keys in the forms of key files.

use super::encryption::Protection;
use super::{KeyError, PrivateKey, PublicKey, pem};
use crate::format::key_file::{self, Armor};
use crate::format::secret::SecretBytes;

/// The form of a private key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PrivateForm<'a> {
    /// RFC 5958, with or without a passphrase.
    Pkcs8(Protection<'a>),
    /// RFC 8017 A.1.2, never encrypted: its encrypted form protects the key with one round of MD5.
    Pkcs1,
}

/// The form of a public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PublicForm {
    /// RFC 5280 4.1.2.7.
    Spki,
    /// RFC 8017 A.1.1.
    Pkcs1,
}

impl PrivateKey {
    /// Returns the bytes of a key file, wiped on drop. PEM has LF line ends.
    ///
    /// # Errors
    /// The errors of [`Self::to_encrypted_der`] and [`Self::to_pkcs8_pem`].
    pub fn encode(&self, form: PrivateForm<'_>, armor: Armor) -> Result<SecretBytes, KeyError> {
        let der = match form {
            PrivateForm::Pkcs8(Protection::None) => self.to_pkcs8_der()?,
            PrivateForm::Pkcs8(Protection::Passphrase(passphrase, derivation)) => {
                self.to_encrypted_der(passphrase, derivation)?.into()
            }
            PrivateForm::Pkcs1 => self.to_pkcs1_der()?,
        };
        let label = match form {
            PrivateForm::Pkcs8(Protection::None) => "PRIVATE KEY",
            PrivateForm::Pkcs8(Protection::Passphrase(..)) => "ENCRYPTED PRIVATE KEY",
            PrivateForm::Pkcs1 => "RSA PRIVATE KEY",
        };
        match armor {
            Armor::Der => Ok(der),
            Armor::Pem => Ok(pem(label, &der)?.into_bytes().into()),
        }
    }
}

impl PublicKey {
    /// Returns the bytes of a key file. PEM has LF line ends.
    ///
    /// # Errors
    /// [`KeyError::Inconsistent`] if the key cannot be encoded. A key that was checked always can.
    pub fn encode(&self, form: PublicForm, armor: Armor) -> Result<Vec<u8>, KeyError> {
        let (label, der) = match form {
            PublicForm::Spki => ("PUBLIC KEY", self.to_spki_der()),
            PublicForm::Pkcs1 => {
                let bits = key_file::spki(self.to_spki_der()).and_then(|(_, bits)| bits.as_bytes());
                ("RSA PUBLIC KEY", bits.ok_or(KeyError::Inconsistent)?)
            }
        };
        match armor {
            Armor::Der => Ok(der.to_vec()),
            Armor::Pem => Ok(pem(label, der)?.into_bytes()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::KeySize;
    use crate::testing::openssl;
    use std::fs;

    /// Every form without random numbers has the same bytes as OpenSSL's.
    #[test]
    fn every_form_is_that_of_openssl() {
        let dir = tempfile::tempdir().unwrap();
        let key = PrivateKey::generate(KeySize::Rsa2048).unwrap();
        fs::write(dir.path().join("key.pem"), key.to_pkcs8_pem().unwrap()).unwrap();
        let made = |command: &str| {
            openssl(dir.path(), &format!("{command} -in key.pem -out made"));
            fs::read(dir.path().join("made")).unwrap()
        };
        let plain = PrivateForm::Pkcs8(Protection::None);
        for (form, armor, command) in [
            (plain, Armor::Pem, "pkey"),
            (plain, Armor::Der, "pkcs8 -topk8 -nocrypt -outform DER"),
            (PrivateForm::Pkcs1, Armor::Pem, "rsa -traditional"),
            (PrivateForm::Pkcs1, Armor::Der, "rsa -traditional -outform DER"),
        ] {
            assert!(*key.encode(form, armor).unwrap() == made(command), "{command}");
        }
        for (form, armor, command) in [
            (PublicForm::Spki, Armor::Pem, "pkey -pubout"),
            (PublicForm::Spki, Armor::Der, "pkey -pubout -outform DER"),
            (PublicForm::Pkcs1, Armor::Pem, "rsa -RSAPublicKey_out"),
            (PublicForm::Pkcs1, Armor::Der, "rsa -RSAPublicKey_out -outform DER"),
        ] {
            assert!(key.public().encode(form, armor).unwrap() == made(command), "{command}");
        }
    }
}
