//! The rules of `deny.toml` that need no tool and no network: licences, banned packages, where packages come from.
//!
//! `cargo deny` reads the same file and knows more; it takes longer to build than everything else here, so it is run
//! where it is installed already.

use crate::Result;
use cargo_metadata::MetadataCommand;
use std::path::Path;

/// The only registry that packages may come from, as `Cargo.lock` writes it.
const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// Checks every package of the lock file.
///
/// # Errors
///
/// A list of what breaks a rule.
pub(crate) fn check(root: &Path) -> Result<String> {
    let rules: toml::Table = std::fs::read_to_string(root.join("deny.toml"))?.parse()?;
    let allowed = list(&rules, "licenses", "allow", |entry| entry.as_str());
    let banned = list(&rules, "bans", "deny", |entry| entry.get("name")?.as_str());
    if allowed.is_empty() || banned.is_empty() {
        return Err("deny.toml has no licences or no bans".into());
    }
    let metadata = MetadataCommand::new().manifest_path(root.join("Cargo.toml")).exec()?;
    let mut wrong = Vec::new();
    for package in &metadata.packages {
        let name = package.name.as_str();
        let licence = package.license.as_deref().unwrap_or("no licence");
        if !permitted(licence, &allowed) {
            wrong.push(format!("{name}: {licence}"));
        }
        if banned.contains(&name) {
            wrong.push(format!("{name} is banned in deny.toml"));
        }
        let source = package.source.as_ref().map(|source| source.repr.as_str());
        if source.is_some_and(|source| source != REGISTRY) {
            wrong.push(format!("{name} comes from {}", source.unwrap_or_default()));
        }
    }
    match wrong.is_empty() {
        true => Ok(format!("{} packages", metadata.packages.len())),
        false => Err(wrong.join("\n").into()),
    }
}

fn list<'r>(
    rules: &'r toml::Table,
    section: &str,
    field: &str,
    text: impl Fn(&'r toml::Value) -> Option<&'r str>,
) -> Vec<&'r str> {
    let entries = rules.get(section).and_then(|section| section.get(field)?.as_array());
    entries.into_iter().flatten().filter_map(text).collect()
}

/// Whether an SPDX expression can be met: of everything joined by AND, one of what is joined by OR.
fn permitted(expression: &str, allowed: &[&str]) -> bool {
    let plain = expression.replace('/', " OR ").replace(['(', ')'], "");
    plain.split(" AND ").all(|part| part.split(" OR ").any(|licence| allowed.contains(&licence.trim())))
}

#[cfg(test)]
mod tests {
    use super::permitted;

    #[test]
    fn expressions() {
        let allowed = ["MIT", "Unicode-3.0"];
        assert!(permitted("MIT OR Apache-2.0", &allowed));
        assert!(permitted("Apache-2.0/MIT", &allowed));
        assert!(permitted("(MIT OR Apache-2.0) AND Unicode-3.0", &allowed));
        assert!(!permitted("Apache-2.0", &allowed));
        assert!(!permitted("MIT AND GPL-3.0-only", &allowed));
        assert!(!permitted("no licence", &allowed));
    }
}
