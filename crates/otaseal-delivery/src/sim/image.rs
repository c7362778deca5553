//! Makes a firmware image for simulated devices, so that nobody needs a build to try a set-up.

use otaseal::device::homie::{NAME_LEFT, NAME_RIGHT, VERSION_LEFT, VERSION_RIGHT};
use otaseal::key::PublicKey;

/// Describes an image to make.
#[derive(Debug, Clone, Copy)]
pub struct Sample<'a> {
    /// Its Homie firmware name: printable ASCII, at most 32 bytes.
    pub name: &'a str,
    /// Its Homie firmware version: printable ASCII, at most 16 bytes.
    pub version: &'a str,
    /// Bytes of its program, without headers.
    pub bytes: u32,
    /// Another seed gives another program.
    pub seed: u32,
}

impl Sample<'_> {
    /// Returns an ESP8266 image in the form of an Arduino build: boot loader, padding, and an application with its length
    /// and its CRC. It is for a chip of 4 MB and flash mode DIO. No CPU can run it.
    ///
    /// Source of the layout: esp8266/Arduino `tools/elf2bin.py`.
    pub fn esp8266(&self) -> Vec<u8> {
        self.with(&[])
    }

    /// Returns the same with a public key in it, as a sketch that checks signatures carries it.
    pub fn esp8266_with_key(&self, key: &PublicKey) -> Vec<u8> {
        self.with(key.to_spki_pem().as_bytes())
    }

    fn with(&self, more: &[u8]) -> Vec<u8> {
        let mut file = part(b"the boot loader.");
        file.resize(0x1000, 0xAA);
        // Two words for the length and the CRC.
        let mut program = vec![0; 8];
        for token in [
            [&NAME_LEFT[..], self.name.as_bytes(), &NAME_RIGHT].concat(),
            [&VERSION_LEFT[..], self.version.as_bytes(), &VERSION_RIGHT].concat(),
        ] {
            program.extend(token);
        }
        program.extend(more);
        let mut state = self.seed.wrapping_mul(2_654_435_761).wrapping_add(1);
        program.extend((0..self.bytes).map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            // As code does, it compresses to about half.
            (state >> 28) as u8
        }));
        program.resize(program.len().next_multiple_of(4), 0);
        file.extend(part(&program));
        let (crc, length) = (crc32(&file), file.len() as u32);
        file[0x1010..0x1014].copy_from_slice(&length.to_le_bytes());
        file[0x1014..0x1018].copy_from_slice(&crc.to_le_bytes());
        file
    }
}

/// An image with one segment: mode DIO, 4 MB, 40 MHz.
fn part(segment: &[u8]) -> Vec<u8> {
    let mut image = vec![0xE9, 1, 2, 0x40];
    for word in [0x4010_0000, 0x4010_0000, segment.len() as u32] {
        image.extend(u32::to_le_bytes(word));
    }
    image.extend_from_slice(segment);
    while image.len() % 16 != 15 {
        image.push(0);
    }
    image.push(segment.iter().fold(0xEF, |sum, byte| sum ^ byte));
    image
}

/// CRC-32 of the boot loader: not reflected, not inverted at the end.
fn crc32(bytes: &[u8]) -> u32 {
    crc::Crc::<u32>::new(&crc::CRC_32_MPEG_2).checksum(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use otaseal::format::homie;
    use otaseal::format::image::{Kind, identify};

    #[test]
    fn a_sample_is_an_intact_image_with_its_tokens() {
        for bytes in [0, 64, 50_000, 399_999] {
            let sample = Sample { name: "lamp", version: "1.2.3", bytes, seed: 7 };
            let image = sample.esp8266();
            let Kind::Esp8266(file) = identify(&image) else { panic!("{bytes}: no ESP8266 image") };
            assert!(file.is_intact(), "{bytes}");
            assert_eq!(file.end(), Some(image.len()), "{bytes}");
            let tokens = homie::extract(&image).unwrap();
            assert_eq!(tokens.name.unwrap().value.as_str(), "lamp");
            assert_eq!(tokens.version.unwrap().value.as_str(), "1.2.3");
            assert_eq!(image == Sample { seed: 8, ..sample }.esp8266(), bytes == 0, "{bytes}");
        }
    }
}
