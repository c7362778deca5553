//! Makes a software bill of materials of a firmware or a program that Cargo builds: CycloneDX 1.5 (ECMA-424), JSON, from Cargo's own resolution.
//!
//! The same sources give the same bytes: it has no serial number, no path of this machine, and no time but the
//! caller's.

use super::CargoError;
use super::project::FirmwarePackage;
use crate::project::settings::Settings;
use cargo_metadata::{CargoOpt, DependencyKind, Metadata, MetadataCommand, Package, PackageId};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::Path;

/// Returns the bill of materials of the firmware that Cargo builds with these settings.
pub(super) fn generate(
    firmware: &FirmwarePackage,
    settings: &Settings,
    timestamp: Option<u64>,
) -> Result<String, CargoError> {
    let mut command = MetadataCommand::new();
    command.manifest_path(&firmware.manifest).current_dir(&firmware.directory);
    if let Some(features) = &settings.features {
        command.features(CargoOpt::SomeFeatures(features.clone()));
    }
    let metadata = resolve(&mut command, settings.target.as_deref())?;
    Ok(text(&document(&metadata, &firmware.id, "firmware", timestamp)))
}

/// Returns the bill of materials of a program for a computer: CycloneDX 1.5, JSON. It lists the crates that Cargo
/// resolves for the package of `manifest` with its default features, and for `target` alone if one is given. The
/// timestamp is in seconds since 1970.
///
/// # Errors
///
/// [`CargoError::Metadata`] if Cargo cannot read the package, or if `manifest` is that of a workspace without a package.
pub fn program_sbom(
    manifest: &Path,
    target: Option<&str>,
    timestamp: Option<u64>,
) -> Result<String, CargoError> {
    let metadata = resolve(MetadataCommand::new().manifest_path(manifest), target)?;
    let Some(root) = metadata.root_package() else {
        return Err(CargoError::Metadata(format!("{} has no package", manifest.display())));
    };
    Ok(text(&document(&metadata, &root.id, "application", timestamp)))
}

fn resolve(command: &mut MetadataCommand, target: Option<&str>) -> Result<Metadata, CargoError> {
    if let Some(target) = target {
        command.other_options(["--filter-platform".to_owned(), target.to_owned()]);
    }
    command.exec().map_err(|error| CargoError::Metadata(error.to_string()))
}

fn text(document: &Value) -> String {
    // The document holds only strings, numbers and lists, so this cannot fail.
    serde_json::to_string_pretty(document).unwrap_or_default() + "\n"
}

/// `what` is the type of the root in CycloneDX.
fn document(metadata: &Metadata, root: &PackageId, what: &str, timestamp: Option<u64>) -> Value {
    let packages: HashMap<&PackageId, &Package> =
        metadata.packages.iter().map(|package| (&package.id, package)).collect();
    let edges = Edges::of(metadata);
    let is_macro = |id: &PackageId| {
        packages.get(id).is_some_and(|package| package.targets.iter().any(|target| target.is_proc_macro()))
    };
    // `shipped` packages end up in the image or the program. The others only help to build it.
    let shipped = edges.reach(root, |kind, to| kind == DependencyKind::Normal && !is_macro(to));
    let all = edges.reach(root, |kind, _| kind != DependencyKind::Development);
    let references = references(all.iter().filter_map(|id| packages.get(id).copied()));

    let component = |id: &PackageId, kind: &str| -> Option<(String, Value)> {
        let (package, reference) = (packages.get(id)?, references.get(id)?);
        let mut component = json!({
            "type": kind,
            "bom-ref": reference,
            "name": package.name.as_str(),
            "version": package.version.to_string(),
            "purl": purl(package),
        });
        if let Some(license) = &package.license {
            // Older crates write `MIT/Apache-2.0`, which is not an SPDX expression.
            component["licenses"] = json!([{ "expression": license.replace('/', " OR ") }]);
        }
        Some((reference.clone(), component))
    };
    let mut components = BTreeMap::new();
    for id in all.iter().filter(|id| **id != root) {
        if let Some((reference, mut component)) = component(id, "library") {
            component["scope"] = if shipped.contains(id) { "required" } else { "excluded" }.into();
            components.insert(reference, component);
        }
    }
    let mut dependencies = BTreeMap::new();
    for id in &all {
        let on = edges.from(id).filter(|(kind, _)| *kind != DependencyKind::Development);
        let on: BTreeSet<_> = on.filter_map(|(_, to)| references.get(to)).collect();
        if let Some(reference) = references.get(id) {
            dependencies.insert(reference, json!({ "ref": reference, "dependsOn": on }));
        }
    }
    let tool = json!({ "type": "application", "name": "otaseal", "version": env!("CARGO_PKG_VERSION") });
    let mut about = json!({ "tools": { "components": [tool] } });
    if let Some((_, root)) = component(root, what) {
        about["component"] = root;
    }
    let time = timestamp.and_then(|seconds| jiff::Timestamp::from_second(i64::try_from(seconds).ok()?).ok());
    if let Some(time) = time {
        about["timestamp"] = time.to_string().into();
    }
    json!({
        "$schema": "http://cyclonedx.org/schema/bom-1.5.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": about,
        "components": components.into_values().collect::<Vec<_>>(),
        "dependencies": dependencies.into_values().collect::<Vec<_>>(),
    })
}

/// The dependencies of each package, with their kinds.
struct Edges<'m>(HashMap<&'m PackageId, Vec<(DependencyKind, &'m PackageId)>>);

impl<'m> Edges<'m> {
    fn of(metadata: &'m Metadata) -> Self {
        let nodes = metadata.resolve.iter().flat_map(|resolve| &resolve.nodes);
        Self(
            nodes
                .map(|node| {
                    let deps = node.deps.iter();
                    let each = deps.flat_map(|dep| dep.dep_kinds.iter().map(|kind| (kind.kind, &dep.pkg)));
                    (&node.id, each.collect())
                })
                .collect(),
        )
    }

    fn from(&self, id: &PackageId) -> impl Iterator<Item = (DependencyKind, &'m PackageId)> {
        self.0.get(id).into_iter().flatten().copied()
    }

    /// Returns every package that `root` reaches along the edges that `counts` accepts.
    fn reach(
        &self,
        root: &'m PackageId,
        counts: impl Fn(DependencyKind, &PackageId) -> bool,
    ) -> HashSet<&'m PackageId> {
        let mut reached = HashSet::from([root]);
        let mut open = vec![root];
        while let Some(id) = open.pop() {
            for (kind, to) in self.from(id) {
                if counts(kind, to) && reached.insert(to) {
                    open.push(to);
                }
            }
        }
        reached
    }
}

/// Returns a unique name for every package: its package URL, with a number if another package has the same URL.
fn references<'m>(packages: impl Iterator<Item = &'m Package>) -> HashMap<&'m PackageId, String> {
    let mut sorted: Vec<_> = packages.collect();
    sorted.sort_by(|a, b| (purl(a), &a.id.repr).cmp(&(purl(b), &b.id.repr)));
    let mut taken = HashMap::new();
    let name = |package: &'m Package| {
        let purl = purl(package);
        let count = taken.entry(purl.clone()).and_modify(|count| *count += 1).or_insert(1);
        (&package.id, if *count == 1 { purl } else { format!("{purl}#{count}") })
    };
    sorted.into_iter().map(name).collect()
}

/// Returns the package URL (github.com/package-url/purl-spec). For a package from git, it has the repository.
fn purl(package: &Package) -> String {
    let version = package.version.to_string().replace('+', "%2B");
    let git = package.source.as_ref().and_then(|source| source.repr.strip_prefix("git+"));
    let git = git.map(|url| format!("?vcs_url=git%2B{}", escaped(url))).unwrap_or_default();
    format!("pkg:cargo/{}@{version}{git}", package.name)
}

fn escaped(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                char::from(byte).to_string()
            }
            other => format!("%{other:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests;
