use proptest::prelude::*;

use super::*;

fn config() -> Config {
    Config::read(
        r#"{"name":"lamp","device_id":"kitchen","wifi":{"ssid":"home"},
            "mqtt":{"host":"broker.lan","port":1883,"base_topic":"homie/","auth":true},
            "ota":{"enabled":true},"settings":{"interval":10}}"#,
    )
    .unwrap()
}

fn after(patch: &str) -> Result<Config, Refusal> {
    config().with(&Patch::read(patch.as_bytes())?)
}

/// The examples of RFC 7386, appendix A, that are objects on both sides.
#[test]
fn a_merge_is_that_of_the_rfc() {
    for (target, patch, result) in [
        (r#"{"a":"b"}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
        (r#"{"a":"b"}"#, r#"{"b":"c"}"#, r#"{"a":"b","b":"c"}"#),
        (r#"{"a":"b"}"#, r#"{"a":null}"#, "{}"),
        (r#"{"a":"b","b":"c"}"#, r#"{"a":null}"#, r#"{"b":"c"}"#),
        (r#"{"a":["b"]}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
        (r#"{"a":"c"}"#, r#"{"a":["b"]}"#, r#"{"a":["b"]}"#),
        (r#"{"a":{"b":"c"}}"#, r#"{"a":{"b":"d","c":null}}"#, r#"{"a":{"b":"d"}}"#),
        (r#"{"a":[{"b":"c"}]}"#, r#"{"a":[1]}"#, r#"{"a":[1]}"#),
        (r#"{"e":null}"#, r#"{"a":1}"#, r#"{"a":1,"e":null}"#),
        ("{}", r#"{"a":{"bb":{"ccc":null}}}"#, r#"{"a":{"bb":{}}}"#),
    ] {
        let Value::Object(mut target) = serde_json::from_str(target).unwrap() else { panic!("{target}") };
        merge(&mut target, &Patch::read(patch.as_bytes()).unwrap().0);
        assert_eq!(Value::Object(target), serde_json::from_str::<Value>(result).unwrap(), "{patch}");
    }
}

#[test]
fn a_change_shows_its_differences() {
    let next = after(r#"{"ota":{"enabled":false},"settings":{"interval":null,"unit":"C"}}"#).unwrap();
    let changes = config().differences(&next);
    let lines: Vec<String> = changes
        .iter()
        .map(|change| format!("{}: {:?} -> {:?}", change.path, change.before, change.after))
        .collect();
    assert_eq!(
        lines,
        [
            r#"ota.enabled: Some("true") -> Some("false")"#,
            r#"settings.interval: Some("10") -> None"#,
            r#"settings.unit: None -> Some("\"C\"")"#
        ]
    );
}

#[test]
fn a_number_that_the_device_prints_shorter_is_the_same() {
    let config = |number: &str| Config::read(&format!("{{\"settings\":{{\"x\":{number}}}}}")).unwrap();
    for (one, other) in [
        ("3.14159265358979", "3.141592654"),
        ("20", "20.0"),
        ("0", "0.0"),
        ("[{\"y\":0.5}]", "[{\"y\":0.5000000001}]"),
    ] {
        assert!(config(one).differences(&config(other)).is_empty(), "{one} {other}");
    }
    for (one, other) in [("3.14159", "3.14158"), ("0", "1e-9"), ("1", "\"1\""), ("1", "true"), ("1", "null")]
    {
        assert_eq!(config(one).differences(&config(other)).len(), 1, "{one} {other}");
    }
}

#[test]
fn secrets_are_never_shown() {
    let patch = Patch::read(
        br#"{"wifi":{"password":"geheim"},"mqtt":{"username":"geheim","password":"geheim"},"settings":{"psk":"geheim"}}"#,
    )
    .unwrap();
    assert_eq!(patch.secrets(), ["mqtt.password", "mqtt.username", "settings.psk", "wifi.password"]);
    assert!(!format!("{patch:?}").contains("geheim"));
    assert!(patch.to_json().contains("geheim"));
    let next = config().with(&patch).unwrap();
    assert!(!format!("{next:?} {:?}", config().differences(&next)).contains("geheim"));
    // A device of another firmware may publish them.
    let leaking = Config::read(r#"{"wifi":{"password":"geheim"},"mqtt":{"username":"geheim"}}"#).unwrap();
    assert!(!format!("{} {:?}", leaking.shown(), Config::default().differences(&leaking)).contains("geheim"));
}

#[test]
fn what_the_device_would_refuse_is_refused_here() {
    let path = |patch: &str| match after(patch) {
        Err(Refusal::Wrong { path, .. }) => path,
        other => panic!("{patch}: {other:?}"),
    };
    assert_eq!(path(r#"{"name":""}"#), "name");
    assert_eq!(path(r#"{"name":null}"#), "name");
    assert_eq!(path(r#"{"wifi":null}"#), "wifi.ssid");
    assert_eq!(path(r#"{"wifi":"x"}"#), "wifi.ssid");
    assert_eq!(path(r#"{"mqtt":{"host":1}}"#), "mqtt.host");
    assert_eq!(path(r#"{"mqtt":{"port":70000}}"#), "mqtt.port");
    assert_eq!(path(r#"{"mqtt":{"base_topic":"homie"}}"#), "mqtt.base_topic");
    assert_eq!(path(r#"{"ota":{"enabled":"yes"}}"#), "ota.enabled");
    assert_eq!(path(r#"{"device_id":"a/b"}"#), "device_id");
    assert_eq!(path(r#"{"settings":[]}"#), "settings");
    for text in ["", "[]", "null", "{", "1", "{\"a\":1}x"] {
        assert_eq!(Patch::read(text.as_bytes()), Err(Refusal::NotAnObject), "{text}");
    }
    assert_eq!(Patch::read(b"\xff"), Err(Refusal::NotAnObject));
    assert_eq!(Patch::read(&b"[".repeat(1 << 20)), Err(Refusal::NotAnObject));
}

#[test]
fn less_than_1000_bytes_and_at_most_10_settings() {
    let settings = |count: usize| {
        let entries: Vec<String> = (1..count).map(|number| format!("\"s{number}\":{number}")).collect();
        format!("{{\"settings\":{{{}}}}}", entries.join(","))
    };
    assert!(after(&settings(10)).is_ok());
    assert_eq!(after(&settings(11)), Err(Refusal::TooManySettings { count: 11 }));
    let filled = |bytes: usize| format!("{{\"settings\":{{\"x\":\"{}\"}}}}", "y".repeat(bytes));
    let base = after(&filled(0)).unwrap();
    let empty = Value::Object(base.0).to_string().len();
    assert!(after(&filled(999 - empty)).is_ok());
    assert_eq!(after(&filled(1000 - empty)), Err(Refusal::TooLong { bytes: 1000 }));
    assert!(matches!(Patch::read(filled(2000).as_bytes()), Err(Refusal::PatchTooLong { .. })));
}

#[test]
fn risks_are_named() {
    let patch = Patch::read(br#"{"mqtt":{"host":"x"},"device_id":"y","ota":{"enabled":true}}"#).unwrap();
    assert_eq!(patch.risks(), ["device_id", "mqtt.host"]);
}

#[test]
fn a_hostile_configuration_is_shown_on_harmless_lines() {
    let hostile = Config::read("{\"na\\u001b[2Jme\":\"\\u202ex\\u0007\u{202e}\"}").unwrap();
    let shown = hostile.shown();
    assert!(!shown.contains(['\u{1b}', '\u{7}', '\u{202e}']), "{shown:?}");
    for change in Config::default().differences(&hostile) {
        assert!(!format!("{} {:?}", change.path, change.after).contains(['\u{1b}', '\u{202e}']));
    }
}

proptest! {
    #[test]
    fn any_bytes_are_a_patch_or_a_refusal(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        if let Ok(patch) = Patch::read(&bytes) {
            let _ = config().with(&patch);
        }
    }
}
