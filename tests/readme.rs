//! The README's commands, run as they stand there: every ```` ```console ```` block, line by line, in the
//! workspace. In what a block expects, `[..]` stands for any text of a line and `...` for any lines.
use std::path::{Path, PathBuf};
use std::process::Command;

/// One command and what it is to print.
struct Step {
    line: usize,
    command: String,
    expected: Vec<String>,
}

#[test]
#[allow(clippy::print_stdout, reason = "a test that is skipped says so")]
fn the_commands_of_the_readme_do_what_it_says() {
    if !cfg!(unix) {
        println!("SKIPPED: the README's commands are for a POSIX shell");
        return;
    }
    let root = root();
    if root.join("keys/private.pem").exists() {
        println!("SKIPPED: this checkout has keys of its own, the README shows the example key's output");
        return;
    }
    let text = std::fs::read_to_string(root.join("README.md")).unwrap();
    let steps = steps(&text);
    assert!(steps.len() >= 6, "the README has lost its commands");
    for step in steps {
        let output = Command::new("sh")
            .args(["-c", &step.command])
            .current_dir(&root)
            .env_remove("CARGO_TARGET_DIR")
            .env_remove("SOURCE_DATE_EPOCH")
            .output()
            .unwrap();
        let printed = String::from_utf8_lossy(&output.stdout);
        let at = format!("README.md:{}: {}", step.line, step.command);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{at}: {}\n{errors}", output.status);
        let printed: Vec<&str> = printed.lines().collect();
        let expected: Vec<&str> = step.expected.iter().map(String::as_str).collect();
        assert!(
            lines_match(&expected, &printed),
            "{at}\nexpected: {expected:#?}\nprinted: {printed:#?}\n{errors}"
        );
    }
}

#[test]
fn a_missing_or_other_line_is_seen() {
    assert!(lines_match(&["a", "...", "d"], &["a", "b", "c", "d"]));
    assert!(lines_match(&["a [..] c"], &["a b c"]));
    assert!(!lines_match(&["a", "d"], &["a", "b", "d"]));
    assert!(!lines_match(&["a", "..."], &[]));
    assert!(!lines_match(&["[..]x"], &["xy"]));
    assert!(!lines_match(&[], &["a"]));
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().into()
}

fn steps(text: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut inside = false;
    for (index, line) in text.lines().enumerate() {
        match line {
            "```console" => inside = true,
            "```" => inside = false,
            _ if !inside => {}
            _ => match (line.strip_prefix("$ "), steps.last_mut()) {
                (Some(command), _) => {
                    steps.push(Step { line: index + 1, command: command.into(), expected: Vec::new() });
                }
                (None, Some(step)) => step.expected.push(line.into()),
                (None, None) => panic!("README.md:{}: output before any command", index + 1),
            },
        }
    }
    for step in &mut steps {
        // An empty line stands between two commands, not in what the first one prints.
        while step.expected.last().is_some_and(String::is_empty) {
            step.expected.pop();
        }
    }
    steps
}

fn lines_match(expected: &[&str], printed: &[&str]) -> bool {
    match expected {
        [] => printed.is_empty(),
        ["...", rest @ ..] => (0..=printed.len()).any(|skip| lines_match(rest, &printed[skip..])),
        [first, rest @ ..] => match printed {
            [line, after @ ..] => line_matches(first, line) && lines_match(rest, after),
            [] => false,
        },
    }
}

fn line_matches(expected: &str, printed: &str) -> bool {
    let mut parts = expected.split("[..]");
    let Some(mut rest) = printed.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    true
}
