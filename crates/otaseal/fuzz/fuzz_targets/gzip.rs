//! The gzip linter, the strict reader under it, the fit simulation, and what devices would say.
#![no_main]

use libfuzzer_sys::fuzz_target;
use otaseal::format::gzip::lint::{GzipSeverity, MAX_CONTENT, lint};
use otaseal::profile::fit::{self, Flash};
use otaseal::profile::{Device, judge};

fuzz_target!(|data: &[u8]| {
    let report = lint(data);
    // Either there is content, or something that bricks a device is said to be wrong.
    let bad = report.findings.iter().any(|finding| finding.severity() == GzipSeverity::Bricks);
    assert!(report.content.is_some() || bad);
    if let Some(content) = &report.content {
        assert!(content.len() <= MAX_CONTENT);
        // With as much room as the content and the file take together, nothing is overtaken.
        let room = content.len().next_multiple_of(4096) + data.len().next_multiple_of(4096);
        let flash = Flash::new(room as u32);
        fit::check(data, data.len() as u64, &flash).expect("the sufficient rule");
    }
    for fs_start in [0, 0x1000, 0x8000, 0x10_0000] {
        let mut flash = Flash::new(fs_start);
        flash.installed = Some(1);
        let _ = fit::check(data, data.len() as u64, &flash);
    }
    for profile in ["esp8266@2.7.4/unsigned", "esp8266@3.1.2/unsigned", "arduino-pico/unsigned"] {
        let _ = judge(data, &Device::new(profile.parse().expect("a profile"), None));
    }
});
