use super::*;
use crate::key::PrivateKey;
use crate::project::advice::{Advice, Speaker};
use crate::testing::{esp_image, openssl};
use std::fs;
use std::path::{Path, PathBuf};

mod der;
mod pem;
mod private;
mod scan;
mod text;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn private(path: &str) -> Vec<u8> {
    fs::read(root().join(path)).unwrap()
}

fn example() -> PublicKey {
    PrivateKey::from_bytes(&private("keys.example/private.pem")).unwrap().public().clone()
}

fn other() -> PublicKey {
    PrivateKey::from_bytes(&private("fixtures/keys/other.pem")).unwrap().public().clone()
}

fn fixture(name: &str) -> PublicKey {
    PrivateKey::from_bytes(&private(&format!("fixtures/keys/{name}.pem"))).unwrap().public().clone()
}

/// Returns bytes without structure, in place of the code around the key.
fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    let step = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    (0..length).map(step).collect()
}

fn within(part: &[u8]) -> Vec<u8> {
    [&noise(1000, 7), part, &noise(1000, 8)].concat()
}

fn swapped(key: &PublicKey) -> Vec<u8> {
    key.modulus().iter().rev().copied().collect()
}

fn device_form(key: &PublicKey) -> Vec<u8> {
    [&swapped(key)[..], &key.id().0].concat()
}

/// Every form except the bare modulus. otaseal finds any key in these forms.
fn self_evident(key: &PublicKey, dir: &Path) -> Vec<(Form, Vec<u8>)> {
    let pem = key.to_spki_pem();
    fs::write(dir.join("public.pem"), &pem).unwrap();
    openssl(dir, "rsa -pubin -in public.pem -RSAPublicKey_out -out pkcs1.pem");
    openssl(dir, "rsa -pubin -in public.pem -RSAPublicKey_out -outform DER -out pkcs1.der");
    openssl(dir, "pkey -pubin -in public.pem -outform DER -out spki.der");
    let read = |name: &str| fs::read(dir.join(name)).unwrap();
    let indented = pem.lines().map(|line| format!("    {line}\r\n")).collect::<String>();
    vec![
        (Form::Pem, pem.trim_end().into()),
        (Form::Pem, indented.into_bytes()),
        (Form::Pem, read("pkcs1.pem")),
        (Form::SpkiDer, read("spki.der")),
        (Form::Pkcs1Der, read("pkcs1.der")),
        (Form::ModulusLittleEndian, device_form(key)),
        (Form::ModulusLittleEndian, [&key.id().0[..], &swapped(key)].concat()),
    ]
}

#[test]
fn every_form_of_every_size_is_found_at_its_place() {
    let dir = tempfile::tempdir().unwrap();
    for key in [example(), fixture("rsa3072"), fixture("rsa4096")] {
        for (form, bytes) in self_evident(&key, dir.path()) {
            let image = within(&bytes);
            for known in [&[&key][..], &[]] {
                let found = search(&image, known);
                let [only] = found.keys.as_slice() else { panic!("{form:?}: {:?}", found.keys) };
                assert_eq!((only.key_id, only.size), (key.id(), key.size()), "{form:?}");
                assert!(found.private.is_none());
                if known.is_empty() {
                    assert_eq!(only.form, form);
                    assert!((1000..1040).contains(&only.offset), "{form:?} at {}", only.offset);
                }
            }
        }
        for (form, bytes) in
            [(Form::ModulusBigEndian, key.modulus().to_vec()), (Form::ModulusLittleEndian, swapped(&key))]
        {
            let image = within(&bytes);
            assert_eq!(search(&image, &[&key]).keys[0].form, form);
            assert!(search(&image, &[]).keys.is_empty(), "random bytes are no key");
        }
    }
}

/// A modulus with one changed bit is another key, in every form.
#[test]
fn a_damaged_key_is_not_the_key() {
    let dir = tempfile::tempdir().unwrap();
    for (form, bytes) in self_evident(&example(), dir.path()) {
        let mut image = within(&bytes);
        image[1000 + bytes.len() / 2] ^= 4;
        let found = search(&image, &[&example()]);
        assert!(found.keys.iter().all(|key| key.key_id != example().id()), "{form:?}");
    }
}

#[test]
fn keys_that_tls_brings_along_are_no_update_keys() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("key.pem"), private("keys.example/private.pem")).unwrap();
    openssl(dir.path(), "req -x509 -new -key key.pem -subj /O=Company/CN=example -days 9 -out c.pem");
    openssl(dir.path(), "x509 -in c.pem -outform DER -out c.der");
    openssl(dir.path(), "req -new -key key.pem -subj /CN=example -out r.pem");
    openssl(dir.path(), "req -in r.pem -outform DER -out r.der");
    openssl(dir.path(), "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out ec.pem");
    openssl(dir.path(), "pkey -in ec.pem -pubout -out ecpub.pem");
    openssl(dir.path(), "pkey -in ec.pem -pubout -outform DER -out ecpub.der");
    for name in ["c.pem", "c.der", "r.pem", "r.der", "ecpub.pem", "ecpub.der"] {
        let image = within(&fs::read(dir.path().join(name)).unwrap());
        for known in [&[][..], &[&example()], &[&other()]] {
            let found = search(&image, known);
            assert!(found.keys.is_empty() && found.private.is_none(), "{name}: {found:?}");
        }
    }
    // The same key beside its certificate counts.
    let certificate = fs::read(dir.path().join("c.der")).unwrap();
    for form in [example().to_spki_der(), example().modulus()] {
        let image = within(&[&certificate[..], &noise(40, 3), form].concat());
        assert_eq!(search(&image, &[&example()]).keys.len(), 1);
    }
}

#[test]
fn the_demo_firmware_holds_the_example_key() {
    let image = fs::read(root().join("fixtures/plain/demo-firmware.bin")).unwrap();
    let kept = check(&image, Content::Firmware, Some(&example()), &Rule::default()).unwrap();
    assert!(matches!(kept, Continuity::Kept { .. }));
    assert_eq!(kept.warnings(), [] as [String; 0]);
    // For another signer, the error names the key in the image, which has the device's own form.
    let refused = check(&image, Content::Firmware, Some(&other()), &Rule::default()).unwrap_err();
    let ContinuityError::OtherKey { found, .. } = &refused else { panic!("{refused}") };
    // The image holds a second key, for rotation.
    for key in [example(), fixture("next")] {
        assert!(found.iter().any(|found| found.key_id == key.id()), "{found:?}");
    }
}

#[test]
fn another_key_needs_to_be_named() {
    let image = within(other().to_spki_pem().as_bytes());
    let rule = |next| Rule { rotate_to: vec![next], ..Rule::default() };
    let with = |rule: &Rule| check(&image, Content::Firmware, Some(&example()), rule);
    let refused = with(&Rule::default()).unwrap_err();
    assert!(matches!(refused, ContinuityError::OtherKey { .. }));
    assert!(
        refused.advice(Speaker::Program).contains(&format!("--rotate-to {}", other().id())),
        "{}",
        refused.advice(Speaker::Program)
    );
    let allowed = Rule { without_key: WithoutKey::Allow, ..Rule::default() };
    assert!(matches!(with(&allowed), Err(ContinuityError::OtherKey { .. })), "it is not without a key");
    for next in [NextKey::Id(other().id()), NextKey::Key(other())] {
        assert!(matches!(with(&rule(next)), Ok(Continuity::Rotates { .. })));
    }
    let missing = with(&rule(NextKey::Key(example()))).unwrap_err();
    assert!(matches!(missing, ContinuityError::NextKeyMissing { .. }));
    assert!(missing.to_string().contains(&other().id().to_string()));
    // Only the key's file can name a bare modulus.
    let bare = within(&swapped(&other()));
    let check_bare = |next| check(&bare, Content::Firmware, Some(&example()), &rule(next));
    assert!(check_bare(NextKey::Key(other())).is_ok());
    assert!(check_bare(NextKey::Id(other().id())).is_err());
    // The image holds both keys, as a key set.
    let both = within(&[device_form(&example()), device_form(&other())].concat());
    assert!(matches!(
        check(&both, Content::Firmware, Some(&example()), &Rule::default()),
        Ok(Continuity::Kept { .. })
    ));
    // Name each of several keys.
    let three = within(&[example(), other(), fixture("next")].each_ref().map(device_form).concat());
    let named = |keys: &[KeyId]| {
        let rotate_to = keys.iter().copied().map(NextKey::Id).collect();
        check(&three, Content::Firmware, Some(&example()), &Rule { rotate_to, ..Rule::default() })
    };
    let (next, more) = (other().id(), fixture("next").id());
    let Err(ContinuityError::UnnamedKeys { found }) = named(&[next]) else { panic!("{:?}", named(&[next])) };
    assert!(matches!(&found[..], [only] if only.key_id == more), "{found:?}");
    assert!(matches!(named(&[next, more]), Ok(Continuity::Rotates { to, .. }) if to.len() == 2));
    assert!(matches!(named(&[next, more, example().id()]), Ok(Continuity::Rotates { .. })));
    let missing = named(&[next, more, KeyId([7; 32])]);
    assert!(
        matches!(missing, Err(ContinuityError::NextKeyMissing { expected, .. }) if expected.0 == [7; 32])
    );

    let next = rule(NextKey::Key(other()));
    let Ok(Continuity::Rotates { keys, .. }) = check(&both, Content::Firmware, Some(&example()), &next)
    else {
        panic!("the bridge is refused")
    };
    assert_eq!(keys.len(), 2);
}

/// Keys in the form of `otaseal-device`, apart from one another and of different sizes.
#[test]
fn keys_that_stand_apart_are_all_found() {
    let large = fixture("rsa4096");
    let apart =
        [&device_form(&example())[..], &[0; 1024], &device_form(&other()), &device_form(&large)].concat();
    let image = [&[0; 4096][..], &apart, &[0; 4096], example().to_spki_pem().as_bytes()].concat();
    let found = search(&image, &[&example()]);
    assert_eq!(found.keys.len(), 3, "{:?}", found.keys);
    let rule = Rule { quick: true, ..Rule::default() };
    let with = |rule: &Rule| check(&image, Content::Firmware, Some(&example()), rule).unwrap();
    assert_eq!(with(&rule).keys().len(), 1, "a key was found, and nobody needs to know of others");
    assert_eq!(with(&rule.clone().for_purpose(Purpose::Release)).keys().len(), 3);
    let rotate_to = vec![NextKey::Id(other().id()), NextKey::Id(large.id())];
    assert_eq!(with(&Rule { rotate_to, ..rule }).keys().len(), 3);
}

/// A release must not make devices trust an unfit key, whichever key signs it.
#[test]
fn no_release_makes_a_device_trust_an_unfit_key() {
    let roca = PublicKey::from_bytes(&private("tests/cmd/in/keys/roca.public.pem")).unwrap();
    for (unfit, why) in [(example(), "is published"), (roca, "ROCA")] {
        let set = within(&[device_form(&other()), unfit.to_spki_pem().into_bytes()].concat());
        let alone = within(unfit.to_spki_pem().as_bytes());
        let rotates = Rule { rotate_to: vec![NextKey::Id(unfit.id())], ..Rule::default() };
        for (image, rule) in [(&set, Rule::default()), (&set, rotates.clone()), (&alone, rotates)] {
            let with = |rule: &Rule| check(image, Content::Firmware, Some(&other()), rule);
            let warnings = with(&rule).unwrap().warnings();
            assert!(matches!(&warnings[..], [only] if only.contains(why)), "{warnings:?}");
            let refused = with(&rule.for_purpose(Purpose::Release)).unwrap_err();
            assert!(matches!(refused, ContinuityError::UnfitKey { .. }), "{refused}");
            assert!(refused.to_string().contains(&unfit.id().to_string()), "{refused}");
        }
        // Another check warns about the key that signs.
        let kept = check(&set, Content::Firmware, Some(&unfit), &Rule::default()).unwrap();
        assert!(kept.warnings().is_empty(), "{:?}", kept.warnings());
    }
}

#[test]
fn firmware_without_a_key_is_refused_and_the_unknown_warned_about() {
    let rule = |without_key| Rule { without_key, ..Rule::default() };
    let with = |image: &[u8], content, what| check(image, content, Some(&example()), &rule(what));
    let esp = esp_image();
    let unknown = noise(5000, 3);
    let refused = with(&esp, Content::Firmware, WithoutKey::Judge).unwrap_err();
    assert!(refused.to_string().contains("switches signature checking off"), "{refused}");
    assert!(refused.advice(Speaker::Program).contains("--allow-no-key"));
    assert!(with(&esp, Content::Firmware, WithoutKey::Refuse).is_err());
    assert!(with(&esp, Content::Firmware, WithoutKey::Allow).unwrap().warnings().len() == 1);
    assert!(with(&unknown, Content::Firmware, WithoutKey::Judge).unwrap().warnings().len() == 1);
    assert!(with(&unknown, Content::Firmware, WithoutKey::Refuse).is_err());
    assert!(with(&unknown, Content::Filesystem, WithoutKey::Refuse).unwrap().warnings().len() == 1);
    let mut with_key = esp;
    with_key.extend(example().to_spki_pem().bytes());
    assert!(with(&with_key, Content::Firmware, WithoutKey::Judge).unwrap().warnings().is_empty());
}

/// A release also refuses the unknown. A rule that the user chose stands.
#[test]
fn a_release_needs_a_key_in_the_image_unless_the_user_allows_it() {
    use WithoutKey::{Allow, Judge, Refuse};
    for (purpose, rules) in [
        (Purpose::Development, [(Judge, Judge), (Refuse, Refuse), (Allow, Allow)]),
        (Purpose::Release, [(Judge, Refuse), (Refuse, Refuse), (Allow, Allow)]),
    ] {
        for (chosen, effective) in rules {
            let rule = Rule { without_key: chosen, ..Rule::default() }.for_purpose(purpose);
            assert_eq!((rule.without_key, rule.purpose), (effective, purpose), "{chosen:?}");
        }
    }
}

/// A next key is given by its id or by its file, and an error names the file.
#[test]
fn a_next_key_is_an_id_or_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    fs::write(path("key.pem"), other().to_spki_pem()).unwrap();
    fs::write(path("text"), "no key").unwrap();
    let id = other().id();
    for text in [id.to_string(), path("key.pem")] {
        assert_eq!(text.parse::<NextKey>().unwrap().id(), id, "{text}");
    }
    assert!(matches!(path("text").parse::<NextKey>(), Err(NextKeyError::Key { .. })));
    // Neither the number of characters nor the hexadecimal digits alone make an id.
    for name in ["x".repeat(64), "a".repeat(63), "a".repeat(65)] {
        let error = name.parse::<NextKey>().unwrap_err();
        assert!(matches!(&error, NextKeyError::Read { path, .. } if path.as_os_str() == &*name), "{error}");
    }
}

#[test]
fn a_report_names_the_keys_of_an_image_with_several() {
    let key = example();
    let ids = |count| vec![key.id().to_string(); count].join(", ");
    let located = |count| vec![search(&within(&device_form(&key)), &[]).keys.remove(0); count];
    for (count, carries) in [
        (1, String::new()),
        (2, format!("carries  2 keys: {}\n", ids(2))),
        (4, format!("carries  4 keys: {}\n", ids(4))),
        (5, format!("carries  5 keys: {}, …\n", ids(4))),
    ] {
        assert_eq!(Continuity::Kept { keys: located(count) }.to_string(), carries);
        let rotates = Continuity::Rotates { to: vec![other().id()], keys: located(count) }.to_string();
        let brings = format!("brings   {}, which its devices trust from now on\n", other().id());
        assert_eq!(rotates, brings + &carries);
    }
}

/// The blocks of a UF2 file have 256 bytes each. A search in the file itself would find no key across them.
#[test]
fn a_key_in_a_uf2_file_is_found_across_its_blocks() {
    let flash = within(example().to_spki_pem().as_bytes());
    let blocks = flash.chunks(256).collect::<Vec<_>>();
    let mut file = Vec::new();
    for (number, payload) in blocks.iter().enumerate() {
        let words = [
            0x0A32_4655,
            0x9E5D_5157,
            0x2000,
            0x1000_0000 + number as u32 * 256,
            256,
            number as u32,
            blocks.len() as u32,
            0xE48B_FF56,
        ];
        file.extend(words.iter().flat_map(|word: &u32| word.to_le_bytes()));
        file.extend_from_slice(payload);
        file.resize(number * 512 + 508, 0);
        file.extend(0x0AB1_6F30u32.to_le_bytes());
    }
    assert!(search(&file, &[&example()]).keys.is_empty());
    assert!(matches!(
        check(&file, Content::Firmware, Some(&example()), &Rule::default()),
        Ok(Continuity::Kept { .. })
    ));
}

/// An attacker can make files that are slow to search. The search may take no longer than reading them a few times.
#[test]
fn hostile_images_are_searched_in_bounded_time() {
    let started = std::time::Instant::now();
    let der = [&Spki2048::prefix()[..], &noise(256, 5), &[2, 3, 1, 0, 1]].concat();
    for unit in [
        &b"-----BEGIN PUBLIC KEY-----"[..],
        b"-----BEGIN PRIVATE KEY-----\n",
        b"0\x82\xff\xff0\x82\xff\xfb",
        &[2, 1, 0, 2, 0x82],
        &[0x30, 0x30, 2, 1, 0, 0x30, 0x10, 6, 4],
        &[0x30, 0x82, 0x30, 0x30, 6, 9, 0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 1, 5, 13, 4],
        b"-----BEGIN PRIVATE KEY-----MHcCMHcCMHcCMHcCMHcCMHcCMHcCMHcCMHcCMHcCMHcCMHcCMHcCMHcCMHcCMHcCMHcC",
        &[2, 3, 1, 0, 1],
        &der,
    ] {
        let image: Vec<u8> = unit.iter().copied().cycle().take(4 << 20).collect();
        let _ = search(&image, &[&example()]);
    }
    let _ = search(&noise(16 << 20, 9), &[&example()]);
    assert!(started.elapsed().as_secs() < 20, "{:?}", started.elapsed());
}

/// The start of an RSA-2048 SPKI, taken from a real one.
struct Spki2048;

impl Spki2048 {
    fn prefix() -> Vec<u8> {
        let key = example();
        let spki = key.to_spki_der();
        spki[..spki.len() - 256 - 5].to_vec()
    }
}
