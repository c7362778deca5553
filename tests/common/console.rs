//! Reads commands in documents, with the text that they must print.
//!
//! The commands are in ```` ```console ```` blocks, each after a `$ `. In the expected text of a block, `[..]` stands
//! for any text of a line and `...` for any lines.

/// One command, and the text that it must print.
pub(crate) struct Step {
    pub(crate) line: usize,
    pub(crate) command: String,
    pub(crate) expected: Vec<String>,
}

pub(crate) fn steps(text: &str) -> Vec<Step> {
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
                (None, None) => panic!("line {}: output before any command", index + 1),
            },
        }
    }
    for step in &mut steps {
        // An empty line separates two commands. It is not part of the output.
        while step.expected.last().is_some_and(String::is_empty) {
            step.expected.pop();
        }
    }
    steps
}

pub(crate) fn lines_match(expected: &[&str], printed: &[&str]) -> bool {
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

#[test]
fn a_missing_or_other_line_is_seen() {
    assert!(lines_match(&["a", "...", "d"], &["a", "b", "c", "d"]));
    assert!(lines_match(&["a [..] c"], &["a b c"]));
    assert!(!lines_match(&["a", "d"], &["a", "b", "d"]));
    assert!(!lines_match(&["a", "..."], &[]));
    assert!(!lines_match(&["[..]x"], &["xy"]));
    assert!(!lines_match(&[], &["a"]));
}
