//! `cargo xtask book`: checks the pages of the book, and builds it with mdbook.
//!
//! mdbook itself follows no link. A page is read on a forge as well as in the book, so each link must lead to a file and
//! a heading of the repository.

use crate::tools::{cargo, find, run};
use crate::{Result, settings, sources};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Component, Path, PathBuf};
use std::process::Command;

/// The pages of the book.
const PAGES: &str = "docs";
/// The list of its pages.
const CONTENTS: &str = "docs/SUMMARY.md";
/// Pages beside the book.
const BESIDE: &[&str] = &["README.md", "CHANGELOG.md"];

/// Writes the generated pages: the tests of the program do it, because they have the program.
///
/// # Errors
///
/// A test that fails to run.
pub(crate) fn update(root: &Path) -> Result<String> {
    for (package, tests, name) in [
        ("otaseal-cli", "cli", "reference::the_page"),
        ("otaseal-fleet", "reference", "the_page"),
        ("xtask", "errors", "the_catalogue"),
    ] {
        let mut test = cargo(root);
        test.args(["test", "--quiet", "--package", package, "--test", tests, name]);
        run(test.env("OTASEAL_UPDATE_REFERENCE", "1"))?;
    }
    settings::run(root, false)
}

/// Checks the pages, and builds the book if mdbook is installed.
///
/// # Errors
///
/// The errors of [`check`], or that of mdbook.
pub(crate) fn build(root: &Path) -> Result<String> {
    let checked = check(root)?;
    if find("mdbook").is_some() {
        run(Command::new("mdbook").arg("build").current_dir(root))?;
    }
    Ok(checked)
}

/// Checks the pages.
///
/// # Errors
///
/// Every fault in the pages, with its file and line.
fn check(root: &Path) -> Result<String> {
    let mut pages = sources::files(root, Path::new(PAGES), "md")?;
    pages.extend(BESIDE.iter().map(PathBuf::from));
    let mut wrong = Vec::new();
    let contents = fs::read_to_string(root.join(CONTENTS))?;
    let listed: BTreeSet<PathBuf> =
        links(&contents).into_iter().map(|(_, target)| normal(&Path::new(PAGES).join(target))).collect();
    for page in &pages {
        let text = fs::read_to_string(root.join(page))?;
        if page.starts_with(PAGES) && page != Path::new(CONTENTS) && !listed.contains(page) {
            wrong.push(format!("{}: it is not in {CONTENTS}", page.display()));
        }
        let mut refuse = |line: usize, what: &str| wrong.push(format!("{}:{line}: {what}", page.display()));
        for (line, target) in links(&text) {
            if let Some(what) = broken(root, page, &target)? {
                refuse(line, &what);
            }
        }
        for (line, what) in unfit_to_paste(&text) {
            refuse(line, &what);
        }
    }
    if wrong.is_empty() { Ok(format!("{} pages", pages.len())) } else { Err(wrong.join("\n").into()) }
}

/// Returns the targets of the links of a page, each with its line. Code has no links.
fn links(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (line, text) in prose(text) {
        let mut rest = text.as_str();
        while let Some(at) = rest.find("](") {
            rest = &rest[at + 2..];
            let target = rest.split([')', ' ']).next().unwrap_or_default();
            found.push((line, target.to_owned()));
        }
    }
    found
}

/// Returns the lines outside of code blocks, without the code in them.
fn prose(text: &str) -> Vec<(usize, String)> {
    let mut inside = false;
    let mut lines = Vec::new();
    for (index, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            inside = !inside;
        } else if !inside {
            let words: Vec<&str> = line.split('`').step_by(2).collect();
            lines.push((index + 1, words.join("``")));
        }
    }
    lines
}

/// Returns what is wrong with a link. Links to other places are not followed: that takes the network.
fn broken(root: &Path, page: &Path, target: &str) -> Result<Option<String>> {
    if target.contains("://") || target.starts_with("mailto:") {
        return Ok(None);
    }
    let (file, heading) = target.split_once('#').unwrap_or((target, ""));
    let path = match file {
        "" => page.to_owned(),
        file => normal(&page.parent().unwrap_or(Path::new("")).join(file)),
    };
    if page.starts_with(PAGES) && !path.starts_with(PAGES) {
        return Ok(Some(format!("{} is not in the book", path.display())));
    }
    if !root.join(&path).exists() {
        return Ok(Some(format!("there is no {}", path.display())));
    }
    let known = || -> Result<bool> {
        let text = fs::read_to_string(root.join(&path))?;
        Ok(headings(&text).contains(heading))
    };
    Ok(match heading.is_empty() || known()? {
        true => None,
        false => Some(format!("{} has no heading `{heading}`", path.display())),
    })
}

/// Resolves `..` in a relative path.
fn normal(path: &Path) -> PathBuf {
    let mut parts = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => drop(parts.pop()),
            Component::CurDir => {}
            part => parts.push(part),
        }
    }
    parts
}

/// Returns the names of a page's headings in links: lower case, blanks as dashes, no punctuation.
fn headings(text: &str) -> BTreeSet<String> {
    let mut inside = false;
    let mut names = BTreeSet::new();
    for line in text.lines() {
        inside ^= line.starts_with("```");
        let title = line.trim_start_matches('#');
        if inside || title.len() == line.len() || !title.starts_with(' ') {
            continue;
        }
        let kept = |c: &char| c.is_alphanumeric() || " -_".contains(*c);
        names.insert(title.trim().to_lowercase().chars().filter(kept).collect::<String>().replace(' ', "-"));
    }
    names
}

/// Returns what a person cannot paste from the code of a page: a mark for the tests, or a `;` at which the shell would
/// end the command.
fn unfit_to_paste(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (index, line) in text.lines().enumerate() {
        if line.contains("[..]") {
            found.push((index + 1, "`[..]` is a mark for tests: write real output".into()));
        }
        for (at, _) in line.match_indices("pkcs11:") {
            let word: String = line[at..].chars().take_while(|c| !c.is_whitespace() && *c != '`').collect();
            let quoted = line[..at].chars().filter(|c| "'\"".contains(*c)).count() % 2 == 1;
            let command = line[..at].contains("--key ") || line[..at].contains("--private-key ");
            if word.contains(';') && command && !quoted {
                found.push((index + 1, format!("a shell ends the command at the `;` of {word}: quote it")));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pages_have_no_fault() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        check(root).unwrap();
    }

    #[test]
    fn a_link_leads_to_a_file_and_a_heading() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let said = |target: &str| broken(root, Path::new("docs/guides/keys.md"), target).unwrap();
        assert_eq!(said("tokens.md#any-other-signer"), None);
        assert_eq!(said("#encrypted-keys"), None);
        assert_eq!(said("https://example.org/nowhere"), None);
        assert_eq!(said("tokens.md#nowhere").unwrap(), "docs/guides/tokens.md has no heading `nowhere`");
        assert_eq!(said("../nowhere.md").unwrap(), "there is no docs/nowhere.md");
        assert_eq!(said("../../README.md").unwrap(), "README.md is not in the book");
    }

    #[test]
    fn code_has_no_links() {
        let page = "[a](b.md#c) `[x](y)` [d](e)\n```\n[f](g)\n```\n[h](i \"title\")";
        let found = links(page);
        assert_eq!(found, [(1, "b.md#c".into()), (1, "e".into()), (5, "i".into())]);
    }

    #[test]
    fn a_command_can_be_pasted() {
        let wrong = |text: &str| unfit_to_paste(text).len();
        assert_eq!(wrong("$ otaseal sign x --key pkcs11:token=a;object=b"), 1);
        assert_eq!(wrong("$ otaseal sign x --key 'pkcs11:token=a;object=b'"), 0);
        assert_eq!(wrong("the key (pkcs11:token=NAME;object=NAME)"), 0);
        assert_eq!(wrong("key id [..]"), 1);
    }
}
