//! No command may sign firmware that switches signature checking off, hands the device to another key, or gives a
//! private key away. Tests every command: its exit code, its message, and the files that it leaves.

use crate::common::{self, Bench, input, root};
use std::fs;

const KEY: &str = "key.pem";
const PUBLIC: &str = "public.pem";

/// Makes a directory with the key that signs and another key.
fn bench() -> Bench {
    let bench = Bench::new();
    for (private, public) in [(KEY, PUBLIC), ("other.pem", "other.public.pem")] {
        bench.openssl(&format!("genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out {private}"));
        bench.openssl(&format!("pkey -in {private} -pubout -out {public}"));
    }
    bench
}

/// Every command that signs, asks for a signature, or attaches one.
const COMMANDS: [&str; 6] = [
    "sign image -o out --key key.pem",
    "sign image --out-dir out --key key.pem",
    "package image --artefacts signed --out-dir out --key key.pem",
    "signing-py --mode sign --bin image --out out --privatekey key.pem",
    "digest image --key public.pem -o out",
    "attach image signature --key public.pem -o out",
];

/// Every command refuses these bytes with this message, and leaves no file.
fn nobody_signs(bench: &Bench, image: &[u8], words: &str, commands: &[&str]) {
    bench.write("image", image);
    bench.openssl("dgst -sha256 -sign key.pem -out signature image");
    for command in commands {
        let output = bench.fails(3, &command.split(' ').collect::<Vec<_>>());
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains(words) && said.contains("help: "), "{command}: {said}, not {words}");
        let left = bench.path("out");
        assert!(!left.is_file() && fs::read_dir(left).map_or(0, Iterator::count) == 0, "{command}");
    }
    let _ = fs::remove_dir_all(bench.path("out"));
}

/// Returns the flash contents that the blocks of a UF2 file hold.
fn flash_of(uf2: &[u8]) -> Vec<u8> {
    uf2.chunks_exact(512).flat_map(|block| &block[32..288]).copied().collect()
}

/// The second boot loader's 252 bytes with their checksum, CRC-32/MPEG-2 (RP2040 datasheet 2.8.1.3.1), and vectors.
fn rp2040() -> Vec<u8> {
    let mut image = vec![0x5A; 252];
    let crc = image.iter().fold(u32::MAX, |crc, byte| {
        let crc = crc ^ u32::from(*byte) << 24;
        (0..8).fold(crc, |crc, _| crc << 1 ^ if crc >> 31 == 1 { 0x04C1_1DB7 } else { 0 })
    });
    image.extend(crc.to_le_bytes());
    image.extend([0x2004_2000u32, 0x1000_01F7].iter().flat_map(|vector| vector.to_le_bytes()));
    image.resize(4096, 0);
    image
}

#[test]
fn firmware_of_every_kind_needs_its_key() {
    let bench = bench();
    let uf2 = fs::read(input("pico.uf2")).unwrap();
    for (image, kind) in [
        (fs::read(input("esp8266.bin")).unwrap(), "an ESP8266 image"),
        (fs::read(input("esp32.bin")).unwrap(), "an ESP32-C3 image"),
        (flash_of(&uf2), "an RP2350 image"),
        (rp2040(), "an RP2040 image"),
    ] {
        let words =
            format!("there is no public key in it ({kind}): this release switches signature checking off");
        nobody_signs(&bench, &image, &words, &COMMANDS);
    }
}

#[test]
fn another_key_is_not_signed_unless_it_is_named() {
    let bench = bench();
    let with = |names: &[&str]| {
        names.iter().fold(common::firmware(3000), |image, name| [image, bench.read(name)].concat())
    };
    let another = with(&["other.public.pem"]);
    nobody_signs(&bench, &another, "it carries another key than the one that signs", &COMMANDS);
    // Name one of the two keys in the image.
    bench.openssl("genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out third.pem");
    bench.openssl("pkey -in third.pem -pubout -out third.public.pem");
    let two = with(&["other.public.pem", "third.public.pem"]);
    let named = COMMANDS.map(|command| format!("{command} --rotate-to other.public.pem"));
    let named = named.each_ref().map(String::as_str);
    nobody_signs(&bench, &two, "it carries more keys than the ones named as the next", &named);
    bench.write("image", &two);
    let both = "sign image -o both --key key.pem --rotate-to other.public.pem --rotate-to third.public.pem";
    bench.ok(&both.split(' ').collect::<Vec<_>>());
}

/// The example key is published. No release may make a device trust it, whatever key signs.
#[test]
fn no_release_brings_a_published_key() {
    let bench = bench();
    fs::copy(root().join("keys.example/public.pem"), bench.path("example.pem")).unwrap();
    let image = [common::firmware(3000), bench.read(PUBLIC), bench.read("example.pem")].concat();
    bench.write("image", &image);
    let warned = bench.ok(&["sign", "image", "-o", "warned", "--key", KEY]);
    let warned = String::from_utf8_lossy(&warned.stderr).into_owned();
    assert!(
        warned.contains("its devices will trust the key 5b9f928e") && warned.contains("published"),
        "{warned}"
    );
    // `digest` does not sign, so a request may be for development.
    let release = COMMANDS.iter().filter(|command| !command.starts_with("digest"));
    let release: Vec<_> =
        release.map(|command| format!("{command} --release --ledger ledger.jsonl")).collect();
    let release: Vec<_> = release.iter().map(String::as_str).collect();
    nobody_signs(&bench, &image, "its devices would trust the key 5b9f928e", &release);
    let bridge = [common::firmware(3000), bench.read("example.pem")].concat();
    let rotate = "sign image -o out --key key.pem --rotate-to example.pem --release --ledger ledger.jsonl";
    nobody_signs(&bench, &bridge, "its devices would trust the key 5b9f928e", &[rotate]);
    assert!(!bench.path("ledger.jsonl").exists(), "nothing was signed");
}

#[test]
fn a_private_key_is_never_signed() {
    let bench = bench();
    bench.openssl("ecparam -name prime256v1 -genkey -noout -outform DER -out ec.der");
    bench.openssl("genpkey -algorithm ed25519 -outform DER -out ed25519.der");
    bench.openssl("pkcs8 -topk8 -in key.pem -passout pass:secret -outform DER -out locked.der");
    bench.openssl("rsa -in key.pem -traditional -out traditional.pem");
    let pem = String::from_utf8(bench.read("traditional.pem")).unwrap();
    bench.write("escaped.json", format!("{{\"privateKey\": \"{}\"}}", pem.replace('\n', "\\n")).as_bytes());
    bench.write("strings.c", pem.replace('\n', "\\n\"\n\"").as_bytes());
    let image = [common::firmware(3000), bench.read(PUBLIC)].concat();
    for name in [KEY, "ec.der", "ed25519.der", "locked.der", "traditional.pem", "escaped.json", "strings.c"] {
        let leaky = [&image[..], &bench.read(name)].concat();
        let excused = COMMANDS.map(|command| format!("{command} --allow-no-key"));
        nobody_signs(&bench, &leaky, "it contains a", &excused.each_ref().map(String::as_str));
    }
    // Bare numbers look like any bytes. Only a command that opens the private key can recognise them.
    let text = bench.openssl("rsa -in key.pem -noout -text").stdout;
    let text = String::from_utf8(text).unwrap();
    let prime = text.split("prime1:").nth(1).unwrap().split("prime2:").next().unwrap();
    let prime = prime.split([':', '\n', ' ']).filter(|digits| !digits.is_empty());
    let prime: Vec<u8> = prime.map(|digits| u8::from_str_radix(digits, 16).unwrap()).collect();
    let leaky = [&image[..], &prime[1..]].concat();
    nobody_signs(&bench, &leaky, "a number of the private key that signs", &COMMANDS[..4]);
}

/// The bytes around the image in a gzip are signed and sent with it.
#[test]
fn a_private_key_in_the_comment_of_a_gzip_is_not_signed() {
    let bench = bench();
    let image = [common::firmware(3000), bench.read(PUBLIC)].concat();
    bench.write("plain", &image);
    bench.run("gzip", &["-9", "-n", "-k", "plain"]);
    let gzip = bench.read("plain.gz");
    // FLG.FCOMMENT, and the comment after the ten bytes of the header (RFC 1952 2.3).
    let mut leaky = [&gzip[..10], &bench.read(KEY), &[0], &gzip[10..]].concat();
    leaky[3] |= 0x10;
    let commands = COMMANDS.iter().copied().filter(|command| !command.starts_with("package"));
    nobody_signs(&bench, &leaky, "it contains a private key", &commands.collect::<Vec<_>>());
    bench.write("image", &gzip);
    bench.ok(&["sign", "image", "-o", "good", "--key", KEY]);
}
