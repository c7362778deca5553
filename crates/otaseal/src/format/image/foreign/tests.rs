use std::io::Write;
use std::process::{Command, Stdio};

use super::*;
use crate::format::image::tests::arduino;
use crate::format::image::{Kind, identify};

/// The output of a program of which the tests need to know the format.
fn piped(program: &str, arguments: &[&str], input: &[u8]) -> Option<Vec<u8>> {
    if !crate::testing::has_tool(program) {
        return None;
    }
    let mut child =
        Command::new(program).args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    Some(child.wait_with_output().unwrap().stdout)
}

fn python(script: &str, input: &[u8]) -> Vec<u8> {
    piped("python3", &["-c", script], input).unwrap_or_default()
}

#[test]
fn archives_are_what_the_programs_write() {
    let image = arduino();
    for (script, expected) in [
        (
            "import io,sys,zipfile; b=io.BytesIO(); z=zipfile.ZipFile(b,'w'); \
             z.writestr('fw.bin',sys.stdin.buffer.read()); z.close(); sys.stdout.buffer.write(b.getvalue())",
            Archive::Zip,
        ),
        (
            "import io,sys,zipfile; b=io.BytesIO(); zipfile.ZipFile(b,'w').close(); \
             sys.stdout.buffer.write(b.getvalue())",
            Archive::Zip,
        ),
        (
            "import io,sys,tarfile; d=sys.stdin.buffer.read(); t=tarfile.open(fileobj=sys.stdout.buffer,mode='w|'); \
             i=tarfile.TarInfo('fw.bin'); i.size=len(d); t.addfile(i,io.BytesIO(d)); t.close()",
            Archive::Tar,
        ),
        ("import lzma,sys; sys.stdout.buffer.write(lzma.compress(sys.stdin.buffer.read()))", Archive::Xz),
        ("import bz2,sys; sys.stdout.buffer.write(bz2.compress(sys.stdin.buffer.read()))", Archive::Bzip2),
        ("import bz2,sys; sys.stdout.buffer.write(bz2.compress(b''))", Archive::Bzip2),
        ("import zlib,sys; sys.stdout.buffer.write(zlib.compress(sys.stdin.buffer.read(),1))", Archive::Zlib),
        ("import zlib,sys; sys.stdout.buffer.write(zlib.compress(sys.stdin.buffer.read(),9))", Archive::Zlib),
        ("import zlib,sys; sys.stdout.buffer.write(zlib.compress(bytes(3<<20),9)[:2000])", Archive::Zlib),
    ] {
        let archive = python(script, &image);
        assert_eq!(identify(&archive), Kind::Archive { format: expected }, "{script}");
    }
    for (magic, expected) in
        [(&b"7z\xBC\xAF\x27\x1C\0\x04"[..], Archive::SevenZip), (b"\x28\xB5\x2F\xFD\x24", Archive::Zstd)]
    {
        assert_eq!(identify(magic), Kind::Archive { format: expected });
    }
}

#[test]
fn a_vector_table_that_begins_like_zlib_is_not_zlib() {
    // An initial stack pointer of 0x20009C78, then code.
    let mut image = vec![0x78, 0x9C, 0x00, 0x20, 0x01, 0x01, 0x00, 0x10];
    image.extend((0..20_000u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8));
    assert_eq!(identify(&image), Kind::Unknown);
    assert_eq!(identify(&[0x78, 0x9C]), Kind::Unknown);
    // A stream whose checksum is wrong ends like data that only look like one.
    let mut stream = python("import zlib,sys; sys.stdout.buffer.write(zlib.compress(b'some bytes'))", b"");
    *stream.last_mut().unwrap() ^= 1;
    assert_eq!(identify(&stream), Kind::Unknown);
}

#[test]
fn pages_and_pointers_are_told_by_their_beginning() {
    for page in [
        "<!DOCTYPE html>\n<html><head><title>404</title></head></html>",
        "\u{FEFF}  \r\n<HTML>",
        "<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code></Error>",
        "<!-- served by nginx --><html>",
        "<head>",
    ] {
        assert_eq!(identify(page.as_bytes()), Kind::Page, "{page}");
    }
    for other in ["<", "<h", "<hello>", "html", "text <html>"] {
        assert_eq!(identify(other.as_bytes()), Kind::Unknown, "{other}");
    }
    let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 12345\n";
    assert_eq!(identify(pointer), Kind::LfsPointer);
    assert_eq!(identify(b"version 1.2.3 of the lamp"), Kind::Unknown);
}

#[test]
fn text_is_told_by_every_byte() {
    let image = arduino();
    let base64 = python(
        "import base64,sys; sys.stdout.buffer.write(base64.b64encode(sys.stdin.buffer.read()))",
        &image,
    );
    let lines = python(
        "import base64,sys; sys.stdout.buffer.write(base64.encodebytes(sys.stdin.buffer.read()))",
        &image,
    );
    let hex = python("import sys; sys.stdout.buffer.write(sys.stdin.buffer.read().hex().encode())", &image);
    let dump = python(
        "import sys; sys.stdout.buffer.write(sys.stdin.buffer.read().hex(' ').upper().encode())",
        &image,
    );
    for text in [&base64, &lines] {
        assert_eq!(identify(text), Kind::Text { encoding: TextEncoding::Base64 });
    }
    for text in [&hex, &dump] {
        assert_eq!(identify(text), Kind::Text { encoding: TextEncoding::Hex });
    }
    let binary_behind = [&base64[..], &[0]].concat();
    let padding_within = [&b"abcdEFGH1234="[..], &base64].concat();
    let letters = [b'A'; 4096];
    for other in [&binary_behind[..], &padding_within, &base64[..60], &letters, &[b'0'; 4096], &[b' '; 4096]]
    {
        assert_eq!(identify(other), Kind::Unknown, "{}", other[..20].escape_ascii());
    }
}

#[test]
fn one_byte_that_fills_a_file_is_erased_flash() {
    for byte in [0, 0xFF] {
        for length in [1, 4096, 5000, 1 << 20] {
            assert_eq!(identify(&vec![byte; length]), Kind::Erased { byte });
            let mut other = vec![byte; length + 1];
            other[length] ^= 1;
            assert_eq!(identify(&other), Kind::Unknown);
        }
    }
    assert_eq!(identify(&[0xAA; 4096]), Kind::Unknown);
    assert_eq!(Kind::Erased { byte: 0 }.to_string(), "nothing but 00 bytes");
}
