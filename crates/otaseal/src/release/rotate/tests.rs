use super::*;
use crate::format::gzip::{Effort, gzip};
use crate::format::input::Input;
use crate::key::PrivateKey;
use crate::project::advice::{Advice, Speaker};
use crate::sign::Scheme;
use std::fs;
use std::path::Path;
use tempfile::TempDir;

struct Bench {
    dir: TempDir,
    old: PrivateKey,
    new: PrivateKey,
}

impl Bench {
    fn new() -> Self {
        let key = |name: &str| {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/keys").join(name);
            PrivateKey::from_bytes(&fs::read(path).unwrap()).unwrap()
        };
        Self { dir: tempfile::tempdir().unwrap(), old: key("other.pem"), new: key("next.pem") }
    }

    /// An image with these keys, signed.
    fn image(&self, name: &str, keys: &[&PrivateKey], signer: Option<&PrivateKey>) -> ShownRelease {
        let mut bytes = b"code of the firmware\0".repeat(20);
        for key in keys {
            bytes.extend_from_slice(key.public().to_spki_pem().as_bytes());
        }
        if name.contains("gz") {
            bytes = gzip(&bytes, Effort::Fast).unwrap();
        }
        self.signed(name, &bytes, signer, Scheme::Pkcs1v15Sha256)
    }

    fn signed(&self, name: &str, bytes: &[u8], signer: Option<&PrivateKey>, scheme: Scheme) -> ShownRelease {
        let signed = signer.map(|key| crate::testing::signed(bytes, key, scheme));
        fs::write(self.dir.path().join(name), signed.as_deref().unwrap_or(bytes)).unwrap();
        self.read(name).unwrap()
    }

    fn read(&self, name: &str) -> Result<ShownRelease, ReadError> {
        let path = self.dir.path().join(name);
        let mut release = read(&path, Input::named(&path), self.old.public(), self.new.public())?;
        release.file = name.into();
        Ok(release)
    }

    fn plan(&self, reason: RotationReason, releases: &[&ShownRelease]) -> Plan {
        let releases = releases.iter().copied().cloned().collect();
        plan(self.old.public(), self.new.public(), reason, releases).unwrap()
    }
}

fn fates(plan: &Plan) -> Vec<&Fate> {
    plan.groups.iter().map(|group| &group.fate).collect()
}

#[test]
fn an_image_says_what_it_carries_and_who_signed_it() {
    let bench = Bench::new();
    let (old, new) = (&bench.old, &bench.new);
    for (keys, signer, carries, signed_by) in [
        (&[old][..], Some(old), (true, false), SignedBy::Old),
        (&[new], Some(old), (false, true), SignedBy::Old),
        (&[old, new], Some(new), (true, true), SignedBy::New),
        (&[], None, (false, false), SignedBy::Nobody),
    ] {
        for name in ["image", "image.gz"] {
            let release = bench.image(name, keys, signer);
            let found = release.carries.unwrap();
            assert_eq!((found.old, found.new, found.others.len()), (carries.0, carries.1, 0));
            assert_eq!((release.signed_by, release.proof), (signed_by, Proof::Image));
        }
    }
    // A third key in the image and as its signer; the legacy signature.
    let third = PrivateKey::generate(crate::key::KeySize::Rsa2048).unwrap();
    let release = bench.image("image", &[&third], Some(&third));
    assert_eq!((release.signed_by, release.carries.unwrap().others.len()), (SignedBy::Other, 1));
    let legacy = bench.signed("image", b"code", Some(old), Scheme::Legacy);
    assert_eq!(legacy.signed_by, SignedBy::Old);
    // One changed bit after signing, and no known key signed the image.
    bench.image("image", &[old], Some(old));
    let mut bytes = fs::read(bench.dir.path().join("image")).unwrap();
    bytes[3] ^= 1;
    fs::write(bench.dir.path().join("image"), bytes).unwrap();
    assert_eq!(bench.read("image").unwrap().signed_by, SignedBy::Other);
}

#[test]
fn a_planned_rotation_goes_over_the_bridge() {
    let bench = Bench::new();
    let (old, new) = (&bench.old, &bench.new);
    let field = bench.image("field", &[old], Some(old));
    let bridge = bench.image("bridge", &[new], Some(old));
    let both = bench.image("both", &[old, new], Some(old));
    let next = bench.image("next", &[new], Some(new));

    let without = bench.plan(RotationReason::Planned, &[&field]);
    assert_eq!(
        (without.complete, without.lacking),
        (false, Some(Lacking::Bridge)),
        "it can be made, and is not"
    );
    assert!(without.to_string().contains("\nNOT YET  the bridge does not exist yet\n"), "{without}");
    assert_eq!(fates(&without), [&Fate::Bridge { by: vec![] }]);
    assert!(without.steps[0].starts_with("make the bridge: a release that carries the new key"));

    // A release that the new key signed is not a bridge, whichever keys it carries.
    let wrong = bench.plan(RotationReason::Planned, &[&field, &next]);
    assert_eq!(fates(&wrong)[0], &Fate::Bridge { by: vec![] });
    assert_eq!(wrong.groups[0].takes, ["field"]);

    let plan = bench.plan(RotationReason::Planned, &[&field, &bridge, &both, &next]);
    let by = vec!["bridge".to_owned(), "both".into()];
    assert_eq!(fates(&plan), [&Fate::Bridge { by }, &Fate::Ready, &Fate::Ready, &Fate::Ready]);
    assert_eq!(plan.groups[0].takes, ["field", "bridge", "both"]);
    assert_eq!(plan.groups[1].takes, ["next"], "nobody goes back over the bridge");
    assert_eq!(plan.groups[2].takes, ["field", "bridge", "both", "next"]);
    assert_eq!(plan.lacking, None);
    assert!(plan.complete && plan.steps[0].starts_with("the bridge is bridge"), "{:?}", plan.steps);
}

#[test]
fn a_manifest_alone_proves_no_bridge() {
    let bench = Bench::new();
    let field = bench.image("field", &[&bench.old], Some(&bench.old));
    let claimed =
        ShownRelease { proof: Proof::Manifest, ..bench.image("bridge", &[&bench.new], Some(&bench.old)) };
    let plan = bench.plan(RotationReason::Planned, &[&field, &claimed]);
    assert!(plan.steps[0].contains("its manifest alone proves no bridge"), "{:?}", plan.steps);
    assert_eq!((plan.complete, plan.lacking), (false, Some(Lacking::BridgeImage)));
    let proof = bench.image("proof", &[&bench.new], Some(&bench.old));
    let plan = bench.plan(RotationReason::Planned, &[&field, &claimed, &proof]);
    assert_eq!((plan.complete, plan.lacking), (true, None));
    assert_eq!(fates(&plan)[0], &Fate::Bridge { by: vec!["proof".into(), "bridge".into()] });
    // A manifest alone does not prove either that a release ends the trust in a compromised key.
    let both = bench.image("both", &[&bench.old, &bench.new], Some(&bench.old));
    let next = bench.image("next", &[&bench.new], Some(&bench.new));
    let claimed = ShownRelease { proof: Proof::Manifest, ..next.clone() };
    let plan = bench.plan(RotationReason::Compromised, &[&both, &claimed]);
    assert_eq!((plan.complete, plan.lacking), (false, Some(Lacking::ReleaseImage)));
    assert!(plan.steps[1].contains("show the image of next"), "{:?}", plan.steps);
    assert!(bench.plan(RotationReason::Compromised, &[&both, &claimed, &next]).complete);
}

#[test]
fn devices_that_trust_neither_key_are_stranded() {
    let bench = Bench::new();
    let third = PrivateKey::generate(crate::key::KeySize::Rsa2048).unwrap();
    let lost = bench.image("lost", &[&third], Some(&bench.old));
    let open = bench.image("open", &[], None);
    let unknown = ShownRelease { carries: None, proof: Proof::Manifest, ..lost.clone() };
    let plan = bench.plan(RotationReason::Planned, &[&lost, &open, &unknown]);
    assert!(matches!(fates(&plan)[..], [Fate::Stranded { .. }, Fate::Unchecked, Fate::Unknown]));
    assert!(!plan.complete);
    assert_eq!(plan.groups[1].takes.len(), 3, "what checks nothing takes everything");
    assert!(plan.groups[0].takes.is_empty() && plan.groups[2].takes.is_empty());
    assert!(bench.plan(RotationReason::Planned, &[&open]).complete);
    assert!(!bench.plan(RotationReason::Planned, &[&unknown]).complete, "what is not known is not reached");
}

/// Everybody who has the old key can send a bridge. So the plan never names one.
#[test]
fn a_compromised_key_is_never_bridged() {
    let bench = Bench::new();
    let (old, new) = (&bench.old, &bench.new);
    let field = bench.image("field", &[old], Some(old));
    let bridge = bench.image("bridge", &[new], Some(old));
    let both = bench.image("both", &[old, new], Some(old));
    let next = bench.image("next", &[new], Some(new));
    let next_both = bench.image("next-both", &[old, new], Some(new));
    let plan = bench.plan(RotationReason::Compromised, &[&field, &bridge, &both, &next, &next_both]);
    let retire = Fate::Retire { by: vec!["next".into()] };
    assert!(matches!(fates(&plan)[0], Fate::Stranded { .. }));
    assert_eq!(fates(&plan)[1..], [&Fate::Ready, &retire, &Fate::Ready, &retire]);
    assert!(!plan.complete);
    let text = plan.to_string();
    assert!(
        !text.contains("needs the bridge")
            && text.contains("by hand, over a cable, the devices that run field")
    );
    let alone = bench.plan(RotationReason::Compromised, &[&both]);
    assert_eq!((alone.complete, alone.lacking), (false, Some(Lacking::Release)));
    assert!(bench.plan(RotationReason::Compromised, &[&both, &next]).complete);
}

/// An image that neither key signed may be damaged. Perhaps no device runs it, and its keys prove nothing.
#[test]
fn what_neither_key_signed_is_not_counted() {
    let bench = Bench::new();
    let (old, new) = (&bench.old, &bench.new);
    let third = PrivateKey::generate(crate::key::KeySize::Rsa2048).unwrap();
    for keys in [&[new][..], &[old], &[old, new], &[]] {
        bench.image("damaged", keys, Some(old));
        let mut bytes = fs::read(bench.dir.path().join("damaged")).unwrap();
        bytes[3] ^= 1;
        fs::write(bench.dir.path().join("damaged"), bytes).unwrap();
        let damaged = bench.read("damaged").unwrap();
        let foreign = bench.image("foreign", keys, Some(&third));
        let claimed = ShownRelease { proof: Proof::Manifest, ..foreign.clone() };
        for release in [damaged, foreign, claimed] {
            for reason in [RotationReason::Planned, RotationReason::Compromised] {
                let plan = bench.plan(reason, &[&release]);
                assert!(matches!(fates(&plan)[..], [Fate::Doubtful { .. }]), "{plan}");
                assert!(
                    !plan.complete && plan.groups[0].takes.is_empty() && !plan.to_string().contains("ready")
                );
                let found =
                    plan.steps.iter().position(|step| step.starts_with("find out who signed")).unwrap();
                let sign = plan.steps.iter().position(|step| step.starts_with("from then on sign"));
                assert!(sign.is_none_or(|sign| found < sign), "{:?}", plan.steps);
            }
        }
    }
    // If devices run it all the same, its unsigned image tells their keys.
    let plain = bench.image("plain", &[new], None);
    assert!(bench.plan(RotationReason::Planned, &[&plain]).complete);
}

#[test]
fn what_is_not_known_is_found_before_anything_is_signed() {
    let bench = Bench::new();
    let unknown =
        ShownRelease { carries: None, proof: Proof::Manifest, ..bench.image("x", &[], Some(&bench.old)) };
    let field = bench.image("field", &[&bench.old], Some(&bench.old));
    for releases in [&[&unknown][..], &[&field, &unknown]] {
        let plan = bench.plan(RotationReason::Planned, releases);
        assert!(plan.steps[0].starts_with("find the images of x"), "{:?}", plan.steps);
    }
}

#[test]
fn keys_that_others_have_are_not_planned_with() {
    let bench = Bench::new();
    let key = |name: &str| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/cmd/in/keys").join(name);
        PublicKey::from_bytes(&fs::read(path).unwrap()).unwrap()
    };
    let (old, new) = (bench.old.public(), bench.new.public());
    for name in ["public.pem", "close.public.pem", "roca.public.pem"] {
        let known = key(name);
        for reason in [RotationReason::Planned, RotationReason::Compromised] {
            assert!(matches!(plan(old, &known, reason, Vec::new()), Err(KeysRefused::New(_))), "{name}");
        }
        let error = plan(&known, new, RotationReason::Planned, Vec::new()).unwrap_err();
        assert!(
            matches!(error, KeysRefused::Old(_)) && error.advice(Speaker::Program).contains("--compromised"),
            "{name}"
        );
        assert!(plan(&known, new, RotationReason::Compromised, Vec::new()).is_ok(), "{name}");
    }
}

#[test]
fn a_package_is_read_by_its_manifest() {
    let bench = Bench::new();
    let mut image = b"code\0".repeat(20);
    image.extend_from_slice(bench.new.public().to_spki_pem().as_bytes());
    fs::write(bench.dir.path().join("fw.bin"), &image).unwrap();
    let mut options = crate::Options::new(bench.dir.path().join("fw.bin"), bench.dir.path().join("dist"));
    options.policy.continuity.rotate_to =
        vec![crate::policy::continuity::NextKey::Key(bench.new.public().clone())];
    crate::package(&options, &bench.old).unwrap();
    // Its signed image is beside it.
    let release = bench.read("dist/manifest.json").unwrap();
    assert_eq!((release.proof, release.is_bridge()), (Proof::Image, true));
    for name in ["fw.bin.signed", "fw.bin.gz.signed"] {
        fs::remove_file(bench.dir.path().join("dist").join(name)).unwrap();
    }
    let release = bench.read("dist/manifest.json").unwrap();
    assert_eq!((release.proof, release.is_bridge()), (Proof::Manifest, true));
    // The manifests of older versions of otaseal do not list the keys in the image.
    let text = fs::read_to_string(bench.dir.path().join("dist/manifest.json")).unwrap();
    let mut older: serde_json::Value = serde_json::from_str(&text).unwrap();
    older.as_object_mut().unwrap().remove("carries");
    fs::write(bench.dir.path().join("older.json"), older.to_string()).unwrap();
    assert_eq!(bench.read("older.json").unwrap().carries, None);
    // An edited manifest cannot make otaseal read another file.
    for file in ["../fw.bin", "/etc/passwd", ""] {
        older["artefacts"][0]["file"] = file.into();
        fs::write(bench.dir.path().join("dist/manifest.json"), older.to_string()).unwrap();
        assert!(matches!(bench.read("dist/manifest.json"), Err(ReadError::Manifest { .. })), "{file}");
    }
}

#[test]
fn what_is_no_release_is_an_error() {
    let bench = Bench::new();
    let put = |bytes: &[u8]| fs::write(bench.dir.path().join("x"), bytes).unwrap();
    assert!(matches!(bench.read("missing"), Err(ReadError::Read { .. })));
    put(b"{\"schema\": 1}");
    assert!(matches!(bench.read("x"), Err(ReadError::Manifest { .. })));
    for key in [&b"-----BEGIN PUBLIC KEY-----\nMII"[..], bench.new.public().to_spki_der()] {
        put(key);
        assert!(matches!(bench.read("x"), Err(ReadError::Key(_))));
    }
    put(b"\x1f\x8b\x08damaged");
    assert!(matches!(bench.read("x"), Err(ReadError::Gzip { .. })));
}
