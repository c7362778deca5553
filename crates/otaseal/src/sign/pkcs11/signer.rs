//! Signs with a key in a token, from many threads.

use super::token::{Access, Key, Token, Way, in_short, state};
use super::{Pkcs11Error, TokenFailure};
use crate::format::digest::Sha256Digest;
use crate::key::PublicKey;
use crate::key::passphrase::Secrets;
use crate::key::uri::Pkcs11Uri;
use crate::sign::{Scheme, SignError, Signer, digest_info};
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::ObjectHandle;
use cryptoki::session::{Session, UserType};
use cryptoki::types::AuthPin;
use std::fmt;
use std::io::Read;
use std::path::Path;
use std::sync::{Condvar, Mutex, PoisonError};

/// A key in a token. Threads that sign at the same time get a session each, as long as the token has free ones.
pub struct Pkcs11Signer {
    token: Mutex<Token>,
    sessions: Sessions,
    name: String,
    pin: Option<AuthPin>,
    key: ObjectHandle,
    way: Way,
    public: PublicKey,
}

impl fmt::Debug for Pkcs11Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pkcs11Signer({}, {})", self.name, self.public.id())
    }
}

impl Pkcs11Signer {
    /// Opens the key that the URI names, and reads its public half.
    ///
    /// - The module is the URI's, or else `module`, or else that of [`MODULE_VARIABLE`](crate::key::uri::MODULE_VARIABLE),
    ///   or else p11-kit's.
    /// - The PIN is that of the URI's `pin-source`, or else of [`PIN_VARIABLE`](crate::key::uri::PIN_VARIABLE), or else
    ///   that of `secrets`.
    ///
    /// # Errors
    /// [`Pkcs11Error`]. A wrong PIN is tried once.
    pub fn open(uri: &Pkcs11Uri, module: Option<&Path>, secrets: &dyn Secrets) -> Result<Self, Pkcs11Error> {
        let token = Token::open(uri, module, secrets, Access::Use)?;
        let key = token.key(uri)?;
        Ok(Self::of(token, key))
    }

    pub(super) fn of(mut token: Token, key: Key) -> Self {
        let Key { object, name, public, way } = key;
        // The PIN is kept only if it is needed again.
        let pin = token.pin.take().filter(|_| way == Way::Hashing { pin_each_time: true });
        let name = format!("{name} in {}", token.name);
        Self { sessions: Sessions::default(), token: Mutex::new(token), name, pin, key: object, way, public }
    }

    /// Removes objects from the token, if it allows that.
    pub(super) fn remove(&self, objects: [ObjectHandle; 2]) {
        self.token.lock().unwrap_or_else(PoisonError::into_inner).remove(objects);
    }

    fn refused(&self, failure: TokenFailure) -> SignError {
        SignError::Token { key: self.name.clone(), failure }
    }

    fn in_session<T>(&self, work: impl FnOnce(&Session) -> Result<T, SignError>) -> Result<T, SignError> {
        let open = || {
            let token = self.token.lock().unwrap_or_else(PoisonError::into_inner);
            token.context.open_ro_session(token.slot)
        };
        let Some(session) = self.sessions.get(open).map_err(|error| self.unsigned(&error))? else {
            // The token has only one session: that of the login.
            return work(&self.token.lock().unwrap_or_else(PoisonError::into_inner).session);
        };
        match work(&session) {
            Ok(done) => {
                self.sessions.put(Some(session));
                Ok(done)
            }
            Err(error) => {
                // A half-made signature would block the next.
                drop(session);
                self.sessions.put(None);
                Err(error)
            }
        }
    }

    fn unsigned(&self, error: &Error) -> SignError {
        self.refused(TokenFailure::Module { why: in_short(error), state: state(error) })
    }

    fn pad(&self, scheme: Scheme, digest: &Sha256Digest) -> Result<Vec<u8>, SignError> {
        let info = digest_info(digest);
        let content: &[u8] = match scheme {
            Scheme::Pkcs1v15Sha256 => &info,
            Scheme::Legacy => &digest.0,
        };
        self.in_session(|session| {
            session.sign(&Mechanism::RsaPkcs, self.key, content).map_err(|error| self.unsigned(&error))
        })
    }

    fn hash(&self, message: &mut dyn Read, pin_each_time: bool) -> Result<Vec<u8>, SignError> {
        let unsigned = |error: Error| self.unsigned(&error);
        self.in_session(|session| {
            session.sign_init(&Mechanism::Sha256RsaPkcs, self.key).map_err(unsigned)?;
            if pin_each_time {
                session.login(UserType::ContextSpecific, self.pin.as_ref()).map_err(unsigned)?;
            }
            let mut failure = None;
            crate::format::digest::each_chunk(message, |chunk| {
                session.sign_update(chunk).map_err(|error| {
                    failure = Some(error);
                    std::io::ErrorKind::Other.into()
                })
            })
            .map_err(|error| failure.take().map_or(SignError::Read(error), |error| self.unsigned(&error)))?;
            session.sign_final().map_err(unsigned)
        })
    }
}

impl Signer for Pkcs11Signer {
    fn public_key(&self) -> &PublicKey {
        &self.public
    }

    fn sign_digest(&self, scheme: Scheme, digest: &Sha256Digest) -> Result<Vec<u8>, SignError> {
        match self.way {
            Way::Padding => self.pad(scheme, digest),
            Way::Hashing { .. } => Err(self.refused(TokenFailure::HashesMessages)),
        }
    }

    fn sign_message(
        &self,
        scheme: Scheme,
        message: &mut dyn Read,
        digest: &Sha256Digest,
    ) -> Result<Vec<u8>, SignError> {
        match (self.way, scheme) {
            (Way::Padding, _) => self.pad(scheme, digest),
            (Way::Hashing { pin_each_time }, Scheme::Pkcs1v15Sha256) => self.hash(message, pin_each_time),
            (Way::Hashing { .. }, Scheme::Legacy) => Err(self.refused(TokenFailure::WritesDigestInfo)),
        }
    }
}

/// Free sessions. New ones are opened on demand. If the token has no more, a thread waits for another thread's session.
#[derive(Default)]
struct Sessions {
    state: Mutex<Idle>,
    returned: Condvar,
}

#[derive(Default)]
struct Idle {
    sessions: Vec<Session>,
    in_use: usize,
}

impl Sessions {
    /// Returns a session, or nothing if the token has no session beside that of the login.
    fn get(&self, open: impl Fn() -> Result<Session, Error>) -> Result<Option<Session>, Error> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(session) = state.sessions.pop() {
                state.in_use += 1;
                return Ok(Some(session));
            }
            match open() {
                Ok(session) => {
                    state.in_use += 1;
                    return Ok(Some(session));
                }
                Err(Error::Pkcs11(RvError::SessionCount, _)) if state.in_use > 0 => {
                    state = self.returned.wait(state).unwrap_or_else(PoisonError::into_inner);
                }
                Err(Error::Pkcs11(RvError::SessionCount, _)) => return Ok(None),
                Err(error) => return Err(error),
            }
        }
    }

    fn put(&self, session: Option<Session>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.in_use -= 1;
        state.sessions.extend(session);
        self.returned.notify_one();
    }
}
