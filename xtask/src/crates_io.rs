//! Makes the packages for crates.io, and checks that they compile without the rest of this repository.

use crate::Result;
use crate::tools::{cargo, run};
use flate2::read::GzDecoder;
use std::fs::{self, File};
use std::path::Path;
use toml::{Table, Value};

/// The crates that we publish, each after those it depends on.
const PUBLISHED: [&str; 5] =
    ["otaseal-device", "otaseal", "otaseal-cli", "otaseal-delivery", "otaseal-fleet"];

/// What crates.io shows or demands. Cargo leaves out a field whose file is missing.
const FIELDS: [&str; 9] = [
    "categories",
    "description",
    "documentation",
    "keywords",
    "license",
    "readme",
    "repository",
    "rust-version",
    "version",
];

/// Makes a package of each crate, unpacks them into a workspace of their own, and checks that they compile there.
///
/// `cargo package` could build them by itself. It would compile every dependency again, in minutes: it does not use the
/// profile of this workspace. This workspace has the profile, so it shares what `cargo clippy` has compiled.
///
/// # Errors
///
/// A package that cannot be made, has a field too few, or does not compile.
pub(crate) fn check(root: &Path) -> Result<String> {
    let mut package = cargo(root);
    package.args(["package", "--quiet", "--locked", "--no-verify", "--allow-dirty"]);
    package.args(PUBLISHED.iter().flat_map(|name| ["--package", name]));
    run(&mut package)?;
    let packages = root.join("target/package");
    let workspace = packages.join("workspace");
    if workspace.exists() {
        fs::remove_dir_all(&workspace)?;
    }
    fs::create_dir_all(&workspace)?;
    let mut report = Vec::new();
    for name in PUBLISHED {
        let file = packages.join(format!("{name}-{}.crate", env!("CARGO_PKG_VERSION")));
        tar::Archive::new(GzDecoder::new(File::open(&file)?)).unpack(&workspace)?;
        let folder = workspace.join(folder(name));
        let fields: Table = fs::read_to_string(folder.join("Cargo.toml"))?.parse()?;
        if let Some(field) = lacking(&fields) {
            return Err(format!("the package of {name} has no `{field}`").into());
        }
        report.push(format!("{name}: {} bytes", file.metadata()?.len()));
    }
    let own: Table = fs::read_to_string(root.join("Cargo.toml"))?.parse()?;
    fs::write(workspace.join("Cargo.toml"), toml::to_string(&around(&own))?)?;
    fs::copy(root.join("Cargo.lock"), workspace.join("Cargo.lock"))?;
    let mut check = cargo(&workspace);
    run(check
        .args(["check", "--quiet", "--workspace", "--offline", "--target-dir"])
        .arg(root.join("target")))?;
    Ok(report.join("\n"))
}

fn folder(name: &str) -> String {
    format!("{name}-{}", env!("CARGO_PKG_VERSION"))
}

/// Returns the first field that a package lacks.
fn lacking(manifest: &Table) -> Option<&'static str> {
    let package = manifest.get("package").and_then(Value::as_table);
    let has = |field: &&str| match package.and_then(|package| package.get(*field)) {
        Some(Value::String(text)) => !text.is_empty(),
        Some(Value::Array(list)) => !list.is_empty(),
        // Cargo writes `readme = false` if there is none.
        _ => false,
    };
    FIELDS.into_iter().find(|field| !has(field))
}

/// Returns the manifest of a workspace of the unpacked crates. They take each other from it in place of crates.io.
fn around(own: &Table) -> Table {
    let text = |text: String| Value::String(text);
    let members = PUBLISHED.iter().map(|name| text(folder(name))).collect();
    let resolver = text("3".into());
    let workspace =
        Table::from_iter([("members".into(), Value::Array(members)), ("resolver".into(), resolver)]);
    let path = |name: &str| Value::Table(Table::from_iter([("path".into(), text(folder(name)))]));
    let patches = PUBLISHED.iter().map(|name| ((*name).into(), path(name))).collect();
    let patch = Table::from_iter([("crates-io".into(), Value::Table(patches))]);
    let mut manifest = Table::from_iter([
        ("workspace".into(), Value::Table(workspace)),
        ("patch".into(), Value::Table(patch)),
    ]);
    if let Some(profile) = own.get("profile") {
        manifest.insert("profile".into(), profile.clone());
    }
    manifest
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_package_without_a_readme_or_a_keyword_is_not_ready() {
        let whole = "[package]\ncategories = ['embedded']\ndescription = 'd'\ndocumentation = 'u'\nkeywords = ['ota']\n\
                     license = 'MIT'\nreadme = 'README.md'\nrepository = 'r'\nrust-version = '1.88'\nversion = '1.0.0'\n";
        let lacking = |text: &str| super::lacking(&text.parse().unwrap());
        assert_eq!(lacking(whole), None);
        assert_eq!(lacking(&whole.replace("'README.md'", "false")), Some("readme"));
        assert_eq!(lacking(&whole.replace("['ota']", "[]")), Some("keywords"));
        assert_eq!(lacking(&whole.replace("repository = 'r'\n", "")), Some("repository"));
        assert_eq!(lacking(""), Some("categories"));
    }
}
