//! Checks the boundary between the two programs: the one that signs has no network code, and the one that talks to the
//! network cannot sign.

use crate::tools::cargo;
use crate::{Result, sources};
use std::path::Path;

/// Crates that reach a network, or wait for one.
const NETWORK: &[&str] = &[
    "async-std",
    "curl",
    "h2",
    "hyper",
    "hyper-util",
    "mdns-sd",
    "mio",
    "native-tls",
    "quinn",
    "reqwest",
    "rumqttc-v4-next",
    "rumqttc-v5-next",
    "rustls",
    "smol",
    "socket2",
    "tokio",
    "tokio-rustls",
    "ureq",
];

/// Where the program that signs has its code.
const SIGNS: &[&str] = &["crates/otaseal-device/src", "crates/otaseal/src", "crates/otaseal-cli/src"];

/// Where the program that talks to the network has its code.
const TALKS: &[&str] = &["crates/otaseal-delivery/src", "crates/otaseal-fleet/src"];

/// Names of the library that lead to a signature, or to a private key of firmware.
const SIGNER: &[&str] = &[
    "PrivateKey",
    "KeyPair",
    "Signer",
    "SignerCommand",
    "sign_in_memory",
    "Permit",
    "Gate",
    "SecretBytes",
    "otaseal::key::pair",
    "otaseal::key::encryption",
    "otaseal::key::uri",
    "otaseal::package::make",
    "otaseal::package::package",
    "otaseal::cargo",
    "otaseal::release",
];

/// The key of a TLS server is another matter.
const NO_FIRMWARE_KEY: &[&str] = &["PrivateKeyDer"];

/// Checks both programs.
///
/// # Errors
///
/// The first crate of the network in the tree of `otaseal-cli`; every line that crosses the boundary.
pub(crate) fn check(root: &Path) -> Result<String> {
    let mut tree = cargo(root);
    tree.args(["tree", "-p", "otaseal-cli", "--edges", "normal", "--prefix", "none", "--format", "{p}"]);
    let output = tree.args(["--target", "all"]).output()?;
    if !output.status.success() {
        return Err(format!("cargo tree: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    let text = String::from_utf8(output.stdout)?;
    let names = || text.lines().filter_map(|line| line.split(' ').next());
    if let Some(name) = names().find(|name| NETWORK.contains(name)) {
        return Err(format!("otaseal-cli depends on {name}, which reaches the network").into());
    }
    let mut wrong = Vec::new();
    let mut files = 0;
    for (folders, is_wrong) in [(SIGNS, network as fn(&str) -> Option<&'static str>), (TALKS, signer)] {
        for folder in folders {
            for (path, text) in sources::read(root, folder)? {
                if is_test(&path) {
                    continue;
                }
                files += 1;
                for (number, line) in text.lines().enumerate() {
                    let code = line.trim_start();
                    if let Some(name) = is_wrong(code).filter(|_| !code.starts_with("//")) {
                        wrong.push(format!("{folder}/{}, line {}: {name}", path.display(), number + 1));
                    }
                }
            }
        }
    }
    match wrong.is_empty() {
        true => Ok(format!("{files} files, {} crates", names().count())),
        false => Err(wrong.join("\n").into()),
    }
}

/// Tests make the packages that they serve.
fn is_test(path: &Path) -> bool {
    let is = |name: &str| path.components().any(|part| part.as_os_str() == name);
    is("tests") || ["tests.rs", "testing.rs"].iter().any(|name| path.ends_with(name))
}

fn network(code: &str) -> Option<&'static str> {
    ["std::net", "TcpStream", "TcpListener", "UdpSocket"].into_iter().find(|name| code.contains(name))
}

fn signer(code: &str) -> Option<&'static str> {
    let code = NO_FIRMWARE_KEY.iter().fold(code.to_owned(), |code, name| code.replace(name, ""));
    SIGNER.iter().copied().find(|name| {
        code.match_indices(name).any(|(at, _)| {
            let is_name = |character: char| character.is_alphanumeric() || character == '_';
            let (before, after) = (code[..at].chars().next_back(), code[at + name.len()..].chars().next());
            !before.is_some_and(is_name) && !after.is_some_and(is_name)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_workspace_keeps_the_boundary() {
        check(&Path::new(env!("CARGO_MANIFEST_DIR")).join("..")).unwrap();
    }

    #[test]
    fn code_that_crosses_the_boundary_is_found() {
        for code in ["use std::net::TcpStream;", "let port = UdpSocket::bind(x)?;"] {
            assert!(network(code).is_some(), "{code}");
        }
        assert_eq!(network("use std::io;"), None);
        for code in [
            "use otaseal::key::{PrivateKey, PublicKey};",
            "fn sign(with: &dyn Signer) {",
            "let made = otaseal::package::make(firmware, &options, key)?;",
            "otaseal::release::bundle::make()",
        ] {
            assert!(signer(code).is_some(), "{code}");
        }
        for code in [
            "use rustls::pki_types::{CertificateDer, PrivateKeyDer};",
            "let key = PublicKey::from_bytes(&bytes)?;",
            "use otaseal::sign::{Scheme, verify};",
            "use crate::release::Release;",
            "pub signer: Option<PublicKey>,",
            "use otaseal_delivery::release::Release;",
        ] {
            assert_eq!(signer(code), None, "{code}");
        }
    }
}
