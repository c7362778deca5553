//! What a device answers to a web form, and addresses of forms: everything is bounded, and only its words are success.
#![no_main]

use libfuzzer_sys::fuzz_target;
use otaseal_delivery::form::{Form, MAX_ANSWER, Meaning, Url, meaning};

fuzz_target!(|data: &[u8]| {
    for form in [Form::UpdateServer, Form::Tasmota] {
        answer(form, data);
    }
    if let Ok(text) = std::str::from_utf8(data)
        && let Ok(url) = Url::parse(text)
    {
        // What stands in a request is one line.
        assert!(url.path.starts_with('/') && url.path.bytes().all(|byte| byte.is_ascii_graphic()));
        assert!(!url.host.is_empty() && url.port != 0);
        let again = Url::parse(&url.to_string()).expect("an address that is shown is one");
        assert_eq!((again.host, again.port, again.path), (url.host, url.port, url.path));
    }
});

fn answer(form: Form, data: &[u8]) {
    let whole = meaning(form, data, true);
    assert_ne!(whole, Meaning::More);
    match &whole {
        Meaning::Took
            if form == Form::UpdateServer && !data.windows(7).any(|window| window == b"chunked") =>
        {
            assert!(data.windows(14).any(|window| window == b"Update Success"));
        }
        Meaning::Refused(words) | Meaning::Other(words) => assert!(words.len() <= MAX_ANSWER),
        _ => {}
    }
    // More bytes never take success back.
    for length in [data.len() / 2, data.len().saturating_sub(1)] {
        if meaning(form, &data[..length], false) == Meaning::Took {
            assert_eq!(whole, Meaning::Took);
        }
    }
}
