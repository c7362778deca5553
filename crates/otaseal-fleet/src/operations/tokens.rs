//! Tokens.

use zeroize::Zeroizing;

use super::{OperationError, Operations, allow};
use crate::store::Write;
use crate::store::rows::{TokenId, TokenRow};
use crate::token::{self, Caller, Refused, Scope, Scopes};

/// Longest name of a token in bytes.
const LONGEST: usize = 64;

impl Operations {
    /// Finds out who asks with this token.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn caller(&self, token: &str) -> Result<Caller, Refused> {
        token::caller(&self.lists().tokens, token, self.now())
    }

    /// Makes the token of the owner, if there is no token at all. The text is shown once.
    ///
    /// # Errors
    /// [`OperationError`].
    pub fn first_token(&self) -> Result<Option<Zeroizing<String>>, OperationError> {
        if !self.lists().tokens.is_empty() {
            return Ok(None);
        }
        let first = Caller { name: "first start".into(), scopes: Scopes::of(&[Scope::Own]) };
        self.make_token(&first, "owner", Scopes::of(&[Scope::Own]), None).map(Some)
    }

    /// Makes a token. The text is shown once.
    ///
    /// # Errors
    /// The name is taken, or is none.
    pub fn make_token(
        &self,
        caller: &Caller,
        name: &str,
        scopes: Scopes,
        expires: Option<u64>,
    ) -> Result<Zeroizing<String>, OperationError> {
        if name.is_empty() || name.len() > LONGEST || !name.chars().all(|c| c.is_ascii_graphic()) {
            let what = format!("has 1 to {LONGEST} characters that are ASCII, without spaces");
            return Err(OperationError::Text { field: "name of a token", what });
        }
        let (text, hash) = token::make().map_err(|_| OperationError::Random)?;
        let object = format!("token/{name}");
        self.change(caller, Scope::Own, ("token.make", &object), |_, now, deed| {
            let mut lists = self.lists();
            if lists.tokens.iter().any(|row| row.name == name) {
                return Err(OperationError::TokenExists);
            }
            let id = TokenId(lists.tokens.iter().map(|row| row.id.0).max().unwrap_or(0) + 1);
            let (name, scopes_) = (name.to_owned(), scopes.bits());
            let row = TokenRow { id, name, hash, scopes: scopes_, at: now, expires, revoked: None };
            deed.after(&scopes.to_string());
            deed.writes.push(Write::Token(row.clone()));
            lists.tokens.push(row);
            Ok(())
        })?;
        Ok(text)
    }

    /// Revokes a token.
    ///
    /// # Errors
    /// There is none of that name, or it is revoked.
    pub fn revoke_token(&self, caller: &Caller, name: &str) -> Result<(), OperationError> {
        let object = format!("token/{name}");
        self.change(caller, Scope::Own, ("token.revoke", &object), |_, now, deed| {
            let mut lists = self.lists();
            let row = lists.tokens.iter_mut().find(|row| row.name == name && row.revoked.is_none());
            let row = row.ok_or(OperationError::NoToken)?;
            row.revoked = Some(now);
            deed.after(&"revoked");
            deed.writes.push(Write::Token(row.clone()));
            Ok(())
        })
    }

    /// All tokens, without their texts, which nobody has.
    ///
    /// # Errors
    /// The token of the caller does not allow it.
    pub fn tokens(&self, caller: &Caller) -> Result<Vec<TokenRow>, OperationError> {
        allow(caller, Scope::Own)?;
        Ok(self.lists().tokens.clone())
    }
}
