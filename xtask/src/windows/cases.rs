//! What `otaseal.exe` must do.

use super::bench::{Bench, require};
use crate::Result;
use std::fs::{self, Permissions};

type Case = fn(&Bench) -> Result<()>;

/// Every case. Its name says what must hold.
pub(super) const ALL: &[(&str, Case)] = &[
    ("a signed image has the bytes of OpenSSL and of the native program", signs),
    ("a signed gzip has the bytes of OpenSSL and of the native program", signs_gzip),
    ("a legacy image has the bytes of OpenSSL and of the native program", signs_legacy),
    ("a package has the bytes of the native program, also when it replaces one", packages),
    ("standard input and output keep every byte", streams),
    ("OpenSSL takes a new pair of keys, and otaseal signs with it", makes_keys),
    ("a ledger that grows is intact", keeps_a_ledger),
    ("the exit codes are those of the documentation", exits),
    ("an output replaces the older one, and nothing else", replaces),
    ("a read-only output is an error and stays", keeps_read_only),
    ("an output that another process has open is an error and stays", keeps_open),
    ("a package with a file that another process has open is finished by the next run", keeps_open_package),
    ("no output replaces a key, by any spelling of its name", keeps_keys),
    ("a path may have more than 260 characters", long_path),
    ("names may have blanks, umlauts and signs of any script", odd_names),
    ("the name of a device is an error", devices),
    ("a dot or a blank at the end of a name does not count", trailing),
    ("settings, keys and passphrases may have Windows line ends", line_ends),
];

/// The signature and its length, as OpenSSL makes them for a file.
fn trailer(bench: &Bench, name: &str) -> Result<Vec<u8>> {
    let signature = bench.openssl(&format!("dgst -sha256 -sign private.pem {name}"))?;
    Ok([&signature[..], &256u32.to_le_bytes()].concat())
}

fn signs(bench: &Bench) -> Result<()> {
    bench.sign(0, "signed", &[])?;
    bench.native(&["sign", "image.bin", "-k", "private.pem", "-o", "peer"])?;
    bench.same("signed", "peer")?;
    let expected = [bench.read("image.bin")?, trailer(bench, "image.bin")?].concat();
    require(bench.read("signed")? == expected, "OpenSSL makes another file")?;
    bench.ends(0, &["strip", "signed", "--key", "public.pem", "-o", "stripped"])?;
    bench.same("stripped", "image.bin")
}

fn signs_gzip(bench: &Bench) -> Result<()> {
    bench.ends(0, &["compress", "image.bin", "-o", "image.gz"])?;
    bench.native(&["compress", "image.bin", "-o", "peer.gz"])?;
    bench.same("image.gz", "peer.gz")?;
    bench.ends(0, &["sign", "image.gz", "-k", "private.pem", "-o", "signed"])?;
    let expected = [bench.read("image.gz")?, trailer(bench, "image.gz")?].concat();
    require(bench.read("signed")? == expected, "OpenSSL makes another file")
}

fn signs_legacy(bench: &Bench) -> Result<()> {
    bench.sign(0, "signed", &["--legacy", "old"])?;
    bench.native(&["sign", "image.bin", "-k", "private.pem", "-o", "peer", "--legacy", "peer.old"])?;
    bench.same("signed", "peer")?;
    bench.same("old", "peer.old")?;
    // A legacy signature is over the bare hash.
    bench.write("hash", &bench.openssl("dgst -sha256 -binary image.bin")?)?;
    let signature =
        bench.openssl("pkeyutl -sign -inkey private.pem -pkeyopt rsa_padding_mode:pkcs1 -in hash")?;
    let expected = [&bench.read("image.bin")?[..], &signature, &256u32.to_le_bytes()].concat();
    require(bench.read("old")? == expected, "OpenSSL makes another file")
}

const PACKAGE: &[&str] = &["package", "image.bin", "--name", "fw", "-k", "private.pem", "-o"];
const ARTEFACTS: &[&str] = &["fw.bin", "fw.bin.gz", "fw.bin.signed", "fw.bin.gz.signed", "manifest.json"];

/// Compares a package with the native one.
fn same_package(bench: &Bench, folder: &str) -> Result<()> {
    bench.native(&[PACKAGE, &["peer"]].concat())?;
    for name in ARTEFACTS {
        bench.same(&format!("{folder}/{name}"), &format!("peer/{name}"))?;
    }
    let count = fs::read_dir(bench.path(folder))?.count();
    require(count == ARTEFACTS.len(), &format!("{count} files in {folder}"))
}

fn packages(bench: &Bench) -> Result<()> {
    for _ in 0..2 {
        bench.ends(0, &[PACKAGE, &["out put"]].concat())?;
        same_package(bench, "out put")?;
    }
    Ok(())
}

fn streams(bench: &Bench) -> Result<()> {
    let signed = bench.filter(&["sign", "-", "-k", "private.pem", "-o", "-"], "image.bin")?;
    let expected = [bench.read("image.bin")?, trailer(bench, "image.bin")?].concat();
    require(signed == expected, "other bytes came out")
}

fn makes_keys(bench: &Bench) -> Result<()> {
    fs::create_dir(bench.path("neue Schlüssel"))?;
    bench.ends(0, &["keygen", "--private", "neue Schlüssel/p.pem", "--public", "neue Schlüssel/q.pem"])?;
    fs::rename(bench.path("neue Schlüssel"), bench.path("new"))?;
    bench.openssl("pkey -in new/p.pem -check -noout")?;
    let public = bench.openssl("pkey -in new/p.pem -pubout")?;
    require(bench.read("new/q.pem")? == public, "the public key is another one")?;
    // The demo firmware carries another key.
    bench.write("own.bin", &[&(0..=255).collect::<Vec<u8>>().repeat(20)[..], &public].concat())?;
    bench.ends(0, &["sign", "own.bin", "-k", "new/p.pem", "-o", "signed"])?;
    bench.ends(0, &["verify", "signed", "--key", "new/q.pem"]).map(drop)
}

fn keeps_a_ledger(bench: &Bench) -> Result<()> {
    for _ in 0..2 {
        bench.sign(0, "signed", &["--ledger", "LEDGER"])?;
    }
    bench.native(&["ledger", "verify", "LEDGER"])?;
    bench.ends(0, &["ledger", "verify", "LEDGER"])?;
    let text = String::from_utf8(bench.read("LEDGER")?)?;
    require(text.lines().count() == 2 && !text.contains('\r'), &text)?;
    bench.write("LEDGER", text.replacen("image.bin", "other.bin", 1).as_bytes())?;
    bench.ends(1, &["ledger", "verify", "LEDGER"]).map(drop)
}

fn exits(bench: &Bench) -> Result<()> {
    bench.sign(0, "signed", &[])?;
    bench.ends(0, &["verify", "signed", "--key", "public.pem"])?;
    bench.ends(1, &["verify", "image.bin", "--key", "public.pem"])?;
    bench.ends(2, &["sign", "--no-such-option"])?;
    bench.ends(3, &["sign", "missing.bin", "-k", "private.pem", "-o", "other"])?;
    bench.ends(3, &["sign", "signed", "-k", "private.pem", "-o", "other"]).map(drop)
}

fn replaces(bench: &Bench) -> Result<()> {
    bench.sign(0, "first", &[])?;
    for _ in 0..2 {
        bench.sign(0, "signed", &[])?;
        bench.same("first", "signed")?;
    }
    bench.write("signed", b"mine")?;
    bench.sign(3, "signed", &[])?;
    require(bench.read("signed")? == b"mine", "the file of somebody else is gone")?;
    bench.sign(0, "signed", &["--overwrite"])?;
    bench.same("first", "signed")
}

fn keeps_read_only(bench: &Bench) -> Result<()> {
    bench.sign(0, "signed", &[])?;
    let before = fs::metadata(bench.path("signed"))?.modified()?;
    set_read_only(bench, "signed")?;
    bench.write("other", b"mine")?;
    set_read_only(bench, "other")?;
    for (name, more) in [("signed", &[][..]), ("signed", &["--overwrite"]), ("other", &["--overwrite"])] {
        let said = bench.sign(3, name, more)?;
        require(said.contains("read-only"), &said)?;
    }
    require(fs::metadata(bench.path("signed"))?.modified()? == before, "there is another file")?;
    require(bench.read("other")? == b"mine", "the file has other bytes")
}

/// Wine shows a file that nobody may write as read-only.
fn set_read_only(bench: &Bench, name: &str) -> Result<()> {
    let mut permissions: Permissions = fs::metadata(bench.path(name))?.permissions();
    permissions.set_readonly(true);
    Ok(fs::set_permissions(bench.path(name), permissions)?)
}

fn keeps_open(bench: &Bench) -> Result<()> {
    bench.sign(0, "signed", &[])?;
    let before = bench.read("signed")?;
    for others in ["nobody", "read"] {
        let held = bench.hold("signed", others)?;
        for more in [&[][..], &["--overwrite"]] {
            bench.sign(3, "signed", more)?;
            require(bench.read("signed")? == before, "the file has other bytes")?;
            bench.has_no_temporary_file()?;
        }
        drop(held);
        bench.sign(0, "signed", &[])?;
    }
    Ok(())
}

fn keeps_open_package(bench: &Bench) -> Result<()> {
    let package = [PACKAGE, &["dist"]].concat();
    bench.ends(0, &package)?;
    let before = bench.read("dist/fw.bin.signed")?;
    let held = bench.hold("dist/fw.bin.signed", "nobody")?;
    bench.ends(3, &package)?;
    require(bench.read("dist/fw.bin.signed")? == before, "the file has other bytes")?;
    bench.has_no_temporary_file()?;
    drop(held);
    bench.ends(0, &package)?;
    same_package(bench, "dist")
}

fn keeps_keys(bench: &Bench) -> Result<()> {
    let key = bench.read("private.pem")?;
    for name in ["private.pem", "PRIVATE.PEM", "private.pem.", "private.pem ", r".\Private.pem"] {
        bench.sign(2, name, &["--overwrite"])?;
    }
    bench.write("other.pem", &key)?;
    for name in ["other.pem", "OTHER.pem", "other.pem."] {
        let said = bench.sign(3, name, &["--overwrite"])?;
        require(said.contains("private key"), &said)?;
    }
    bench.same("private.pem", "other.pem")?;
    require(bench.read("private.pem")? == key, "the key has other bytes")
}

fn long_path(bench: &Bench) -> Result<()> {
    // Windows had a limit of 260 characters for a whole path.
    let name = "a long name of a directory, ".repeat(4) + "and its end";
    let folder = [name.as_str(); 3];
    fs::create_dir_all(bench.path(&folder.join("/")))?;
    bench.sign(0, "signed", &[])?;
    let output = format!(r"{}\signed", folder.join(r"\"));
    for _ in 0..2 {
        bench.sign(0, &output, &[])?;
    }
    bench.same("signed", &format!("{}/signed", folder.join("/")))?;
    bench.sign(3, &"n".repeat(256), &[]).map(drop)
}

fn odd_names(bench: &Bench) -> Result<()> {
    bench.sign(0, "signed", &[])?;
    for name in ["two  blanks", "Füße.signed", "прошивка", "固件", "a;b&c'd(e)%PATH%^", "-o"] {
        bench.sign(0, &format!("./{name}"), &[])?;
        bench.same("signed", name)?;
        bench.ends(0, &["verify", &format!(r".\{name}"), "--key", "public.pem"])?;
    }
    Ok(())
}

fn devices(bench: &Bench) -> Result<()> {
    let before = bench.names()?;
    for name in ["con", "NUL", "nul.bin", "aux.signed", "com1"] {
        bench.sign(3, name, &[])?;
        require(bench.names()? == before, &format!("{name} made a file"))?;
    }
    Ok(())
}

fn trailing(bench: &Bench) -> Result<()> {
    bench.sign(0, "signed", &[])?;
    let before = bench.names()?;
    for name in ["signed.", "signed ", "signed. ."] {
        bench.sign(0, name, &[])?;
        require(bench.names()? == before, &format!("{name:?} made a file"))?;
    }
    Ok(())
}

fn line_ends(bench: &Bench) -> Result<()> {
    bench.sign(0, "signed", &[])?;
    bench.openssl("pkcs8 -topk8 -in private.pem -passout pass:tr0mbone-quarry-14 -out locked.pem")?;
    for (from, to) in
        [("private.pem", "private.crlf"), ("public.pem", "public.crlf"), ("locked.pem", "locked.crlf")]
    {
        let text = String::from_utf8(bench.read(from)?)?;
        bench.write(to, text.replace('\n', "\r\n").as_bytes())?;
    }
    bench.write("pass", b"tr0mbone-quarry-14\r\n")?;
    bench.write("otaseal.toml", b"# The key of this project\r\nkey = \"private.crlf\"\r\n")?;
    bench.ends(0, &["sign", "image.bin", "-o", "settings.signed"])?;
    bench.same("signed", "settings.signed")?;
    bench.ends(0, &["verify", "signed", "--key", "public.crlf"])?;
    let locked =
        ["sign", "image.bin", "-k", "locked.crlf", "--passphrase-file", "pass", "-o", "locked.signed"];
    bench.ends(0, &locked)?;
    bench.same("signed", "locked.signed")
}
