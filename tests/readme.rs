//! Types the README's commands as a person does, from top to bottom: those of "Sign your firmware.bin" in an empty
//! directory, the others in the workspace.
#![cfg(unix)]

use crate::common::console::steps;
use crate::common::document::Session;
use crate::common::{self, Bench, root};

/// Returns the README's text from one heading to another.
fn part(from: &str, to: &str) -> String {
    let text = std::fs::read_to_string(root().join("README.md")).unwrap();
    let (_, rest) = text.split_once(from).unwrap();
    rest.split(to).next().unwrap().to_owned()
}

#[test]
fn a_reader_signs_a_firmware_of_his_own_as_the_readme_says() {
    let bench = Bench::new();
    let steps = steps(&part("## Sign your firmware.bin\n", "## Start here"));
    let [keygen, rest @ ..] = &steps[..] else { panic!("no commands") };
    assert_eq!(rest.len(), 2, "three commands");
    let mut session = Session::new(bench.dir());
    session.type_in("README.md", keygen);
    // The reader builds the firmware with the key.
    bench.write("firmware.bin", &[common::firmware(20_000), bench.read("keys/public.pem")].concat());
    rest.iter().for_each(|step| session.type_in("README.md", step));
}

#[test]
fn the_commands_in_a_clone_do_what_the_readme_says() {
    let root = root();
    if root.join("keys/private.pem").exists() {
        eprintln!("SKIPPED: this checkout has keys of its own, the README shows the example key's output");
        return;
    }
    let steps = steps(&part("## In 60 seconds, from a clone\n", "## In a Rust project"));
    assert!(steps.len() >= 5, "the README has lost its commands");
    let mut session = Session::new(&root);
    steps.iter().for_each(|step| session.type_in("README.md", step));
}
