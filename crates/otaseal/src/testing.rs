//! What the unit tests share.

/// Says that a test does not run because a program is missing, and fails where nothing may be missing: in CI.
#[allow(clippy::print_stderr, reason = "a skipped test must not look like a passed one")]
pub(crate) fn skipped(why: &str) {
    assert!(std::env::var_os("CI").is_none(), "in CI every peer must be there: {why}");
    eprintln!("SKIPPED: {why}");
}
