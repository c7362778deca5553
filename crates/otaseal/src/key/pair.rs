//! Writes a key pair to the disk: both files or none.

use super::encryption::Protection;
use super::{KeyError, PrivateKey};
use crate::output::{Access, OutputError, Overwrite, Pending};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Why otaseal wrote no key pair.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PairError {
    /// Both halves have one name.
    #[error("{} cannot hold both halves of the key", .0.display())]
    OneName(PathBuf),
    /// A file could not be written.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// The key could not be encoded.
    #[error(transparent)]
    Key(#[from] KeyError),
}

/// Two files that wait for a key. Make them before the key, to learn early that a name is taken.
#[derive(Debug)]
pub struct PairFiles {
    private: Pending,
    public: Pending,
    overwrite: Overwrite,
}

impl PairFiles {
    /// Opens temporary files beside the two destinations. Only the owner can read the private one, from the moment it
    /// exists. With [`Overwrite::ReplaceKey`], the private half may replace a private key. The public half never does.
    ///
    /// # Errors
    /// [`PairError::OneName`]. [`PairError::Output`] if a destination exists and may not be replaced, or if its
    /// directory is missing or not writable.
    pub fn stage(private: &Path, public: &Path, overwrite: Overwrite) -> Result<Self, PairError> {
        if private == public {
            return Err(PairError::OneName(private.into()));
        }
        Ok(Self {
            private: Pending::create(private, overwrite, Access::OwnerOnly)?,
            public: Pending::create(public, overwrite.for_public(), Access::Public)?,
            overwrite,
        })
    }

    /// Writes PKCS#8 PEM and SPKI PEM, then gives both files their names. The public half goes first, because it can be
    /// taken back. A private key that was replaced is lost.
    ///
    /// # Errors
    /// [`PairError::Key`] for a passphrase that cannot be used. [`PairError::Output`] if the disk fails; then neither
    /// name has changed.
    pub fn commit(self, key: &PrivateKey, protection: Protection<'_>) -> Result<(), PairError> {
        let Self { mut private, mut public, overwrite } = self;
        let public_path = public.destination().to_owned();
        fill(&mut private, &key.to_pem(protection)?)?;
        fill(&mut public, key.public().to_spki_pem().as_bytes())?;
        // The slow steps come before the first name changes: if otaseal is killed between the two names, half a pair is
        // left.
        private.sync()?;
        let earlier = match overwrite {
            Overwrite::Refuse => None,
            Overwrite::Replace | Overwrite::ReplaceKey => fs::read(&public_path).ok(),
        };
        public.commit()?;
        if let Err(error) = private.commit() {
            // The first error is the one to report. If this fails too, there is nothing left to try.
            let _ = match earlier {
                Some(bytes) => fs::write(&public_path, bytes),
                None => fs::remove_file(&public_path),
            };
            return Err(error.into());
        }
        Ok(())
    }
}

fn fill(file: &mut Pending, bytes: &[u8]) -> Result<(), OutputError> {
    file.write_all(bytes).map_err(|source| OutputError::Io { path: file.destination().into(), source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::KeySize;

    fn names(dir: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn both_halves_belong_together() {
        let dir = tempfile::tempdir().unwrap();
        let (private, public) = (dir.path().join("a"), dir.path().join("b"));
        let files = PairFiles::stage(&private, &public, Overwrite::Refuse).unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2, "nothing has its name yet");
        let key = PrivateKey::generate(KeySize::Rsa2048).unwrap();
        files.commit(&key, Protection::None).unwrap();
        assert_eq!(names(dir.path()), ["a", "b"]);
        let read = PrivateKey::from_bytes(&fs::read(&private).unwrap()).unwrap();
        assert_eq!(read.public().id(), key.public().id());
        assert_eq!(fs::read_to_string(&public).unwrap(), key.public().to_spki_pem());
    }

    #[test]
    fn one_name_or_a_taken_name_makes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let (private, public) = (dir.path().join("a"), dir.path().join("b"));
        assert!(matches!(
            PairFiles::stage(&private, &private, Overwrite::Refuse),
            Err(PairError::OneName(_))
        ));
        fs::write(&public, "old").unwrap();
        let taken = PairFiles::stage(&private, &public, Overwrite::Refuse);
        assert!(matches!(taken, Err(PairError::Output(OutputError::Exists(_)))));
        assert_eq!(names(dir.path()), ["b"]);
        assert_eq!(fs::read_to_string(&public).unwrap(), "old");
    }

    /// A directory takes the private key's name after the check. So the rename fails when the public half has its name
    /// already.
    #[test]
    fn when_the_second_rename_fails_the_first_is_taken_back() {
        let dir = tempfile::tempdir().unwrap();
        let (private, public) = (dir.path().join("a"), dir.path().join("b"));
        let key = PrivateKey::generate(KeySize::Rsa2048).unwrap();
        for earlier in [None, Some("old")] {
            if let Some(text) = earlier {
                fs::write(&public, text).unwrap();
            }
            let files = PairFiles::stage(&private, &public, Overwrite::ReplaceKey).unwrap();
            fs::create_dir(&private).unwrap();
            assert!(files.commit(&key, Protection::None).is_err());
            assert_eq!(fs::read_to_string(&public).ok().as_deref(), earlier);
            fs::remove_dir(&private).unwrap();
        }
    }
}
