//! Writes a key pair to the disk: both files or none.

use super::encryption::Protection;
use super::{KeyError, PrivateKey};
use crate::format::input::Input;
use crate::format::key_file::MAX_KEY_FILE;
use crate::output::{Access, OutputError, Overwrite, Pending, Run, Steps, failed, remove_old, same_place};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Why otaseal wrote no key pair.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PairError {
    /// Both halves have one name, or names that lead to one file.
    #[error("{} cannot hold both halves of the key", .0.display())]
    OneName(PathBuf),
    /// A file could not be written.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// The key could not be encoded.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The private key has its name, in the place of an older one, and the public key does not.
    #[error("{source}. The new private key is in {}, and no file has its public key", private.display())]
    NoPublic {
        /// The file of the new private key.
        private: PathBuf,
        /// The failure of the other file.
        source: OutputError,
    },
    /// The old public key is gone, and nothing else has changed.
    #[error("{source}. The old public key {} was removed, and nothing else has changed", public.display())]
    PublicGone {
        /// The file that had the public key.
        public: PathBuf,
        /// The failure of the private key's file.
        source: OutputError,
    },
}

/// Two files that wait for a key. Make them before the key, to learn early that a name is taken.
#[derive(Debug)]
pub struct PairFiles {
    private: Pending,
    public: Pending,
    overwrite: Overwrite,
    run: Run,
}

impl PairFiles {
    /// Opens temporary files beside the two destinations. Only the owner can read the private one, from the moment it
    /// exists. With [`Overwrite::ReplaceKey`], the private half may replace a private key. The public half never does.
    ///
    /// # Errors
    /// [`PairError::OneName`]. [`PairError::Output`] if a destination exists and may not be replaced, or if its
    /// directory is missing or not writable.
    pub fn stage(private: &Path, public: &Path, overwrite: Overwrite) -> Result<Self, PairError> {
        Self::stage_in(&Run::default(), private, public, overwrite)
    }

    /// Does the same in a run. A dry run writes nothing.
    ///
    /// # Errors
    /// The errors of [`Self::stage`].
    pub fn stage_in(
        run: &Run,
        private: &Path,
        public: &Path,
        overwrite: Overwrite,
    ) -> Result<Self, PairError> {
        if same_place(private, public) {
            return Err(PairError::OneName(private.into()));
        }
        Ok(Self {
            private: run.create(private, overwrite, Access::OwnerOnly)?,
            public: run.create(public, overwrite.for_public(), Access::Public)?,
            overwrite,
            run: run.clone(),
        })
    }

    /// Writes PKCS#8 PEM and SPKI PEM, then gives both files their names. The name of the private key decides:
    /// 1. The old public key goes.
    /// 2. The new private key takes the place of the old one, in one step.
    /// 3. The new public key gets its name.
    ///
    /// So if otaseal is killed between two steps, there is a private key without a public key, and never a pair that
    /// does not match. The public key can be made again from the private one.
    ///
    /// # Errors
    /// [`PairError::Key`] for a passphrase that cannot be used. [`PairError::Output`] if the disk fails; then neither
    /// file has changed. [`PairError::NoPublic`] and [`PairError::PublicGone`] if the disk fails so that this cannot be
    /// undone.
    pub fn commit(self, key: &PrivateKey, protection: Protection<'_>) -> Result<(), PairError> {
        let Self { mut private, mut public, overwrite, run } = self;
        fill(&mut private, &key.to_pem(protection)?)?;
        fill(&mut public, key.public().to_spki_pem().as_bytes())?;
        if run.is_dry() {
            private.commit()?;
            return Ok(public.commit()?);
        }
        // The slow steps come before the first name changes.
        private.sync()?;
        let (private_path, public_path) = (private.target().to_owned(), public.target().to_owned());
        let replaces = private_path.exists();
        let old = if overwrite == Overwrite::Refuse { None } else { copy(&public_path)? };
        let steps = Steps::begin();
        let removed = overwrite != Overwrite::Refuse && remove_old(&public_path)?;
        let put_back = |source: OutputError| match old.map(|old| old.commit_in(&steps)) {
            Some(Ok(())) => PairError::Output(source),
            _ if removed => PairError::PublicGone { public: public_path.clone(), source },
            _ => PairError::Output(source),
        };
        if let Err(source) = private.commit_in(&steps) {
            return Err(put_back(source));
        }
        match public.commit_in(&steps) {
            Ok(()) => Ok(()),
            // Nobody has used this private key yet.
            Err(source) if !replaces && fs::remove_file(&private_path).is_ok() => Err(put_back(source)),
            Err(source) => Err(PairError::NoPublic { private: private_path, source }),
        }
    }
}

/// Copies a public key that will be replaced, so that it can be put back. Returns nothing if there is none, or if the
/// file is too large for a key.
fn copy(public: &Path) -> Result<Option<Pending>, OutputError> {
    if !public.is_file() {
        return Ok(None);
    }
    let unread = |source| failed(public, source);
    let input = Input::found(public).map_err(unread)?;
    if input.length().is_some_and(|length| length > MAX_KEY_FILE as u64) {
        return Ok(None);
    }
    let bytes = input.read(MAX_KEY_FILE).map_err(unread)?;
    let mut copy = Pending::create(public, Overwrite::Replace, Access::Public)?;
    fill(&mut copy, &bytes)?;
    Ok(Some(copy))
}

fn fill(file: &mut Pending, bytes: &[u8]) -> Result<(), OutputError> {
    file.write_all(bytes).map_err(|source| failed(file.destination(), source))
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
        assert!(!private.exists() && !public.exists(), "nothing has its name yet");
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
        // The second half would replace the first.
        let other = dir.path().join("sub").join("..").join("a");
        fs::create_dir(dir.path().join("sub")).unwrap();
        let one = |other: &Path| {
            let staged = PairFiles::stage(&private, other, Overwrite::ReplaceKey);
            assert!(matches!(staged, Err(PairError::OneName(_))), "{}", other.display());
        };
        one(&other);
        fs::remove_dir(dir.path().join("sub")).unwrap();
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink("a", dir.path().join("link")).unwrap();
            one(&dir.path().join("link"));
            fs::remove_file(dir.path().join("link")).unwrap();
        }
        fs::write(&public, "old").unwrap();
        let taken = PairFiles::stage(&private, &public, Overwrite::Refuse);
        assert!(matches!(taken, Err(PairError::Output(OutputError::Exists(_)))));
        assert_eq!(names(dir.path()), ["b"]);
        assert_eq!(fs::read_to_string(&public).unwrap(), "old");
    }

    /// A directory takes the name of one half after the check, so giving it its name fails.
    #[test]
    fn when_a_half_cannot_have_its_name_the_other_is_as_before() {
        let dir = tempfile::tempdir().unwrap();
        let (private, public) = (dir.path().join("a"), dir.path().join("b"));
        let key = PrivateKey::generate(KeySize::Rsa2048).unwrap();
        for earlier in [None, Some("old")] {
            if let Some(text) = earlier {
                fs::write(&public, text).unwrap();
            }
            let files = PairFiles::stage(&private, &public, Overwrite::ReplaceKey).unwrap();
            fs::create_dir(&private).unwrap();
            assert!(matches!(files.commit(&key, Protection::None), Err(PairError::Output(_))));
            assert_eq!(fs::read_to_string(&public).ok().as_deref(), earlier);
            fs::remove_dir(&private).unwrap();
        }
        fs::remove_file(&public).unwrap();
        let files = PairFiles::stage(&private, &public, Overwrite::Refuse).unwrap();
        fs::create_dir(&public).unwrap();
        assert!(matches!(files.commit(&key, Protection::None), Err(PairError::Output(_))));
        assert_eq!(names(dir.path()), ["b"], "no private key stays without its public key");
    }
}
