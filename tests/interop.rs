//! Compares the program with OpenSSL and Python `cryptography`: each side judges the outputs of the other.

use crate::common::{self, Bench, python_with};
use std::fs;

/// Judges an image with Python `cryptography`, which shares no code with otaseal or OpenSSL's command line. It takes
/// the layout apart by hand, and reads the key from PEM.
const JUDGE: &str = "\
import struct, sys
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding
image, public, form = sys.argv[1:]
data = open(image, 'rb').read()
key = serialization.load_pem_public_key(open(public, 'rb').read())
(length,) = struct.unpack('<I', data[-4:])
assert length == key.key_size // 8, length
signature, payload = data[-4 - length:-4], data[:-4 - length]
if form == 'current':
    key.verify(signature, payload, padding.PKCS1v15(), hashes.SHA256())
else:
    digest = hashes.Hash(hashes.SHA256())
    digest.update(payload)
    assert key.recover_data_from_signature(signature, padding.PKCS1v15(), None) == digest.finalize()
";

#[test]
fn keys_and_signatures_of_keygen_and_sign_satisfy_openssl_and_python() {
    let bench = Bench::new();
    bench.write("in.bin", &common::firmware(100_003));
    for bits in ["2048", "3072", "4096"] {
        bench.ok(&["keygen", "--bits", bits, "-o", bits]);
        let (private, public) = (format!("{bits}/private.pem"), format!("{bits}/public.pem"));
        bench.ok(&["sign", "in.bin", "-o", "out", "--legacy", "old", "--key", &private]);
        bench.openssl(&format!("dgst -sha256 -sign {private} -out sig in.bin"));
        bench.openssl("dgst -sha256 -binary -out digest in.bin");
        bench.openssl(&format!(
            "pkeyutl -sign -inkey {private} -pkeyopt rsa_padding_mode:pkcs1 -in digest -out sig.old"
        ));
        let length = (bits.parse::<u32>().unwrap() / 8).to_le_bytes();
        for (signed, signature) in [("out", "sig"), ("old", "sig.old")] {
            let expected = [bench.read("in.bin"), bench.read(signature), length.to_vec()].concat();
            assert!(bench.read(signed) == expected, "{bits} {signed}: other bytes than OpenSSL's");
        }
        bench.openssl(&format!("dgst -sha256 -verify {public} -signature sig in.bin"));
        if python_with("cryptography") {
            bench.python(JUDGE, &["out", &public, "current"]);
            bench.python(JUDGE, &["old", &public, "legacy"]);
        }
        fs::remove_file(bench.path("out")).unwrap();
        fs::remove_file(bench.path("old")).unwrap();
    }
}

#[test]
fn what_openssl_signed_is_accepted_and_what_it_did_not_is_not() {
    let bench = Bench::new();
    bench.write("in.bin", &common::firmware(50_000));
    for name in ["one", "two"] {
        bench.openssl(&format!("genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out {name}.key"));
        bench.openssl(&format!("pkey -in {name}.key -pubout -out {name}.pub"));
    }
    bench.openssl("dgst -sha256 -sign one.key -out sig in.bin");
    let image = [bench.read("in.bin"), bench.read("sig"), vec![0, 1, 0, 0]].concat();
    bench.write("image", &image);
    bench.ok(&["verify", "image", "--key", "one.pub"]);
    bench.fails(1, &["verify", "image", "--key", "two.pub"]);
    bench.fails(1, &["verify", "image", "--key", "one.pub", "--legacy"]);
    for at in [0, 25_000, 49_999, 50_000, 50_255, 50_256, 50_259] {
        let mut bad = image.clone();
        bad[at] ^= 0x40;
        bench.write("bad", &bad);
        bench.fails(1, &["verify", "bad", "--key", "one.pub"]);
    }
    // OpenSSL can sign the same digest with other paddings and hashes. otaseal never accepts those.
    for options in ["-sha1", "-sha512", "-sha256 -sigopt rsa_padding_mode:pss"] {
        bench.openssl(&format!("dgst {options} -sign one.key -out sig in.bin"));
        bench.write("bad", &[bench.read("in.bin"), bench.read("sig"), vec![0, 1, 0, 0]].concat());
        bench.fails(1, &["verify", "bad", "--key", "one.pub"]);
    }
    // An image without a verdict is neither accepted nor rejected.
    bench.fails(3, &["verify", "missing", "--key", "one.pub"]);
    bench.fails(3, &["verify", "image", "--key", "missing"]);
    bench.fails(3, &["verify", "image", "--key", "one.key"]);
    bench.fails(2, &["verify", "image"]);
}

#[test]
fn a_package_is_restored_by_gzip_and_python() {
    let bench = Bench::new();
    bench.write("fw.bin", &common::firmware(300_000));
    bench.ok(&["keygen", "-o", "keys"]);
    bench.ok(&["package", "fw.bin", "--key", "keys/private.pem", "--out-dir", "out", "--legacy"]);
    bench.run("gzip", &["-t", "out/fw.bin.gz"]);
    let restored = bench.run("gzip", &["-dc", "out/fw.bin.gz"]).stdout;
    assert!(restored == bench.read("fw.bin"));
    // The gzip has one member, nothing after it, no name and no time. A decoder object tells where the member ends.
    let strict = "\
import sys, zlib
data = open(sys.argv[1], 'rb').read()
decoder = zlib.decompressobj(wbits=31)
plain = decoder.decompress(data)
assert decoder.eof and decoder.unused_data == b'', 'something follows the member'
assert plain == open(sys.argv[2], 'rb').read()
assert data[3] & 0xE0 == 0 and data[3] & 8 == 0 and data[4:8] == bytes(4) and data[9] == 255
assert len(data) % 4 == 0
";
    bench.python(strict, &["out/fw.bin.gz", "fw.bin"]);
    let signed = bench.read("out/fw.bin.gz.signed");
    assert!(signed[..signed.len() - 260] == bench.read("out/fw.bin.gz"));
    for name in ["out/fw.bin.signed", "out/fw.bin.gz.signed"] {
        bench.ok(&["verify", name, "--key", "keys/public.pem"]);
        if python_with("cryptography") {
            bench.python(JUDGE, &[name, "keys/public.pem", "current"]);
        }
    }
    bench.ok(&["verify", "out/fw.bin.legacy_sig", "--key", "keys/public.pem", "--legacy"]);
}
