//! Runs the README's commands: every ```` ```console ```` block, line by line, in the workspace. In the expected text
//! of a block, `[..]` stands for any text of a line and `...` for any lines.
use crate::common::root;
use std::process::Command;

use crate::common::console::{lines_match, steps};

#[test]
fn the_commands_of_the_readme_do_what_it_says() {
    if !cfg!(unix) {
        eprintln!("SKIPPED: the README's commands are for a POSIX shell");
        return;
    }
    let root = root();
    if root.join("keys/private.pem").exists() {
        eprintln!("SKIPPED: this checkout has keys of its own, the README shows the example key's output");
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
