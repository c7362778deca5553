//! Why a key in a token cannot be used.

use crate::key::KeyError;
use crate::key::passphrase::SecretError;
use std::path::PathBuf;

/// Why a key in a token cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Pkcs11Error {
    /// Nobody says which module, and p11-kit is not here.
    #[error("no PKCS#11 module is named")]
    NoModule,
    /// The module that is named is in none of the usual places.
    #[error("there is no PKCS#11 module `{0}`")]
    UnknownModule(String),
    /// The module cannot be loaded.
    #[error("the PKCS#11 module {} could not be loaded: {why}", path.display())]
    Load {
        /// The module.
        path: PathBuf,
        /// What the loader said.
        why: String,
    },
    /// This program was built without PKCS#11.
    #[error("this program was built without PKCS#11")]
    NotBuilt,
    /// The module has no token at all, or none that matches.
    #[error("no token matches {uri}: {}", list("the module has", found))]
    NoToken {
        /// What was looked for.
        uri: String,
        /// The tokens that are there.
        found: Vec<String>,
    },
    /// More than one token matches.
    #[error("{} tokens match {uri}: {}", found.len(), found.join("; "))]
    Tokens {
        /// What was looked for.
        uri: String,
        /// Those that match.
        found: Vec<String>,
    },
    /// The token has no private key, or none that matches.
    #[error("no private key in {token} matches {uri}: {}", list("it has", found))]
    NoKey {
        /// The token.
        token: String,
        /// What was looked for.
        uri: String,
        /// The private keys that are there.
        found: Vec<String>,
    },
    /// More than one private key matches.
    #[error("{} private keys in {token} match {uri}: {}", found.len(), found.join("; "))]
    Keys {
        /// The token.
        token: String,
        /// What was looked for.
        uri: String,
        /// Those that match.
        found: Vec<String>,
    },
    /// There is a key of that name already.
    #[error("{token} has a key of that name already: {}", found.join("; "))]
    Exists {
        /// The token.
        token: String,
        /// The objects that have the name.
        found: Vec<String>,
    },
    /// A new key without a name could not be found again.
    #[error("the new key has no name: the URI has no `object`")]
    NoName,
    /// The PIN is not the token's.
    #[error("the PIN is not that of {token}{}", if *last { ": one more wrong one locks it" } else { "" })]
    WrongPin {
        /// The token.
        token: String,
        /// Whether the token says that one more wrong PIN locks it.
        last: bool,
    },
    /// Too many wrong PINs.
    #[error("the PIN of {token} is locked")]
    Locked {
        /// The token.
        token: String,
    },
    /// No PIN could be had.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The PIN is no text.
    #[error("the PIN is no UTF-8 text")]
    PinText,
    /// The token does not tell the public half.
    #[error("{token} does not tell the public half of {key}")]
    NoPublicKey {
        /// The token.
        token: String,
        /// The private key.
        key: String,
    },
    /// The key is none that devices verify.
    #[error("{key} in {token}: {source}")]
    Key {
        /// The token.
        token: String,
        /// The private key.
        key: String,
        /// What is wrong with it.
        source: KeyError,
    },
    /// The key is no RSA key.
    #[error("{key} in {token} is no RSA key")]
    NotRsa {
        /// The token.
        token: String,
        /// The private key.
        key: String,
    },
    /// The token cannot make such signatures.
    #[error("{token} offers neither CKM_RSA_PKCS nor CKM_SHA256_RSA_PKCS for {key}")]
    NoMechanism {
        /// The token.
        token: String,
        /// The private key.
        key: String,
    },
    /// The new key does not have the attributes that it was to have.
    #[error("{token} made a key that is {what}, and it was removed again")]
    Weak {
        /// The token.
        token: String,
        /// What it is.
        what: &'static str,
    },
    /// The module refused something else.
    #[error("{what}: {why}")]
    Module {
        /// What was tried.
        what: String,
        /// The function and its return value, as PKCS#11 calls them.
        why: String,
        /// What to do about it.
        help: &'static str,
    },
}

fn list(has: &str, found: &[String]) -> String {
    if found.is_empty() { format!("{has} none") } else { format!("{has} {}", found.join("; ")) }
}

impl Pkcs11Error {
    /// What the user can do about it.
    pub fn help(&self) -> String {
        match self {
            Self::NoModule | Self::UnknownModule(_) => {
                "name the library that came with the token: ?module-path=/…/module.so in the URI, --pkcs11-module, or \
                 the environment variable OTASEAL_PKCS11_MODULE"
                    .into()
            }
            Self::Load { .. } => {
                "check the name, and that it is the token's PKCS#11 library for this kind of processor".into()
            }
            Self::NotBuilt => "build it with the feature `pkcs11`".into(),
            Self::NoToken { .. } => {
                "check that it is plugged in and what it is called: `pkcs11-tool --module MODULE -L` lists the tokens"
                    .into()
            }
            Self::Tokens { .. } => "say which: add serial= or slot-id= to the URI".into(),
            Self::NoKey { .. } => "object= is its label, id= its identifier with % before every byte".into(),
            Self::Keys { .. } => "say which: add id= to the URI".into(),
            Self::Exists { .. } => {
                "a key in a token is never replaced: choose another object=, or remove the old one with the token's \
                 own tool"
                    .into()
            }
            Self::NoName => "add object=NAME to the URI".into(),
            Self::WrongPin { .. } => {
                "nothing was tried again, for a token locks after a few wrong ones; check the PIN's source (pin-source \
                 in the URI, OTASEAL_PKCS11_PIN, --passphrase-file, -fd, -env)"
                    .into()
            }
            Self::Locked { .. } => {
                "its security officer unlocks it, as in `pkcs11-tool --init-pin --login --login-type so`".into()
            }
            Self::Secret(error) => error.help(),
            Self::PinText => "check the PIN's source".into(),
            Self::NoPublicKey { .. } => {
                "store the public key beside it with the same id, as in `pkcs11-tool --write-object public.der --type \
                 pubkey --id …`"
                    .into()
            }
            Self::Key { source, .. } => source.help(),
            Self::NotRsa { .. } => {
                "devices with this format verify RSA only; make a key with `otaseal keygen --key pkcs11:…`".into()
            }
            Self::NoMechanism { .. } => {
                "see what the token offers with `pkcs11-tool -M`; it may forbid this key to sign".into()
            }
            Self::Weak { .. } => "this token cannot keep a key to itself; use another".into(),
            Self::Module { help, .. } => (*help).into(),
        }
    }
}
