use super::*;

/// Reads a request as it stands on the wire, without its body.
fn parse(text: &str) -> Result<Request, NotAnUpdater> {
    let mut lines = text.lines();
    let mut first = lines.next().unwrap().split(' ');
    let (method, target) = (first.next().unwrap(), first.next().unwrap());
    let fields = lines.filter_map(|line| line.split_once(": ")).map(|(name, value)| (name, value.as_bytes()));
    Request::parse(method, target, fields)
}

/// As core 3.1.2 sends it.
const ESP8266: &str = "\
GET /ota/lamp?x=1 HTTP/1.0
Host: 192.168.1.2:8080
User-Agent: ESP8266-http-Update
Connection: close
x-ESP8266-Chip-ID: 1458415
x-ESP8266-STA-MAC: 5C:CF:7F:AA:BB:CC
x-ESP8266-AP-MAC: 5E:CF:7F:AA:BB:CC
x-ESP8266-free-space: 671744
x-ESP8266-sketch-size: 373952
x-ESP8266-sketch-md5: 0123456789abcdef0123456789abcdef
x-ESP8266-chip-size: 4194304
x-ESP8266-sdk-version: 2.2.2-dev(38a443e)
x-ESP8266-mode: sketch
x-ESP8266-version: 1.2.3
Content-Length: 0";

const PICO: &str = "\
GET / HTTP/1.0
Host: 192.168.1.2
User-Agent: Pico-HTTP-Update
Connection: close
x-Pico-Chip-ID: E6614103E7452D2F
x-Pico-STA-MAC: 28:CD:C1:00:00:01
x-Pico-AP-MAC: 28:CD:C1:00:00:01
x-Pico-Mode: spiffs
x-Pico-Version: 2.0
Content-Length: 0";

const ESP32: &str = "\
GET /ota/lamp HTTP/1.0
Host: 192.168.1.2
User-Agent: ESP32-http-Update
Connection: close
Cache-Control: no-cache
x-ESP32-STA-MAC: 24:0A:C4:00:00:01
x-ESP32-AP-MAC: 24:0A:C4:00:00:02
x-ESP32-free-space: 1310720
x-ESP32-sketch-size: 742336
x-ESP32-sketch-md5: 0123456789abcdef0123456789abcdef
x-ESP32-sketch-sha256: 00112233445566778899AABBCCDDEEFF00112233445566778899AABBCCDDEEFF
x-ESP32-chip-size: 4194304
x-ESP32-sdk-version: v4.4.7
x-ESP32-mode: sketch
Content-Length: 0";

fn replaced(text: &str, from: &str, to: &str) -> Request {
    assert!(text.contains(from), "{from}");
    parse(&text.replace(from, to)).unwrap()
}

#[test]
fn an_esp8266_says_who_it_is() {
    let request = parse(ESP8266).unwrap();
    assert_eq!((request.path.as_str(), request.query.as_deref()), ("/ota/lamp", Some("x=1")));
    assert_eq!(request.mode, Some(Mode::Sketch));
    assert!(request.odd.is_empty() && request.homie.is_none() && !request.tasmota);
    let facts = request.facts;
    assert_eq!(facts.identity().unwrap().to_string(), "ESP8266 5C:CF:7F:AA:BB:CC");
    assert_eq!(facts.chip_id.unwrap().value, "1458415");
    assert_eq!(facts.free_bytes.unwrap().value, 671_744);
    assert_eq!(facts.sketch_bytes.unwrap().value, 373_952);
    assert_eq!(facts.chip_bytes.unwrap().value, 4_194_304);
    assert_eq!(facts.md5.unwrap().value.to_string(), "0123456789abcdef0123456789abcdef");
    assert_eq!(facts.version.unwrap().value, "1.2.3");
    assert_eq!(facts.core_at_least.unwrap().value, CoreVersion(2, 6, 0));
    assert!(facts.profile.is_none());
}

#[test]
fn a_pico_and_an_esp32_are_told_apart() {
    let pico = parse(PICO).unwrap();
    assert_eq!(pico.mode, Some(Mode::Spiffs));
    assert_eq!(pico.facts.family.as_ref().unwrap().value, Family::Rp2040);
    assert_eq!(pico.facts.chip_id.unwrap().value, "E6614103E7452D2F");
    assert!(pico.facts.core_at_least.is_none() && pico.facts.free_bytes.is_none());
    let esp32 = parse(ESP32).unwrap();
    assert_eq!(esp32.facts.family.as_ref().unwrap().value, Family::Esp32);
    assert!(esp32.facts.sha256.unwrap().value.to_string().starts_with("00112233445566778899aabb"));
    assert!(esp32.odd.is_empty(), "{:?}", esp32.odd);
}

#[test]
fn names_of_fields_have_no_case() {
    let lower =
        parse(&ESP8266.replace("x-ESP8266-", "x-esp8266-").replace("User-Agent", "user-agent")).unwrap();
    let upper =
        parse(&ESP8266.replace("x-ESP8266-", "X-ESP8266-").replace("sketch-md5", "SKETCH-MD5")).unwrap();
    for request in [lower, upper] {
        assert!(request.facts.md5.is_some() && request.facts.sta_mac.is_some());
    }
}

#[test]
fn an_older_core_is_known_by_what_it_does_not_send() {
    let core = |text: &str| parse(text).unwrap().facts.core_at_least.map(|core| core.value);
    let without = |text: &str, start: &str| {
        text.lines().filter(|line| !line.starts_with(start)).collect::<Vec<_>>().join("\n")
    };
    let no_length = without(ESP8266, "Content-Length");
    assert_eq!(core(&no_length), Some(CoreVersion(2, 6, 0)));
    let no_id = without(&no_length, "x-ESP8266-Chip-ID");
    assert_eq!(core(&no_id), Some(CoreVersion(2, 4, 0)));
    assert_eq!(core(&without(&no_id, "x-ESP8266-sketch-md5")), None);
}

#[test]
fn every_form_of_homie_1_is_read() {
    for (version, target) in [
        ("kitchen=lamp@1.0.0", None),
        ("kitchen=lamp@1.0.0->1.0.1", Some("1.0.1")),
        ("kitchen=lamp=1.0.0=a75ebc7c7f@1.0.1", Some("a75ebc7c7f@1.0.1")),
    ] {
        let request = replaced(ESP8266, "1.2.3", version);
        assert_eq!(request.homie.unwrap().target.as_deref(), target, "{version}");
        assert_eq!(request.facts.name.unwrap().value, "kitchen");
        assert_eq!(request.facts.firmware.unwrap().value, "lamp");
        assert_eq!(request.facts.version.unwrap().value, "1.0.0");
    }
}

#[test]
fn tasmota_is_known_by_its_version() {
    for version in ["9.1.0(tasmota)", "12.4.0.1(tasmota-lite)", "6.6(sonoff)"] {
        let request = replaced(ESP8266, "1.2.3", version);
        assert!(request.tasmota, "{version}");
        assert_eq!(request.facts.profile.unwrap().value.to_string(), "tasmota-esp8266");
    }
    for version in [
        "(tasmota)",
        "9(tasmota)",
        "9.1()",
        "9.1(a b)",
        "x.1(tasmota)",
        "9.1.0(tasmota) ",
        "9..1(x)",
        "9.1(x)y",
    ] {
        let request = replaced(ESP8266, "1.2.3", version);
        assert_eq!(request.tasmota, version == "9.1.0(tasmota) ", "{version}");
    }
}

#[test]
fn modes_are_sketch_spiffs_and_version() {
    for (mode, is) in [
        ("sketch", Some(Mode::Sketch)),
        ("spiffs", Some(Mode::Spiffs)),
        ("version", Some(Mode::Version)),
        ("littlefs", None),
        ("SKETCH", None),
    ] {
        assert_eq!(replaced(ESP8266, "mode: sketch", &format!("mode: {mode}")).mode, is, "{mode}");
    }
    // The mode of the git cores of the ESP8266 alone.
    assert_eq!(parse(&PICO.replace("Mode: spiffs", "Mode: version")).unwrap().mode, None);
    assert_eq!(replaced(ESP8266, "x-ESP8266-mode: sketch\n", "").mode, Some(Mode::Sketch));
}

#[test]
fn a_number_that_makes_no_sense_is_left_out_and_reported() {
    for number in [
        "-1",
        "+1",
        "0x10",
        "1e6",
        "1 000",
        "",
        " ",
        "१२३",
        "1.0",
        "9999999999999999999999999999999999999999",
        "18446744073709551616",
    ] {
        let request = replaced(ESP8266, "free-space: 671744", &format!("free-space: {number}"));
        assert!(request.facts.free_bytes.is_none(), "{number}");
        assert_eq!(request.odd.len(), usize::from(!number.is_empty()), "{number}: {:?}", request.odd);
    }
    let wrapped = replaced(ESP8266, "free-space: 671744", "free-space: 4294860800");
    assert_eq!(wrapped.facts.free_bytes.unwrap().value, 4_294_860_800);
}

#[test]
fn a_core_without_memory_sends_an_empty_digest() {
    let request = replaced(ESP8266, "sketch-md5: 0123456789abcdef0123456789abcdef", "sketch-md5: ");
    assert!(request.facts.md5.is_none() && request.odd.is_empty(), "{:?}", request.odd);
    for md5 in ["0123", "0123456789abcdef0123456789abcdeg", "0123456789abcdef0123456789abcdef0"] {
        let request = replaced(ESP8266, "0123456789abcdef0123456789abcdef", md5);
        assert!(request.facts.md5.is_none(), "{md5}");
        assert_eq!(request.odd.len(), 1, "{md5}");
    }
}

#[test]
fn strange_bytes_are_shown_escaped_and_believed_by_nobody() {
    let fields: Vec<(&str, Vec<u8>)> = vec![
        ("User-Agent", b"ESP8266-http-Update".to_vec()),
        ("x-ESP8266-STA-MAC", b"\x1b[31m5C:CF".to_vec()),
        ("x-ESP8266-Chip-ID", b"\xff\xfe".to_vec()),
        ("x-ESP8266-version", b"1.0\r\nx-evil: 1".to_vec()),
        ("x-ESP8266-sdk-version", vec![b'a'; 200_000]),
        ("x-ESP8266-free-space", vec![b'9'; 200_000]),
    ];
    let fields = fields.iter().map(|(name, value)| (*name, value.as_slice()));
    let request = Request::parse("GET", "/", fields).unwrap();
    assert!(
        request.facts.sta_mac.is_none() && request.facts.chip_id.is_none() && request.facts.version.is_none()
    );
    assert!(request.facts.sdk.is_none() && request.facts.free_bytes.is_none());
    assert_eq!(request.odd.len(), 5);
    for odd in &request.odd {
        assert!(odd.len() < 1000 && !odd.chars().any(char::is_control), "{odd}");
    }
}

#[test]
fn only_the_first_of_two_equal_fields_counts() {
    let request = replaced(ESP8266, "x-ESP8266-mode", "x-ESP8266-STA-MAC: 00:00:00:00:00:00\nx-ESP8266-mode");
    assert_eq!(request.facts.sta_mac.unwrap().value.to_string(), "5C:CF:7F:AA:BB:CC");
    assert_eq!(request.odd.len(), 1);
}

#[test]
fn fields_of_another_family_do_not_mix() {
    let request = replaced(ESP8266, "x-ESP8266-mode", "x-Pico-Chip-ID: E6614103E7452D2F\nx-ESP8266-mode");
    assert_eq!(request.facts.chip_id.unwrap().value, "1458415");
    assert_eq!(request.odd.len(), 1);
}

#[test]
fn a_redirected_device_says_only_its_agent() {
    let text = "GET /file/x?token=t HTTP/1.0\nHost: cdn\nUser-Agent: ESP8266-http-Update\nContent-Length: 0";
    let request = parse(text).unwrap();
    assert_eq!(request.query.as_deref(), Some("token=t"));
    assert!(request.facts.identity().is_none());
}

#[test]
fn a_proxy_that_renames_the_agent_leaves_the_fields() {
    assert!(parse(&ESP8266.replace("ESP8266-http-Update", "proxy/1.0")).is_ok());
}

#[test]
fn a_browser_is_no_updater() {
    for agent in ["Mozilla/5.0", "curl/8.0", "", "ESP8266-http-Update/1.0", "ESP8266HTTPClient"] {
        let fault = parse(&format!("GET / HTTP/1.1\nUser-Agent: {agent}")).unwrap_err();
        assert!(matches!(fault, NotAnUpdater::Agent { .. }), "{agent}");
    }
    assert!(matches!(parse("GET / HTTP/1.1\nHost: x"), Err(NotAnUpdater::Agent { .. })));
    let evil = Request::parse("GET", "/", [("user-agent", &b"\x1b]0;x\x07"[..])].into_iter()).unwrap_err();
    assert!(!evil.to_string().chars().any(char::is_control), "{evil}");
}

#[test]
fn an_updater_asks_with_get() {
    for method in ["POST", "PUT", "HEAD", "DELETE", "get"] {
        let fault = parse(&ESP8266.replace("GET", method)).unwrap_err();
        assert_eq!(fault, NotAnUpdater::Method { method: method.into() });
    }
}

#[test]
fn credentials_are_never_shown() {
    let request = replaced(ESP8266, "Connection: close", "Authorization: Basic c2VjcmV0\nConnection: close");
    assert!(!format!("{request:?}").contains("c2VjcmV0"));
    assert_eq!(request.authorization.unwrap().0, b"Basic c2VjcmV0");
}
