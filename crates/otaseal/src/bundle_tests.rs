use super::*;
use crate::evidence::Evidence;
use crate::key::{KeySize, PrivateKey};
use crate::ledger::{Ledger, Origin};
use crate::testing::{has_tool, openssl};
use crate::{ArtefactKind, Options, package};
use std::process::Command;
use tempfile::TempDir;

struct Bench {
    dir: TempDir,
    key: PrivateKey,
    evidence_key: PrivateKey,
}

impl Bench {
    /// A package with a ledger and a bill of materials.
    fn new() -> Self {
        let key = || PrivateKey::generate(KeySize::Rsa2048).unwrap();
        let bench = Self { dir: tempfile::tempdir().unwrap(), key: key(), evidence_key: key() };
        let image = [&b"code\0".repeat(50)[..], bench.key.public().to_spki_pem().as_bytes()].concat();
        fs::write(bench.path("fw.bin"), image).unwrap();
        fs::write(bench.path("made.json"), r#"{"bomFormat":"CycloneDX","specVersion":"1.5"}"#).unwrap();
        let mut options = Options::new(bench.path("fw.bin"), bench.path("dist"));
        options.artefacts = ArtefactKind::ALL.to_vec();
        options.ledger = Some(bench.ledger());
        options.evidence = Evidence {
            support_until: "2030-12-31".parse().ok(),
            security: Some(true),
            advisory: "https://example.com/1".parse().ok(),
            sbom: Some(bench.path("made.json")),
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
        make(Request { package: &package, out: &out, ledger: &ledger, firmware_key }, signer)
    }

    fn check(&self) -> Result<Bundle, BundleError> {
        check(&self.path("release"), self.evidence_key.public())
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
    // The lines of the ledger are those of the ledger, which has one more now: that of the index.
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
    // A second one does not go over it.
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
    let wrong = check(&directory, bench.key.public());
    assert!(matches!(wrong, Err(BundleError::Signature(_))), "the firmware's key signed no index");
}

/// An index may be signed and hostile all the same: whoever signed it is not trusted with paths.
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
    assert!(matches!(edit("\"fw.bin\"", "\"../fw.bin\""), BundleError::Changed { .. }));
    assert!(matches!(edit("fw.sbom.json", "index.sha256"), BundleError::Changed { .. }));
    assert!(matches!(edit("\"schema\": 1", "\"schema\": 9"), BundleError::Manifest { .. }));
    assert!(matches!(edit("pkcs1v15-sha256", "legacy-bare-hash"), BundleError::Rejected { .. }));
    assert!(matches!(
        change(&|bench| fs::write(bench.path("ledger.jsonl"), "").unwrap()),
        BundleError::NotInLedger(_)
    ));
    assert!(matches!(change(&|bench| flip(bench.path("ledger.jsonl"))), BundleError::Ledger(_)));
    let bench = Bench::new();
    let other = bench.make_with(bench.evidence_key.public(), &bench.key);
    assert!(matches!(other, Err(BundleError::OtherKey { .. })));
}

/// Signs, and puts a directory where the ledger is.
struct Vandal<'a>(&'a Bench);

impl Signer for Vandal<'_> {
    fn public_key(&self) -> &PublicKey {
        self.0.evidence_key.public()
    }

    fn sign_digest(&self, scheme: Scheme, digest: &[u8; 32]) -> Result<Vec<u8>, SignError> {
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
