//! Judges the files that a disturbed run leaves.

use super::strace::{Fault, Kind};
use super::{is_temporary, read, words};
use crate::common::Bench;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Output;

/// The files of a directory: their bytes, or where a symbolic link leads.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Tree(BTreeMap<String, Node>);

#[derive(Clone, PartialEq, Eq)]
enum Node {
    File(Vec<u8>),
    Link(std::path::PathBuf),
}

impl Tree {
    pub(super) fn of(dir: &Path) -> Self {
        let (mut files, mut open) = (BTreeMap::new(), vec![String::new()]);
        while let Some(parent) = open.pop() {
            for entry in fs::read_dir(dir.join(&parent)).unwrap() {
                let entry = entry.unwrap();
                let name = Path::new(&parent).join(entry.file_name()).display().to_string();
                let kind = entry.file_type().unwrap();
                if kind.is_dir() {
                    open.push(name);
                } else if kind.is_symlink() {
                    files.insert(name, Node::Link(fs::read_link(entry.path()).unwrap()));
                } else {
                    files.insert(name, Node::File(fs::read(entry.path()).unwrap()));
                }
            }
        }
        Self(files)
    }

    /// Makes a directory hold exactly these files.
    pub(super) fn restore(&self, dir: &Path) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() && !path.is_symlink() {
                true => fs::remove_dir_all(path).unwrap(),
                false => fs::remove_file(path).unwrap(),
            }
        }
        for (name, node) in &self.0 {
            let path = dir.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            match node {
                Node::File(bytes) => {
                    fs::write(&path, bytes).unwrap();
                    // Only a key that nobody else can read signs a release.
                    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
                }
                Node::Link(target) => std::os::unix::fs::symlink(target, path).unwrap(),
            }
        }
    }

    fn names(&self) -> impl Iterator<Item = &String> {
        self.0.keys()
    }

    fn get(&self, name: &str) -> Option<&Node> {
        self.0.get(name)
    }

    fn bytes(&self, name: &str) -> Option<&[u8]> {
        match self.get(name)? {
            Node::File(bytes) => Some(bytes),
            Node::Link(_) => None,
        }
    }
}

/// A disturbed run, and the files before it, after it and after an undisturbed run.
pub(super) struct Run<'a> {
    pub(super) command: &'a str,
    pub(super) bench: &'a Bench,
    pub(super) old: &'a Tree,
    pub(super) new: &'a Tree,
    pub(super) now: Tree,
    pub(super) fault: &'a Fault,
    pub(super) output: Output,
}

impl Run<'_> {
    fn succeeded(&self) -> bool {
        self.output.status.success()
    }

    fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.output.stderr).into()
    }
}

macro_rules! ensure {
    ($holds:expr, $($text:tt)+) => {
        if !$holds {
            return Err(format!($($text)+));
        }
    };
}

/// Files that differ from run to run: the ledger has the time in it, and keys are random.
fn is_random(name: &str) -> bool {
    name == "LEDGER" || name.starts_with("keys/") || name.starts_with("bundle/")
}

/// What holds for every command.
pub(super) fn every(run: &Run<'_>) -> Result<(), String> {
    let (status, stderr) = (run.output.status, run.stderr());
    match run.fault.kind {
        Kind::Hiccup(_) => ensure!(run.succeeded(), "{status}: {stderr}"),
        Kind::Error(_) => ensure!(matches!(status.code(), Some(0 | 3)), "{status}: {stderr}"),
        Kind::Signal(name) => {
            let number = if name == "KILL" { 9 } else { 15 };
            let ended = status.signal() == Some(number) || (number == 15 && run.succeeded());
            ensure!(ended, "{status}: {stderr}");
        }
    }
    if status.code() == Some(3) {
        ensure!(stderr.contains("error: ") && stderr.contains("help: "), "no reason: {stderr}");
        ensure!(
            !stderr.contains("changed nothing") || same_but_ledger(run),
            "the message is not true: {stderr}"
        );
        ensure!(
            !stderr.contains("made nothing") || same_but_ledger(run),
            "the message is not true: {stderr}"
        );
    }
    let names: BTreeSet<_> = [run.old, run.new, &run.now].into_iter().flat_map(Tree::names).collect();
    for name in names {
        if is_temporary(name) {
            ensure!(run.fault.is_kill(), "{name} is left");
            continue;
        }
        let [old, new, now] = [run.old, run.new, &run.now].map(|tree| tree.get(name));
        let known = is_random(name) || now == old || now == new || is_on_its_way(run, name);
        ensure!(known, "{name} is neither the old file nor the new one");
        ensure!(is_random(name) || !run.succeeded() || now == new, "success, and {name} is not the new file");
    }
    closed(run)?;
    entered(run)
}

/// Nobody but its owner can read a new private key, also under a temporary name.
fn closed(run: &Run<'_>) -> Result<(), String> {
    for (name, node) in &run.now.0 {
        let Node::File(bytes) = node else { continue };
        let public = bytes.starts_with(b"-----BEGIN PUBLIC KEY") || !run.command.starts_with("key");
        if public || run.old.get(name) == Some(node) {
            continue;
        }
        let mode = fs::metadata(run.bench.path(name)).unwrap().permissions().mode() & 0o777;
        ensure!(mode == 0o600, "{name} has the mode {mode:o}");
    }
    Ok(())
}

/// A package has several files. While they get their names, some are missing, and the new manifest has another name.
fn is_on_its_way(run: &Run<'_>, name: &str) -> bool {
    match (name.strip_prefix("dist/"), run.now.get(name)) {
        (Some("manifest.json.unfinished"), now) => now == run.new.get("dist/manifest.json"),
        (Some(_), None) => !run.succeeded(),
        _ => false,
    }
}

fn same_but_ledger(run: &Run<'_>) -> bool {
    let others = |tree: &Tree| {
        let others = tree.0.iter().filter(|(name, _)| *name != "LEDGER");
        others.map(|(name, node)| (name.clone(), node.clone())).collect::<Vec<_>>()
    };
    others(run.old) == others(&run.now)
}

/// The ledger only grows. If the run writes lines, every file with a new signature has its line: also one with a
/// temporary name.
fn entered(run: &Run<'_>) -> Result<(), String> {
    let [old, new, now] = [run.old, run.new, &run.now].map(|tree| tree.bytes("LEDGER").unwrap_or_default());
    let now = String::from_utf8_lossy(now);
    ensure!(now.as_bytes().starts_with(old), "the ledger has lost a line");
    ensure!(run.fault.is_kill() || now.is_empty() || now.ends_with('\n'), "the ledger has half a line");
    if new == old {
        return Ok(());
    }
    for (name, node) in &run.now.0 {
        let Node::File(bytes) = node else { continue };
        let signed = name.contains("out") || name.ends_with("signed") || name.ends_with("_sig");
        let signed = signed || name.ends_with("SHA256SUMS.sig") || is_temporary(name);
        let zeros = bytes.iter().all(|byte| *byte == 0);
        if !signed || zeros || run.old.get(name) == Some(node) || !is_signature(run, bytes) {
            continue;
        }
        let line = format!("\"sha256\":\"{}\"", sha256(bytes));
        let whole = now.rfind('\n').map_or("", |end| &now[..end]);
        ensure!(whole.contains(&line), "{name} is signed and the ledger has no line for it");
    }
    Ok(())
}

/// Returns whether these bytes are one of the signed files that the undisturbed run makes.
fn is_signature(run: &Run<'_>, bytes: &[u8]) -> bool {
    let signed = |name: &str| {
        name.contains("out") || name.ends_with("signed") || name.ends_with("_sig") || name.ends_with(".sig")
    };
    run.new.0.iter().any(|(name, node)| signed(name) && *node == Node::File(bytes.into()))
}

fn sha256(bytes: &[u8]) -> String {
    otaseal::format::digest::sha256(bytes).to_string()
}

/// The names that a manifest lists, with their digests. Nothing if there is no manifest.
fn listed(tree: &Tree, manifest: &str) -> Vec<(String, String)> {
    let Some(text) = tree.bytes(manifest) else { return Vec::new() };
    let json: serde_json::Value = serde_json::from_slice(text).expect("a manifest is whole");
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let artefacts = json["artefacts"].as_array().unwrap().iter();
    artefacts.map(|artefact| (text(&artefact["file"]), text(&artefact["sha256"]))).collect()
}

/// A manifest lists no file with other bytes. A file of the package is listed. The next run leaves exactly the files of
/// its manifest, even if it makes other artefacts.
pub(super) fn package(run: &Run<'_>) -> Result<(), String> {
    let manifest = listed(&run.now, "dist/manifest.json");
    let unfinished = listed(&run.now, "dist/manifest.json.unfinished");
    for (file, digest) in &manifest {
        if let Some(bytes) = run.now.bytes(&format!("dist/{file}")) {
            ensure!(sha256(bytes) == *digest, "manifest.json lists other bytes of {file}");
        }
    }
    let files =
        run.now.names().filter_map(|name| name.strip_prefix("dist/")).filter(|name| !is_temporary(name));
    for file in files.filter(|name| !name.starts_with("manifest.json")) {
        let is_listed = manifest.iter().chain(&unfinished).any(|(name, _)| name == file);
        ensure!(is_listed, "no manifest lists {file}");
    }
    ensure!(!run.succeeded() || unfinished.is_empty(), "success, and the package is unfinished");
    let stderr = run.stderr();
    if let Some((_, lists)) = stderr.split_once("is unfinished: ") {
        account(run, lists.lines().next().unwrap_or_default())?;
    } else if run.output.status.code() == Some(3) {
        ensure!(same_but_ledger(run), "files have changed, and the message does not say so: {stderr}");
    }
    run.bench.ok(&words("package image.bin --name fw -k key.pem -o dist --artefacts gz"));
    let after = Tree::of(run.bench.dir());
    let names = after.names().filter_map(|name| name.strip_prefix("dist/"));
    let names: Vec<_> = names.filter(|name| !is_temporary(name)).collect();
    ensure!(names == ["fw.bin.gz", "manifest.json"], "the next run leaves {names:?}");
    Ok(())
}

/// Compares the lists of a message with the files: "otaseal removed A, B; it wrote C; it did not write D".
fn account(run: &Run<'_>, lists: &str) -> Result<(), String> {
    for list in lists.trim_start_matches("otaseal ").split("; it ") {
        for (verb, there) in [("removed ", None), ("wrote ", Some(true)), ("did not write ", Some(false))] {
            let Some(names) = list.strip_prefix(verb) else { continue };
            for name in names.split(", ") {
                let path = format!("dist/{name}");
                let [old, mut new, now] = [run.old, run.new, &run.now].map(|tree| tree.get(&path));
                if name == "manifest.json.unfinished" {
                    new = run.new.get("dist/manifest.json");
                }
                let holds = match there {
                    None => now.is_none() || now == new,
                    Some(true) => now == new,
                    Some(false) => now == old || now.is_none(),
                };
                ensure!(holds, "the message is not true about {name}: {lists}");
            }
        }
    }
    let mentioned = |name: &str| lists.contains(name);
    for name in run.old.names().filter_map(|name| name.strip_prefix("dist/")) {
        let changed = run.old.get(&format!("dist/{name}")) != run.now.get(&format!("dist/{name}"));
        ensure!(!changed || mentioned(name), "{name} has changed, and the message does not say so: {lists}");
    }
    Ok(())
}

/// The private key is the old one or a new one, whole. The public key is its own, or missing.
pub(super) fn pair(run: &Run<'_>) -> Result<(), String> {
    let [private, public] = ["keys/private.pem", "keys/public.pem"].map(|name| read(run.bench.dir(), name));
    let Some(private) = private else {
        ensure!(public.is_none(), "there is a public key without its private key");
        return Ok(());
    };
    let key =
        otaseal::key::PrivateKey::from_bytes(&private).map_err(|error| format!("private.pem: {error}"))?;
    let is_old = run.old.bytes("keys/private.pem") == Some(&private);
    let stderr = run.stderr();
    match public {
        Some(public) => {
            let matches = String::from_utf8_lossy(&public) == key.public().to_spki_pem();
            ensure!(matches, "the public key does not belong to the private key");
        }
        None if run.output.status.code() == Some(3) => {
            let said = stderr.contains("no file has its public key") || stderr.contains("was removed");
            ensure!(said, "the message does not say that there is no public key: {stderr}");
        }
        None => ensure!(!run.succeeded(), "success, and there is no public key"),
    }
    ensure!(!run.succeeded() || !is_old, "success, and the key is the old one");
    Ok(())
}

/// The bundle is whole or not there.
pub(super) fn release(run: &Run<'_>) -> Result<(), String> {
    let there = run.now.names().any(|name| name.starts_with("bundle/"));
    ensure!(there || !run.succeeded(), "success, and there is no bundle");
    if there {
        run.bench.openssl("pkey -in keep.pem -pubout -out keep-public.pem");
        run.bench.ok(&words("release verify bundle -k keep-public.pem --firmware-key public.pem"));
    }
    Ok(())
}
