//! Advice on errors in keys, passphrases and PKCS#11 URIs.

use super::{Advice, Speaker};
use crate::format::key_file::KeyFileKind;
use crate::key::KeyError;
use crate::key::encryption::EncryptionError;
use crate::key::material::KeyOnCommandLine;
use crate::key::pair::PairError;
use crate::key::passphrase::{NotASource, SecretError, SecretKind, SecretPlace};
use crate::key::uri::UriError;
use crate::policy::lint::{Finding as KeyFinding, NotIgnored, Refused};
use crate::release::rotate::KeysRefused;

impl Advice for KeyError {
    fn advice(&self, speaker: Speaker) -> String {
        let keygen = speaker.keygen();
        match self {
            Self::NotAKey | Self::TooLarge => {
                format!("give an RSA key as PEM or DER (PKCS#8, PKCS#1 or SPKI); `{keygen}` makes one")
            }
            Self::DamagedPem => "copy the whole file again, from -----BEGIN to -----END, with its line ends; CI secrets \
                                 often lose them: use a secret of the type file, or store base64 and decode it with \
                                 `base64 -d`"
                .into(),
            Self::Ambiguous => "leave one key in the file and remove the others: otaseal does not choose".into(),
            Self::Inconsistent | Self::EvenModulus => {
                "restore the key from its backup; `openssl rsa -check -in KEY` shows what is wrong".into()
            }
            Self::NotPrivate(KeyFileKind::Pkcs12) | Self::PrivateOffered(KeyFileKind::Pkcs12) => {
                "take the key out: openssl pkcs12 -in FILE -nocerts -out key.pem".into()
            }
            Self::NotPrivate(KeyFileKind::Utf16) | Self::PrivateOffered(KeyFileKind::Utf16) => {
                "save it as UTF-8: iconv -f UTF-16 -t UTF-8 FILE > key.pem".into()
            }
            Self::NotPrivate(KeyFileKind::Base64OfPem) | Self::PrivateOffered(KeyFileKind::Base64OfPem) => {
                "decode it first: base64 -d FILE > key.pem".into()
            }
            Self::NotPrivate(KeyFileKind::SpkiPublic | KeyFileKind::Pkcs1Public) => {
                format!("give the private key: the file that `{keygen}` wrote as private.pem")
            }
            Self::NotPrivate(KeyFileKind::OpensshPrivate) => {
                format!("convert a copy with `ssh-keygen -p -m PEM -f COPY`, or make a key for signing: `{keygen}`")
            }
            Self::PrivateOffered(_) => "make the public key with `otaseal pubkey --private-key FILE --pem -o public.pem`; \
                 never give the private key away"
                .into(),
            Self::NotPublic(KeyFileKind::Certificate) => {
                "extract the key: openssl x509 -in CERT -pubkey -noout -out public.pem".into()
            }
            Self::NotPublic(KeyFileKind::OpensshPublic) => {
                "convert it: ssh-keygen -e -m PKCS8 -f KEY.pub > public.pem".into()
            }
            Self::NotPrivate(kind) | Self::NotPublic(kind) => match kind {
                KeyFileKind::EcPrivate | KeyFileKind::EcPublic => {
                    format!("make an RSA key with `{keygen}`: the devices verify no EC signatures")
                }
                KeyFileKind::RsaPss => format!("make a key with `{keygen}`: devices verify PKCS#1 v1.5, which this key \
                     forbids"),
                _ => format!("give an RSA key as PEM or DER; `{keygen}` makes one"),
            },
            Self::Encrypted(_) => SecretError::NoneGiven(SecretKind::Passphrase).advice(speaker),
            Self::WrongPassphrase => {
                "check the passphrase; if it is right, the encrypted bytes are damaged: copy the file again".into()
            }
            Self::Encryption(error) => error.advice(speaker),
            Self::Secret(error) => error.advice(speaker),
            Self::Size { bits } if *bits < 2048 => {
                format!("make a new key with `{keygen}`: attackers can break keys under 2048 bits")
            }
            Self::Size { .. } => format!("make a key of 2048, 3072 or 4096 bits with `{keygen}`"),
            Self::Exponent(_) | Self::MultiPrime => {
                format!("make a new key with `{keygen}`: otaseal takes keys with e = 65537 and two primes")
            }
            Self::Generate(_) => "check that the system's random number source works, then try again".into(),
        }
    }
}

impl Advice for EncryptionError {
    fn advice(&self, _: Speaker) -> String {
        match self {
            Self::Damaged => "copy the file again, whole, or restore the key from its backup".into(),
            Self::Unsupported(_) => {
                "convert it: openssl pkcs8 -topk8 -v2 aes-256-cbc -in KEY -out NEW.pem (for old \
                 ciphers add `-provider legacy -provider default`)"
                    .into()
            }
            Self::TooExpensive { .. } => {
                "if you chose these parameters, convert a copy: openssl pkcs8 -topk8 -v2 aes-256-cbc -in KEY -out \
                 NEW.pem; no tool writes them by default"
                    .into()
            }
        }
    }
}

impl Advice for PairError {
    fn advice(&self, speaker: Speaker) -> String {
        match self {
            Self::OneName(_) => "give the private key and the public key two different names".into(),
            Self::Output(error) => error.advice(speaker),
            Self::NoPublic { private, .. } => {
                format!(
                    "write the public key with `otaseal pubkey --private-key {} --pem`",
                    private.display()
                )
            }
            Self::PublicGone { .. } => "write it again with `otaseal pubkey --private-key FILE --pem`".into(),
            Self::Key(error) => error.advice(speaker),
        }
    }
}

impl Advice for SecretError {
    fn advice(&self, _: Speaker) -> String {
        match self {
            Self::NoneGiven(kind) | Self::Terminal { kind, .. } => give(*kind).into(),
            Self::Empty { kind, .. } => {
                let unset = "in CI, check that the secret is set for this job";
                match kind {
                    SecretKind::Passphrase => format!(
                        "{unset}; otaseal never tries an empty passphrase: if the key has one, remove it with \
                         `openssl pkey -in KEY -passin pass: -out NEW`"
                    ),
                    SecretKind::NewPassphrase => format!(
                        "{unset}; choose a passphrase of one line that is hard to guess; otaseal wrote nothing"
                    ),
                    SecretKind::Pin => format!(
                        "{unset}; give the PIN, or unset OTASEAL_PKCS11_PIN if the PIN comes from another place; \
                         otaseal never tries an empty PIN, because tokens lock after a few failures"
                    ),
                }
            }
            Self::Unreadable { place, .. } => match place {
                SecretPlace::PinSource => "check that the file is there and that you may read it".into(),
                SecretPlace::Stdin => "pipe it into this program, or redirect a file".into(),
                SecretPlace::Descriptor(_) => {
                    "open it for this program, as in `--passphrase-fd 3 3< FILE`".into()
                }
                _ => "check that the file is there and that you may read it; the option takes the name of a file, not \
                      the secret"
                    .into(),
            },
            Self::Unset { .. } => {
                "set and export it; the option takes the name of a variable, not the secret".into()
            }
            Self::TooLong { kind, .. } => format!("name a place that holds the {} and nothing else", kind.noun()),
            Self::Refused(_) => {
                "choose a passphrase of one line that is hard to guess; otaseal wrote nothing".into()
            }
        }
    }
}

/// Returns how to give a secret that is missing.
fn give(kind: SecretKind) -> &'static str {
    match kind {
        SecretKind::Passphrase => {
            "give it with --passphrase-file, --passphrase-fd or --passphrase-env, or run this in a terminal"
        }
        SecretKind::NewPassphrase => {
            "give it with --passphrase-file, --passphrase-fd or --passphrase-env; otaseal wrote nothing"
        }
        SecretKind::Pin => {
            "put the PIN into a file and add pin-source=file:/path to the URI, set the environment variable \
             OTASEAL_PKCS11_PIN, use --passphrase-file, -fd or -env, or run this in a terminal"
        }
    }
}

impl Advice for NotASource {
    fn advice(&self, _: Speaker) -> String {
        let text = match self {
            Self::Descriptor => {
                "open it for this program and give its number, as in `--passphrase-fd 3 3< FILE`; never give the \
                 passphrase itself"
            }
            Self::Variable => {
                "give the name alone, without $: otaseal reads the variable, and the secret never stands on the \
                 command line, which every user of this machine can read"
            }
        };
        text.into()
    }
}

/// Advice for a key that the user typed where the name of its file belongs.
pub(super) const KEY_GIVEN: &str = "write the key to a file and give the file's name, or pipe a private key to \
                                    --key -; every user of this machine can read a command line";

impl Advice for KeyOnCommandLine {
    fn advice(&self, _: Speaker) -> String {
        KEY_GIVEN.into()
    }
}

impl Advice for UriError {
    fn advice(&self, _: Speaker) -> String {
        let text = match self {
            Self::Character { .. } | Self::Percent(_) => {
                "write each character that is not a letter, a digit or one of -._~ as % and two hexadecimal digits: a \
                 space is %20"
            }
            Self::PinValue | Self::PinCommand => {
                "omit it; put the PIN into a file that only you can read and add pin-source=file:/path, set the \
                 environment variable OTASEAL_PKCS11_PIN, or type the PIN when otaseal asks"
            }
            Self::Unknown(_) => {
                "name the key by token, serial, model, manufacturer, slot-id, object and id; `p11tool --list-all` \
                 and `pkcs11-tool -O` show them"
            }
            _ => {
                "for example: pkcs11:token=Release;object=firmware?module-path=/usr/lib/softhsm/libsofthsm2.so"
            }
        };
        text.into()
    }
}

impl Advice for KeyFinding {
    fn advice(&self, speaker: Speaker) -> String {
        let keygen = speaker.keygen();
        match self {
            Self::Unusable { error } => error.advice(speaker),
            Self::Published { .. } | Self::SmallFactor { .. } | Self::CloseFactors { .. } | Self::Roca => {
                format!("make a new key with `{keygen}`")
            }
            Self::ReadableByOthers { path, .. } => format!("chmod 600 {}", path.display()),
            Self::TrackedByGit { .. } => {
                format!(
                    "make a new key with `{keygen}`, outside the repository or in a directory that git ignores: \
                     every clone contains this one"
                )
            }
            Self::GitUnknown { .. } => {
                "keep the key outside the repository, or make `git ls-files` work there: install git, and own the \
                 repository or list it as a safe.directory"
                    .into()
            }
            Self::WeakEncryption { .. } => "encrypt it again: `otaseal key passwd KEY`".into(),
            Self::GoodThrough2030 => {
                format!("for devices that live longer, make a larger key: `{keygen} --bits 3072`")
            }
            Self::NotChecked { .. } => "check it by hand".into(),
        }
    }
}

impl Advice for NotIgnored {
    fn advice(&self, _: Speaker) -> String {
        // A name relative to the directory where you type it is easier to read.
        let here = std::env::current_dir().and_then(|here| here.canonicalize()).ok();
        let file =
            here.and_then(|here| self.ignore_file.strip_prefix(here).ok()).unwrap_or(&self.ignore_file);
        let quoted = |text: &str| format!("'{}'", text.replace('\'', r"'\''"));
        let file = match file.to_string_lossy() {
            plain if plain.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/._-".contains(&byte)) => {
                plain.into()
            }
            other => quoted(&other),
        };
        // Some shells change a backslash in what they echo.
        let echo = if self.line.contains('\\') { r"printf '%s\n'" } else { "echo" };
        format!("tell it to ignore the key: {echo} {} >> {file}", quoted(&self.line))
    }
}

impl Advice for Refused {
    fn advice(&self, speaker: Speaker) -> String {
        let mut helps: Vec<_> = self.0.iter().map(|finding| finding.advice(speaker)).collect();
        helps.dedup();
        helps.join("; ")
    }
}

impl Advice for KeysRefused {
    fn advice(&self, speaker: Speaker) -> String {
        match self {
            Self::New(refused) => refused.advice(speaker),
            Self::Old(_) => {
                "add --compromised: an attacker who has the old key can send a bridge to his own key".into()
            }
        }
    }
}
