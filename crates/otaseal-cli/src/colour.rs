//! Colours the words that say how it went, on terminals. NO_COLOR, CLICOLOR_FORCE and TERM count, as in clap's own texts.

use anstream::stream::{AsLockedWrite, RawStream};
use anstream::{AutoStream, ColorChoice};
use anstyle::{AnsiColor, Style};
use std::io::{self, Write};

const GOOD: Style = bold(AnsiColor::Green);
const BAD: Style = bold(AnsiColor::Red);
const DOUBTFUL: Style = bold(AnsiColor::Yellow);

const fn bold(colour: AnsiColor) -> Style {
    colour.on_default().bold()
}

/// Words at the start of a line, or behind `verdict  `, that have a colour.
const WORDS: [(&str, Style); 11] = [
    ("error:", BAD),
    ("warning:", DOUBTFUL),
    ("accepted", GOOD),
    ("rejected", BAD),
    // The other verdicts on an image.
    ("refused", BAD),
    ("bricks", BAD),
    ("keeps-the-old", BAD),
    ("last-update", BAD),
    ("installs-but-will-not-boot", BAD),
    // The states of a key check.
    ("ok", GOOD),
    ("mend", BAD),
];

/// Writes a text to a stream, with colours if the stream shows them.
pub(crate) fn write<S: RawStream + AsLockedWrite>(mut stream: S, text: &str) -> io::Result<()> {
    match AutoStream::choice(&stream) {
        ColorChoice::Never => stream.write_all(text.as_bytes()).and_then(|()| stream.flush()),
        choice => {
            let mut stream = AutoStream::new(stream, choice);
            stream.write_all(painted(text).as_bytes()).and_then(|()| stream.flush())
        }
    }
}

fn painted(text: &str) -> String {
    let mut painted = String::with_capacity(text.len() + 64);
    for line in text.split_inclusive('\n') {
        let verdict = line.strip_prefix("verdict  ").unwrap_or(line);
        let (before, rest) = line.split_at(line.len() - verdict.len());
        painted.push_str(before);
        // The word ends where a text goes on: `rejected: ...`, `accepted by ...`.
        let ends = |rest: &str| rest.is_empty() || rest.starts_with([':', ' ', '\n']);
        let word = WORDS.iter().find(|(word, _)| rest.strip_prefix(word).is_some_and(ends));
        match word {
            Some((word, style)) => {
                painted.push_str(&format!("{style}{word}{style:#}"));
                painted.push_str(&rest[word.len()..]);
            }
            None => painted.push_str(rest),
        }
    }
    painted
}

#[cfg(test)]
mod tests {
    use super::painted;

    #[test]
    fn whole_words_at_the_start_of_a_line_are_painted() {
        let red = |word| format!("\u{1b}[1m\u{1b}[31m{word}\u{1b}[0m");
        assert_eq!(painted("error: no\nhelp: error: x\n"), format!("{} no\nhelp: error: x\n", red("error:")));
        assert_eq!(painted("verdict  rejected: no"), format!("verdict  {}: no", red("rejected")));
        for plain in ["", "refusedly", " rejected", "the file was accepted\n", "verdict  errors"] {
            assert_eq!(painted(plain), plain);
        }
    }
}
