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
        /// What is known about it.
        state: ModuleState,
    },
}

fn list(has: &str, found: &[String]) -> String {
    if found.is_empty() { format!("{has} none") } else { format!("{has} {}", found.join("; ")) }
}

/// Why a token did not sign. `Display` follows the key's name and a colon.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TokenFailure {
    /// The module reports an error.
    #[error("{why}")]
    Module {
        /// The error, as PKCS#11 calls it.
        why: String,
        /// What is known about it.
        state: ModuleState,
    },
    /// The token takes messages only, and a digest is to be signed.
    #[error("this token hashes by itself (CKM_SHA256_RSA_PKCS) and cannot sign a digest")]
    HashesMessages,
    /// The token always writes a DigestInfo, and the legacy signature has none.
    #[error("this token writes a DigestInfo always (CKM_SHA256_RSA_PKCS), which the legacy form has not")]
    WritesDigestInfo,
}

/// What is known about an error of a module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ModuleState {
    /// All sessions of the token are in use.
    SessionsInUse,
    /// The token was taken out.
    TokenRemoved,
    /// The system gave no random numbers.
    NoRandomNumbers,
    /// Nothing more.
    Unknown,
}
