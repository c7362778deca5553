//! Checks the layers of the host library: no room imports from one above it, and no two modules import each other.
//!
//! The check reads paths that begin with `crate::`, `super::` or `self::` as text. Tests may import what they like, and
//! a module and its parent belong together.

use crate::{Result, sources};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// The rooms of `crates/otaseal/src`, the lowest first. `docs/architecture.md` shows this list.
const ROOMS: [&str; 10] =
    ["format", "output", "key", "sign", "ledger", "profile", "policy", "package", "release", "project"];

/// The page that shows the list.
const PAGE: &str = "docs/architecture.md";

/// A module by its path below the crate: `["key", "passphrase"]`.
type Module = Vec<String>;

/// Checks the host library.
///
/// # Errors
///
/// Every wrong import, as an arrow, and a page with another list.
pub(crate) fn check(root: &Path) -> Result<String> {
    let sources = sources::read(root, "crates/otaseal/src")?;
    let sources = sources.into_iter().map(|(path, text)| (module(&path), text)).collect::<BTreeMap<_, _>>();
    let mut wrong = arrows(&sources);
    let list = ROOMS.join(" < ");
    if !fs::read_to_string(root.join(PAGE))?.lines().any(|line| line == list) {
        wrong.push(format!("{PAGE} does not show the list of rooms: {list}"));
    }
    if wrong.is_empty() { Ok(format!("{} modules", sources.len())) } else { Err(wrong.join("\n").into()) }
}

/// Returns the module of a file.
fn module(path: &Path) -> Module {
    let path = path.with_extension("");
    let mut module: Module = path.iter().map(|name| name.to_string_lossy().into_owned()).collect();
    module.pop_if(|last| ["mod", "lib"].contains(&&**last));
    module
}

/// Returns every wrong import, as an arrow.
fn arrows(sources: &BTreeMap<Module, String>) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut imports = BTreeSet::new();
    for (module, text) in sources.iter().filter(|(module, _)| !module.is_empty()) {
        let level =
            |module: &Module| ROOMS.iter().position(|room| module.first().is_some_and(|own| own == room));
        let Some(own) = level(module) else {
            wrong.push(format!("{} is in no room of the list", module.join("::")));
            continue;
        };
        for path in paths(text) {
            let Some(path) = absolute(module, &path) else { continue };
            let arrow = format!("{} -> {}", module.join("::"), path.join("::"));
            match level(&path) {
                None => wrong.push(format!("{arrow}: this name hides which room it is in")),
                Some(other) if other > own => wrong.push(format!("{arrow}: an import upwards")),
                Some(_) => {
                    let depth = (0..=path.len()).rev().find(|depth| sources.contains_key(&path[..*depth]));
                    imports.insert((module.clone(), path[..depth.unwrap_or(0)].to_vec()));
                }
            }
        }
    }
    for (one, other) in &imports {
        let related = one.starts_with(other) || other.starts_with(one);
        if !related && one < other && imports.contains(&(other.clone(), one.clone())) {
            wrong.push(format!("{} <-> {}: they import each other", one.join("::"), other.join("::")));
        }
    }
    wrong
}

/// Returns the module or item of a path, from the top of the crate. Names of `testing` give nothing.
fn absolute(module: &Module, path: &[String]) -> Option<Module> {
    let mut found: Module = match path.first()?.as_str() {
        "crate" => Vec::new(),
        "self" | "super" => module.clone(),
        _ => return None,
    };
    for name in path {
        match name.as_str() {
            "super" => drop(found.pop()),
            "crate" | "self" => {}
            name => found.push(name.into()),
        }
    }
    (found.first()? != "testing").then_some(found)
}

/// Returns every path in the code that begins with `crate`, `super` or `self`, with braces taken apart. It ends at
/// `#[cfg(test)]`, because tests are at the end of a file.
fn paths(text: &str) -> Vec<Module> {
    let code = sources::without_tests(text);
    let code: String =
        code.lines().map(|line| line.split("//").next().unwrap_or_default().to_owned() + "\n").collect();
    let mut found = Vec::new();
    for start in ["crate::", "super::", "self::"] {
        for (at, _) in code.match_indices(start) {
            let before = code[..at].chars().next_back();
            // A `super::` after another belongs to the same path. A word that contains `crate` is not a path.
            if before.is_none_or(|c| !c.is_alphanumeric() && !"_:$".contains(c)) {
                expand(&mut Vec::new(), &code[at..], &mut found);
            }
        }
    }
    found
}

/// Reads one path, or each path of a list in braces. Returns the rest of the text.
fn expand<'a>(prefix: &mut Module, mut text: &'a str, found: &mut Vec<Module>) -> &'a str {
    let depth = prefix.len();
    loop {
        text = text.trim_start();
        if let Some(mut list) = text.strip_prefix('{') {
            loop {
                list = expand(prefix, list, found).trim_start();
                match list.strip_prefix(',') {
                    Some(rest) => list = rest,
                    None => break,
                }
            }
            text = list.strip_prefix('}').unwrap_or(list);
            break;
        }
        let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
        let (name, rest) = text.split_at(end);
        if name.is_empty() {
            break;
        }
        prefix.push(name.into());
        match rest.strip_prefix("::") {
            Some(rest) => text = rest,
            None => {
                found.push(prefix.clone());
                text = rest.trim_start().strip_prefix("as ").map_or(rest, |alias| {
                    let end = alias.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(alias.len());
                    &alias[end..]
                });
                break;
            }
        }
    }
    prefix.truncate(depth);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(sources: &[(&str, &str)]) -> Vec<String> {
        let module = |name: &str| name.split("::").map(str::to_owned).collect();
        arrows(&sources.iter().map(|(name, text)| (module(name), (*text).to_owned())).collect())
    }

    #[test]
    fn an_import_upwards_is_an_arrow() {
        let found =
            wrong(&[("key::file", "use crate::sign::Signer;\n"), ("sign", "use crate::key::{file, Key};")]);
        assert_eq!(found, ["key::file -> sign::Signer: an import upwards"]);
        let found = wrong(&[("format", "fn f() -> crate::key::Key {}")]);
        assert_eq!(found, ["format -> key::Key: an import upwards"]);
        let found =
            wrong(&[("format::image", "use super::super::package::{self, make as m, write::{A, B}};")]);
        assert_eq!(found.len(), 4, "{found:?}");
        let found = wrong(&[("policy", "use crate::Options;")]);
        assert_eq!(found, ["policy -> Options: this name hides which room it is in"]);
        assert_eq!(wrong(&[("attic", "")]), ["attic is in no room of the list"]);
    }

    #[test]
    fn downwards_in_comments_and_in_tests_anything_goes() {
        let tests = "// crate::project\n/// [`crate::project`]\nuse crate::key;\n#[cfg(test)]\nmod tests { use crate::project; }";
        assert_eq!(wrong(&[("sign", tests)]), [] as [&str; 0]);
        assert_eq!(wrong(&[("sign", "use super::testing::x; use crate::testing;")]), [] as [&str; 0]);
    }

    #[test]
    fn the_host_library_is_in_layers() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        check(root).unwrap();
    }

    #[test]
    fn two_modules_that_import_each_other_are_found() {
        let found =
            wrong(&[("key::a", "use super::b::B;"), ("key::b", "use crate::key::a::A;"), ("key", "")]);
        assert_eq!(found, ["key::a <-> key::b: they import each other"]);
        let parent =
            [("key", "mod a; use self::a::A;"), ("key::a", "use super::Key; use super::super::key::Key;")];
        assert_eq!(wrong(&parent), [] as [&str; 0]);
    }
}
