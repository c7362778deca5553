//! The catalogue of errors in the book comes from the sources: the message from the error type, the cause from its
//! documentation, and the cure from `project/advice`, the table that the programs read.

mod parts;

use parts::{Cures, Shape, shapes};
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

/// The variable with which `cargo xtask book --update` writes the page.
const UPDATE: &str = "OTASEAL_UPDATE_REFERENCE";

const INTRODUCTION: &str = "\
# Errors

<!-- `cargo xtask book --update` writes this page. -->

otaseal prints an error in two lines: `error:` says what is wrong, `help:` says what to do. With `--json` they are the
fields `error` and `help`. This page lists the messages, with the cause and the cure of each. A `…` stands for a name or
a number of your case. Some messages have several cures: otaseal prints the one that fits.

To find a message, search this page for a few of its words. [Exit codes](exit-codes.md) says which code a command ends
with.
";

/// The files of the table, with the titles of their sections.
const ADVICE: [(&str, &str); 5] = [
    ("image.rs", "Builds, images and devices"),
    ("key.rs", "Keys and passphrases"),
    ("sign.rs", "Signers, tokens and signatures"),
    ("package.rs", "Packages, releases, ledgers and files"),
    ("project.rs", "Settings and cargo xtask"),
];

/// What a reader calls the errors of each type.
const TITLES: &[(&str, &str)] = &[
    ("ElfError", "ELF files"),
    ("Uf2Error", "UF2 files"),
    ("Damage", "Damaged ESP8266 images"),
    ("Esp32Damage", "Damaged ESP32 images"),
    ("ImageFinding", "Images that some devices refuse"),
    ("GzipFinding", "Gzip files"),
    ("TokenError", "Homie tokens"),
    ("Misfit", "Updates that do not fit"),
    ("FirmwareError", "Builds to package"),
    ("GuardError", "Files that must not be signed"),
    ("ContinuityError", "Keys in the image"),
    ("Reason", "What a device refuses"),
    ("Unmountable", "Filesystems that the firmware cannot mount"),
    ("Assumption", "What otaseal assumes of a device"),
    ("KeyError", "Key files"),
    ("EncryptionError", "Encrypted keys"),
    ("PairError", "New key pairs"),
    ("SecretError", "Passphrases and PINs"),
    ("NotASource", "Places of a passphrase"),
    ("KeyOnCommandLine", "Keys on the command line"),
    ("UriError", "PKCS#11 URIs"),
    ("Finding", "Weak and unsafe keys"),
    ("NotIgnored", "Keys in a repository"),
    ("Refused", "Keys that sign no release"),
    ("KeysRefused", "Plans for a new key"),
    ("SignError", "Signing"),
    ("CommandFailure", "Commands that sign"),
    ("TokenFailure", "Tokens that sign"),
    ("Mismatch", "Wrong signatures"),
    ("DetachedError", "Signature files"),
    ("RequestError", "Requests for a signature"),
    ("SourceError", "Where a key comes from"),
    ("Pkcs11Error", "Keys in tokens"),
    ("PackageError", "Packages"),
    ("PolicyError", "Policy"),
    ("SbomError", "Bills of materials"),
    ("BundleError", "Release bundles"),
    ("ReadError", "Releases in a plan"),
    ("LedgerError", "Ledgers"),
    ("OutputError", "Output files"),
    ("SettingsError", "Settings"),
    ("IdentifierError", "Names in source code"),
    ("EmitError", "Source files with the key"),
    ("CargoError", "cargo xtask"),
];

/// Errors that no user sees as they are: another error, which has advice, shows them in its text. Or they are wrong
/// values of an option, whose help lists the right ones.
const INSIDE_OTHERS: &[&str] = &[
    "Break",
    "CommandError",
    "CompressError",
    "GunzipError",
    "ImpossibleReport",
    "JudgeError",
    "LabelError",
    "ManifestError",
    "NextKeyError",
    "PartsError",
    "Unfinished",
    "UnknownEffort",
    "UnknownLayout",
    "UnknownProfile",
    "UnknownScheme",
    "ValueError",
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

#[test]
fn the_catalogue_has_every_error() {
    let library = root().join("crates/otaseal/src");
    let shapes = shapes(&library);
    let mut page = INTRODUCTION.to_owned();
    let mut advised = Vec::new();
    for (file, title) in ADVICE {
        writeln!(page, "\n## {title}").unwrap();
        for cures in Cures::read(&library.join("project/advice").join(file)) {
            let shape = cures.shape(&shapes);
            advised.push(shape.name.clone());
            describe(shape, &cures, &mut page);
        }
    }
    page.push_str("\n## The command line and files\n\n");
    for (message, cure) in parts::failures(&root().join("crates/otaseal-cli/src")) {
        writeln!(page, "- `{message}`\\\n  **Do this:** {cure}.").unwrap();
    }
    // An error that joins the library needs advice.
    let known = |shape: &&Shape| !advised.contains(&shape.name) && !INSIDE_OTHERS.contains(&&*shape.name);
    let forgotten: Vec<_> = shapes.iter().filter(|shape| shape.is_error).filter(known).collect();
    assert!(forgotten.is_empty(), "no advice: {:?}", forgotten.iter().map(|s| &s.name).collect::<Vec<_>>());
    compare(&root().join("docs/reference/errors.md"), &page);
}

fn describe(shape: &Shape, cures: &Cures, page: &mut String) {
    let mut entries = String::new();
    for variant in &shape.variants {
        let Some(text) = &variant.text else { continue };
        let mut cure = cures.of(&variant.name);
        // An error that only wraps another one shows that one's text.
        if !text.chars().any(char::is_alphabetic) {
            continue;
        }
        write!(entries, "- `{text}`\\\n  {} ", variant.cause).unwrap();
        match cure.len() {
            0 => entries.push_str("**Do this:** see the error that it names.\n"),
            1 => writeln!(entries, "**Do this:** {}.", cure.remove(0)).unwrap(),
            _ => {
                entries.push_str("**Do one of these:**\n");
                cure.iter().for_each(|cure| writeln!(entries, "  - {cure}").unwrap());
            }
        }
    }
    if !entries.is_empty() {
        let title = TITLES.iter().find(|(name, _)| *name == shape.name);
        let (_, title) = title.unwrap_or_else(|| panic!("{} has no title", shape.name));
        writeln!(page, "\n### {title}\n\n{}", entries.trim_end()).unwrap();
    }
}

fn compare(path: &PathBuf, page: &str) {
    if std::env::var_os(UPDATE).is_some() {
        fs::write(path, page).unwrap();
    }
    let found = fs::read_to_string(path).unwrap_or_default().replace("\r\n", "\n");
    let differs = page.lines().zip(found.lines()).find(|(new, old)| new != old);
    assert!(found == page, "the page is not up to date: run `cargo xtask book --update`: {differs:?}");
}
