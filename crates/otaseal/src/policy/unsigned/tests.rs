use super::*;
use crate::key::PrivateKey;
use crate::policy::continuity::{Continuity, NextKey};
use crate::policy::{Candidate, PolicyError};
use crate::project::advice::{Advice, Speaker};
use crate::sign::Scheme;
use crate::testing::esp_image;

fn key() -> PrivateKey {
    PrivateKey::from_bytes(include_bytes!(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../keys.example/private.pem"
    )))
    .unwrap()
}

fn policy(profiles: &[&str]) -> Policy {
    let mut policy = Policy::default();
    policy.devices.profiles = profiles.iter().map(|profile| profile.parse().unwrap()).collect();
    policy
}

const UNCHECKING: [&str; 7] = [
    "esp8266@3.1.2/unsigned",
    "esp8266@2.4.1",
    "esp8266@2.4.2/unsigned",
    "homie-mqtt/unsigned",
    "arduino-pico/unsigned",
    "esp32c3@3.x",
    "tasmota-esp8266",
];

#[test]
fn devices_that_check_no_signature_need_no_key() {
    assert_eq!(policy(&UNCHECKING).needs_key(), None);
    for profile in UNCHECKING {
        assert!(policy(&[profile]).open_unsigned().is_ok(), "{profile}");
    }
}

#[test]
fn every_other_policy_needs_a_key() {
    let mut refused = vec![(Policy::default(), "devices may check signatures")];
    let checking = ["esp8266@2.5.0", "esp8266@3.1.2", "homie-mqtt", "arduino-pico", "otaseal-device"];
    for profile in checking {
        refused.push((policy(&[profile]), "checks signatures"));
        // One is enough, wherever it stands.
        refused.push((policy(&["tasmota-esp8266", profile]), "checks signatures"));
        refused.push((policy(&[profile, "esp8266@3.1.2/unsigned"]), "checks signatures"));
    }
    let unchecking = || policy(&UNCHECKING);
    refused.push((Policy { purpose: Purpose::Release, ..unchecking() }, "a release is signed"));
    let mut pinned = unchecking();
    pinned.expect.public_key = Some(key().public().clone());
    refused.push((pinned, "a key is expected"));
    let mut pinned = unchecking();
    pinned.expect.key_id = Some(key().public().id());
    refused.push((pinned, "a key is expected"));
    for (policy, why) in refused {
        let needs = policy.needs_key().unwrap();
        assert!(needs.to_string().contains(why), "{policy:?}: {needs}");
        let error = policy.open_unsigned().map(drop).unwrap_err();
        assert!(matches!(error, PolicyError::KeyNeeded(found) if found == needs), "{error}");
        assert!(error.to_string().contains(why) && error.advice(Speaker::Program).contains("key"), "{error}");
    }
}

/// Returns the verdict on the keys of an image that nobody signs.
fn judged(policy: &Policy, image: &[u8]) -> Result<Continuity, PolicyError> {
    let gate = policy.open_unsigned()?;
    let permit = gate.judge(Candidate::new(image).with_every_key())?;
    let firmware = crate::package::firmware::Firmware::from_bytes("fw.bin", image.to_vec(), 0).unwrap();
    let signed = permit.sign_payload(&firmware.plain(), Scheme::Pkcs1v15Sha256).map(drop);
    assert!(matches!(signed, Err(PolicyError::NoSigner)));
    Ok(permit.continuity().unwrap().clone())
}

#[test]
fn an_image_that_nobody_signs_needs_no_key_in_it() {
    let unchecking = policy(&["esp8266@3.1.2/unsigned"]);
    let found = judged(&unchecking, &esp_image()).unwrap();
    assert_eq!((found.keys().len(), found.warnings().len(), found.to_string()), (0, 0, String::new()));
    // The same image, to be signed.
    let key = key();
    let gate = unchecking.open(Some(&key)).unwrap();
    let refused = gate.judge(Candidate::new(esp_image())).map(drop);
    assert!(matches!(refused, Err(PolicyError::Continuity(_))));
}

/// The first release with a key in it: its devices check every later update.
#[test]
fn a_key_in_an_image_that_nobody_signs_is_shown() {
    let (key, unchecking) = (key(), policy(&["esp8266@3.1.2/unsigned"]));
    let keyed = [&b"code\0".repeat(20), key.public().to_spki_pem().as_bytes()].concat();
    let found = judged(&unchecking, &keyed).unwrap();
    assert!(matches!(&found, Continuity::Unsigned { keys } if keys.len() == 1), "{found:?}");
    let id = key.public().id();
    assert_eq!(found.to_string(), format!("brings   {id}, which its devices trust from now on\n"));
    // Everybody has the private half of this one.
    assert!(found.warnings()[0].contains("published"), "{found:?}");

    let mut next = unchecking.clone();
    next.continuity.rotate_to = vec![NextKey::Id(id)];
    assert!(matches!(judged(&next, &keyed), Ok(Continuity::Rotates { .. })));
    // Neither no key, nor another key than the named one.
    assert!(matches!(judged(&next, b"no key in it"), Err(PolicyError::Continuity(_))));
    next.continuity.rotate_to = vec![NextKey::Id(otaseal_device::KeyId([7; 32]))];
    assert!(matches!(judged(&next, &keyed), Err(PolicyError::Continuity(_))));
    // No device gets a private key.
    let private = [&keyed[..], &key.to_pkcs8_pem().unwrap()].concat();
    assert!(matches!(judged(&unchecking, &private), Err(PolicyError::Continuity(_))));
}
