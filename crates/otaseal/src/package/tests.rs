//! OpenSSL, gzip and a JSON reader that know nothing of otaseal judge a package.

use super::*;
use crate::format::digest::Sha256Digest;
use crate::key::{KeySize, PrivateKey};
use crate::ledger::{self, Ledger};
use crate::package::firmware::FirmwareError;
use crate::package::manifest::ManifestError;
use crate::policy::continuity::{Rule, WithoutKey};
use crate::policy::guard::{Content, GuardError};
use crate::policy::{PolicyError, Purpose};
use crate::project::advice::{Advice, Speaker};
use crate::sign::Scheme;
use crate::sign::SignError;
use crate::sign::diagnose::Mismatch;
use crate::testing::openssl;
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

mod board;
mod earlier;
mod turns;
mod unsigned;

const NAME: &[u8] = b"\xbf\x84\xe4\x13\x54blinds\x93\x44\x6b\xa7\x75\0";
const VERSION: &[u8] = b"\x6a\x3f\x3e\x0e\xe11.2.3\xb0\x30\x48\xd4\x1a\0";

struct Bench {
    dir: TempDir,
    key: PrivateKey,
}

impl Bench {
    fn new() -> Self {
        let bench =
            Self { dir: tempfile::tempdir().unwrap(), key: PrivateKey::generate(KeySize::Rsa2048).unwrap() };
        bench.build(b"first");
        fs::write(bench.path("pub.pem"), bench.key.public().to_spki_pem()).unwrap();
        bench
    }

    /// Writes a build of 40 kB with tokens in it.
    fn build(&self, text: &[u8]) {
        let mut image = text.repeat(8000);
        image.extend_from_slice(NAME);
        image.extend_from_slice(VERSION);
        fs::write(self.path("fw.bin"), image).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn options(&self) -> Options {
        let mut options = Options::new(self.path("fw.bin"), self.path("dist"));
        // These builds hold no key. One test is about that.
        options.policy.continuity.without_key = WithoutKey::Allow;
        options
    }

    fn with(&self, edit: impl FnOnce(&mut Policy)) -> Options {
        let mut options = self.options();
        edit(&mut options.policy);
        options
    }

    fn ledger(&self) -> Ledger {
        Ledger::new(self.path("ledger.jsonl"), ledger::Origin::default())
    }

    fn package(&self, options: &Options) -> Result<PackageReport, PackageError> {
        package(options, &self.key)
    }

    fn out(&self, name: &str) -> Vec<u8> {
        fs::read(self.path("dist").join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    fn listing(&self) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(self.path("dist"))
            .map(|entries| entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect())
            .unwrap_or_default();
        names.sort();
        names
    }

    fn manifest(&self) -> Value {
        serde_json::from_slice(&self.out("manifest.json")).unwrap()
    }
}

#[test]
fn every_artefact_is_what_openssl_and_gzip_make_of_it() {
    let bench = Bench::new();
    let mut options = bench.options();
    options.artefacts = ArtefactKind::ALL.to_vec();
    bench.package(&options).unwrap();
    assert_eq!(
        bench.listing(),
        ["fw.bin", "fw.bin.gz", "fw.bin.gz.signed", "fw.bin.legacy_sig", "fw.bin.signed", "manifest.json"]
    );
    let plain = fs::read(bench.path("fw.bin")).unwrap();
    assert_eq!(bench.out("fw.bin"), plain);
    let restored = Command::new("gzip").arg("-dc").arg(bench.path("dist/fw.bin.gz")).output().unwrap();
    assert!(restored.status.success() && restored.stdout == plain);
    assert_eq!(bench.out("fw.bin.gz").len() % 4, 0, "cores up to 3.1.2 misread an unaligned trailer");

    let pem = bench.key.to_pkcs8_pem().unwrap();
    fs::write(bench.path("key.pem"), &pem).unwrap();
    for (payload, signed) in [("fw.bin", "fw.bin.signed"), ("fw.bin.gz", "fw.bin.gz.signed")] {
        openssl(bench.dir.path(), &format!("dgst -sha256 -sign key.pem -out sig dist/{payload}"));
        let expected = [bench.out(payload), fs::read(bench.path("sig")).unwrap(), vec![0, 1, 0, 0]].concat();
        assert!(bench.out(signed) == expected, "{signed}");
    }
    openssl(bench.dir.path(), "dgst -sha256 -binary -out digest fw.bin");
    openssl(
        bench.dir.path(),
        "pkeyutl -sign -inkey key.pem -pkeyopt rsa_padding_mode:pkcs1 -in digest -out sig",
    );
    let expected = [plain, fs::read(bench.path("sig")).unwrap(), vec![0, 1, 0, 0]].concat();
    assert!(bench.out("fw.bin.legacy_sig") == expected);
}

#[test]
fn the_manifest_says_what_md5sum_and_sha256sum_say() {
    let bench = Bench::new();
    bench.package(&bench.options()).unwrap();
    let manifest = bench.manifest();
    assert_eq!(manifest["schema"], 1);
    assert_eq!(manifest["name"], "blinds");
    assert_eq!(manifest["version"], "1.2.3");
    assert_eq!(manifest["brand"], Value::Null);
    assert_eq!(manifest["example_key"], false);
    assert_eq!(manifest["key"]["id"], bench.key.public().id().to_string());
    assert!(manifest.get("timestamp").is_none(), "no clock unless asked for");
    let digest = |program: &str, path: &Path| {
        let output = Command::new(program).arg(path).output().unwrap().stdout;
        String::from_utf8(output).unwrap().split(' ').next().unwrap().to_owned()
    };
    let artefacts = manifest["artefacts"].as_array().unwrap();
    assert_eq!(artefacts.len(), 4);
    for artefact in artefacts {
        let path = bench.path("dist").join(artefact["file"].as_str().unwrap());
        assert_eq!(artefact["md5"], digest("md5sum", &path));
        assert_eq!(artefact["sha256"], digest("sha256sum", &path));
        assert_eq!(artefact["size_bytes"], fs::metadata(&path).unwrap().len());
    }
    // The device reports the plain image, whichever artefact it received.
    assert_eq!(manifest["installed"]["md5"], digest("md5sum", &bench.path("fw.bin")));
    assert_eq!(manifest["source"]["sha256"], digest("sha256sum", &bench.path("fw.bin")));
    assert_eq!(artefacts[0]["signature"], Value::Null);
    assert_eq!(artefacts[2]["signature"], "pkcs1v15-sha256");
    assert_eq!(artefacts[3]["encoding"], "gzip");
}

#[test]
fn the_same_build_and_key_give_the_same_bytes() {
    let bench = Bench::new();
    let read = || bench.listing().iter().map(|name| bench.out(name)).collect::<Vec<_>>();
    bench.package(&bench.options()).unwrap();
    let first = read();
    bench.package(&bench.options()).unwrap();
    assert!(read() == first);
    let timed = Options { timestamp: Some(1_700_000_000), ..bench.options() };
    bench.package(&timed).unwrap();
    assert_eq!(bench.manifest()["timestamp"], 1_700_000_000);
}

#[test]
fn what_is_packaged_already_is_refused() {
    let bench = Bench::new();
    bench.package(&bench.options()).unwrap();
    for name in ["fw.bin.gz", "fw.bin.signed", "fw.bin.gz.signed"] {
        let options = Options { firmware: bench.path("dist").join(name), ..bench.options() };
        let error = bench.package(&options).unwrap_err();
        assert!(matches!(&error, PackageError::Firmware(FirmwareError::NotPlain { .. })), "{name}: {error}");
    }
    let options = Options { firmware: bench.path("pub.pem"), ..bench.options() };
    let error = bench.package(&options).unwrap_err();
    assert!(error.to_string().ends_with("is an RSA public key (SPKI), not an image"), "{error}");
}

#[test]
fn a_published_key_is_marked_and_no_release() {
    let bench = Bench::new();
    let key = PrivateKey::from_bytes(include_bytes!(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../keys.example/private.pem"
    )))
    .unwrap();
    package(&bench.options(), &key).unwrap();
    assert_eq!(bench.manifest()["example_key"], true);
    fs::remove_dir_all(bench.path("dist")).unwrap();
    let release = bench.with(|policy| policy.purpose = Purpose::Release);
    assert!(matches!(package(&release, &key), Err(PackageError::Policy(PolicyError::KeyRefused(_)))));
    assert!(matches!(bench.package(&release), Err(PackageError::Policy(PolicyError::NoLedger))));
    let mut options = release;
    options.policy.ledger = Some(bench.ledger());
    assert!(matches!(package(&options, &key), Err(PackageError::Policy(PolicyError::KeyRefused(_)))));
    assert!(!bench.path("dist").exists());
    bench.package(&options).unwrap();
}

#[test]
fn a_release_needs_the_key_in_the_image() {
    let bench = Bench::new();
    let options = bench.with(|policy| policy.continuity = Rule::default());
    assert!(bench.package(&options).unwrap().continuity.warnings().len() == 1);
    let mut release = options;
    (release.policy.purpose, release.policy.ledger) = (Purpose::Release, Some(bench.ledger()));
    let earlier = bench.listing();
    let error = bench.package(&release).unwrap_err();
    assert!(matches!(error, PackageError::Image { source: PolicyError::Continuity(_), .. }), "{error}");
    assert_eq!(bench.listing(), earlier);
    let mut told = release.clone();
    told.policy.continuity.without_key = WithoutKey::Allow;
    assert!(bench.package(&told).unwrap().continuity.warnings().len() == 1, "and never silently");
    bench.build(&[b"code\0", bench.key.public().to_spki_pem().as_bytes()].concat());
    assert_eq!(bench.package(&release).unwrap().continuity.warnings(), [] as [String; 0]);
}

#[test]
fn every_signature_is_entered_before_a_file_has_its_name() {
    let bench = Bench::new();
    let options = bench.with(|policy| policy.ledger = Some(bench.ledger()));
    let report = bench.package(&options).unwrap();
    let mut entered = Vec::new();
    let head =
        ledger::walk(&bench.path("ledger.jsonl"), &mut |record, _| entered.push(record.clone())).unwrap();
    assert_eq!(report.ledger.unwrap().head, head);
    let outputs: Vec<_> = entered.iter().map(|record| record.output.file.as_str()).collect();
    assert_eq!(outputs, ["fw.bin.signed", "fw.bin.gz.signed"]);
    for record in &entered {
        let file = bench.out(&record.output.file);
        assert_eq!(record.output.sha256, crate::format::digest::sha256(&file));
        assert_eq!(record.input.sha256.to_string(), bench.manifest()["source"]["sha256"]);
    }
    // A ledger that cannot be written leaves the earlier package as it is.
    let before = bench.manifest();
    bench.build(b"second");
    let missing = Ledger::new(bench.path("missing/ledger"), ledger::Origin::default());
    let failed = bench.package(&bench.with(|policy| policy.ledger = Some(missing))).unwrap_err();
    assert!(matches!(failed, PackageError::Policy(PolicyError::Ledger(_))), "{failed}");
    assert_eq!(bench.manifest(), before);
    // A package does not replace its own ledger.
    let own = Ledger::new(bench.path("dist/fw.bin.signed"), ledger::Origin::default());
    assert!(bench.package(&bench.with(|policy| policy.ledger = Some(own))).is_err());
}

#[test]
fn names_stay_in_the_directory() {
    let bench = Bench::new();
    let long = "x".repeat(300);
    let devices = ["CON", "nul", "aux.v2", "Com1", "LPT9.x"];
    let others = ["", ".", "..", "../x", "a/b", "a\\b", "/x", "-x", ".x", "a\0", "a\n", "a:b", &long];
    for bad in devices.into_iter().chain(others) {
        let options = Options { base_name: Some(bad.into()), ..bench.options() };
        assert!(matches!(bench.package(&options), Err(PackageError::BaseName(_))), "{bad:?}");
    }
    assert!(!bench.path("dist").exists());
    let options = Options { artefacts: vec![], ..bench.options() };
    assert!(matches!(bench.package(&options), Err(PackageError::NothingToMake)));
}

#[test]
fn a_build_in_its_own_directory_is_the_plain_artefact() {
    let bench = Bench::new();
    let build = fs::read(bench.path("fw.bin")).unwrap();
    let options = Options { out_dir: bench.dir.path().into(), ..bench.options() };
    bench.package(&options).unwrap();
    assert_eq!(fs::read(bench.path("fw.bin")).unwrap(), build);
    let only = Options { artefacts: vec![ArtefactKind::Signed], ..options };
    bench.package(&only).unwrap();
    assert_eq!(fs::read(bench.path("fw.bin")).unwrap(), build, "the build is never a stale artefact");
}

/// A signer that does not return a signature by the key that it names.
struct Liar<'a>(&'a PrivateKey, fn(Vec<u8>) -> Vec<u8>);

impl Signer for Liar<'_> {
    fn public_key(&self) -> &crate::key::PublicKey {
        self.0.public()
    }

    fn sign_digest(&self, scheme: Scheme, digest: &Sha256Digest) -> Result<Vec<u8>, SignError> {
        self.0.sign_digest(scheme, digest).map(self.1)
    }
}

#[test]
fn a_signature_that_does_not_verify_is_never_written() {
    let bench = Bench::new();
    let flip = |mut signature: Vec<u8>| {
        signature[100] ^= 1;
        signature
    };
    let error = package(&bench.options(), &Liar(&bench.key, flip)).unwrap_err();
    assert!(
        matches!(error, PackageError::Policy(PolicyError::Sign(SignError::Mismatch(Mismatch::OtherKey)))),
        "{error}"
    );
    let short = |signature: Vec<u8>| signature[1..].to_vec();
    let error = package(&bench.options(), &Liar(&bench.key, short)).unwrap_err();
    assert!(
        matches!(
            error,
            PackageError::Policy(PolicyError::Sign(SignError::Mismatch(Mismatch::Length { found: 255, .. })))
        ),
        "{error}"
    );
    assert!(bench.listing().is_empty());
}

#[test]
fn the_flash_mode_is_set_before_anything_is_made() {
    let bench = Bench::new();
    fs::write(bench.path("fw.bin"), crate::format::image::tests::arduino()).unwrap();
    let refused = bench.with(|policy| policy.expect.flash_mode = Some(FlashMode::Qio));
    let error = bench.package(&refused).unwrap_err();
    assert_eq!(error.to_string(), "fw.bin: the flash mode of the image is DIO, QIO is expected");
    assert!(bench.listing().is_empty());
    let set = Options { set_flash_mode: Some(FlashMode::Qio), ..refused };
    let installed = bench.package(&set).unwrap().manifest.installed;
    assert_eq!(installed.flash_mode, Some(FlashMode::Qio));
    for name in ["fw.bin", "fw.bin.signed"] {
        assert_eq!(bench.out(name)[..4], [0xE9, 2, 0, 0x40], "{name}");
    }
    let restored = Command::new("gzip").arg("-dc").arg(bench.path("dist/fw.bin.gz")).output().unwrap().stdout;
    assert_eq!(restored, bench.out("fw.bin"));
    assert_eq!(
        bench.manifest()["installed"]["md5"],
        bench.manifest()["installed"]["md5_by_flash_mode"]["qio"]
    );
    // In the directory of the build, otaseal would have to change the build.
    let in_place = Options { out_dir: bench.dir.path().into(), ..set };
    assert!(matches!(bench.package(&in_place), Err(PackageError::Overlap { .. })));
    fs::write(bench.path("fw.bin"), b"for another chip").unwrap();
    let none = Options { set_flash_mode: Some(FlashMode::Qio), ..bench.options() };
    assert!(bench.package(&none).unwrap_err().to_string().contains("no ESP8266 image"));
}

#[test]
fn what_nobody_can_have_meant_is_not_packaged() {
    let bench = Bench::new();
    let image = crate::format::image::tests::arduino();
    let refused = |bytes: &[u8], content: Content| {
        fs::write(bench.path("fw.bin"), bytes).unwrap();
        let error = bench.package(&bench.with(|policy| policy.content = content)).unwrap_err();
        assert!(!error.advice(Speaker::Program).is_empty() && bench.listing().is_empty());
        error.to_string()
    };
    let mut flipped = image.clone();
    flipped[0x1100] ^= 1;
    assert!(refused(&flipped, Content::Firmware).contains("checksum of the application"));
    assert!(refused(&image[..0x1200], Content::Firmware).contains("application is cut off"));
    assert!(
        refused(&image[..0x1000], Content::Firmware)
            .contains("the application behind the boot loader is missing")
    );
    let overlap = crate::format::image::tests::esp8266(2, 0, &[(0, &[1; 9]), (8, &[2; 9])]);
    assert!(refused(&overlap, Content::Firmware).contains("segments 1 and 2 of the image overlap"));
    assert!(refused(&image, Content::Filesystem).contains("not a filesystem image"));

    fs::write(bench.path("fw.bin"), &image).unwrap();
    let other = PrivateKey::generate(KeySize::Rsa2048).unwrap();
    let expect = bench.with(|policy| policy.expect.public_key = Some(other.public().clone()));
    assert!(matches!(
        bench.package(&expect),
        Err(PackageError::Policy(PolicyError::Guard(GuardError::OtherKey { .. })))
    ));
    let expect = bench.with(|policy| policy.expect.public_key = Some(bench.key.public().clone()));
    bench.package(&expect).unwrap();
}

#[test]
fn a_clean_uf2_file_is_packaged_as_its_flash_contents() {
    let bench = Bench::new();
    let mut block = crate::format::image::tests::uf2_block(0x2000, 0x1000_0000, 256, 0xE48B_FF56);
    fs::write(bench.path("fw.uf2"), &block).unwrap();
    let options = Options { firmware: bench.path("fw.uf2"), ..bench.options() };
    bench.package(&options).unwrap();
    assert_eq!(bench.out("fw.bin"), [0xAA; 256]);
    block[24] = 2;
    fs::write(bench.path("fw.uf2"), &block).unwrap();
    let error = bench.package(&options).unwrap_err().to_string();
    assert_eq!(error, "fw.uf2: the file has 1 of 2 blocks");
}
