//! Reads commands in documents, with the text that they must print.
//!
//! The commands are in ```` ```console ```` blocks, each after a `$ `. A line `...` in the output of a block stands for
//! any lines. The page shows real output, and some of it differs from run to run. A comment before the block, which the
//! page does not show, says so: below `<!-- varies -->`, a number stands for any number, a digest for any digest, and
//! any number of blanks for any other. Below `<!-- varies: NAME, NAME -->`, these texts stand for any text as well.

/// One command, and the text that it must print.
pub(crate) struct Step {
    pub(crate) line: usize,
    pub(crate) command: String,
    pub(crate) expected: Vec<String>,
    /// The texts that stand for any text, if numbers and digests stand for others.
    pub(crate) varies: Option<Vec<String>>,
}

impl Step {
    /// Whether these lines are those that the document shows.
    pub(crate) fn expects(&self, printed: &str) -> bool {
        let free = |line: &str| match &self.varies {
            None => line.to_owned(),
            Some(_) if line == "..." => line.to_owned(),
            Some(names) => {
                let line = names.iter().fold(line.to_owned(), |line, name| line.replace(name, ANY));
                line.split(ANY).map(numbers).collect::<Vec<_>>().join(ANY)
            }
        };
        let printed: Vec<String> = match self.varies {
            None => printed.lines().map(str::to_owned).collect(),
            Some(_) => printed.lines().map(numbers).collect(),
        };
        let expected: Vec<String> = self.expected.iter().map(|line| free(line)).collect();
        lines_match(&borrowed(&expected), &borrowed(&printed))
    }
}

/// Stands for any text.
const ANY: &str = "\u{0}";

fn borrowed(lines: &[String]) -> Vec<&str> {
    lines.iter().map(String::as_str).collect()
}

/// Writes every number and every digest as `#`, and several blanks as one.
fn numbers(line: &str) -> String {
    let words = line.split_whitespace().map(|word| {
        let mut text = String::new();
        let mut rest = word;
        while let Some(first) = rest.chars().next() {
            let hexadecimal = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_hexdigit()).len();
            let decimal = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            let taken = if hexadecimal >= 16 { hexadecimal } else { decimal };
            if taken > 0 {
                text.push('#');
                rest = &rest[taken..];
            } else {
                text.push(first);
                rest = &rest[first.len_utf8()..];
            }
        }
        text
    });
    words.collect::<Vec<_>>().join(" ")
}

pub(crate) fn steps(text: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut varies = None;
    let mut inside = false;
    for (index, line) in text.lines().enumerate() {
        match line {
            "```console" => inside = true,
            "```" => {
                varies = None;
                inside = false;
            }
            _ if !inside => {
                let mark = line.strip_prefix("<!-- varies").and_then(|rest| rest.strip_suffix(" -->"));
                if let Some(mark) = mark {
                    let names = mark.trim_start_matches(": ").split(", ").filter(|name| !name.is_empty());
                    varies = Some(names.map(str::to_owned).collect());
                }
            }
            _ => match (line.strip_prefix("$ "), steps.last_mut()) {
                (Some(command), _) => steps.push(Step {
                    line: index + 1,
                    command: command.into(),
                    expected: Vec::new(),
                    varies: varies.clone(),
                }),
                (None, Some(step)) => {
                    // A backslash at the end of a line continues the command.
                    if step.expected.is_empty() && step.command.ends_with('\\') {
                        step.command = format!("{}\n{line}", step.command);
                    } else {
                        step.expected.push(line.into());
                    }
                }
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
    let mut parts = expected.split(ANY);
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
    let matches = |varies: &str, expected: &str, printed: &str| {
        let page = format!("{varies}\n```console\n$ command\n{expected}```\n");
        let [step] = &steps(&page)[..] else { panic!("one command: {page}") };
        step.expects(printed)
    };
    assert!(matches("", "a\n...\nd\n", "a\nb\nc\nd\n"));
    assert!(!matches("", "a\nd\n", "a\nb\nd\n"));
    assert!(!matches("", "a\n...\n", ""));
    assert!(!matches("", "", "a\n"));
    assert!(!matches("", "12 bytes\n", "13 bytes\n"));
    let (one, other) = ("0123456789abcdef", "fedcba98765432100");
    let printed = format!("key {other}   (1344 bytes)\n");
    assert!(matches("<!-- varies -->", &format!("key {one} (7 bytes)\n"), &printed));
    assert!(!matches("<!-- varies -->", &format!("key {one} (7 lines)\n"), &printed));
    assert!(!matches("<!-- varies -->", "built x/y\n", "built x/z\n"));
    assert!(matches("<!-- varies: x/y -->", "built x/y 1\n", "built x/z 2\n"));
    assert!(!matches("<!-- varies: x/y -->", "built x/y 1\n", "made x/z 2\n"));
}

#[test]
fn a_command_of_two_lines_is_one() {
    let [step] = &steps("```console\n$ cat \\\n    a\nb\n```\n")[..] else { panic!("one command") };
    assert_eq!((step.command.as_str(), &*step.expected), ("cat \\\n    a", &["b".to_owned()][..]));
}
