//! What a device says when it asks: everything is bounded and harmless, and no answer has a line of the device's making.
#![no_main]

use libfuzzer_sys::fuzz_target;
use otaseal_delivery::pull::catalogue::{Address, Catalogue, Settings};
use otaseal_delivery::pull::homie_v1::HomieV1;
use otaseal_delivery::pull::request::{MAX_VALUE, Request};

/// A text is shown with four characters for each byte at most.
const MAX_SHOWN: usize = 4 * 1024;

fuzz_target!(|data: &[u8]| {
    let mut lines = data.split(|byte| *byte == b'\n');
    let first = String::from_utf8_lossy(lines.next().unwrap_or_default()).into_owned();
    let (method, target) = first.split_once(' ').unwrap_or(("GET", first.as_str()));
    let fields: Vec<(String, &[u8])> = lines
        .filter_map(|line| {
            let at = line.iter().position(|byte| *byte == b':')?;
            Some((String::from_utf8_lossy(&line[..at]).into_owned(), line[at + 1..].trim_ascii()))
        })
        .collect();
    let fields = fields.iter().map(|(name, value)| (name.as_str(), *value));
    Address::parse(target);
    HomieV1::parse(target);
    let request = match Request::parse(method, target, fields) {
        Ok(request) => request,
        Err(fault) => return harmless(&fault.to_string()),
    };
    assert_eq!(method, "GET");
    request.odd.iter().for_each(|odd| harmless(odd));
    request.facts.shown().iter().for_each(|fact| harmless(fact));
    for text in [&request.facts.version, &request.facts.chip_id, &request.facts.sdk, &request.facts.name]
        .into_iter()
        .flatten()
    {
        assert!(text.value.len() <= MAX_VALUE);
    }
    let served = Catalogue::default().answer(&request, &Settings::default(), 0);
    harmless(&served.why.to_string());
    let response = served.answer.into_response();
    assert!([403, 404].contains(&response.status().as_u16()));
    assert_eq!(response.headers()["connection"], "close");
});

/// One line without control characters.
fn harmless(text: &str) {
    assert!(!text.chars().any(char::is_control) && text.len() <= MAX_SHOWN, "{text:?}");
}
