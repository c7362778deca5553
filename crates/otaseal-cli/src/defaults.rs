//! Chooses what a command line leaves out: the key, and the name of the output. No other module does.

use crate::error::Failure;
use crate::io::Place;
use otaseal::format::input;
use serde::Serialize;
use std::ffi::OsStr;
use std::fmt;
use std::path::Path;

/// The ending of a signed image.
const SIGNED: &str = ".signed";

/// The ending of a gzip.
const GZIP: &str = ".gz";

/// An option that the command line does not have, and the value that otaseal took for it. Every report shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Assumed {
    option: &'static str,
    value: String,
}

impl Assumed {
    pub(crate) fn new(option: &'static str, value: &Place) -> Self {
        Self { option, value: value.name() }
    }
}

impl fmt::Display for Assumed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "assumed  {} {}", self.option, self.value)
    }
}

/// The output of a command: the one that the user named, or the default.
#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) place: Place,
    pub(crate) assumed: Option<Assumed>,
}

/// Says how the name of an output follows from that of its input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Naming {
    /// `firmware.bin` becomes `firmware.bin.signed`.
    Sign,
    /// `firmware.bin` becomes `firmware.bin.gz`. So does `firmware.elf`: the gzip holds the flattened image.
    Compress,
    /// `firmware.bin.signed` becomes `firmware.bin`.
    Strip,
}

impl Naming {
    /// Returns the output that the user named, or the default for this input.
    ///
    /// # Errors
    /// A usage error if the input has no name to make another of.
    pub(crate) fn output(self, named: Option<&Place>, input: &Place) -> Result<Output, Failure> {
        if let Some(place) = named {
            return Ok(Output { place: place.clone(), assumed: None });
        }
        let refused = |why| Failure::usage(why, "name the output with --output; - is standard output");
        let path = input.path().filter(|path| !is_stream(path));
        let path = path
            .ok_or_else(|| refused(format!("{input} is a stream: no name for the output follows from it")))?;
        let name = path.file_name().and_then(|name| self.name(name));
        let name = name.ok_or_else(|| {
            refused(format!("{input} does not end in {SIGNED}: no name for the output follows from it"))
        })?;
        let place = Place::Path(path.with_file_name(name));
        Ok(Output { assumed: Some(Assumed::new("--output", &place)), place })
    }

    /// Returns the name of the output for an input of this name.
    pub(crate) fn name(self, input: &OsStr) -> Option<std::ffi::OsString> {
        let with = |start: &OsStr, end: &str| {
            let mut name = start.to_owned();
            name.push(end);
            name
        };
        let without = |ending: &str| {
            let stem = Path::new(input).file_stem().filter(|stem| !stem.is_empty());
            stem.filter(|stem| with(stem, ending) == input)
        };
        Some(match self {
            Self::Sign => with(input, SIGNED),
            Self::Compress => match [".elf", ".uf2"].into_iter().find_map(without) {
                Some(stem) => with(stem, &format!(".bin{GZIP}")),
                None => with(input, GZIP),
            },
            Self::Strip => without(SIGNED)?.to_owned(),
        })
    }
}

/// Returns whether a path leads to a pipe or a device. A file beside it would be in a place like `/dev/fd`.
fn is_stream(path: &Path) -> bool {
    input::stream(Some(path)).is_some() || std::fs::metadata(path).is_ok_and(|found| !found.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_from_names() {
        let name = |naming: Naming, input: &str| naming.name(OsStr::new(input))?.into_string().ok();
        for (naming, input, output) in [
            (Naming::Sign, "firmware.bin", Some("firmware.bin.signed")),
            (Naming::Sign, "firmware", Some("firmware.signed")),
            (Naming::Compress, "firmware.bin", Some("firmware.bin.gz")),
            (Naming::Compress, "firmware.elf", Some("firmware.bin.gz")),
            (Naming::Compress, "lamp.1.uf2", Some("lamp.1.bin.gz")),
            (Naming::Compress, ".elf", Some(".elf.gz")),
            (Naming::Strip, "firmware.bin.signed", Some("firmware.bin")),
            (Naming::Strip, "firmware.bin.gz.signed", Some("firmware.bin.gz")),
            (Naming::Strip, "firmware.bin", None),
            (Naming::Strip, ".signed", None),
        ] {
            assert_eq!(name(naming, input).as_deref(), output, "{naming:?} {input}");
        }
    }
}
