//! Writes the public key as source code for the firmware.
//!
//! There are two forms: Rust that any `no_std` firmware can include, and the C header that the Arduino cores look for.
//! Both come from a [`PublicKey`], which cannot hold a private number. The same key gives the same text, so an
//! unchanged key starts no new build.

use crate::key::{EXPONENT, KeyError, PublicKey};
use crate::output::{self, Made, OutputError, Run, Written};
use crate::sign::{self, Scheme, SignError, Signer};
use otaseal_device::SELF_TEST_MESSAGE;
use std::fmt::{self, Write};
use std::path::{Path, PathBuf};

/// A name that is legal in Rust, C and C++, and a keyword in none of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identifier(String);

/// Why a text is not an [`Identifier`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdentifierError {
    /// Wrong characters or length.
    #[error("`{0}` is not a legal identifier")]
    Illegal(String),
    /// A keyword of Rust, C or C++.
    #[error("`{0}` is a keyword")]
    Keyword(String),
}

impl std::str::FromStr for Identifier {
    type Err = IdentifierError;

    fn from_str(text: &str) -> Result<Self, IdentifierError> {
        let legal = |(index, byte): (usize, u8)| {
            byte == b'_' || byte.is_ascii_alphabetic() || (index > 0 && byte.is_ascii_digit())
        };
        // `_` alone is not a name in Rust. C reserves names that start with `__` for the compiler.
        if text.is_empty()
            || text == "_"
            || text.starts_with("__")
            || text.len() > 64
            || !text.bytes().enumerate().all(legal)
        {
            return Err(IdentifierError::Illegal(text.into()));
        }
        if KEYWORDS.contains(&text) {
            return Err(IdentifierError::Keyword(text.into()));
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for Identifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The contents of the Rust source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RustForm {
    /// Constants only, without any dependency.
    Standalone,
    /// The constants and `KEY`, an `otaseal_device::PublicKey`.
    Device,
}

/// Options for [`rust_source`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct RustOptions {
    /// The contents.
    pub form: RustForm,
    /// Wraps everything in `pub mod NAME`, so that several keys fit in one crate.
    pub module: Option<Identifier>,
    /// A signature that the device can check at start-up, from [`self_test`].
    pub self_test: Option<SelfTest>,
}

impl RustOptions {
    /// Source of this form, without a module and without a self-test.
    pub fn new(form: RustForm) -> Self {
        Self { form, module: None, self_test: None }
    }
}

/// A signature by the key over [`otaseal_device::SELF_TEST_MESSAGE`].
#[derive(Debug, Clone)]
pub struct SelfTest(Vec<u8>);

/// Makes the self-test signature for [`RustOptions`].
///
/// # Errors
/// The signer's error.
pub fn self_test(signer: &dyn Signer) -> Result<SelfTest, SignError> {
    let message = SELF_TEST_MESSAGE;
    let mut trailer = sign::seal(signer, Scheme::Pkcs1v15Sha256, &sign::hashed(message), &mut &message[..])?;
    trailer.truncate(signer.public_key().size().bytes());
    Ok(SelfTest(trailer))
}

/// Returns the key as Rust source. It is formatted: `rustfmt` skips the arrays and leaves the rest as it is.
pub fn rust_source(key: &PublicKey, options: &RustOptions) -> String {
    let words: Vec<u32> = key
        .modulus()
        .rchunks_exact(4)
        .map(|bytes| bytes.iter().fold(0, |word, &byte| word << 8 | u32::from(byte)))
        .collect();
    let (bits, count) = (key.size().bits(), words.len());
    let mut body = format!(
        "/// Size of the modulus in bits.\n\
         pub const MODULUS_BITS: u32 = {bits};\n\
         \n\
         /// The public exponent.\n\
         pub const EXPONENT: u32 = {EXPONENT};\n\
         \n\
         /// Key id: SHA-256 of the key's SPKI DER,\n\
         /// {}.\n\
         #[rustfmt::skip]\n\
         pub const KEY_ID: [u8; 32] = [\n{}];\n\
         \n\
         /// The modulus as 32-bit words, least significant first.\n\
         #[rustfmt::skip]\n\
         pub const MODULUS: [u32; {count}] = [\n{}];\n\
         \n\
         // A file that was cut, merged or edited does not compile.\n\
         const _: () = {{\n    \
             assert!(MODULUS.len() * 32 == MODULUS_BITS as usize, \"the modulus has another size\");\n    \
             assert!(MODULUS[0] & 1 == 1, \"the modulus is even\");\n    \
             assert!(MODULUS[MODULUS.len() - 1] >> 31 == 1, \"the modulus is too short\");\n    \
             assert!(EXPONENT == 65537, \"the exponent is not 65537\");\n\
         }};\n",
        key.id(),
        rows(key.id().0.iter().map(|byte| format!("{byte:#04x}")), 16),
        rows(words.iter().map(|word| format!("{word:#010x}")), 8),
    );
    if options.form == RustForm::Device {
        let _ = write!(
            body,
            "\n/// The key, for `otaseal_device::verify` and `otaseal_device::KeySet`.\n\
             pub const KEY: otaseal_device::PublicKey<{count}> =\n    \
                 otaseal_device::PublicKey::new(MODULUS, otaseal_device::KeyId(KEY_ID));\n"
        );
    }
    if let Some(SelfTest(signature)) = &options.self_test {
        let _ = write!(
            body,
            "\n/// A signature by this key over `b\"{}\"`: what a device can check at start-up to know\n\
             /// that its verifier and this key work.\n\
             #[rustfmt::skip]\n\
             pub const SELF_TEST_SIGNATURE: [u8; {}] = [\n{}];\n",
            SELF_TEST_MESSAGE.escape_ascii(),
            signature.len(),
            rows(signature.iter().map(|byte| format!("{byte:#04x}")), 16),
        );
    }
    let head = "// Generated by `otaseal pubkey --rust` from a public key. Do not edit: make it again.\n\n";
    match &options.module {
        None => format!("{head}{body}"),
        Some(name) => {
            let indented: String = body
                .lines()
                .map(|line| if line.is_empty() { "\n".into() } else { format!("    {line}\n") })
                .collect();
            format!("{head}/// The public key {}.\npub mod {name} {{\n{indented}}}\n", key.id())
        }
    }
}

/// Returns the header that the Arduino cores of ESP8266 and RP2040 include as `Updater_Signing.h`.
///
/// The array holds the PEM text and a terminating zero, because the core takes its length with `strlen_P`. The header
/// that the cores' own script makes lacks the zero.
pub fn c_header(key: &PublicKey, array: &Identifier) -> String {
    let pem = key.to_spki_pem();
    let bytes = pem.bytes().chain([0]).map(|byte| format!("{byte:#04x}"));
    format!(
        "// Generated by `otaseal pubkey --c-header` from the public key\n\
         // {}.\n\
         // Do not edit: make it again.\n\
         #include <pgmspace.h>\n\
         #define ARDUINO_SIGNING 1\n\
         static const char {array}[] PROGMEM = {{\n{}}};\n",
        key.id(),
        rows(bytes, 16),
    )
}

/// Returns the name that the Arduino cores give to the array of [`c_header`].
pub fn arduino_array() -> Identifier {
    Identifier("signing_pubkey".into())
}

/// Why the source file does not hold the key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EmitError {
    /// The file is missing, or has other contents ([`Mode::Check`]).
    #[error("{} is missing, or does not hold this key", path.display())]
    OutOfDate {
        /// The file.
        path: PathBuf,
        /// The command that fixes it.
        command: String,
    },
    /// otaseal cannot use the key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// otaseal could not write the file.
    #[error(transparent)]
    Output(#[from] OutputError),
}

/// Whether to write or only to check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Writes the file if its contents differ.
    Write,
    /// Writes nothing. It is an error if the contents differ.
    Check,
}

/// Writes a key to its file, or checks the file. The new contents replace only what `made` recognises; without `made`,
/// any file. `command` is the command that writes it, for the error. A dry run writes nothing.
///
/// # Errors
/// [`EmitError::OutOfDate`] under [`Mode::Check`], [`EmitError::Output`] if writing fails.
pub fn place(
    run: &Run,
    path: &Path,
    contents: impl AsRef<[u8]>,
    made: Option<Made>,
    mode: Mode,
    command: &str,
) -> Result<Written, EmitError> {
    let contents = contents.as_ref();
    match mode {
        Mode::Write => Ok(run.write_if_changed(path, contents, made)?),
        Mode::Check if output::has_bytes(path, contents) => Ok(Written::Unchanged),
        Mode::Check => Err(EmitError::OutOfDate { path: path.into(), command: command.into() }),
    }
}

/// Returns array elements, `per_row` on a line. Each line is indented and ends with a line feed.
fn rows(elements: impl Iterator<Item = String>, per_row: usize) -> String {
    let elements: Vec<String> = elements.collect();
    elements.chunks(per_row).map(|row| format!("    {},\n", row.join(", "))).collect()
}

/// Keywords of Rust (2024, reserved ones included), C23 and C++23 that pass the character rule.
const KEYWORDS: &[&str] = &[
    "abstract",
    "alignas",
    "alignof",
    "and",
    "and_eq",
    "as",
    "asm",
    "async",
    "atomic_cancel",
    "atomic_commit",
    "atomic_noexcept",
    "auto",
    "await",
    "become",
    "bitand",
    "bitor",
    "bool",
    "box",
    "break",
    "case",
    "catch",
    "char",
    "char16_t",
    "char32_t",
    "char8_t",
    "class",
    "co_await",
    "co_return",
    "co_yield",
    "compl",
    "concept",
    "const",
    "const_cast",
    "consteval",
    "constexpr",
    "constinit",
    "continue",
    "crate",
    "decltype",
    "default",
    "delete",
    "do",
    "double",
    "dyn",
    "dynamic_cast",
    "else",
    "enum",
    "explicit",
    "export",
    "extern",
    "false",
    "final",
    "float",
    "fn",
    "for",
    "friend",
    "gen",
    "goto",
    "if",
    "impl",
    "in",
    "inline",
    "int",
    "let",
    "long",
    "loop",
    "macro",
    "match",
    "mod",
    "move",
    "mut",
    "mutable",
    "namespace",
    "new",
    "noexcept",
    "not",
    "not_eq",
    "nullptr",
    "operator",
    "or",
    "or_eq",
    "override",
    "priv",
    "private",
    "protected",
    "pub",
    "public",
    "ref",
    "register",
    "reinterpret_cast",
    "requires",
    "restrict",
    "return",
    "self",
    "Self",
    "short",
    "signed",
    "sizeof",
    "static",
    "static_assert",
    "static_cast",
    "struct",
    "super",
    "switch",
    "template",
    "this",
    "thread_local",
    "throw",
    "trait",
    "true",
    "try",
    "type",
    "typedef",
    "typeid",
    "typename",
    "typeof",
    "typeof_unqual",
    "union",
    "unsafe",
    "unsigned",
    "unsized",
    "use",
    "using",
    "virtual",
    "void",
    "volatile",
    "wchar_t",
    "where",
    "while",
    "xor",
    "xor_eq",
    "yield",
];

#[cfg(test)]
mod tests;
