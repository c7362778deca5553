//! The examples in the help of each command. Tests run every one of them as help prints it.

use std::fmt::Write;

/// What an example does, and its command line.
type Example = (&'static str, &'static str);

/// Returns the examples of a command, as the end of its help. `path` is its name, with the names of its parents before
/// it: `key info`. An empty path is the program.
pub(crate) fn text(path: &str) -> String {
    let mut text = String::from("Examples:\n");
    for (what, line) in of(path) {
        let _ = writeln!(text, "  {what}:\n    {line}");
    }
    text
}

fn of(path: &str) -> &'static [Example] {
    match path {
        "" => &[
            ("Make a key", "otaseal keygen --out-dir new-keys"),
            ("Sign an image with the key in keys/", "otaseal sign firmware.bin"),
            ("Judge it as the device does", "otaseal verify firmware.bin.signed"),
        ],
        "keygen" => &[
            ("Make new-keys/private.pem and new-keys/public.pem", "otaseal keygen --out-dir new-keys"),
            (
                "Make a larger key, under a passphrase",
                "otaseal keygen -o new-keys --bits 3072 --encrypt --passphrase-file pass.txt",
            ),
        ],
        "key" => &[
            ("Show what a key file holds", "otaseal key info keys/private.pem"),
            ("Check whether a key is fit for releases", "otaseal key check keys/public.pem"),
        ],
        "key info" => &[
            ("Show what a key file holds", "otaseal key info keys/private.pem"),
            (
                "Show the key id of an encrypted key",
                "otaseal key info keys/encrypted.pem --passphrase-file pass.txt",
            ),
        ],
        "key passwd" => &[
            ("Encrypt a private key", "otaseal key passwd keys/private.pem --new-passphrase-file pass.txt"),
            (
                "Remove the passphrase",
                "otaseal key passwd keys/encrypted.pem --passphrase-file pass.txt --remove",
            ),
        ],
        "key convert" => &[
            ("Write a private key as DER", "otaseal key convert keys/private.pem --der -o private.der"),
            (
                "Write a public key as PKCS#1",
                "otaseal key convert keys/public.pem --format pkcs1 -o pkcs1.pem",
            ),
        ],
        "key check" => &[
            ("Check the numbers of a key", "otaseal key check keys/public.pem"),
            ("Check also who can read its file", "otaseal key check keys/private.pem"),
        ],
        "package" => &[
            ("Package a build", "otaseal package firmware.bin --key keys/private.pem"),
            (
                "Package it for some devices, and check that it fits",
                "otaseal package esp.bin -k key.pem --for esp8266@3.1.2 --flash-layout 4m1m",
            ),
            ("Package many builds", "otaseal package build/*.bin --out-dir dist --key keys/private.pem"),
        ],
        "sign" => &[
            ("Sign an image with the key in keys/", "otaseal sign firmware.bin"),
            ("Name everything", "otaseal sign firmware.bin -o lamp.signed --key keys/private.pem"),
            ("Sign many images", "otaseal sign build/*.bin --out-dir signed --key keys/private.pem"),
            (
                "Sign a release, and enter it into a ledger",
                "otaseal sign lamp.bin -o signed -k key.pem --release --ledger lamp.jsonl",
            ),
        ],
        "digest" => &[
            ("Write a request", "otaseal digest lamp.bin --key key.pub -o lamp.json"),
            ("Write only the 51 bytes to sign", "otaseal digest lamp.bin --raw digest-info -o to-sign"),
        ],
        "attach" => &[
            (
                "Put the signature of a request on the image",
                "otaseal attach lamp.bin raw --request lamp.json -k key.pub -o lamp.signed",
            ),
            ("Do it without a request", "otaseal attach lamp.bin raw --key key.pub -o lamp.signed"),
        ],
        "verify" => &[
            ("Judge an image with the key in keys/", "otaseal verify firmware.bin.signed"),
            (
                "Judge it as another updater does",
                "otaseal verify firmware.bin.signed -k keys/public.pem --as arduino-pico",
            ),
            (
                "Check also from which build it was made",
                "otaseal verify firmware.bin.signed -k keys/public.pem --of firmware.bin",
            ),
        ],
        "ledger" => &[
            ("Check that the ledger is whole", "otaseal ledger verify lamp.jsonl"),
            ("Write it for a spreadsheet", "otaseal ledger export lamp.jsonl --format csv -o lamp.csv"),
        ],
        "ledger verify" => &[
            ("Check that the ledger is whole", "otaseal ledger verify lamp.jsonl"),
            ("Do it in a script", "otaseal ledger verify lamp.jsonl --json"),
        ],
        "ledger show" => &[
            ("Show all signatures", "otaseal ledger show lamp.jsonl"),
            ("Show them to a program", "otaseal ledger show lamp.jsonl --json"),
        ],
        "ledger export" => &[
            ("Write it for a spreadsheet", "otaseal ledger export lamp.jsonl --format csv -o lamp.csv"),
            ("Write it as one JSON array", "otaseal ledger export lamp.jsonl -o array.json"),
        ],
        "rotate" | "rotate plan" => &[
            (
                "Plan a new key: 1 is on the devices, and the bridge and 2 are to come",
                "otaseal rotate plan 1.signed bridge.signed 2.signed --old a.pub --new b.pub",
            ),
            (
                "Plan it for an attacker who has the old key",
                "otaseal rotate plan 2.signed --old a.pub --new b.pub --compromised",
            ),
        ],
        "release" => &[
            (
                "Bundle the evidence of a package",
                "otaseal release lamp -o 2 -k my.pem --firmware-key a.pub --ledger log.jsonl",
            ),
            ("Verify a release bundle", "otaseal release verify 1 --key my.pub"),
        ],
        "release verify" => &[
            ("Verify a release bundle", "otaseal release verify 1 --key my.pub"),
            ("Do it in a script", "otaseal release verify 1 --key my.pub --json"),
        ],
        "inspect" => &[
            ("Show what a file is", "otaseal inspect firmware.bin"),
            ("Judge its signature too", "otaseal inspect firmware.bin.signed --key keys/public.pem"),
        ],
        "identify" => &[
            (
                "Find the release that a device runs",
                "otaseal identify 0a5a4dca5b1bd1a39fd7ab5a3ec7fd17 releases/lamp-1.2.3.json",
            ),
            (
                "Search all releases",
                "otaseal identify 0a5a4dca5b1bd1a39fd7ab5a3ec7fd17 releases/*.json --json",
            ),
        ],
        "doctor" => &[
            ("Check the key, the settings, git and the clock", "otaseal doctor"),
            ("Check also whether a build can be packaged", "otaseal doctor firmware.bin"),
        ],
        "strip" => &[
            ("Remove the signature", "otaseal strip firmware.bin.signed"),
            (
                "Remove it only if it is good",
                "otaseal strip firmware.bin.signed -o plain.bin --key keys/public.pem",
            ),
        ],
        "compress" => &[
            ("Compress an image", "otaseal compress firmware.bin"),
            ("Make the smallest gzip", "otaseal compress firmware.bin -o smallest.gz --effort max"),
        ],
        "pubkey" => &[
            (
                "Write the header for an Arduino core",
                "otaseal pubkey keys/public.pem --c-header -o Updater_Signing.h",
            ),
            (
                "Write Rust source, with a signature for the device's self-test",
                "otaseal pubkey --private-key keys/private.pem --rust -o ota_key.rs",
            ),
            ("Show the key id", "otaseal pubkey keys/public.pem --fingerprint"),
        ],
        "signing-py" => &[
            (
                "Write the header for the core",
                "otaseal signing-py -m header -p keys/public.pem -o Updater_Signing.h",
            ),
            ("Sign an image", "otaseal signing-py -m sign -s keys/private.pem -b lamp.bin -o lamp.signed"),
        ],
        "completions" => &[
            ("Write the completions for bash", "otaseal completions bash -o otaseal.bash"),
            ("Write them for zsh", "otaseal completions zsh -o _otaseal"),
        ],
        "man" => &[
            ("Print the page of the program", "otaseal man"),
            ("Write the pages of all commands", "otaseal man --out-dir man1"),
        ],
        _ => &[],
    }
}
