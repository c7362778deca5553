//! Every fixture gets the verdict in its name, in one piece and in chunks of any size. Every `Reject` has a fixture.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use common::{key, root};
use otaseal_device::{
    Accepted, HashedPayload, KeySet, PayloadKind, PublicKey, ReadAt, Reject, Verifier, VerifyAtError, layout,
    legacy, verify, verify_at, verify_hashed,
};
use sha2::Digest as _;

const CHUNKS: [usize; 13] = [1, 2, 3, 4, 7, 64, 128, 255, 256, 259, 260, 261, 4096];

/// A fixture and the facts in its name.
struct Fixture {
    path: PathBuf,
    what: String,
    key: String,
    legacy: bool,
}

fn fixtures(folder: &str) -> Vec<Fixture> {
    let folder = root().join("fixtures").join(folder);
    let mut fixtures: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| parse(&entry.unwrap().path())).collect();
    fixtures.sort_by(|a, b| a.path.cmp(&b.path));
    fixtures
}

fn parse(path: &Path) -> Fixture {
    let name = path.file_name().unwrap().to_str().unwrap();
    let mut parts: Vec<_> = name.strip_suffix(".bin").expect("fixtures end in .bin").split('.').collect();
    let legacy = parts.last() == Some(&"legacy");
    if legacy {
        parts.pop();
    }
    let (what, key) = match parts.as_slice() {
        [what] => (*what, "example"),
        [what, key] => (*what, *key),
        _ => panic!("{name}: not a fixture's name"),
    };
    Fixture { path: path.to_path_buf(), what: what.to_owned(), key: key.to_owned(), legacy }
}

impl Fixture {
    /// Returns the verdict. All ways to judge the image must agree on it.
    fn judge(&self) -> Result<Accepted, Reject> {
        match self.key.as_str() {
            "rsa3072" => self.judge_by::<96>(),
            "rsa4096" => self.judge_by::<128>(),
            _ => self.judge_by::<64>(),
        }
    }

    fn judge_by<const W: usize>(&self) -> Result<Accepted, Reject> {
        let pem = match self.key.as_str() {
            "example" => root().join("keys.example/public.pem"),
            name => root().join("fixtures/keys").join(name).with_extension("pem"),
        };
        let keys = KeySet::new([key::<W>(&pem)]);
        let image = fs::read(&self.path).unwrap();
        let verdict = if self.legacy { legacy::verify(&image, &keys) } else { verify(&image, &keys) };
        let verdict = verdict.map(|payload| {
            assert_eq!(payload.bytes(), image.get(..payload.accepted().payload_len).unwrap());
            payload.accepted()
        });
        if !self.legacy {
            let in_place = verify_at(&mut Memory(&image), image.len(), &keys);
            assert_eq!(in_place, verdict.map_err(VerifyAtError::Reject), "{}", self.path.display());
        }
        self.check_hashed(&image, &keys, verdict);
        for chunk in CHUNKS {
            for total in [Some(image.len()), None] {
                let streamed = self.stream(&image, chunk, total, &keys);
                assert_eq!(streamed, verdict, "{} in chunks of {chunk}, {total:?}", self.path.display());
            }
        }
        verdict
    }

    /// Judges the trailer with the payload's digest. The verdict must be the same, unless the image is shorter than a
    /// trailer.
    fn check_hashed<const W: usize>(
        &self,
        image: &[u8],
        keys: &KeySet<1, W>,
        verdict: Result<Accepted, Reject>,
    ) {
        let trailer_len = layout::trailer_len(PublicKey::<W>::SIGNATURE_LEN);
        let Some(len) = image.len().checked_sub(trailer_len) else { return };
        let (payload, trailer) = image.split_at(len);
        let sha256 = sha2::Sha256::digest(payload).into();
        let payload = HashedPayload { len, kind: PayloadKind::of(payload), sha256 };
        let judge = if self.legacy { legacy::verify_hashed } else { verify_hashed };
        let name = self.path.display();
        assert_eq!(judge(&payload, trailer, keys), verdict, "{name}");
        if verdict.is_err() {
            return;
        }
        for byte in 0..32 {
            let mut other = payload;
            *other.sha256.get_mut(byte).unwrap() ^= 1;
            assert_eq!(judge(&other, trailer, keys), Err(Reject::SignatureMismatch), "{name}");
        }
        let (empty, endless) =
            (HashedPayload { len: 0, ..payload }, HashedPayload { len: usize::MAX, ..payload });
        let shorter = if len == 1 { Reject::EmptyPayload } else { Reject::TotalMismatch };
        let (longer, cut) = ([&[0], trailer].concat(), trailer.split_last().unwrap().1);
        for (payload, trailer, reject) in [
            (&empty, trailer, Reject::EmptyPayload),
            (&endless, trailer, Reject::TotalMismatch),
            (&payload, trailer.split_first().unwrap().1, shorter),
            (&payload, &longer, Reject::TotalMismatch),
            (&payload, cut, Reject::LengthField),
            (&payload, b"abc", Reject::NoTrailer),
        ] {
            assert_eq!(judge(payload, trailer, keys), Err(reject), "{name}");
        }
    }

    fn stream<const W: usize>(
        &self,
        image: &[u8],
        chunk: usize,
        total: Option<usize>,
        keys: &KeySet<1, W>,
    ) -> Result<Accepted, Reject> {
        if self.legacy {
            let new = total.map_or_else(legacy::Verifier::unknown_total, legacy::Verifier::with_total);
            let mut verifier = new;
            image.chunks(chunk).try_for_each(|chunk| verifier.update(chunk))?;
            verifier.finish(keys)
        } else {
            let mut verifier = total.map_or_else(Verifier::unknown_total, Verifier::with_total);
            image.chunks(chunk).try_for_each(|chunk| verifier.update(chunk))?;
            verifier.finish(keys)
        }
    }
}

struct Memory<'a>(&'a [u8]);

impl ReadAt for Memory<'_> {
    type Error = std::convert::Infallible;

    fn read_at(&mut self, offset: usize, buffer: &mut [u8]) -> Result<(), Self::Error> {
        buffer.copy_from_slice(self.0.get(offset..offset.checked_add(buffer.len()).unwrap()).unwrap());
        Ok(())
    }
}

#[test]
fn every_accept_fixture_is_accepted() {
    let fixtures = fixtures("accept");
    assert!(fixtures.len() >= 10);
    for fixture in fixtures {
        let verdict = fixture.judge();
        assert!(verdict.is_ok(), "{}: {verdict:?}", fixture.path.display());
    }
}

#[test]
fn every_reject_fixture_is_rejected_for_the_reason_in_its_name() {
    let mut seen = BTreeSet::new();
    for fixture in fixtures("reject") {
        let name = fixture.path.display();
        let (reject, case) = fixture.what.split_once("--").expect("reject fixtures are named REJECT--CASE");
        let verdict = fixture.judge().expect_err(&fixture.what);
        seen.insert(reject.to_owned());
        if reject == Reject::TotalMismatch.name() {
            let announced = case.strip_prefix("announced-").unwrap().parse().unwrap();
            let keys = KeySet::new([key::<64>(&root().join("keys.example/public.pem"))]);
            let image = fs::read(&fixture.path).unwrap();
            let verdict = fixture.stream(&image, 100, Some(announced), &keys);
            assert_eq!(verdict, Err(Reject::TotalMismatch), "{name}");
        } else {
            assert_eq!(verdict.name(), reject, "{name}");
        }
    }
    for reject in Reject::ALL {
        assert!(seen.contains(reject.name()), "no fixture for {}", reject.name());
    }
}

#[test]
fn codes_and_names_are_stable() {
    let listed: Vec<_> = Reject::ALL.iter().map(|reject| (reject.code(), reject.name())).collect();
    let pinned = [
        (1, "total-mismatch"),
        (2, "no-trailer"),
        (3, "length-field"),
        (4, "no-signature"),
        (5, "empty-payload"),
        (6, "signature-range"),
        (7, "signature-mismatch"),
    ];
    assert_eq!(listed, pinned);
}
