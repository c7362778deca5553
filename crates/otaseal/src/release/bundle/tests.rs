use super::*;
use crate::format::digest::{Sha256Digest, sha256};
use crate::format::gzip::Effort;
use crate::format::metadata::Labels;
use crate::key::{KeySize, PrivateKey};
use crate::ledger::{Ledger, Origin};
use crate::package::evidence::Evidence;
use crate::testing::{has_tool, openssl};
use crate::{ArtefactKind, Options, package};
use std::process::Command;
use tempfile::TempDir;

mod foreign;
mod installed;
mod lies;
mod unsigned;

struct Bench {
    dir: TempDir,
    key: PrivateKey,
    evidence_key: PrivateKey,
}

impl Bench {
    /// A package with a ledger and a bill of materials.
    fn new() -> Self {
        Self::of(|pem| [&b"code\0".repeat(50)[..], pem].concat(), None)
    }

    /// The same of an image that is made with the public key in it.
    fn of(image: impl Fn(&[u8]) -> Vec<u8>, metadata: Option<Labels>) -> Self {
        let key = || PrivateKey::generate(KeySize::Rsa2048).unwrap();
        let bench = Self { dir: tempfile::tempdir().unwrap(), key: key(), evidence_key: key() };
        let image = image(bench.key.public().to_spki_pem().as_bytes());
        fs::write(bench.path("fw.bin"), image).unwrap();
        fs::write(bench.path("made.json"), r#"{"bomFormat":"CycloneDX","specVersion":"1.5"}"#).unwrap();
        let mut options = Options::new(bench.path("fw.bin"), bench.path("dist"));
        options.artefacts = ArtefactKind::ALL.to_vec();
        options.policy.ledger = Some(bench.ledger());
        options.metadata = metadata;
        options.evidence = Evidence {
            support_until: "2030-12-31".parse().ok(),
            security: Some(true),
            advisory: "https://example.com/1".parse().ok(),
            sbom: Some(bench.path("made.json")),
            ..Evidence::default()
        };
        package(&options, &bench.key).unwrap();
        fs::write(bench.path("public.pem"), bench.evidence_key.public().to_spki_pem()).unwrap();
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn make(&self) -> Result<Bundle, BundleError> {
        self.make_with(self.key.public(), &self.evidence_key)
    }

    fn ledger(&self) -> Ledger {
        Ledger::new(self.path("ledger.jsonl"), Origin::default())
    }

    fn make_with(&self, firmware_key: &PublicKey, signer: &dyn Signer) -> Result<Bundle, BundleError> {
        let (package, out, ledger) = (self.path("dist"), self.path("release"), self.ledger());
        make(BundleRequest::new(&package, &out, &ledger, firmware_key), signer)
    }

    fn check(&self) -> Result<Bundle, BundleError> {
        check(&self.path("release"), self.evidence_key.public(), Keys::default())
    }
}

const FILES: [&str; 10] = [
    "SHA256SUMS",
    "fw.bin",
    "fw.bin.gz",
    "fw.bin.gz.signed",
    "fw.bin.legacy_sig",
    "fw.bin.signed",
    "fw.sbom.json",
    "ledger.jsonl",
    "manifest.json",
    "verify.txt",
];

#[test]
fn a_release_is_checked_by_openssl_and_sha256sum() {
    let bench = Bench::new();
    let made = bench.make().unwrap();
    assert_eq!((made.files.as_slice(), made.firmware_key), (&FILES.map(String::from)[..], false));
    assert_eq!(bench.check().unwrap().files, made.files);
    let said = BundledFirmware {
        key_id: bench.key.public().id(),
        weakest: KeySize::Rsa2048,
        support_until: "2030-12-31".parse().ok(),
    };
    assert_eq!((bench.check().unwrap().firmware, &made.firmware), (said.clone(), &said));
    openssl(
        bench.dir.path(),
        "dgst -sha256 -verify public.pem -signature release/index.sha256.sig release/index.sha256",
    );
    if has_tool("sha256sum") {
        for list in [INDEX, SUMS] {
            let mut sums = Command::new("sha256sum");
            let output =
                sums.args(["--strict", "-c", list]).current_dir(bench.path("release")).output().unwrap();
            assert!(output.status.success(), "{list}: {}", String::from_utf8_lossy(&output.stderr));
        }
    }
    let read = |name: &str| fs::read_to_string(bench.path("release").join(name)).unwrap();
    let manifest: serde_json::Value = serde_json::from_str(&read("manifest.json")).unwrap();
    assert_eq!(manifest["support_until"], "2030-12-31");
    assert_eq!(
        (&manifest["security"], &manifest["advisory"]),
        (&true.into(), &"https://example.com/1".into())
    );
    assert_eq!(manifest["sbom"]["file"], "fw.sbom.json");
    // The bundle has the lines of the ledger. The ledger has one more now: the line of the index.
    let ledger = fs::read_to_string(bench.path("ledger.jsonl")).unwrap();
    let last = ledger.strip_prefix(&read("ledger.jsonl")).unwrap();
    let last: serde_json::Value = serde_json::from_str(last).unwrap();
    let digest = |name: &str| sha256(&fs::read(bench.path("release").join(name)).unwrap()).to_string();
    assert_eq!(
        (&last["input"]["sha256"], &last["output"]["sha256"]),
        (&digest(INDEX).into(), &digest(SIGNATURE).into())
    );
    assert_eq!(last["key_id"], bench.evidence_key.public().id().to_string());
    let entered = made.entered.unwrap().head;
    assert_eq!((entered, entered.records), (ledger::verify(&bench.path("ledger.jsonl"), None).unwrap(), 4));
    assert_eq!(read("verify.txt").matches(": accepted").count(), 3);
    // A second bundle does not replace the first one.
    assert!(matches!(bench.make(), Err(BundleError::Exists(_))));
    assert_eq!(fs::read_dir(bench.dir.path()).unwrap().count(), 6, "nothing else is left behind");
}

#[test]
fn every_file_that_is_tampered_with_is_named() {
    let bench = Bench::new();
    bench.make().unwrap();
    let directory = bench.path("release");
    for name in FILES {
        let path = directory.join(name);
        let good = fs::read(&path).unwrap();
        let mut bad = good.clone();
        bad[good.len() / 2] ^= 1;
        for (bytes, what) in [
            (Some(bad), "was changed"),
            (Some([&good[..], b"\n"].concat()), "was changed"),
            (None, "is missing"),
        ] {
            match bytes {
                Some(bytes) => fs::write(&path, bytes).unwrap(),
                None => fs::remove_file(&path).unwrap(),
            }
            let error = bench.check().unwrap_err();
            let text = error.to_string();
            assert!(error.is_verdict() && text.starts_with(name) && text.contains(what), "{text}");
            fs::write(&path, &good).unwrap();
        }
    }
    bench.check().unwrap();
    fs::write(directory.join("more"), "x").unwrap();
    assert!(matches!(bench.check(), Err(BundleError::Unlisted(name)) if name == "more"));
    fs::remove_file(directory.join("more")).unwrap();
    #[cfg(unix)]
    {
        fs::rename(directory.join("fw.bin"), bench.path("elsewhere")).unwrap();
        std::os::unix::fs::symlink(bench.path("elsewhere"), directory.join("fw.bin")).unwrap();
        assert!(matches!(bench.check(), Err(BundleError::Changed { .. })), "a link is no file");
        fs::remove_file(directory.join("fw.bin")).unwrap();
        fs::rename(bench.path("elsewhere"), directory.join("fw.bin")).unwrap();
    }
    for name in [INDEX, SIGNATURE] {
        let path = directory.join(name);
        let good = fs::read(&path).unwrap();
        for bad in [[&good[..], b"x"].concat(), good[1..].to_vec(), Vec::new()] {
            fs::write(&path, bad).unwrap();
            assert!(matches!(bench.check(), Err(BundleError::Signature(_))), "{name}");
        }
        fs::write(&path, vec![b'x'; 2 << 20]).unwrap();
        assert!(bench.check().is_err());
        fs::write(&path, good).unwrap();
    }
    let wrong = check(&directory, bench.key.public(), Keys::default());
    assert!(matches!(wrong, Err(BundleError::Signature(_))), "the firmware's key signed no index");
}

/// A signed index may be hostile: a signature is no reason to trust a path.
#[test]
fn a_signed_index_names_nothing_outside() {
    let bench = Bench::new();
    bench.make().unwrap();
    let directory = bench.path("release");
    let digest = sha256(&fs::read(bench.path("fw.bin")).unwrap());
    for (line, text) in [
        (1, format!("{digest}  ../fw.bin\n")),
        (1, format!("{digest}  {}\n", bench.path("fw.bin").display())),
        (1, format!("{digest}  {INDEX}\n")),
        (2, format!("{digest}  fw.bin\n{digest}  fw.bin\n")),
        (1, format!("{digest} fw.bin\n")),
        (1, "00  fw.bin\n".to_owned()),
        (1, format!("{digest}  .hidden\n")),
    ] {
        fs::write(directory.join(INDEX), &text).unwrap();
        fs::write(directory.join(SIGNATURE), sign_index(text.as_bytes(), &bench.evidence_key).unwrap())
            .unwrap();
        let error = bench.check().unwrap_err();
        assert!(matches!(error, BundleError::Index { line: found, .. } if found == line), "{text}{error}");
    }
    fs::write(directory.join(INDEX), format!("{digest}  fw.bin\n")).unwrap();
    let text = fs::read(directory.join(INDEX)).unwrap();
    fs::write(directory.join(SIGNATURE), sign_index(&text, &bench.evidence_key).unwrap()).unwrap();
    assert!(bench.check().is_err(), "a release has a manifest, and no file that is not listed");
}

#[test]
fn a_package_that_is_not_what_it_says_is_not_bundled() {
    let change = |change: &dyn Fn(&Bench)| {
        let bench = Bench::new();
        change(&bench);
        let error = bench.make().unwrap_err();
        assert!(!bench.path("release").exists());
        assert!(
            fs::read_dir(bench.dir.path())
                .unwrap()
                .all(|entry| { !entry.unwrap().file_name().to_string_lossy().starts_with(".otaseal") })
        );
        error
    };
    let flip = |path: PathBuf| {
        let mut bytes = fs::read(&path).unwrap();
        bytes[10] ^= 1;
        fs::write(path, bytes).unwrap();
    };
    for name in ["fw.bin", "fw.bin.gz.signed", "fw.sbom.json"] {
        let error = change(&|bench| flip(bench.path("dist").join(name)));
        assert!(matches!(&error, BundleError::Changed { file, .. } if file == name), "{error}");
        let error = change(&|bench| fs::remove_file(bench.path("dist").join(name)).unwrap());
        assert!(matches!(&error, BundleError::Missing { file, .. } if file == name), "{error}");
    }
    let edit = |from: &'static str, to: &'static str| {
        change(&|bench| {
            let path = bench.path("dist/manifest.json");
            fs::write(&path, fs::read_to_string(&path).unwrap().replace(from, to)).unwrap();
        })
    };
    assert!(matches!(edit("\"fw.bin\"", "\"../fw.bin\""), BundleError::Wrong { .. }));
    assert!(matches!(edit("fw.sbom.json", "index.sha256"), BundleError::Wrong { .. }));
    assert!(matches!(edit("\"schema\": 1", "\"schema\": 9"), BundleError::Manifest { .. }));
    assert!(matches!(edit("pkcs1v15-sha256", "legacy-bare-hash"), BundleError::Wrong { .. }));
    assert!(matches!(
        change(&|bench| fs::write(bench.path("ledger.jsonl"), "").unwrap()),
        BundleError::NotInLedger(_)
    ));
    assert!(matches!(change(&|bench| flip(bench.path("ledger.jsonl"))), BundleError::Ledger(_)));
    let bench = Bench::new();
    let other = bench.make_with(bench.evidence_key.public(), &bench.key);
    assert!(matches!(other, Err(BundleError::OtherKey { .. })));
}

/// Edits a manifest.
fn edit(path: &Path, edit: &dyn Fn(&mut serde_json::Value)) {
    let mut manifest = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    edit(&mut manifest);
    fs::write(path, manifest.to_string()).unwrap();
}

/// The index over the files as they are now.
fn sign_again(bench: &Bench) {
    let directory = bench.path("release");
    let line = |name: &str| format!("{}  {name}\n", sha256(&fs::read(directory.join(name)).unwrap()));
    let index: String = FILES.iter().map(|name| line(name)).collect();
    fs::write(directory.join(SIGNATURE), sign_index(index.as_bytes(), &bench.evidence_key).unwrap()).unwrap();
    fs::write(directory.join(INDEX), index).unwrap();
}

/// With the firmware's key, otaseal judges the images again, although the index vouches for them.
#[test]
fn a_release_is_judged_by_the_key_of_its_firmware() {
    let bench = Bench::new();
    bench.make().unwrap();
    let path = bench.path("release/fw.bin.signed");
    let mut bytes = fs::read(&path).unwrap();
    let last = bytes.len() - 10;
    bytes[last] ^= 1;
    fs::write(&path, &bytes).unwrap();
    edit(&bench.path("release/manifest.json"), &|said| {
        let digests = serde_json::to_value(crate::format::digest::Digests::of(&bytes)).unwrap();
        said["artefacts"][2].as_object_mut().unwrap().extend(digests.as_object().unwrap().clone());
    });
    sign_again(&bench);
    assert!(matches!(bench.check(), Err(BundleError::NotInLedger(file)) if file == "fw.bin.signed"));
    let keys = Keys { firmware: Some(bench.key.public()), next: None };
    let judged = check(&bench.path("release"), bench.evidence_key.public(), keys);
    assert!(matches!(judged, Err(BundleError::Rejected { file, .. }) if file == "fw.bin.signed"));
}

/// The digests are right, and the files are not of the kind that their names say.
#[test]
fn files_that_do_not_belong_together_are_not_bundled() {
    let replaced = |name: &str, bytes: &dyn Fn(&Bench) -> Vec<u8>| {
        let bench = Bench::new();
        let bytes = bytes(&bench);
        fs::write(bench.path("dist").join(name), &bytes).unwrap();
        edit(&bench.path("dist/manifest.json"), &|said| {
            let listed = said["artefacts"].as_array_mut().unwrap();
            let listed = listed.iter_mut().find(|item| item["file"] == name).unwrap();
            let digests = serde_json::to_value(crate::format::digest::Digests::of(&bytes)).unwrap();
            listed.as_object_mut().unwrap().extend(digests.as_object().unwrap().clone());
        });
        bench.make().unwrap_err()
    };
    let dist = |bench: &Bench, name: &str| fs::read(bench.path("dist").join(name)).unwrap();
    // A file without a signature, and a file with the other form of signature.
    for (name, with) in [("fw.bin.signed", "fw.bin"), ("fw.bin.legacy_sig", "fw.bin.signed")] {
        let error = replaced(name, &|bench| dist(bench, with));
        assert!(matches!(&error, BundleError::Rejected { file, .. } if file == name), "{error}");
    }
    // Another image than the other files hold, and the same image compressed in another way than the signed one.
    let another = |bench: &Bench| [&dist(bench, "fw.bin")[..], b"!"].concat();
    let gz = |effort| move |bench: &Bench| crate::format::gzip::gzip(&dist(bench, "fw.bin"), effort).unwrap();
    for (name, bytes) in [
        (
            "fw.bin.gz",
            &(|bench: &Bench| crate::format::gzip::gzip(&another(bench), Effort::Fast).unwrap())
                as &dyn Fn(&Bench) -> _,
        ),
        ("fw.bin.gz.signed", &|bench| signed_by(&bench.key, &gz(Effort::Fast)(bench))),
        ("fw.bin.signed", &|bench| signed_by(&bench.key, &another(bench))),
    ] {
        let error = replaced(name, bytes);
        let named =
            matches!(&error, BundleError::Wrong { file, field, .. } if file == name && field.ends_with(']'));
        assert!(named, "{name}: {error}");
    }
    // All other fields are about the plain image.
    let error = replaced("fw.bin", &another);
    assert!(matches!(&error, BundleError::Wrong { what, .. } if what.contains("another image")), "{error}");
}

fn signed_by(key: &PrivateKey, payload: &[u8]) -> Vec<u8> {
    let digest = sha256(payload);
    let signature = key.sign_message(Scheme::Pkcs1v15Sha256, &mut &payload[..], &digest).unwrap();
    [payload, &signature, &length_field(signature.len())].concat()
}

/// Payloads may have metadata before and behind the plain image. A package need not hold the plain image.
#[test]
fn a_package_with_metadata_and_without_its_plain_image_is_bundled() {
    for kinds in
        [ArtefactKind::ALL, &[ArtefactKind::Signed], &[ArtefactKind::GzSigned, ArtefactKind::LegacySig]]
    {
        for metadata in [None, Some(crate::format::metadata::Labels::default())] {
            let bench = Bench::new();
            let mut options = Options::new(bench.path("fw.bin"), bench.path("dist"));
            options.artefacts = kinds.to_vec();
            options.metadata = metadata;
            options.policy.ledger = Some(bench.ledger());
            package(&options, &bench.key).unwrap();
            bench.make().unwrap();
            bench.check().unwrap();
        }
    }
}

/// Only its own key finds a bare modulus.
#[test]
fn a_key_that_is_a_bare_modulus_is_found_by_the_key() {
    let bench = Bench::new();
    let next = PrivateKey::generate(KeySize::Rsa2048).unwrap();
    fs::write(bench.path("fw.bin"), [&b"code\0".repeat(50)[..], next.public().modulus()].concat()).unwrap();
    let mut options = Options::new(bench.path("fw.bin"), bench.path("dist"));
    options.policy.ledger = Some(bench.ledger());
    options.policy.continuity.rotate_to =
        vec![crate::policy::continuity::NextKey::Key(next.public().clone())];
    package(&options, &bench.key).unwrap();
    let wrong = |result| matches!(result, Err(BundleError::Wrong { field, .. }) if field == "carries");
    assert!(wrong(bench.make()));
    let (package, out, ledger) = (bench.path("dist"), bench.path("release"), bench.ledger());
    let request = BundleRequest {
        package: &package,
        out: &out,
        ledger: &ledger,
        firmware_key: bench.key.public(),
        next_key: Some(next.public()),
        run: Run::default(),
    };
    make(request, &bench.evidence_key).unwrap();
    assert!(wrong(bench.check()));
    let keys = Keys { firmware: None, next: Some(next.public()) };
    check(&out, bench.evidence_key.public(), keys).unwrap();
    check(&out, bench.evidence_key.public(), Keys { firmware: Some(bench.key.public()), ..keys }).unwrap();
    let other = Keys { firmware: Some(next.public()), ..keys };
    let other = check(&out, bench.evidence_key.public(), other);
    assert!(matches!(other, Err(BundleError::OtherKey { .. })));
}

#[test]
fn a_key_that_others_have_signs_no_release() {
    let bench = Bench::new();
    let published = PrivateKey::from_bytes(include_bytes!(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../keys.example/private.pem"
    )))
    .unwrap();
    for (error, whose) in [
        (bench.make_with(published.public(), &bench.evidence_key).unwrap_err(), "the key of the firmware"),
        (bench.make_with(bench.key.public(), &published).unwrap_err(), "the key of the evidence"),
    ] {
        assert!(!error.is_verdict() && error.to_string().starts_with(whose), "{error}");
    }
    assert!(!bench.path("release").exists());
}

/// Signs, and puts a directory where the ledger is.
struct Vandal<'a>(&'a Bench);

impl Signer for Vandal<'_> {
    fn public_key(&self) -> &PublicKey {
        self.0.evidence_key.public()
    }

    fn sign_digest(&self, scheme: Scheme, digest: &Sha256Digest) -> Result<Vec<u8>, SignError> {
        fs::remove_file(self.0.path("ledger.jsonl")).unwrap();
        fs::create_dir(self.0.path("ledger.jsonl")).unwrap();
        self.0.evidence_key.sign_digest(scheme, digest)
    }
}

#[test]
fn what_cannot_be_entered_is_not_bundled() {
    let bench = Bench::new();
    let error = bench.make_with(bench.key.public(), &Vandal(&bench)).unwrap_err();
    assert!(matches!(error, BundleError::Ledger(LedgerError::Io { .. })), "{error}");
    assert!(!bench.path("release").exists());
}
