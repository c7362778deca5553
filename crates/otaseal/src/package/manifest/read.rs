//! Reads a manifest. It comes from a file or an upload that anybody may have written.

use super::{MAX_MANIFEST, Manifest, SCHEMA};
use crate::format::digest::Md5Digest;
use crate::format::image::esp8266::FlashMode;
use crate::output::is_file_name;
use otaseal_device::homie::is_printable;
use serde::de::{Deserializer, Error, MapAccess, Visitor};
use std::collections::BTreeMap;
use std::fmt;

/// Longest text of a manifest that an error shows, in characters.
const MAX_SHOWN: usize = 200;

/// Why a text is not a manifest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ManifestError {
    /// Larger than [`MAX_MANIFEST`].
    #[error("it is larger than any manifest")]
    TooLarge,
    /// Not JSON, or not the fields of a manifest.
    #[error("it is not a manifest that this otaseal can read: {0}")]
    Form(String),
    /// A manifest of another program: it does not name otaseal as its tool.
    #[error("it is not a manifest of otaseal")]
    Foreign,
    /// The manifest of a newer otaseal.
    #[error("it has schema {found}, this otaseal knows {SCHEMA}")]
    Schema {
        /// The schema found.
        found: u32,
    },
    /// A signed file in a manifest that names no key.
    #[error("{field}: the file is signed, and the manifest names no key")]
    SignedByNobody {
        /// Where it stands in the manifest.
        field: String,
    },
    /// A name that could lead out of the directory.
    #[error("{field}: {name:?} is not a file name")]
    Name {
        /// Where it stands in the manifest.
        field: String,
        /// The name.
        name: String,
    },
}

impl Manifest {
    /// Reads a manifest.
    ///
    /// Names of files are plain file names: none leads out of its directory. Characters in other texts that are not
    /// printable ([`is_printable`]) become U+FFFD, so no text can add lines to a report. A field that stands there twice
    /// is an error, because readers differ on which one counts. Unknown fields are left out: a newer otaseal may have
    /// added them.
    ///
    /// This does not compare the manifest with any file: [`crate::Package::from_parts`] does.
    ///
    /// # Errors
    /// [`ManifestError`].
    pub fn from_json(json: &[u8]) -> Result<Self, ManifestError> {
        #[derive(serde::Deserialize)]
        struct Start {
            schema: Option<u32>,
            tool: Option<String>,
        }
        // The error of the reader repeats the text that it found, at any length.
        let form = |error: serde_json::Error| ManifestError::Form(shown(&error.to_string()));
        if json.len() > MAX_MANIFEST {
            return Err(ManifestError::TooLarge);
        }
        // The reader does not check texts that it leaves out.
        let json = std::str::from_utf8(json).map_err(|_| ManifestError::Form("it is not UTF-8".into()))?;
        let start: Start = serde_json::from_str(json).map_err(form)?;
        if !start.tool.is_some_and(|tool| tool.starts_with("otaseal ")) {
            return Err(ManifestError::Foreign);
        }
        match start.schema {
            Some(SCHEMA) => {}
            Some(found) => return Err(ManifestError::Schema { found }),
            None => return Err(ManifestError::Form("it has no schema".into())),
        }
        let mut manifest: Self = serde_json::from_str(json).map_err(form)?;
        if manifest.content.is_firmware() && manifest.installed.md5.is_none() {
            return Err(ManifestError::Form("missing field `md5` of `installed`".into()));
        }
        if manifest.key.is_none() {
            check_unsigned(&manifest)?;
        }
        let artefacts = manifest.artefacts.iter().enumerate();
        let names = artefacts.map(|(index, artefact)| (format!("artefacts[{index}].file"), &artefact.file));
        let sbom = manifest.sbom.iter().map(|sbom| ("sbom.file".to_owned(), &sbom.file));
        if let Some((field, name)) = names.chain(sbom).find(|(_, name)| !is_file_name(name)) {
            return Err(ManifestError::Name { field, name: shown(name) });
        }
        let Self { tool, name, version, brand, source, .. } = &mut manifest;
        [tool, &mut source.file].into_iter().chain(name).chain(version).chain(brand).for_each(on_one_line);
        Ok(manifest)
    }
}

/// Checks a manifest without a key: nothing in it is signed.
fn check_unsigned(manifest: &Manifest) -> Result<(), ManifestError> {
    if manifest.example_key {
        return Err(ManifestError::Form("`example_key` is true, and there is no key".into()));
    }
    match manifest.artefacts.iter().position(|artefact| artefact.signature.is_some()) {
        Some(index) => Err(ManifestError::SignedByNobody { field: format!("artefacts[{index}].signature") }),
        None => Ok(()),
    }
}

/// Cuts a text for an error.
fn shown(text: &str) -> String {
    let mut text = text.chars().take(MAX_SHOWN).collect();
    on_one_line(&mut text);
    text
}

fn on_one_line(text: &mut String) {
    let obeyed_or_unseen = |character: char| !is_printable(character);
    if text.contains(obeyed_or_unseen) {
        *text = text.replace(obeyed_or_unseen, "\u{FFFD}");
    }
}

/// Reads the digests by flash mode. A mode that stands there twice is an error; the usual reader keeps the last one.
pub(super) fn by_flash_mode<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<FlashMode, Md5Digest>, D::Error> {
    struct Once;
    impl<'de> Visitor<'de> for Once {
        type Value = BTreeMap<FlashMode, Md5Digest>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an MD5 for each flash mode")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut by_mode = BTreeMap::new();
            while let Some((mode, md5)) = map.next_entry()? {
                if by_mode.insert(mode, md5).is_some() {
                    return Err(A::Error::custom(format_args!("the flash mode {mode} is there twice")));
                }
            }
            Ok(by_mode)
        }
    }
    deserializer.deserialize_map(Once)
}
