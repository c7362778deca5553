//! Advice on errors of signers and in signatures.

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
            Self::Empty => "give the image that the build made; check that the build ran",
            Self::AlreadySigned { .. } => {
                "sign the unsigned image: `otaseal strip` removes a signature; if these bytes only look signed, use \
                 `otaseal sign --force`"
            }
            Self::Read(_) => "check that the file is there and that you may read it",
            Self::Write(_) => {
                "free some space or choose another place, then run it again; otaseal changed nothing"
            }
            Self::NotAsWritten => {
                "check the disk, and that no other program writes there, then run it again; otaseal changed nothing"
            }
            Self::Command { failure, .. } => return failure.advice(speaker),
            Self::Token { failure, .. } => return failure.advice(speaker),
            Self::Mismatch(mismatch) => return mismatch.advice(speaker),
            Self::Backend(_) | Self::SelfCheck(_) => {
                "check the key, and if it is good, the machine's memory; otaseal wrote nothing"
            }
        };
        text.into()
    }
}

impl Advice for CommandFailure {
    fn advice(&self, _: Speaker) -> String {
        let text = match self {
            Self::Start(_) => {
                "check that it is installed and in PATH; otaseal uses no shell: for a pipe or a variable write sh -c '…'"
            }
            Self::Lost(_) => "run it again",
            Self::TimeOut(_) => "check why it waits, or give it more time with --signer-timeout",
            Self::TooMuch => "make it write the signature to standard output and nothing else",
            Self::Failed(_) => {
                "run the command by hand and give it the DigestInfo on standard input: `otaseal digest IMAGE --raw \
                 digest-info` makes the same bytes; otaseal wrote nothing"
            }
            Self::NoSignature { .. } => {
                "make it write the signature to standard output: raw, hexadecimal or base64"
            }
        };
        text.into()
    }
}

impl Advice for TokenFailure {
    fn advice(&self, _: Speaker) -> String {
        match self {
            Self::Module { state, .. } => format!("{}; otaseal wrote nothing", about_module(*state)),
            Self::HashesMessages => "use `otaseal sign` or `otaseal package`, which give it the image".into(),
            Self::WritesDigestInfo => {
                "omit the legacy signature, or make it with a key that offers CKM_RSA_PKCS".into()
            }
        }
    }
}

fn about_module(state: ModuleState) -> &'static str {
    match state {
        ModuleState::SessionsInUse => {
            "end the other programs that use the token: they use all of its sessions"
        }
        ModuleState::TokenRemoved => "put the token in again, then run it again",
        ModuleState::NoRandomNumbers => "check that the system's random number source works, then try again",
        ModuleState::Unknown => "check the token with its own tool, or with `pkcs11-tool --test --login`",
    }
}

impl Advice for Mismatch {
    fn advice(&self, _: Speaker) -> String {
        let text = match self {
            Self::Length { .. } => "give only the signature, made with the private key of this public key",
            Self::Trivial => {
                "check the signer with its own tool: it made no signature, and reported no error"
            }
            Self::OtherKey => "check which key signs, and give its public key",
            Self::Reversed => "reverse the bytes: some interfaces give the lowest byte first",
            Self::OtherScheme(Scheme::Legacy) => {
                "let the signer add the DigestInfo (openssl: -pkeyopt digest:sha256), or give it the DigestInfo; \
                 use --legacy only for devices with core 2.5.0 to 2.5.2"
            }
            Self::OtherScheme(Scheme::Pkcs1v15Sha256) => {
                "sign the bare digest with PKCS#1 padding and nothing else (openssl: no `digest` option), or omit \
                 --legacy"
            }
            Self::OtherBytes => "sign the digest of this image again: the signature is for another image",
            Self::HashedAgain => {
                "use the signer's mode for a ready digest (openssl: pkeyutl, not dgst): it hashed its input again"
            }
            Self::HashedDigestInfo | Self::WrappedTwice => {
                "give the signer the bare digest (--signer-cmd-input digest), or use its mode that only pads (openssl: \
                 no `digest` option): it makes the DigestInfo itself"
            }
            Self::HexadecimalText => {
                "give the signer the 32 bytes of the digest, not the 64 hexadecimal digits"
            }
            Self::OtherHash(_) => "choose SHA-256 in the signer: devices check nothing else",
            Self::NoNull => {
                "use a signer that writes the DigestInfo as RFC 8017 does, or give it the DigestInfo"
            }
            Self::Pss(_) => {
                "choose PKCS#1 v1.5 padding: devices check nothing else (openssl: -pkeyopt rsa_padding_mode:pkcs1; \
                 AWS: RSASSA_PKCS1_V1_5_SHA_256)"
            }
            Self::NoPadding => "choose PKCS#1 v1.5 padding (openssl: -pkeyopt rsa_padding_mode:pkcs1)",
            Self::Unknown { .. } => "sign the output of `otaseal digest` and nothing else",
        };
        text.into()
    }
}

impl Advice for DetachedError {
    fn advice(&self, _: Speaker) -> String {
        "give only the signature: raw bytes, or their hexadecimal or base64 text".into()
    }
}

impl Advice for RequestError {
    fn advice(&self, _: Speaker) -> String {
        let text = match self {
            Self::TooLarge | Self::Invalid(_) | Self::Inconsistent(_) => {
                "give the file that `otaseal digest` wrote, unchanged"
            }
            Self::Schema(_) => "use the otaseal that wrote it, or a newer one",
            Self::OtherKey { .. } => "give the public key that you gave to `otaseal digest`",
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
                "write its public key to a file and give that file: otaseal pubkey --private-key 'pkcs11:…' --pem -o \
                 public.pem"
                    .into()
            }
            Self::Read { .. } => "check that the file is there and that you may read it".into(),
            Self::CommandsKey { .. } => {
                "get the public key from the key service, and put it there: otaseal verifies the command's \
                 signatures with it"
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
                "give the library that came with the token: ?module-path=/…/module.so in the URI, --pkcs11-module, or \
                 the environment variable OTASEAL_PKCS11_MODULE"
                    .into()
            }
            Self::Load { .. } => {
                "check the name, and that it is the token's PKCS#11 library for this kind of processor".into()
            }
            Self::NotBuilt => "build otaseal with the feature `pkcs11`".into(),
            Self::NoToken { .. } => {
                "check that the token is plugged in, and check its name: `pkcs11-tool --module MODULE -L` lists the \
                 tokens"
                    .into()
            }
            Self::Tokens { .. } => "choose one: add serial= or slot-id= to the URI".into(),
            Self::NoKey { .. } => {
                "check object= (the key's label) and id= (its identifier, with % before every byte)".into()
            }
            Self::Keys { .. } => "choose one: add id= to the URI".into(),
            Self::Exists { .. } => {
                "choose another object=, or remove the old key with the token's own tool: otaseal never replaces a key \
                 in a token"
                    .into()
            }
            Self::NoName => "add object=NAME to the URI".into(),
            Self::WrongPin { .. } => {
                "check the PIN's source (pin-source in the URI, OTASEAL_PKCS11_PIN, --passphrase-file, -fd, -env); \
                 otaseal tries a PIN once, because tokens lock after a few failures"
                    .into()
            }
            Self::Locked { .. } => {
                "let its security officer unlock it, as in `pkcs11-tool --init-pin --login --login-type so`".into()
            }
            Self::Secret(error) => error.advice(speaker),
            Self::PinText => "check the PIN's source".into(),
            Self::NoPublicKey { .. } => {
                "store the public key in the token with the same id, as in `pkcs11-tool --write-object public.der \
                 --type pubkey --id …`"
                    .into()
            }
            Self::Key { source, .. } => source.advice(speaker),
            Self::NotRsa { .. } => {
                format!("make an RSA key with `{keygen} --key pkcs11:…`: the devices verify nothing else")
            }
            Self::NoMechanism { .. } => {
                "check the token's mechanisms with `pkcs11-tool -M`, and whether this key may sign".into()
            }
            Self::Weak { .. } => "use another token: this one makes keys that can leave it".into(),
            Self::Module { state, .. } => about_module(*state).into(),
        }
    }
}
