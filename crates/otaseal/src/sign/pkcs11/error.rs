//! Says why a key in a token cannot be used.

use crate::key::KeyError;
use crate::key::passphrase::SecretError;
use std::path::PathBuf;

/// Why a key in a token cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Pkcs11Error {
    /// No module is named, and p11-kit is not installed.
    #[error("no PKCS#11 module is named")]
    NoModule,
    /// The named module is in none of the usual directories.
    #[error("there is no PKCS#11 module `{0}`")]
    UnknownModule(String),
    /// The module cannot be loaded.
    #[error("the PKCS#11 module {} could not be loaded: {why}", path.display())]
    Load {
        /// The module.
        path: PathBuf,
        /// The loader's words.
        why: String,
    },
    /// This program was built without PKCS#11.
    #[error("this program was built without PKCS#11")]
    NotBuilt,
    /// The module has no token, or none that matches.
    #[error("no token matches {uri}: {}", list("the module has", found))]
    NoToken {
        /// The name that was looked for.
        uri: String,
        /// The tokens of the module.
        found: Vec<String>,
    },
    /// More than one token matches.
    #[error("{} tokens match {uri}: {}", found.len(), found.join("; "))]
    Tokens {
        /// The name that was looked for.
        uri: String,
        /// The tokens that match.
        found: Vec<String>,
    },
    /// The token has no private key, or none that matches.
    #[error("no private key in {token} matches {uri}: {}", list("it has", found))]
    NoKey {
        /// The token.
        token: String,
        /// The name that was looked for.
        uri: String,
        /// The private keys of the token.
        found: Vec<String>,
    },
    /// More than one private key matches.
    #[error("{} private keys in {token} match {uri}: {}", found.len(), found.join("; "))]
    Keys {
        /// The token.
        token: String,
        /// The name that was looked for.
        uri: String,
        /// The private keys that match.
        found: Vec<String>,
    },
    /// The token has a key of that name already.
    #[error("{token} already has a key of that name: {}", found.join("; "))]
    Exists {
        /// The token.
        token: String,
        /// The objects that have the name.
        found: Vec<String>,
    },
    /// The new key has no name, so that nobody could find it again.
    #[error("the new key has no name: the URI has no `object`")]
    NoName,
    /// The PIN is wrong.
    #[error("the PIN is wrong for {token}{}", if *last { ": one more wrong PIN locks it" } else { "" })]
    WrongPin {
        /// The token.
        token: String,
        /// Whether the token says that one more wrong PIN locks it.
        last: bool,
    },
    /// The token is locked after too many wrong PINs.
    #[error("the PIN of {token} is locked")]
    Locked {
        /// The token.
        token: String,
    },
    /// There is no PIN.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The PIN is not text.
    #[error("the PIN is not UTF-8 text")]
    PinText,
    /// The token does not give the public half.
    #[error("{token} does not give the public half of {key}")]
    NoPublicKey {
        /// The token.
        token: String,
        /// The private key.
        key: String,
    },
    /// Devices do not verify signatures of this key.
    #[error("{key} in {token}: {source}")]
    Key {
        /// The token.
        token: String,
        /// The private key.
        key: String,
        /// The reason.
        source: KeyError,
    },
    /// The key is not an RSA key.
    #[error("{key} in {token} is not an RSA key")]
    NotRsa {
        /// The token.
        token: String,
        /// The private key.
        key: String,
    },
    /// The token cannot make signatures that devices verify.
    #[error("{token} offers neither CKM_RSA_PKCS nor CKM_SHA256_RSA_PKCS for {key}")]
    NoMechanism {
        /// The token.
        token: String,
        /// The private key.
        key: String,
    },
    /// The new key lacks an attribute that it must have.
    #[error("{token} made a key that is {what}; otaseal removed it again")]
    Weak {
        /// The token.
        token: String,
        /// The fault.
        what: &'static str,
    },
    /// The module refused something else.
    #[error("{what}: {why}")]
    Module {
        /// The step that failed.
        what: String,
        /// The function and its return value, in the words of PKCS#11.
        why: String,
        /// The known cause.
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
        /// The error, in the words of PKCS#11.
        why: String,
        /// The known cause.
        state: ModuleState,
    },
    /// The token takes only messages, and a digest should be signed.
    #[error("this token hashes by itself (CKM_SHA256_RSA_PKCS) and cannot sign a digest")]
    HashesMessages,
    /// The token always writes a DigestInfo, and a legacy signature has none.
    #[error("this token always writes a DigestInfo (CKM_SHA256_RSA_PKCS), and a legacy signature has none")]
    WritesDigestInfo,
}

/// The cause of a module's error, if otaseal knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ModuleState {
    /// All sessions of the token are in use.
    SessionsInUse,
    /// The token was taken out.
    TokenRemoved,
    /// The system gave no random numbers.
    NoRandomNumbers,
    /// An unknown cause.
    Unknown,
}
