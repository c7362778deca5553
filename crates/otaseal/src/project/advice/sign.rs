//! What to do about signers and signatures.

use super::key::KEY_GIVEN;
use super::{Advice, Speaker};
use crate::sign::command::CommandFailure;
use crate::sign::detached::DetachedError;
use crate::sign::diagnose::Mismatch;
use crate::sign::pkcs11::{ModuleState, Pkcs11Error, TokenFailure};
use crate::sign::request::RequestError;
use crate::sign::source::SourceError;
use crate::sign::{Scheme, SignError};
use std::io;

impl Advice for SignError {
    fn advice(&self, speaker: Speaker) -> String {
        let text = match self {
            Self::Empty => {
                "give the image that the build made; check that the build step before this one ran"
            }
            Self::AlreadySigned { .. } => {
                "sign the unsigned image; `otaseal strip` takes a signature off, and `otaseal sign --force` signs \
                 bytes that only look like one"
            }
            Self::Read(_) => "check that the file is there and that you may read it",
            Self::Write(_) => {
                "nothing was changed; free some space or choose another place, then run it again"
            }
            Self::NotAsWritten => {
                "nothing was changed; check the disk, and that nobody else writes there, then run it again"
            }
            Self::Command { failure, .. } => return failure.advice(speaker),
            Self::Token { failure, .. } => return failure.advice(speaker),
            Self::Mismatch(mismatch) => return mismatch.advice(speaker),
            Self::Backend(_) | Self::SelfCheck(_) => {
                "nothing was written; check the key, and if it is good, the machine's memory"
            }
        };
        text.into()
    }
}

impl Advice for CommandFailure {
    fn advice(&self, _: Speaker) -> String {
        let text = match self {
            Self::Start(_) => {
                "check that it is installed and in PATH; no shell is used: for a pipe or a variable say sh -c '…'"
            }
            Self::Lost(_) => "run it again",
            Self::TimeOut(_) => "see what it waits for; --signer-timeout gives it more time",
            Self::TooMuch => "it must write the signature to standard output and nothing else",
            Self::Failed(_) => {
                "nothing was written; run the command by hand: it gets the DigestInfo on standard input, and `otaseal \
                 digest IMAGE --raw digest-info` makes the same bytes"
            }
            Self::NoSignature { .. } => {
                "it must write the signature to standard output: raw, hexadecimal or base64"
            }
        };
        text.into()
    }
}

impl Advice for TokenFailure {
    fn advice(&self, _: Speaker) -> String {
        match self {
            Self::Module { state, .. } => format!("nothing was written; {}", about_module(*state)),
            Self::HashesMessages => "give it the image: `otaseal sign` and `otaseal package` do".into(),
            Self::WritesDigestInfo => {
                "leave the legacy form away, or sign it with a key that offers CKM_RSA_PKCS".into()
            }
        }
    }
}

fn about_module(state: ModuleState) -> &'static str {
    match state {
        ModuleState::SessionsInUse => {
            "all of its sessions are in use: end the other programs that use the token"
        }
        ModuleState::TokenRemoved => "the token was taken out: put it in again and start anew",
        ModuleState::NoRandomNumbers => "check that the system's random number source works, then try again",
        ModuleState::Unknown => "check the token with its own tool, or with `pkcs11-tool --test --login`",
    }
}

impl Advice for Mismatch {
    fn advice(&self, _: Speaker) -> String {
        let text = match self {
            Self::Length { .. } => "give the signature alone, of the key that is expected",
            Self::Trivial => "the signer made no signature, and did not say so: check it with its own tool",
            Self::OtherKey => "check which key signs: its public half is the key to name",
            Self::Reversed => "some interfaces give the number with its lowest byte first: reverse it",
            Self::OtherScheme(Scheme::Legacy) => {
                "let the signer add the DigestInfo (openssl: -pkeyopt digest:sha256), or give it the DigestInfo; \
                 --legacy is for devices with core 2.5.0 to 2.5.2 alone"
            }
            Self::OtherScheme(Scheme::Pkcs1v15Sha256) => {
                "sign the bare digest with PKCS#1 padding alone (openssl: no `digest` option), or leave --legacy away"
            }
            Self::OtherBytes => "check that it was made for this very image: sign this one's digest again",
            Self::HashedAgain => {
                "the signer hashes what it is given: use its mode for a ready digest (openssl: pkeyutl, not dgst)"
            }
            Self::HashedDigestInfo | Self::WrappedTwice => {
                "the signer makes the DigestInfo by itself: give it the bare digest (--signer-cmd-input digest), or \
                 use its mode that only pads (openssl: no `digest` option)"
            }
            Self::HexadecimalText => "give the signer the 32 bytes, not the 64 digits",
            Self::OtherHash(_) => "devices check SHA-256 only: choose it where the signature is made",
            Self::NoNull => "use a signer that writes DigestInfo as RFC 8017 does, or give it ready-made",
            Self::Pss(_) => {
                "devices check PKCS#1 v1.5 only: choose that padding (openssl: -pkeyopt rsa_padding_mode:pkcs1; \
                 AWS: RSASSA_PKCS1_V1_5_SHA_256)"
            }
            Self::NoPadding => "choose PKCS#1 v1.5 padding (openssl: -pkeyopt rsa_padding_mode:pkcs1)",
            Self::Unknown { .. } => "sign what `otaseal digest` gives and nothing else",
        };
        text.into()
    }
}

impl Advice for DetachedError {
    fn advice(&self, _: Speaker) -> String {
        "give the signature alone: raw bytes, or their hexadecimal or base64 text".into()
    }
}

impl Advice for RequestError {
    fn advice(&self, _: Speaker) -> String {
        let text = match self {
            Self::TooLarge | Self::Invalid(_) | Self::Inconsistent(_) => {
                "give the file that `otaseal digest` wrote, unchanged"
            }
            Self::Schema(_) => "use the otaseal that wrote it, or a newer one",
            Self::OtherKey { .. } => "give the public key that the request was made for",
        };
        text.into()
    }
}

impl Advice for SourceError {
    fn advice(&self, speaker: Speaker) -> String {
        let keygen = speaker.keygen();
        match self {
            Self::Read { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                format!("check the name; `{keygen}` makes a key pair in the directory keys")
            }
            Self::NotAName { .. } => KEY_GIVEN.into(),
            Self::InToken => {
                "write its public half to a file and name that: otaseal pubkey --private-key 'pkcs11:…' --pem -o public.pem"
                    .into()
            }
            Self::Read { .. } => "check that the file is there and that you may read it".into(),
            Self::CommandsKey { .. } => {
                "fetch the public key from where the key is kept, and put it there: what the \
                                         command signs is judged by it"
                    .into()
            }
            Self::Key { source, .. } => source.advice(speaker),
            Self::Pkcs11(error) => error.advice(speaker),
        }
    }
}

impl Advice for Pkcs11Error {
    fn advice(&self, speaker: Speaker) -> String {
        let keygen = speaker.keygen();
        match self {
            Self::NoModule | Self::UnknownModule(_) => {
                "name the library that came with the token: ?module-path=/…/module.so in the URI, --pkcs11-module, or \
                 the environment variable OTASEAL_PKCS11_MODULE"
                    .into()
            }
            Self::Load { .. } => {
                "check the name, and that it is the token's PKCS#11 library for this kind of processor".into()
            }
            Self::NotBuilt => "build it with the feature `pkcs11`".into(),
            Self::NoToken { .. } => {
                "check that it is plugged in and what it is called: `pkcs11-tool --module MODULE -L` lists the tokens"
                    .into()
            }
            Self::Tokens { .. } => "say which: add serial= or slot-id= to the URI".into(),
            Self::NoKey { .. } => "object= is its label, id= its identifier with % before every byte".into(),
            Self::Keys { .. } => "say which: add id= to the URI".into(),
            Self::Exists { .. } => {
                "a key in a token is never replaced: choose another object=, or remove the old one with the token's \
                 own tool"
                    .into()
            }
            Self::NoName => "add object=NAME to the URI".into(),
            Self::WrongPin { .. } => {
                "nothing was tried again, for a token locks after a few wrong ones; check the PIN's source (pin-source \
                 in the URI, OTASEAL_PKCS11_PIN, --passphrase-file, -fd, -env)"
                    .into()
            }
            Self::Locked { .. } => {
                "its security officer unlocks it, as in `pkcs11-tool --init-pin --login --login-type so`".into()
            }
            Self::Secret(error) => error.advice(speaker),
            Self::PinText => "check the PIN's source".into(),
            Self::NoPublicKey { .. } => {
                "store the public key beside it with the same id, as in `pkcs11-tool --write-object public.der --type \
                 pubkey --id …`"
                    .into()
            }
            Self::Key { source, .. } => source.advice(speaker),
            Self::NotRsa { .. } => {
                format!("devices with this format verify RSA only; make a key with `{keygen} --key pkcs11:…`")
            }
            Self::NoMechanism { .. } => {
                "see what the token offers with `pkcs11-tool -M`; it may forbid this key to sign".into()
            }
            Self::Weak { .. } => "this token cannot keep a key to itself; use another".into(),
            Self::Module { state, .. } => about_module(*state).into(),
        }
    }
}
