//! Releases: upload, list, withdraw, delete.

use super::{OperationError, Operations, allow, lock, unsigned};
use crate::intake::{Asked, Limits, Outcome, Said, Upload};
use crate::store::Write;
use crate::store::rows::{Offered, ReleaseId, ReleaseRow};
use crate::token::{Caller, Scope};

/// What became of an upload.
#[derive(Debug)]
pub enum Uploaded {
    /// It is a release.
    Release(Box<ReleaseRow>),
    /// Something is missing that the image does not say: the same upload comes again, with the answer.
    Asked(Asked),
}

impl Operations {
    /// Begins an upload.
    ///
    /// # Errors
    /// The token does not allow it.
    pub fn begin_upload(&self, caller: &Caller) -> Result<Upload, OperationError> {
        allow(caller, Scope::Upload)?;
        Ok(Upload::new(&self.depot, Limits { upload_bytes: self.config.releases.upload_bytes }))
    }

    /// Takes in what was uploaded. It may take a while.
    ///
    /// # Errors
    /// [`OperationError::Intake`]; [`OperationError::Same`], if the same files are there. Nothing of the upload stays.
    pub fn finish_upload(
        &self,
        caller: &Caller,
        upload: Upload,
        said: &Said,
    ) -> Result<Uploaded, OperationError> {
        allow(caller, Scope::Upload)?;
        let trust = lock(&self.trust).trust(unsigned(&self.config));
        let taken = match upload.finish(&trust, said)? {
            Outcome::Taken(taken) => taken,
            Outcome::Asked(asked) => return Ok(Uploaded::Asked(asked)),
        };
        let row =
            self.change(caller, Scope::Upload, ("release.upload", "release"), |engine, now, deed| {
                let mut lists = self.lists();
                let files = taken.row(ReleaseId(0), "", 0).files;
                if let Some((id, _)) = lists.releases.iter().find(|(_, row)| row.files == files) {
                    return Err(OperationError::Same(*id));
                }
                let last = lists.releases.keys().next_back().map_or(0, |id| id.0);
                let id = ReleaseId(last.max(lists.last_release) + 1);
                lists.last_release = id.0;
                let row = taken.row(id, &caller.name, now);
                engine.add_release(id, taken.release().clone(), true);
                lists.releases.insert(id, row.clone());
                deed.after(&row);
                deed.writes.push(Write::Release(Box::new(row.clone())));
                Ok(row)
            })?;
        // The row refers to the files, so they stay.
        drop(taken.stored());
        Ok(Uploaded::Release(Box::new(row)))
    }

    /// All releases, by id.
    ///
    /// # Errors
    /// The token does not allow it.
    pub fn releases(&self, caller: &Caller) -> Result<Vec<ReleaseRow>, OperationError> {
        allow(caller, Scope::Read)?;
        Ok(self.lists().releases.values().cloned().collect())
    }

    /// Never offers a release again.
    ///
    /// # Errors
    /// There is no such release.
    pub fn withdraw(&self, caller: &Caller, id: ReleaseId) -> Result<(), OperationError> {
        let object = format!("release/{id}");
        self.change(caller, Scope::Operate, ("release.withdraw", &object), |engine, now, deed| {
            let mut lists = self.lists();
            let row = lists.releases.get_mut(&id).ok_or(OperationError::NoRelease(id))?;
            deed.before(&row.offered);
            row.offered = Offered::Withdrawn;
            deed.after(&row.offered);
            deed.writes.push(Write::Release(Box::new(row.clone())));
            engine.withdraw(id, now);
            Ok(())
        })
    }

    /// Deletes a release, and the files that no other one has.
    ///
    /// # Errors
    /// There is no such release, or something refers to it.
    pub fn delete_release(&self, caller: &Caller, id: ReleaseId) -> Result<(), OperationError> {
        let object = format!("release/{id}");
        self.change(caller, Scope::Own, ("release.delete", &object), |engine, _, deed| {
            let mut lists = self.lists();
            let row = lists.releases.get(&id).ok_or(OperationError::NoRelease(id))?;
            if engine.refers_to(id) {
                return Err(OperationError::InUse(id));
            }
            deed.before(row);
            engine.remove_release(id);
            lists.releases.remove(&id);
            lists.broken.remove(&id);
            deed.writes.push(Write::DeleteRelease(id));
            Ok(())
        })?;
        // Another release may have come meanwhile, so the list is asked for each file. What cannot be removed now is removed
        // at the next start.
        let _ = self.depot.sweep(|sha256| {
            let digest = sha256.to_string();
            self.lists().releases.values().any(|row| row.files.iter().any(|file| file.sha256 == digest))
        });
        Ok(())
    }
}
