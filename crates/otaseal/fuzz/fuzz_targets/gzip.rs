//! The gzip linter, the strict reader under it, the fit simulation, and what devices would say.
#![no_main]

use libfuzzer_sys::fuzz_target;
use otaseal::format::gzip::lint::{GzipSeverity, MAX_CONTENT, lint};
use otaseal::profile::fit::Flash;
use otaseal::profile::{Device, Reason, Via, judge};

fuzz_target!(|data: &[u8]| {
    let report = lint(data);
    // Either there is content, or something that bricks a device is said to be wrong.
    let bad = report.findings.iter().any(|finding| finding.severity() == GzipSeverity::Bricks);
    assert!(report.content.is_some() || bad);
    if let Some(content) = &report.content {
        assert!(content.len() <= MAX_CONTENT);
        // With as much room as the content and the file take together, nothing is overtaken: whatever a device has
        // against it is no misfit.
        let room = content.len().next_multiple_of(4096) + data.len().next_multiple_of(4096);
        let mut device = Device::new("esp8266@3.1.2/unsigned".parse().expect("a profile"), None);
        device.flash = Some(Flash::new(room as u32));
        device.via = Some(&[Via::Espota]);
        let verdict = judge(data, &device).verdict;
        assert!(!matches!(verdict.reason(), Some(Reason::Misfit(_))), "{verdict}");
    }
    for profile in ["esp8266@2.7.4/unsigned", "esp8266@3.1.2/unsigned", "arduino-pico/unsigned"] {
        for fs_start in [0, 0x1000, 0x8000, 0x10_0000] {
            let mut device = Device::new(profile.parse().expect("a profile"), None);
            device.flash = Some(Flash::new(fs_start));
            let _ = judge(data, &device);
        }
    }
});
