//! Lists the files with their digests, and lets otaseal sign the list.

use super::{quietly, run_command};
use crate::Result;
use otaseal::device::layout;
use otaseal::format::digest::sha256;
use std::fs;
use std::path::{Path, PathBuf};

/// The list, as `sha256sum -c` reads it. It does not list itself, nor an earlier signature of it.
const LIST: &str = "SHA256SUMS";

/// Signs the list.
pub(super) struct Signer<'a> {
    /// The program that we hand out.
    pub(super) program: PathBuf,
    pub(super) key: &'a Path,
    /// Options of `otaseal sign`.
    pub(super) options: Vec<&'a str>,
}

/// Writes `SHA256SUMS`, `SHA256SUMS.signed` (a signed image, for `otaseal verify`) and `SHA256SUMS.sig` (the signature
/// alone, for `openssl dgst -verify`).
///
/// # Errors
///
/// A file that cannot be read or written, or a key that does not sign.
pub(super) fn sign(out: &Path, signer: &Signer<'_>) -> Result<String> {
    let mut files = Vec::new();
    for entry in fs::read_dir(out)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().display().to_string();
        if !name.starts_with(LIST) {
            files.push((name, sha256(&fs::read(&path)?)));
        }
    }
    files.sort_by(|(a, _), (b, _)| a.cmp(b));
    let lines: String = files.iter().map(|(name, digest)| format!("{digest}  {name}\n")).collect();
    let (list, signed) = (out.join(LIST), out.join(format!("{LIST}.signed")));
    fs::write(&list, &lines)?;
    let mut sign = quietly(&signer.program);
    run_command(
        sign.arg("sign").arg(&list).arg("-o").arg(&signed).arg("--key").arg(signer.key).args(&signer.options),
    )?;
    fs::write(out.join(format!("{LIST}.sig")), signature(&fs::read(&signed)?, &fs::read(&list)?)?)?;
    Ok(lines)
}

/// Returns the signature in a signed image of these bytes.
fn signature<'i>(image: &'i [u8], payload: &[u8]) -> Result<&'i [u8]> {
    let trailer = image.len().checked_sub(payload.len()).ok_or("the signed list is shorter than the list")?;
    let length =
        trailer.checked_sub(layout::LENGTH_FIELD_LEN).ok_or("the signed list has no length field")?;
    let (signed, signature) = layout::split(image, length).map_err(|reject| reject.to_string())?;
    if signed == payload { Ok(signature) } else { Err("the signed list is another one".into()) }
}

#[cfg(test)]
mod tests {
    use super::signature;

    #[test]
    fn the_signature_stands_between_the_list_and_the_length() {
        let image = [b"list".as_slice(), &[7; 256], &256_u32.to_le_bytes()].concat();
        assert_eq!(signature(&image, b"list").unwrap(), [7; 256]);
        assert!(signature(&image, b"lisp").is_err());
        assert!(signature(&image, b"lis").is_err());
        assert!(signature(b"li", b"list").is_err());
    }
}
