//! Helpers that the unit tests share.

use std::path::Path;
use std::process::{Command, Output};

/// Prints that a test does not run because a program is missing. In CI it fails.
#[allow(clippy::print_stderr, reason = "a skipped test must not look like a passed one")]
pub(crate) fn skipped(why: &str) {
    assert!(std::env::var_os("CI").is_none(), "in CI every peer must be there: {why}");
    eprintln!("SKIPPED: {why}");
}

/// Returns whether a program is installed. If not, it calls [`skipped`].
pub(crate) fn has_tool(name: &str) -> bool {
    let found = Command::new(name).arg("--version").output().is_ok();
    if !found {
        skipped(&format!("{name} is not installed"));
    }
    found
}

/// Runs `openssl WORDS` in `dir` and asserts that it succeeded.
pub(crate) fn openssl(dir: &Path, words: &str) -> Output {
    let output = Command::new("openssl")
        .args(words.split_whitespace())
        .current_dir(dir)
        .output()
        .expect("the tests need the program openssl: install it and run them again");
    assert!(output.status.success(), "openssl {words}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

/// Runs [`openssl`], and returns the text of both streams.
pub(crate) fn openssl_text(dir: &Path, words: &str) -> String {
    let output = openssl(dir, words);
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}

/// Returns an ESP8266 image as an Arduino build makes it: eboot, padding, application, with the length and the CRC of the whole
/// file in the application's first words; mode DIO, 4 MiB.
pub(crate) fn esp_image() -> Vec<u8> {
    esp_image_with(2, 0x40, 50_000)
}

/// As [`esp_image`], with these bytes 2 and 3, and so many bytes of program.
pub(crate) fn esp_image_with(mode: u8, size_frequency: u8, program: u32) -> Vec<u8> {
    let image = |segment: &[u8]| {
        let mut image = vec![0xE9, 1, mode, size_frequency];
        image.extend(0x4010_0000u32.to_le_bytes());
        image.extend(0x4010_0000u32.to_le_bytes());
        image.extend((segment.len() as u32).to_le_bytes());
        image.extend_from_slice(segment);
        while image.len() % 16 != 15 {
            image.push(0);
        }
        image.push(segment.iter().fold(0xEF, |sum, byte| sum ^ byte));
        image
    };
    let mut file = image(b"the boot loader.");
    file.resize(0x1000, 0xAA);
    let mut text = vec![0; 8];
    // As code does, it compresses to about half.
    let mut state = 1u32;
    text.extend((0..program).map(|_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 28) as u8
    }));
    file.extend(image(&text));
    // elf2bin.py writes both words last, over zeros.
    let crc = crc::Crc::<u32>::new(&crc::CRC_32_MPEG_2).checksum(&file);
    let length = file.len() as u32;
    file[0x1010..0x1014].copy_from_slice(&length.to_le_bytes());
    file[0x1014..0x1018].copy_from_slice(&crc.to_le_bytes());
    file
}

/// Returns an RP2040 image whose binary info names this board.
pub(crate) fn pico_image(board: Option<&str>) -> Vec<u8> {
    let mut image = [&rp2040_boot2::BOOT_LOADER_W25Q080[..], &[0; 0x700]].concat();
    let mut put = |at: usize, words: &[u32]| {
        for (index, word) in words.iter().enumerate() {
            image[at + 4 * index..][..4].copy_from_slice(&word.to_le_bytes());
        }
    };
    let entries = u32::from(board.is_some());
    put(0x100, &[0x2004_2000, 0x1000_0201]);
    put(0x180, &[0x7188_EBF2, 0x1000_0400, 0x1000_0400 + 4 * entries, 0, 0xE71A_A390]);
    put(0x400, &[0x1000_0420]);
    put(0x420, &[0x5052_0006, 0xB63C_FFBB, 0x1000_0480]);
    let board = board.unwrap_or_default();
    image[0x480..0x480 + board.len()].copy_from_slice(board.as_bytes());
    image
}

/// Makes a signed image with the one function that seals. It judges nothing first.
pub(crate) fn signed(payload: &[u8], key: &dyn crate::sign::Signer, scheme: crate::sign::Scheme) -> Vec<u8> {
    crate::sign::sign_in_memory(payload, scheme, key).unwrap().parts().concat()
}

/// An image whose signature has a DigestInfo without the NULL parameters.
pub(crate) fn signed_without_null(payload: &[u8], key: &crate::key::PrivateKey) -> Vec<u8> {
    let prefix = [
        0x30, 0x2F, 0x30, 0x0B, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x04, 0x20,
    ];
    let mut padding = rsa::Pkcs1v15Sign::new_unprefixed();
    (padding.hash_len, padding.prefix) = (Some(32), prefix.into());
    let signature = key.sign_blinded(padding, &crate::format::digest::sha256(payload).0).unwrap();
    [payload, &signature, &(signature.len() as u32).to_le_bytes()].concat()
}
