//! Writes the details of a format, as indented lines. Each line starts with its subject.

use otaseal::format::image::Kind;
use otaseal::format::image::esp32::Esp32Image;
use otaseal::format::image::esp8266::{Esp8266File, Image, Integrity, Segment, WordsState};
use otaseal::format::image::rp::{BinaryInfo, VectorTable};
use otaseal::format::image::uf2::Unpacked;
use std::fmt;

pub(super) fn write(f: &mut fmt::Formatter<'_>, format: &Kind) -> fmt::Result {
    match format {
        Kind::Esp8266(file) => esp8266(f, file),
        Kind::Esp32(image) => esp32(f, image),
        Kind::Rp2040(image) => {
            writeln!(f, "         boot2 checksum {:#010x}", image.boot2_crc32)?;
            image.vector_table.iter().try_for_each(|table| vector_table(f, table))?;
            image.binary_info.iter().try_for_each(|info| binary_info(f, info))
        }
        Kind::Rp2350(image) => {
            let found = &image.image_def;
            write!(f, "         image definition at {:#x}", found.offset_bytes)?;
            found.entry_address.iter().try_for_each(|entry| write!(f, ", entry {entry:#010x}"))?;
            found
                .rollback_version
                .iter()
                .try_for_each(|version| write!(f, ", rollback version {version}"))?;
            writeln!(f, "{}", if found.has_hash { ", with a hash" } else { "" })?;
            image.vector_table.iter().try_for_each(|table| vector_table(f, table))?;
            image.binary_info.iter().try_for_each(|info| binary_info(f, info))
        }
        Kind::Uf2(uf2) => {
            let (first, end) = (uf2.first_address.unwrap_or_default(), uf2.end_address.unwrap_or_default());
            writeln!(
                f,
                "         {} blocks, {} bytes, {first:#010x} to {end:#010x}",
                uf2.blocks, uf2.payload_bytes
            )?;
            match uf2.e10_block {
                true => writeln!(f, "         one of them is there for the RP2350's erratum E10 alone"),
                false => Ok(()),
            }
        }
        _ => Ok(()),
    }
}

/// Returns the fault of the image, as a sentence without its full stop.
pub(super) fn problems(format: &Kind) -> Option<String> {
    match format {
        Kind::Esp8266(file) => file.damage.map(|damage| damage.to_string()),
        Kind::Esp32(image) => image.damage.map(|damage| damage.to_string()),
        Kind::Rp2040(image) => image.vector_table.as_ref().and_then(vector_problem),
        Kind::Rp2350(image) => image.vector_table.as_ref().and_then(vector_problem),
        Kind::LittleFs(filesystem) if !filesystem.complete => Some("the filesystem is cut off".into()),
        Kind::Spiffs(filesystem) if !filesystem.complete => Some("the filesystem is cut off".into()),
        _ => None,
    }
}

fn vector_problem(table: &VectorTable) -> Option<String> {
    (!table.plausible).then(|| "no chip could start with this vector table".into())
}

pub(super) fn write_unpacked(f: &mut fmt::Formatter<'_>, unpacked: &Unpacked) -> fmt::Result {
    if unpacked.gaps > 0 {
        write!(f, ", {} bytes of gaps filled", unpacked.gap_bytes)?;
    }
    if unpacked.duplicates > 0 {
        write!(f, ", {} blocks repeated", unpacked.duplicates)?;
    }
    f.write_str(if unpacked.in_order { "" } else { ", not in order" })
}

fn esp8266(f: &mut fmt::Formatter<'_>, file: &Esp8266File) -> fmt::Result {
    let name = if file.application.is_some() { "boot loader" } else { "image" };
    esp8266_image(f, name, &file.first)?;
    file.application.iter().try_for_each(|image| esp8266_image(f, "application", image))?;
    if let Some(words) = &file.words {
        let state = match words.state {
            WordsState::Valid => "right".into(),
            WordsState::Unfilled => "not filled in".into(),
            WordsState::CrcMismatch { computed } => format!("the image gives CRC {computed:#010x}"),
            WordsState::LengthMismatch { actual_bytes } => format!("the image has {actual_bytes} bytes"),
            _ => "wrong".into(),
        };
        let (length, crc, at) = (words.stored_length, words.stored_crc32, words.offset_bytes);
        writeln!(f, "         whole file: length {length}, CRC {crc:#010x} at {at:#x}, {state}")?;
    }
    match file.bytes_after {
        None | Some(0) => Ok(()),
        Some(bytes) => writeln!(f, "         {bytes} bytes after the image"),
    }
}

fn esp8266_image(f: &mut fmt::Formatter<'_>, name: &str, image: &Image) -> fmt::Result {
    let checksum = match image.integrity {
        Integrity::Valid { .. } => "checksum right".into(),
        Integrity::ChecksumMismatch { stored, computed, .. } => {
            format!("checksum {stored:#04x}, its data gives {computed:#04x}")
        }
        _ => "cut off".into(),
    };
    let (offset, entry) = (image.offset_bytes, image.header.entry_address);
    writeln!(f, "         {name} at {offset:#x}: {}, entry {entry:#010x}, {checksum}", image.header)?;
    segments(f, &image.segments)
}

fn segments(f: &mut fmt::Formatter<'_>, segments: &[Segment]) -> fmt::Result {
    for (number, segment) in (1..).zip(segments) {
        let (address, size, offset) = (segment.address, segment.size_bytes, segment.offset_bytes);
        writeln!(f, "         segment {number}: {size} bytes to {address:#010x}, from offset {offset:#x}")?;
    }
    Ok(())
}

fn esp32(f: &mut fmt::Formatter<'_>, image: &Esp32Image) -> fmt::Result {
    let header = &image.header;
    write!(f, "         chip id {}", header.chip.id())?;
    header.min_chip_revision.iter().try_for_each(|revision| write!(f, ", from revision {revision}"))?;
    header.max_chip_revision.iter().try_for_each(|revision| write!(f, ", to revision {revision}"))?;
    writeln!(f, ", entry {:#010x}", header.entry_address)?;
    segments(f, &image.segments)?;
    match &image.hash {
        Some(hash) => writeln!(f, "         hash {hash}")?,
        None if header.hash_appended => {}
        None => writeln!(f, "         no hash")?,
    }
    if let Some(app) = &image.app {
        let lines = [
            ("project", &app.project_name),
            ("version", &app.version),
            ("ESP-IDF", &app.idf_version),
            ("built", &app.built),
        ];
        for (what, text) in lines.into_iter().filter(|(_, text)| !text.is_empty()) {
            writeln!(f, "         {what}: {text}")?;
        }
    }
    match image.bytes_after {
        None | Some(0) => Ok(()),
        Some(bytes) => writeln!(f, "         {bytes} bytes after the image"),
    }
}

fn vector_table(f: &mut fmt::Formatter<'_>, table: &VectorTable) -> fmt::Result {
    let (offset, stack, reset) = (table.offset_bytes, table.stack_pointer, table.reset_address);
    writeln!(f, "         vector table at {offset:#x}: stack {stack:#010x}, reset {reset:#010x}")
}

fn binary_info(f: &mut fmt::Formatter<'_>, info: &BinaryInfo) -> fmt::Result {
    let lines = [
        ("program", &info.program_name),
        ("version", &info.program_version),
        ("built", &info.build_date),
        ("description", &info.description),
        ("URL", &info.url),
        ("board", &info.board),
        ("SDK", &info.sdk_version),
        ("boot2", &info.boot2_name),
    ];
    for (what, text) in lines {
        text.iter().try_for_each(|text| writeln!(f, "         {what}: {text}"))?;
    }
    info.features.iter().try_for_each(|text| writeln!(f, "         feature: {text}"))
}
