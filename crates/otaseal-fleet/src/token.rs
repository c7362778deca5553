//! Tokens for the API: who asks, and what he may do.
//!
//! A token is shown once, when it is made. The store has its SHA-256 alone: a token has 256 random bits, so no slow hash is
//! needed, and a copy of the data lets nobody in.

use std::fmt;
use std::str::FromStr;

use base64ct::{Base64UrlUnpadded, Encoding};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::store::rows::TokenRow;

/// What every token begins with: a scanner for secrets in source code finds it.
pub const PREFIX: &str = "otaseal_";

/// Random bytes of a token.
const BYTES: usize = 32;

/// One thing that a token allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[repr(u32)]
pub enum Scope {
    /// Look at everything.
    Read = 1,
    /// Upload releases.
    Upload = 2,
    /// Change devices, push to them, start and stop rollouts, withdraw releases.
    Operate = 4,
    /// Everything: tokens, trusted keys, deleting, overrides.
    Own = 8,
}

impl Scope {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Read, Self::Upload, Self::Operate, Self::Own];

    /// The stable name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Upload => "upload",
            Self::Operate => "operate",
            Self::Own => "own",
        }
    }
}

/// What a token allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Scopes(u32);

impl Scopes {
    /// These scopes.
    pub fn of(scopes: &[Scope]) -> Self {
        Self(scopes.iter().fold(0, |all, scope| all | *scope as u32))
    }

    /// The stored form. Bits of a later version allow nothing here.
    pub fn from_bits(bits: u32) -> Self {
        Self(bits & Self::of(&Scope::ALL).0)
    }

    /// The form to store.
    pub fn bits(self) -> u32 {
        self.0
    }

    /// Whether this is allowed. An owner may do everything, and who changes devices may look at them.
    pub fn allow(self, scope: Scope) -> bool {
        let more = if scope == Scope::Read { Scope::Operate as u32 } else { 0 };
        self.0 & (scope as u32 | more | Scope::Own as u32) != 0
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> =
            Scope::ALL.into_iter().filter(|scope| self.0 & *scope as u32 != 0).map(Scope::name).collect();
        f.write_str(&names.join(","))
    }
}

impl FromStr for Scopes {
    type Err = String;

    /// Reads names with commas between them.
    fn from_str(text: &str) -> Result<Self, String> {
        let of = |name: &str| {
            Scope::ALL.into_iter().find(|scope| scope.name() == name).ok_or_else(|| {
                let name: String = name.chars().take(40).collect();
                format!("`{name}` is no scope: there are read, upload, operate and own")
            })
        };
        text.split(',').map(of).collect::<Result<Vec<_>, _>>().map(|scopes| Self::of(&scopes))
    }
}

/// Makes a token. Returns its text, which is shown once, and its hash.
///
/// # Errors
/// The system's, if it gives no random numbers.
pub fn make() -> Result<(Zeroizing<String>, [u8; 32]), getrandom::Error> {
    let mut bytes = Zeroizing::new([0; BYTES]);
    getrandom::fill(bytes.as_mut())?;
    let text = Zeroizing::new(format!("{PREFIX}{}", Base64UrlUnpadded::encode_string(bytes.as_ref())));
    let hash = hash(&text);
    Ok((text, hash))
}

/// The hash of a token.
pub fn hash(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

/// Who a token belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The name of the token: it stands in the audit log.
    pub name: String,
    /// What it allows.
    pub scopes: Scopes,
}

/// Why a token lets nobody in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It is none of ours.
    #[error("the token is not known")]
    Unknown,
    /// It was revoked.
    #[error("the token was revoked")]
    Revoked,
    /// Its time is over.
    #[error("the token has expired")]
    Expired,
}

/// Finds out who asks with this token. Hashes are compared, so how long it takes tells nothing about a token.
///
/// # Errors
/// [`Refused`].
pub fn caller(tokens: &[TokenRow], text: &str, now: u64) -> Result<Caller, Refused> {
    let hash = hash(text);
    let row = tokens.iter().find(|row| row.hash == hash).ok_or(Refused::Unknown)?;
    if row.revoked.is_some() {
        return Err(Refused::Revoked);
    }
    if row.expires.is_some_and(|expires| expires <= now) {
        return Err(Refused::Expired);
    }
    Ok(Caller { name: row.name.clone(), scopes: Scopes::from_bits(row.scopes) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::rows::TokenId;

    fn row(hash: [u8; 32]) -> TokenRow {
        let scopes = Scopes::of(&[Scope::Read]).bits();
        TokenRow { id: TokenId(1), name: "ci".into(), hash, scopes, at: 0, expires: None, revoked: None }
    }

    #[test]
    fn a_token_lets_its_owner_in_and_nobody_else() {
        let (text, hash) = make().unwrap();
        assert!(text.starts_with(PREFIX) && text.len() == PREFIX.len() + 43);
        let tokens = [row([7; 32]), row(hash)];
        assert_eq!(caller(&tokens, &text, 0).unwrap().name, "ci");
        let (other, _) = make().unwrap();
        assert_ne!(*text, *other);
        for wrong in ["", PREFIX, &text[..text.len() - 1], &format!("{}x", *text), &other] {
            assert_eq!(caller(&tokens, wrong, 0), Err(Refused::Unknown), "{wrong}");
        }
        assert_eq!(caller(&[], &text, 0), Err(Refused::Unknown));
    }

    #[test]
    fn a_token_ends() {
        let (text, hash) = make().unwrap();
        let revoked = TokenRow { revoked: Some(5), ..row(hash) };
        assert_eq!(caller(&[revoked], &text, 0), Err(Refused::Revoked));
        let expires = [TokenRow { expires: Some(100), ..row(hash) }];
        assert!(caller(&expires, &text, 99).is_ok());
        assert_eq!(caller(&expires, &text, 100), Err(Refused::Expired));
    }

    #[test]
    fn scopes_allow_what_they_name() {
        for scope in Scope::ALL {
            for asked in Scope::ALL {
                let looks = scope == Scope::Operate && asked == Scope::Read;
                let allowed = scope == asked || scope == Scope::Own || looks;
                assert_eq!(Scopes::of(&[scope]).allow(asked), allowed, "{scope:?} {asked:?}");
            }
            assert!(!Scopes::default().allow(scope));
        }
        assert_eq!("read,upload".parse(), Ok(Scopes::of(&[Scope::Read, Scope::Upload])));
        assert_eq!(Scopes::of(&[Scope::Operate, Scope::Read]).to_string(), "read,operate");
        for wrong in ["", "read,", "Read", "admin", "read upload"] {
            assert!(wrong.parse::<Scopes>().is_err(), "{wrong}");
        }
        assert_eq!(Scopes::from_bits(u32::MAX), Scopes::of(&Scope::ALL));
    }
}
