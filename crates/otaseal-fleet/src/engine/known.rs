//! A release that the service knows, verified, with what tells whether a device runs it.

use std::sync::Arc;

use otaseal_delivery::offer::Memo;
use otaseal_delivery::release::Release;

use super::key::{self, Running};
use crate::rollout::update::Seen;
use crate::store::rows::ReleaseId;

/// A release that may be offered.
#[derive(Debug)]
pub struct Known {
    /// Its number.
    pub id: ReleaseId,
    /// The release.
    pub release: Release,
    /// What was found out of it for each kind of device.
    pub memo: Memo,
    /// Every digest that a device may report that runs it.
    images: Vec<u64>,
    /// Its version. Zero: it has none.
    version: u64,
    /// Size of its largest file in bytes: an upper bound for what a device gets.
    pub bytes: u64,
}

impl Known {
    /// A verified release.
    pub fn new(id: ReleaseId, release: Release) -> Arc<Self> {
        let mut images: Vec<u64> = release.running_md5s().iter().map(|md5| key::image(&md5.0)).collect();
        images.extend(release.esp32_sha256.iter().map(|sha256| key::image(&sha256.0)));
        let version = release.version.as_deref().map_or(0, key::version);
        let bytes = release.artefacts.iter().map(|artefact| artefact.digests.size_bytes).max().unwrap_or(0);
        Arc::new(Self { id, release, memo: Memo::default(), images, version, bytes })
    }

    /// The digests by which it is known.
    pub fn images(&self) -> &[u64] {
        &self.images
    }

    /// What a device runs, that says this now and said that before the update.
    ///
    /// A digest counts more than a version: a label can be wrong. Where the digest is not known, and both versions are the
    /// same, nothing tells the images apart.
    pub fn seen(&self, before: Running, now: Running) -> Seen {
        if now.image != 0 {
            if self.images.contains(&now.image) {
                return Seen::New;
            }
            return match before.image {
                // The image before is not known. It is not the new one.
                0 if before.version == 0 || before.version == now.version => Seen::Old,
                0 => Seen::Third,
                before if before == now.image => Seen::Old,
                _ => Seen::Third,
            };
        }
        match now.version {
            0 => Seen::Nothing,
            _ if self.version == before.version => Seen::Nothing,
            now if now == self.version => Seen::New,
            now if now == before.version || before.version == 0 => Seen::Old,
            _ => Seen::Third,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(images: &[u64], version: u64) -> Known {
        let release = crate::testing::release("lamp", "1.2.0");
        let Some(made) = Arc::into_inner(Known::new(ReleaseId(1), release)) else { panic!("one owner") };
        Known { images: images.to_vec(), version, ..made }
    }

    fn runs(image: u64, version: u64) -> Running {
        Running { image, version }
    }

    #[test]
    fn a_digest_counts_more_than_a_version() {
        let new = known(&[10, 11], 5);
        for (before, now, seen) in [
            (runs(1, 4), runs(10, 4), Seen::New),
            (runs(1, 4), runs(11, 0), Seen::New),
            // The label of the new version on the old image.
            (runs(1, 4), runs(1, 5), Seen::Old),
            (runs(1, 4), runs(2, 5), Seen::Third),
            (runs(0, 4), runs(2, 4), Seen::Old),
            (runs(0, 4), runs(2, 6), Seen::Third),
            (runs(0, 0), runs(2, 6), Seen::Old),
        ] {
            assert_eq!(new.seen(before, now), seen, "{before:?} {now:?}");
        }
    }

    #[test]
    fn without_a_digest_the_version_counts() {
        let new = known(&[10], 5);
        for (before, now, seen) in [
            (runs(1, 4), runs(0, 5), Seen::New),
            (runs(1, 4), runs(0, 4), Seen::Old),
            (runs(1, 0), runs(0, 4), Seen::Old),
            (runs(1, 4), runs(0, 6), Seen::Third),
            (runs(1, 4), runs(0, 0), Seen::Nothing),
            // The same label twice says nothing.
            (runs(1, 5), runs(0, 5), Seen::Nothing),
        ] {
            assert_eq!(new.seen(before, now), seen, "{before:?} {now:?}");
        }
        assert_eq!(known(&[10], 0).seen(runs(1, 0), runs(0, 4)), Seen::Nothing, "no version on either side");
    }

    #[test]
    fn a_release_is_known_by_its_digests() {
        let release = crate::testing::release("lamp", "1.2.0");
        let known = Known::new(ReleaseId(1), release.clone());
        assert_eq!(known.images().len(), release.running_md5s().len());
        assert!(known.bytes > 0 && known.version != 0);
    }
}
