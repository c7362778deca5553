//! What to do about keys, passphrases and the names of keys in tokens.

use super::{Advice, Speaker};
use crate::format::key_file::KeyFileKind;
use crate::key::KeyError;
use crate::key::encryption::EncryptionError;
use crate::key::material::KeyOnCommandLine;
use crate::key::pair::PairError;
use crate::key::passphrase::{NotASource, SecretError, SecretKind, SecretPlace};
use crate::key::uri::UriError;
use crate::policy::lint::{Finding as KeyFinding, Refused};
use crate::release::rotate::KeysRefused;

impl Advice for KeyError {
    fn advice(&self, speaker: Speaker) -> String {
        let keygen = speaker.keygen();
        match self {
            Self::NotAKey | Self::TooLarge => {
                format!("give an RSA key as PEM or DER (PKCS#8, PKCS#1 or SPKI); `{keygen}` makes one")
            }
            Self::DamagedPem => "copy the file again, whole, from -----BEGIN to -----END, with its line ends: secrets of \
                                 CI systems often lose them; keep it in a variable of the type file, or as base64 and \
                                 undo that with `base64 -d`"
                .into(),
            Self::Ambiguous => "leave only the key that is meant in the file: which of them that is cannot be told".into(),
            Self::Inconsistent | Self::EvenModulus => {
                "restore the key from its backup; `openssl rsa -check -in KEY` shows what is wrong".into()
            }
            Self::NotPrivate(KeyFileKind::SpkiPublic | KeyFileKind::Pkcs1Public) => {
                format!("signing needs the private half: the file that `{keygen}` wrote as private.pem")
            }
            Self::NotPrivate(KeyFileKind::OpensshPrivate) => {
                format!("convert a copy with `ssh-keygen -p -m PEM -f COPY`, or make a key for signing: `{keygen}`")
            }
            Self::PrivateOffered(_) => "never hand out the private key; make its public half with \
                 `otaseal pubkey --private-key FILE --pem -o public.pem`"
                .into(),
            Self::NotPublic(KeyFileKind::Certificate) => {
                "take the key out of it: openssl x509 -in CERT -pubkey -noout -out public.pem".into()
            }
            Self::NotPublic(KeyFileKind::OpensshPublic) => {
                "convert it: ssh-keygen -e -m PKCS8 -f KEY.pub > public.pem".into()
            }
            Self::NotPrivate(kind) | Self::NotPublic(kind) => match kind {
                KeyFileKind::EcPrivate | KeyFileKind::EcPublic => {
                    format!("devices with this format check RSA only: an EC signature can never verify there; \
                     make an RSA key with `{keygen}`")
                }
                KeyFileKind::RsaPss => format!("the format is PKCS#1 v1.5, which this key forbids; make a key with \
                     `{keygen}`"),
                _ => format!("give an RSA key as PEM or DER; `{keygen}` makes one"),
            },
            Self::Encrypted(_) => SecretError::NoneGiven(SecretKind::Passphrase).advice(speaker),
            Self::WrongPassphrase => {
                "check where the passphrase comes from; the same message is given when the encrypted bytes are damaged"
                    .into()
            }
            Self::Encryption(error) => error.advice(speaker),
            Self::Secret(error) => error.advice(speaker),
            Self::Size { bits } if *bits < 2048 => {
                format!("keys under 2048 bits can be broken; make a new one with `{keygen}`")
            }
            Self::Size { .. } => format!("2048, 3072 and 4096 bits are supported; make one with `{keygen}`"),
            Self::Exponent(_) | Self::MultiPrime => {
                format!("devices verify with e = 65537 and two primes; make a new key with `{keygen}`")
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
                "convert it: openssl pkcs8 -topk8 -v2 aes-256-cbc -in KEY -out NEW.pem (old \
                 ciphers need `-provider legacy -provider default` as well)"
                    .into()
            }
            Self::TooExpensive { .. } => {
                "no tool writes such parameters by itself; if they are meant, convert a \
                 copy: openssl pkcs8 -topk8 -v2 aes-256-cbc -in KEY -out NEW.pem"
                    .into()
            }
        }
    }
}

impl Advice for PairError {
    fn advice(&self, speaker: Speaker) -> String {
        match self {
            Self::OneName(_) => "give the private and the public half their own names".into(),
            Self::Output(error) => error.advice(speaker),
            Self::Key(error) => error.advice(speaker),
        }
    }
}

impl Advice for SecretError {
    fn advice(&self, _: Speaker) -> String {
        match self {
            Self::NoneGiven(kind) | Self::Terminal { kind, .. } => give(*kind).into(),
            Self::Empty { kind, .. } => {
                let unset = "so is a secret of a CI system that is not set, or not for this job";
                match kind {
                    SecretKind::Passphrase => format!(
                        "{unset}; an empty passphrase is never tried: where it is the right one, take it off with \
                         `openssl pkey -in KEY -passin pass: -out NEW`"
                    ),
                    SecretKind::NewPassphrase => {
                        format!("{unset}; choose one of a single line that is hard to guess; nothing was written")
                    }
                    SecretKind::Pin => format!(
                        "{unset}; nothing was tried, for a token locks after a few wrong ones: give the PIN, or unset \
                         OTASEAL_PKCS11_PIN where it comes from somewhere else"
                    ),
                }
            }
            Self::Unreadable { place, .. } => match place {
                SecretPlace::PinSource => "check that the file is there and that you may read it".into(),
                SecretPlace::Stdin => "pipe it into this program, or redirect a file".into(),
                SecretPlace::Descriptor(_) => {
                    "open it for this program, as in `--passphrase-fd 3 3< FILE`".into()
                }
                _ => "check that the file is there and that you may read it; the option takes its name, not what is in \
                      it"
                .into(),
            },
            Self::Unset { .. } => {
                "set it, and export it; the option takes the variable's name, not what is in it".into()
            }
            Self::TooLong { kind, .. } => format!("name what holds the {} and nothing else", kind.noun()),
            Self::Refused(_) => {
                "choose one of a single line that is hard to guess; nothing was written".into()
            }
        }
    }
}

/// How to give a secret that is not there.
fn give(kind: SecretKind) -> &'static str {
    match kind {
        SecretKind::Passphrase => {
            "give it with --passphrase-file, --passphrase-fd or --passphrase-env, or run this in a terminal"
        }
        SecretKind::NewPassphrase => {
            "give it with --passphrase-file, --passphrase-fd or --passphrase-env; nothing was written"
        }
        SecretKind::Pin => {
            "put the PIN into a file and say pin-source=file:/path in the URI, or into the environment variable \
             OTASEAL_PKCS11_PIN, or give it with --passphrase-file, -fd or -env, or run this in a terminal"
        }
    }
}

impl Advice for NotASource {
    fn advice(&self, _: Speaker) -> String {
        let text = match self {
            Self::Descriptor => {
                "open it for this program and give its number, as in `--passphrase-fd 3 3< FILE`; never the passphrase \
                 itself"
            }
            Self::Variable => {
                "write the name alone, without $: what is in the variable is read by otaseal, and never stands on the \
                 command line, which every user of this machine can read"
            }
        };
        text.into()
    }
}

/// What to do about a key in the place of its name.
pub(super) const KEY_GIVEN: &str = "write it to a file and give its name, or a private key to standard input and say \
                                    --key -: every user of this machine can read a command line";

impl Advice for KeyOnCommandLine {
    fn advice(&self, _: Speaker) -> String {
        KEY_GIVEN.into()
    }
}

impl Advice for UriError {
    fn advice(&self, _: Speaker) -> String {
        let text = match self {
            Self::Character { .. } | Self::Percent(_) => {
                "write every character that is no letter, digit or one of -._~ as % and two hexadecimal digits: a \
                 blank is %20"
            }
            Self::PinValue | Self::PinCommand => {
                "leave it away: put the PIN into a file that only you can read and say pin-source=file:/path, or into \
                 the environment variable OTASEAL_PKCS11_PIN, or type it when asked"
            }
            Self::Unknown(_) => {
                "a key is named by token, serial, model, manufacturer, slot-id, object and id; `p11tool --list-all` \
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
                    "whoever has a clone has the key: make a new one with `{keygen}`, \
                 outside the repository or in a directory that git ignores"
                )
            }
            Self::GitUnknown { .. } => {
                "keep the key outside of the repository; or have `git ls-files` answer there \
                 (git must be installed, and the repository its user's or a safe.directory)"
                    .into()
            }
            Self::WeakEncryption { .. } => "give it a better one: `otaseal key passwd KEY`".into(),
            Self::GoodThrough2030 => format!("for devices that live longer: `{keygen} --bits 3072`"),
            Self::NotChecked { .. } => "check it by hand".into(),
        }
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
                "plan with --compromised: whoever has the old key can send a bridge to a key of their own"
                    .into()
            }
        }
    }
}
