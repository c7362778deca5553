//! Tests PKCS#11 URIs.

use super::*;
use crate::project::advice::{Advice, Speaker};

fn read(text: &str) -> Result<Pkcs11Uri, UriError> {
    text.parse()
}

#[test]
fn what_rfc_7512_shows_is_read() {
    // The examples of section 3 that name a private key.
    let uri = read(
        "pkcs11:token=The%20Software%20PKCS%2311%20Softtoken;manufacturer=Snake%20Oil,%20Inc.;model=1.0;\
         object=my-certificate;type=private;id=%69%95%3E%5C%F4%BD%EC%91;serial=?pin-source=file:/etc/token_pin",
    )
    .unwrap();
    assert_eq!(uri.token.as_deref(), Some("The Software PKCS#11 Softtoken"));
    assert_eq!(uri.manufacturer.as_deref(), Some("Snake Oil, Inc."));
    assert_eq!((uri.model.as_deref(), uri.serial.as_deref()), (Some("1.0"), Some("")));
    assert_eq!(uri.object.as_deref(), Some("my-certificate"));
    assert_eq!(uri.id.as_deref(), Some(&[0x69, 0x95, 0x3E, 0x5C, 0xF4, 0xBD, 0xEC, 0x91][..]));
    assert_eq!(uri.pin_source.as_deref(), Some("/etc/token_pin".as_ref()));
    let uri = read("pkcs11:object=my-sign-key;type=private?module-name=mypkcs11").unwrap();
    assert_eq!(uri.module_name.as_deref(), Some("mypkcs11"));
    let uri = read("pkcs11:slot-description=Sun%20Metaslot;slot-id=327;library-version=3").unwrap();
    assert_eq!((uri.slot_description.as_deref(), uri.slot_id), (Some("Sun Metaslot"), Some(327)));
    let uri = read("pkcs11:token=Software%20PKCS%2311%20softtoken;object=a&b?module-path=/usr/lib/libcki.so")
        .unwrap();
    assert_eq!(uri.module_path.as_deref(), Some("/usr/lib/libcki.so".as_ref()));
    assert_eq!(uri.object.as_deref(), Some("a&b"));
    assert_eq!(read("pkcs11:").unwrap(), Pkcs11Uri::default());
    assert_eq!(read("PKCS11:object=%CE%BB").unwrap().object.as_deref(), Some("λ"));
    for (text, path) in [
        ("pin-source=file:///etc/pin", "/etc/pin"),
        ("pin-source=file://localhost/etc/pin", "/etc/pin"),
        ("pin-source=file:////etc/pin", "//etc/pin"),
        ("pin-source=file:localhost/pin", "localhost/pin"),
        ("pin-source=/etc/pin", "/etc/pin"),
        ("pin-source=pin", "pin"),
    ] {
        assert_eq!(read(&format!("pkcs11:?{text}")).unwrap().pin_source.as_deref(), Some(path.as_ref()));
    }
    // Section 2.4: otaseal ignores other attributes of the query.
    let uri = read("pkcs11:object=x?v-thing=1&module-path=/m&other=%00").unwrap();
    assert_eq!(uri.ignored, ["v-thing", "other"]);
}

#[test]
fn what_is_not_strict_is_refused() {
    let name = String::from;
    let value = |name, value: &str| UriError::Value { name, value: value.into() };
    for (text, error) in [
        ("", UriError::Scheme),
        ("pkcs11", UriError::Scheme),
        ("file:x", UriError::Scheme),
        ("pkcs1é:object=x", UriError::Scheme),
        ("pkcs11:object", UriError::NoAttribute(1)),
        ("pkcs11:;object=x", UriError::NoAttribute(1)),
        ("pkcs11:object=x;", UriError::NoAttribute(2)),
        ("pkcs11:object=x?", UriError::NoAttribute(2)),
        ("pkcs11:=x", UriError::NoAttribute(1)),
        ("pkcs11:my object=x", UriError::NoAttribute(1)),
        ("pkcs11:object=a b", UriError::Character { name: name("object"), character: ' ' }),
        ("pkcs11:object=a/b", UriError::Character { name: name("object"), character: '/' }),
        ("pkcs11:object=a#b", UriError::Character { name: name("object"), character: '#' }),
        ("pkcs11:object=ä", UriError::Character { name: name("object"), character: 'ä' }),
        ("pkcs11:?module-path=a;b", UriError::Character { name: name("module-path"), character: ';' }),
        ("pkcs11:object=%", UriError::Percent(name("object"))),
        ("pkcs11:object=%4", UriError::Percent(name("object"))),
        ("pkcs11:object=%4x", UriError::Percent(name("object"))),
        ("pkcs11:object=%é1", UriError::Percent(name("object"))),
        ("pkcs11:object=%+1", UriError::Percent(name("object"))),
        ("pkcs11:object=%FF", UriError::Text(name("object"))),
        ("pkcs11:object=x;object=x", UriError::Twice(name("object"))),
        ("pkcs11:id=%01;object=x;id=%01", UriError::Twice(name("id"))),
        ("pkcs11:?pin-source=a&pin-source=b", UriError::Twice(name("pin-source"))),
        ("pkcs11:slot-id=one", value("slot-id", "one")),
        ("pkcs11:slot-id=", value("slot-id", "")),
        ("pkcs11:slot-id=+1", value("slot-id", "+1")),
        ("pkcs11:slot-id=99999999999999999999", value("slot-id", "99999999999999999999")),
        ("pkcs11:object=x;type=public", value("type", "public")),
        ("pkcs11:object=x;type=cert", value("type", "cert")),
        ("pkcs11:?module-path=", value("module-path", "")),
        ("pkcs11:?module-name=../x", value("module-name", "../x")),
        ("pkcs11:?module-name=..", value("module-name", "..")),
        ("pkcs11:?module-name=", value("module-name", "")),
        ("pkcs11:?pin-source=file:", value("pin-source", "file:")),
        ("pkcs11:?pin-source=file://", value("pin-source", "file://")),
        ("pkcs11:?pin-source=file://localhost", value("pin-source", "file://localhost")),
        // The URI names a file on another machine. Its path is not a path here.
        ("pkcs11:?pin-source=file://vault/pin", value("pin-source", "file://vault/pin")),
        ("pkcs11:?pin-source=file://localhosts/pin", value("pin-source", "file://localhosts/pin")),
        ("pkcs11:x-vendor=1", UriError::Unknown(name("x-vendor"))),
        ("pkcs11:label=x", UriError::Unknown(name("label"))),
        // This attribute belongs after the question mark. Before it, it would be part of the key's name.
        ("pkcs11:object=x;module-path=m", UriError::Unknown(name("module-path"))),
        ("pkcs11:object=x?pin-value=1234", UriError::PinValue),
        ("pkcs11:object=x?pin-source=|askpass", UriError::PinCommand),
    ] {
        assert_eq!(read(text), Err(error.clone()), "{text}");
        assert!(error.advice(Speaker::Program).len() > 20 && !error.to_string().contains("1234"), "{text}");
    }
    assert_eq!(read(&format!("pkcs11:object={}", "x".repeat(9000))), Err(UriError::TooLong));
}

#[test]
fn nothing_that_is_decoded_writes_on_a_terminal() {
    for text in [
        "pkcs11:slot-id=1%1B%5B2J",
        "pkcs11:object=x;type=%07",
        "pkcs11:?module-name=%0A",
        "pkcs11:?pin-source=file:%2F%2F%1B",
    ] {
        let error = read(text).unwrap_err().to_string();
        assert!(error.contains("cannot be `") && !error.contains(char::is_control), "{error:?}");
    }
}

proptest::proptest! {
    #[test]
    fn hostile_text_never_panics(text in "(?s).{0,80}", path in "[a-z;=%0-9?&é-]{0,60}") {
        let _ = read(&text);
        let _ = read(&format!("pkcs11:{text}"));
        let _ = read(&format!("pkcs11:{path}"));
        let _ = Pkcs11Uri::is_one(&text);
    }

    #[test]
    fn what_is_written_is_read_again(
        token in proptest::option::of("(?s).{0,20}"),
        object in proptest::option::of("(?s).{0,20}"),
        id in proptest::option::of(proptest::collection::vec(proptest::prelude::any::<u8>(), 0..20)),
        slot_id in proptest::option::of(proptest::prelude::any::<u64>()),
        module in proptest::option::of("(?s).{1,20}"),
        pin in proptest::option::of("/{0,3}[^|/].{1,20}"),
    ) {
        let module_path = module.map(PathBuf::from);
        let pin_source = pin.map(PathBuf::from);
        let uri = Pkcs11Uri { token, object, id, slot_id, module_path, pin_source, ..Pkcs11Uri::default() };
        proptest::prop_assert_eq!(read(&uri.to_string()), Ok(uri));
    }
}
