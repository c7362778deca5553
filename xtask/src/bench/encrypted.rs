//! Measures the cost of a passphrase: makes and uses encrypted keys, and compares with OpenSSL on the same files.

use super::speed::{Contender, median, race, table};
use super::{Bench, Promise, firmware};
use crate::Result;
use crate::tools::run;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// Longest median of a run that makes a key or signs with one.
const LONGEST: Duration = Duration::from_secs(1);

/// Size of the image that is signed, in bytes.
const IMAGE: usize = 400_000;

/// The two derivations of `keygen --kdf`, with their names in the tables.
const DERIVATIONS: [(&str, &str, &str, &str); 2] = [
    (
        "scrypt",
        "otaseal keygen --encrypt",
        "otaseal sign, key under scrypt",
        "openssl dgst -sign, key under scrypt",
    ),
    (
        "pbkdf2",
        "otaseal keygen --encrypt --kdf pbkdf2",
        "otaseal sign, key under PBKDF2",
        "openssl dgst -sign, key under PBKDF2",
    ),
];

/// Making an encrypted key, and signing with one: less than a second each.
pub(super) fn run_all(bench: &Bench) -> Result<(String, Promise)> {
    let (image, passphrase) = (bench.folder.join("image.bin"), bench.folder.join("passphrase"));
    fs::write(&image, firmware(IMAGE, &bench.public)?)?;
    fs::write(&passphrase, "correct horse battery staple\n")?;
    let from_file = format!("file:{}", passphrase.display());

    let mut makers: Vec<Contender> = DERIVATIONS
        .iter()
        .map(|(kdf, name, ..)| {
            let mut ours = Command::new(&bench.program);
            ours.args(["--quiet", "keygen", "--force", "--encrypt", "--kdf", kdf, "--passphrase-file"]);
            ours.arg(&passphrase).arg("-o").arg(bench.folder.join(format!("keys-{kdf}")));
            Contender::new(name, ours)
        })
        .collect();
    let mut openssl = Command::new("openssl");
    openssl.args(["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-aes256", "-pass"]);
    openssl.arg(&from_file).arg("-out").arg(bench.folder.join("genpkey.pem"));
    makers.push(Contender::new("openssl genpkey -aes256", openssl));
    // The time of a search for primes is luck: pairs of searches say nothing, and medians say little.
    race(&mut makers)?;
    let ours = median(&makers[0].times);
    let ratios: Vec<f64> =
        makers[1..].iter().map(|other| ours.as_secs_f64() / median(&other.times).as_secs_f64()).collect();
    let mut tables = vec![table(&makers, &ratios)];
    let mut slowest = makers[..2].iter().map(|maker| median(&maker.times)).max().unwrap_or_default();

    for (kdf, _, ours_name, openssl_name) in DERIVATIONS {
        let key = bench.folder.join(format!("{kdf}.pem"));
        let mut convert = Command::new(&bench.program);
        convert.args(["--quiet", "key", "convert", "--force", "--encrypt", "--kdf", kdf]).arg(&bench.key);
        run(convert.arg("-o").arg(&key).arg("--new-passphrase-file").arg(&passphrase))?;
        let (signed, signature) =
            (bench.folder.join("encrypted.signed"), bench.folder.join("encrypted.signature"));
        let mut ours = Command::new(&bench.program);
        ours.args(["--quiet", "sign"]).arg(&image).arg("-o").arg(&signed).arg("--key").arg(&key);
        ours.arg("--passphrase-file").arg(&passphrase);
        let mut openssl = Command::new("openssl");
        openssl.args(["dgst", "-sha256", "-sign"]).arg(&key).args(["-passin", &from_file]);
        openssl.arg("-out").arg(&signature).arg(&image);
        let mut contenders = [Contender::new(ours_name, ours), Contender::new(openssl_name, openssl)];
        let ratios = race(&mut contenders)?;
        same_signature(&signed, &signature)?;
        slowest = slowest.max(median(&contenders[0].times));
        tables.push(table(&contenders, &ratios));
    }
    let promise = match slowest < LONGEST {
        true => Ok(()),
        false => Err(format!("encrypted: {:.2} s, promised less than 1", slowest.as_secs_f64())),
    };
    Ok((tables.join("\n"), promise))
}

fn same_signature(signed: &Path, signature: &Path) -> Result<()> {
    let (signed, signature) = (fs::read(signed)?, fs::read(signature)?);
    match signed.get(IMAGE..IMAGE + signature.len()) == Some(&signature[..]) {
        true => Ok(()),
        false => Err("otaseal and OpenSSL signed differently".into()),
    }
}
