//! Archives of packages.

use super::*;
use ::tar::{Builder, EntryType, Header};
use ::zip::write::SimpleFileOptions;
use ::zip::{CompressionMethod, ZipWriter};
use flate2::Compression;
use flate2::write::GzEncoder;
use std::io::{Cursor, Write};

fn options() -> SimpleFileOptions {
    SimpleFileOptions::default().compression_method(CompressionMethod::Deflated)
}

fn zipped<'p>(parts: impl IntoIterator<Item = (&'p str, &'p [u8])>) -> Vec<u8> {
    zip_of(|zip| {
        for (name, bytes) in parts {
            zip.start_file(name, options()).unwrap();
            zip.write_all(bytes).unwrap();
        }
    })
}

fn zip_of(fill: impl FnOnce(&mut ZipWriter<Cursor<Vec<u8>>>)) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    fill(&mut zip);
    zip.finish().unwrap().into_inner()
}

fn borrowed(parts: &Parts) -> impl Iterator<Item = (&str, &[u8])> {
    parts.iter().map(|(name, bytes)| (name.as_str(), &bytes[..]))
}

/// A tar with entries of these kinds. Any name goes.
fn tarred<'p>(parts: impl IntoIterator<Item = (&'p str, EntryType, &'p [u8])>) -> Vec<u8> {
    let mut tar = Builder::new(Vec::new());
    for (name, kind, bytes) in parts {
        let mut header = Header::new_ustar();
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_entry_type(kind);
        header.set_size(bytes.len() as u64);
        if kind.is_symlink() || kind.is_hard_link() {
            header.set_link_name("/etc/passwd").unwrap();
        }
        header.set_cksum();
        tar.append(&header, bytes).unwrap();
    }
    tar.into_inner().unwrap()
}

fn regular<'p>(parts: impl IntoIterator<Item = (&'p str, &'p [u8])>) -> Vec<u8> {
    tarred(parts.into_iter().map(|(name, bytes)| (name, EntryType::Regular, bytes)))
}

fn gzipped(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(bytes).unwrap();
    gzip.finish().unwrap()
}

/// Replaces every occurrence, as somebody with an editor for bytes can.
fn replaced(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let mut bytes = bytes.to_vec();
    let places: Vec<usize> = memchr::memmem::find_iter(&bytes, from).collect();
    assert!(!places.is_empty());
    places.into_iter().for_each(|at| bytes[at..at + from.len()].copy_from_slice(to));
    bytes
}

#[test]
fn a_package_in_an_archive_is_the_package() {
    let rig = Rig::new();
    let parts = package(&image("1.2.3"));
    let prefixed = |prefix: &str| -> Parts {
        parts.iter().map(|(name, bytes)| (format!("{prefix}{name}"), bytes.clone())).collect()
    };
    let (folder, dotted) = (prefixed("dist/"), prefixed("./"));
    let in_folder = zip_of(|zip| {
        zip.add_directory("dist/", options()).unwrap();
        for (name, bytes) in borrowed(&folder) {
            zip.start_file(name, options().unix_permissions(0o644)).unwrap();
            zip.write_all(bytes).unwrap();
        }
    });
    let stored = zip_of(|zip| {
        for (name, bytes) in borrowed(&parts) {
            zip.start_file(name, options().compression_method(CompressionMethod::Stored)).unwrap();
            zip.write_all(bytes).unwrap();
        }
    });
    let with_folders = |names: &[&'static str], parts: &Parts| {
        let folders = names.iter().map(|name| (*name, EntryType::Directory, &b""[..]));
        let files = borrowed(parts).map(|(name, bytes)| (name, EntryType::Regular, bytes));
        tarred(folders.chain(files).collect::<Vec<_>>())
    };
    for (what, archive) in [
        ("zip", zipped(borrowed(&parts))),
        ("zip with a folder", in_folder),
        ("zip, stored", stored),
        ("tar", regular(borrowed(&parts))),
        ("tar with a folder", with_folders(&["dist/"], &folder)),
        ("tar of .", with_folders(&["./"], &dotted)),
        ("tar.gz", gzipped(&regular(borrowed(&parts)))),
    ] {
        // The name says nothing.
        let taken = taken(rig.take(&one("upload.bin", archive)));
        assert_eq!(taken.row(ReleaseId(1), "me", 0).files.len(), 5, "{what}");
        drop(taken);
        assert_eq!(rig.files(), 0, "{what}");
    }
}

#[cfg(unix)]
#[test]
fn what_tar_makes_is_a_package() {
    let rig = Rig::new();
    let dist = tempfile::tempdir().unwrap();
    for (name, bytes) in package(&image("1.2.3")) {
        std::fs::write(dist.path().join(name), bytes).unwrap();
    }
    for format in ["ustar", "gnu", "pax"] {
        let output = std::process::Command::new("tar")
            .args([&format!("--format={format}"), "-czf", "-", "."])
            .current_dir(dist.path())
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        taken(rig.take(&one("dist.tar.gz", output.stdout)));
    }
}

#[test]
fn names_that_lead_elsewhere_are_refused() {
    let rig = Rig::new();
    let manifest = ("manifest.json", &b"{}"[..]);
    for name in [
        "/etc/passwd",
        "../lamp.bin",
        "dist/../../lamp.bin",
        "..",
        "a/b/lamp.bin",
        "a//lamp.bin",
        "C:\\lamp.bin",
        "C:lamp.bin",
        "\\\\server\\share\\lamp.bin",
        ".ssh",
        "dist/.hidden",
        "-rf",
        "lamp\x1b[2J.bin",
        "a/./b",
        "././lamp.bin",
    ] {
        for archive in [zipped([(name, &b"x"[..]), manifest]), regular([(name, &b"x"[..]), manifest])] {
            let error = rig.refused(&one("dist", archive));
            assert!(matches!(error, IntakeError::Entry { .. }), "{name:?}: {error}");
            assert!(!error.to_string().chars().any(char::is_control), "{name:?}");
        }
    }
    let not_text = replaced(&regular([("lamp.bin", &b"x"[..])]), b"lamp.bin\0", b"l\xffmp.bin\0");
    let mut not_text = not_text;
    let sum: u32 = not_text[..512]
        .iter()
        .enumerate()
        .map(|(at, byte)| if (148..156).contains(&at) { 32 } else { u32::from(*byte) })
        .sum();
    not_text[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    assert!(matches!(rig.refused(&one("dist", not_text)), IntakeError::Entry { .. }));
}

#[test]
fn two_folders_are_refused() {
    let rig = Rig::new();
    for (one_name, other) in [("a/manifest.json", "b/lamp.bin"), ("manifest.json", "a/lamp.bin")] {
        for (first, second) in [(one_name, other), (other, one_name)] {
            let parts = [(first, &b"x"[..]), (second, &b"x"[..])];
            for archive in [zipped(parts), regular(parts)] {
                assert!(
                    matches!(rig.refused(&one("dist", archive)), IntakeError::Folders),
                    "{first}, {second}"
                );
            }
        }
    }
    let folders = tarred([("a", EntryType::Directory, &b""[..]), ("b/", EntryType::Directory, b"")]);
    assert!(matches!(rig.refused(&one("dist", folders)), IntakeError::Folders));
    let deep = tarred([("a/b/", EntryType::Directory, &b""[..])]);
    assert!(matches!(rig.refused(&one("dist", deep)), IntakeError::Entry { .. }));
}

#[test]
fn only_regular_files_are_taken() {
    let rig = Rig::new();
    for kind in [
        EntryType::Symlink,
        EntryType::Link,
        EntryType::Fifo,
        EntryType::Char,
        EntryType::Block,
        EntryType::new(b'V'),
    ] {
        let archive = tarred([("lamp.bin", kind, &b""[..])]);
        let error = rig.refused(&one("dist.tar", archive));
        assert!(matches!(error, IntakeError::Entry { .. }), "{kind:?}: {error}");
    }
    let link = zip_of(|zip| zip.add_symlink("lamp.bin", "/etc/passwd", options()).unwrap());
    let error = rig.refused(&one("dist.zip", link));
    assert!(matches!(error, IntakeError::Entry { what: "it is a symbolic link", .. }), "{error}");
    // Modes of other kinds of files: the writer of the crate makes none of them.
    let plain = zip_of(|zip| {
        zip.start_file("lamp.bin", options().unix_permissions(0o644)).unwrap();
    });
    for kind in [0o010_644u32, 0o020_644, 0o060_644, 0o140_644] {
        let from = (0o100_644u32 << 16).to_le_bytes();
        let archive = replaced(&plain, &from, &(kind << 16).to_le_bytes());
        assert!(matches!(rig.refused(&one("dist.zip", archive)), IntakeError::Entry { .. }), "{kind:o}");
    }
}

#[test]
fn what_is_encrypted_or_compressed_otherwise_is_refused() {
    let rig = Rig::new();
    let plain = zipped([("manifest.json", &b"{}"[..])]);
    let bit = |zip: &[u8], at: usize, byte: u8| {
        let mut zip = zip.to_vec();
        let central = memchr::memmem::find(&zip, b"PK\x01\x02").unwrap();
        // In both headers, so that they agree: APPNOTE 4.3.7 and 4.3.12.
        zip[6 + at] = byte;
        zip[central + 8 + at] = byte;
        zip
    };
    let error = rig.refused(&one("dist.zip", bit(&plain, 0, 1)));
    assert!(matches!(error, IntakeError::Entry { what: "it is encrypted", .. }), "{error}");
    for method in [9, 12, 14, 93, 97] {
        let error = rig.refused(&one("dist.zip", bit(&plain, 2, method)));
        assert!(matches!(error, IntakeError::Entry { .. }), "{method}: {error}");
    }
}

#[test]
fn a_name_that_is_there_twice_is_refused() {
    let rig = Rig::new();
    let parts = [("lamp1.bin", &b"x"[..]), ("lamp2.bin", &b"y"[..])];
    let twice = replaced(&zipped(parts), b"lamp2.bin", b"lamp1.bin");
    let error = rig.refused(&one("dist.zip", twice));
    assert!(matches!(error, IntakeError::Archive { .. }), "{error}");
    let twice = regular([("lamp.bin", &b"x"[..]), ("./lamp.bin", &b"y"[..])]);
    assert!(matches!(
        rig.refused(&one("dist.tar", twice)),
        IntakeError::Entry { what: "it is there twice", .. }
    ));
    // Other names for a reader that begins at the start of the file than for one that begins at its end.
    let zip = zipped([("lamp.bin", &b"x"[..])]);
    let mut cloaked = zip.clone();
    let at = memchr::memmem::find(&zip, b"lamp.bin").unwrap();
    cloaked[at..at + 4].copy_from_slice(b"evil");
    assert!(matches!(rig.refused(&one("dist.zip", cloaked)), IntakeError::Archive { .. }));
}

#[test]
fn what_an_archive_holds_is_bounded() {
    let rig = Rig::new();
    let zeros = vec![0; 5 << 20];
    let large = [("lamp.bin", &zeros[..])];
    let limits = Limits { upload_bytes: 4 << 20 };
    let take = |archive: &[u8]| {
        let mut reader = archive;
        let upload = [("dist", &mut reader as &mut dyn Read)];
        let error = intake(upload, &rig.depot, &trust(), &Said::default(), limits).unwrap_err();
        assert_eq!(rig.files(), 0, "{error}");
        error
    };
    let bombs = [
        zipped(large),
        gzipped(&regular(large)),
        // Headers alone, of names that are never used: a gigabyte of zeros has a megabyte.
        gzipped(&tarred([("x", EntryType::XGlobalHeader, &vec![0; 64 << 20][..])])),
        gzipped(&tarred([("x", EntryType::GNULongName, &vec![b'a'; 64 << 20][..])])),
        gzipped(&tarred([("x", EntryType::XHeader, &vec![b'a'; 64 << 20][..])])),
    ];
    for (number, bomb) in bombs.iter().enumerate() {
        assert!(bomb.len() < 1 << 20, "{number}");
        let error = take(bomb);
        assert!(matches!(error, IntakeError::TooLarge { limit } if limit == 4 << 20), "{number}: {error}");
    }
    assert!(matches!(take(&regular(large)), IntakeError::TooLarge { .. }));
}

#[test]
fn the_number_of_entries_is_bounded() {
    let rig = Rig::new();
    let names: Vec<String> = (0..300).map(|number| format!("{number}.bin")).collect();
    for count in [MAX_FILES + 1, 2 * MAX_FILES + 1, 300] {
        let parts = || names[..count].iter().map(|name| (name.as_str(), &b"x"[..]));
        for archive in [zipped(parts()), regular(parts()), gzipped(&regular(parts()))] {
            assert!(matches!(rig.refused(&one("dist", archive)), IntakeError::TooMany), "{count}");
        }
    }
    // The crate never sees a zip with more entries than it should hold in memory.
    for (before, between) in [(0, 0), (3, 70_000), (65_533, 65_532), (65_535, 1)] {
        let mut bytes = vec![b'P'; before];
        for _ in 0..300 {
            bytes.extend(b"PK\x01\x02");
            bytes.extend(vec![b'P'; between]);
        }
        assert_eq!(zip::count(&bytes[..]).unwrap(), 300, "{before}, {between}");
    }
    let folders = vec![("./", EntryType::Directory, &b""[..]); 300];
    assert!(matches!(rig.refused(&one("dist", tarred(folders))), IntakeError::TooMany));
}

#[test]
fn a_damaged_archive_is_refused_wherever_it_is_cut() {
    let rig = Rig::new();
    let parts = package_of(&image("1.2.3"), &[ArtefactKind::Signed]);
    let archives = [zipped(borrowed(&parts)), regular(borrowed(&parts)), gzipped(&regular(borrowed(&parts)))];
    for archive in &archives {
        taken(rig.take(&one("dist", archive.clone())));
        for sixteenth in 0..16 {
            let cut = archive[..archive.len() * sixteenth / 16].to_vec();
            rig.refused(&one("dist", cut));
        }
    }
    // Its CRC is another, or its size.
    let zip = zipped([("lamp.bin", &b"some bytes that are the firmware"[..])]);
    let central = memchr::memmem::find(&zip, b"PK\x01\x02").unwrap();
    for at in [14, 18, 22, central + 16, central + 20, central + 24, central + 42] {
        let mut zip = zip.clone();
        zip[at] ^= 0x55;
        let error = rig.refused(&one("dist.zip", zip));
        assert!(matches!(error, IntakeError::Archive { .. }), "{at}: {error}");
    }
}

#[test]
fn an_archive_without_a_package_is_refused() {
    let rig = Rig::new();
    let signed = part(&package(&image("1.2.3")), "lamp.bin.signed");
    let image = [("lamp.bin.signed", &signed[..])];
    for archive in [zipped(image), regular(image)] {
        assert!(matches!(rig.refused(&one("dist", archive)), IntakeError::NoManifest { files: 1 }));
    }
    assert!(matches!(rig.refused(&one("dist", zipped([]))), IntakeError::Empty));
    // An archive in an archive.
    let inner = zipped(image);
    let outer = zipped([("inner.zip", &inner[..])]);
    assert!(matches!(rig.refused(&one("dist", outer)), IntakeError::NoManifest { files: 1 }));
}
