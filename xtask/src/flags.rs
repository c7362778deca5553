//! Checks that strings of the library name no flag and no command. Only `project/advice` tells the user what to type.
//!
//! A service that uses the library has users who know neither. The room `project` is the one that may name flags.

use crate::{Result, sources};
use std::fs;
use std::path::Path;

/// The crates with this rule.
const LIBRARIES: &[&str] =
    &["crates/otaseal/src", "crates/otaseal-device/src", "crates/otaseal-delivery/src"];

/// The room that may name flags.
const EXEMPT: &str = "crates/otaseal/src/project";

/// Each file here is a command of the program.
const COMMANDS: &str = "crates/otaseal-cli/src/cmd";

/// Flags of git and of tools in tests.
const OF_OTHERS: &[&str] =
    &["--abbrev", "--always", "--dirty", "--error-unmatch", "--exclude", "--literal-pathspecs"];

/// Checks the libraries.
///
/// # Errors
///
/// Every string that names a flag or a command, with its line.
pub(crate) fn check(root: &Path) -> Result<String> {
    let mut commands = vec!["cargo xtask".to_owned()];
    for entry in fs::read_dir(root.join(COMMANDS))? {
        let path = entry?.path();
        if let Some(stem) = path.file_stem().and_then(|stem| stem.to_str()) {
            commands.push(format!("otaseal {}", stem.replace('_', "-")));
        }
    }
    let (mut wrong, mut files) = (Vec::new(), 0);
    for library in LIBRARIES {
        for (path, text) in sources::read(root, library)? {
            let path = Path::new(library).join(path);
            if path.starts_with(EXEMPT) {
                continue;
            }
            files += 1;
            for (line, what) in named(&text, &commands) {
                wrong.push(format!("{}: line {line}: a string names `{what}`", path.display()));
            }
        }
    }
    if wrong.is_empty() { Ok(format!("{files} files")) } else { Err(wrong.join("\n").into()) }
}

/// Returns the flags and commands in the strings of a source, each with its line. Tests end a file.
fn named(text: &str, commands: &[String]) -> Vec<(usize, String)> {
    let code = sources::without_tests(text);
    let mut found = Vec::new();
    for (line, string) in strings(code) {
        let is_word = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
        let word = |from: &str| from.split(|c| !is_word(c)).next().unwrap_or_default().to_owned();
        for (at, _) in string.match_indices("--") {
            let flag = word(&string[at..]);
            let starts = string[..at].chars().next_back().is_none_or(|c| !is_word(c));
            let named = flag.as_bytes().get(2).is_some_and(u8::is_ascii_lowercase);
            if starts && named && !OF_OTHERS.contains(&flag.as_str()) {
                found.push((line, flag));
            }
        }
        for command in commands {
            let whole = |at: usize| !string[at + command.len()..].starts_with(is_word);
            if string.match_indices(command.as_str()).any(|(at, _)| whole(at)) {
                found.push((line, command.clone()));
            }
        }
    }
    found
}

/// Returns the string literals of a source, each with the line where it begins. A line that goes on behind a backslash
/// is joined, as the compiler does.
fn strings(code: &str) -> Vec<(usize, String)> {
    let bytes = code.as_bytes();
    let (mut found, mut at) = (Vec::new(), 0);
    let line = |at: usize| bytes[..at].iter().filter(|&&byte| byte == b'\n').count() + 1;
    while at < bytes.len() {
        let rest = &code[at..];
        if rest.starts_with("//") {
            at += rest.find('\n').unwrap_or(rest.len());
        } else if rest.starts_with("/*") {
            at += rest.find("*/").map_or(rest.len(), |end| end + 2);
        } else if let Some(length) = raw(rest) {
            found.push((line(at), rest[..length].to_owned()));
            at += length;
        } else if rest.starts_with('"') {
            let (mut length, mut string) = (1, String::new());
            while let Some(c) = rest[length..].chars().next().filter(|&c| c != '"') {
                length += c.len_utf8();
                if c != '\\' {
                    string.push(c);
                } else if let Some(escaped) = rest[length..].chars().next() {
                    length += escaped.len_utf8();
                    if escaped == '\n' {
                        let blanks = rest[length..].len() - rest[length..].trim_start().len();
                        length += blanks;
                    }
                }
            }
            found.push((line(at), string));
            at += length + 1;
        } else if rest.starts_with('\'') {
            // A character, or the name of a lifetime: only the first can hold a quotation mark.
            let character = ["'\"'", "'\\\"'", "'\\''", "'\\\\'"].iter().find(|c| rest.starts_with(**c));
            at += character.map_or(1, |character| character.len());
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
    found
}

/// Returns the length of a raw string at the start of the text.
fn raw(text: &str) -> Option<usize> {
    let rest = text.strip_prefix('r')?;
    let hashes = rest.len() - rest.trim_start_matches('#').len();
    let rest = rest[hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    rest.find(&end).map(|at| 1 + hashes + 1 + at + end.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(code: &str) -> Vec<(usize, String)> {
        named(code, &["cargo xtask".into(), "otaseal sign".into(), "otaseal key".into()])
    }

    #[test]
    fn a_flag_and_a_command_in_a_string_are_found() {
        for (code, what) in [
            ("let x = \"say --allow-no-key\";", "--allow-no-key"),
            ("#[error(\"say `--force`\")]", "--force"),
            ("let x = r#\"a \"quoted\" --flag\"#;", "--flag"),
            ("let x = \"run `cargo xtask sign`\";", "cargo xtask"),
            ("let x = \"otaseal sign does it\";", "otaseal sign"),
            ("let x = \"run `otaseal \\\n         sign FILE`\";", "otaseal sign"),
            ("let c = '\"'; let x = \"--force\";", "--force"),
            ("const OPTIONS: &str = \"--passphrase\";", "--passphrase"),
        ] {
            assert_eq!(found(code), [(1, what.to_owned())], "{code}");
        }
        assert_eq!(found("\n// --x\nlet x = \"--y\";"), [(3, "--y".to_owned())]);
    }

    #[test]
    fn comments_tests_and_other_words_are_not() {
        for code in [
            "/// `--force` replaces it, as `otaseal sign` does.\nfn f() {}",
            "fn f() {} // --force",
            "/* \"--force\" */",
            "let x = \"-----BEGIN PRIVATE KEY-----\";",
            "let x = \"a -- b, c--d, --\";",
            "git.arg(\"--error-unmatch\")",
            "let x = \"otaseal does not read it, otaseal keys and otaseal signs\";",
            "fn f<'a>(x: &'a str) -> char { '\"' } // --x",
            "fn f() {}\n#[cfg(test)]\nmod tests { const X: &str = \"--force\"; }",
        ] {
            assert_eq!(found(code), [], "{code}");
        }
    }

    #[test]
    fn the_libraries_name_no_flag() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        check(root).unwrap();
    }
}
