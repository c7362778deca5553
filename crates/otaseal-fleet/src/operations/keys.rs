//! The keys that are trusted.

use otaseal::device::KeyId;

use super::{OperationError, Operations, allow, lock};
use crate::store::rows::ReleaseRow;
use crate::token::{Caller, Scope};
use crate::trust::{Faults, Removal};

impl Operations {
    /// The ids of the trusted keys.
    ///
    /// # Errors
    /// The token does not allow it.
    pub fn keys(&self, caller: &Caller) -> Result<Vec<KeyId>, OperationError> {
        allow(caller, Scope::Read)?;
        Ok(lock(&self.trust).keys().map(otaseal::key::PublicKey::id).collect())
    }

    /// Trusts a public key, PEM or DER. The releases that it signed can be uploaded from then on.
    ///
    /// # Errors
    /// [`OperationError::Trust`].
    pub fn add_key(&self, caller: &Caller, key: &[u8], faults: Faults) -> Result<KeyId, OperationError> {
        self.change(caller, Scope::Own, ("key.add", "key"), |_, _, deed| {
            let id = lock(&self.trust).add(key, faults)?;
            deed.after(&id.to_string());
            Ok(id)
        })
    }

    /// Trusts a key no longer. At the next start, the releases that only it signed are not offered any more.
    ///
    /// # Errors
    /// There is no such key, or releases depend on it.
    pub fn remove_key(&self, caller: &Caller, id: &str, anyway: bool) -> Result<(), OperationError> {
        let id =
            self.keys(caller)?.into_iter().find(|key| key.to_string() == id).ok_or(OperationError::NoKey)?;
        let object = format!("key/{id}");
        self.change(caller, Scope::Own, ("key.remove", &object), |engine, now, deed| {
            let rows: Vec<ReleaseRow> = self.lists().releases.values().cloned().collect();
            let removal = if anyway { Removal::Anyway } else { Removal::UnlessUsed(&rows) };
            lock(&self.trust).remove(id, removal)?;
            deed.before(&id.to_string());
            // Nobody vouches for them any more.
            for release in crate::trust::dependents(id, &rows) {
                engine.withdraw(release, now);
                self.lists().broken.insert(release, format!("the key {id} is not trusted any more"));
            }
            Ok(())
        })
    }
}
