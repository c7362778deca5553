//! OpenSSL's traditional PEM form: the headers of RFC 1421 section 4.6, a cipher in CBC mode, and a key from
//! `EVP_BytesToKey` with MD5 and one round (`PEM_do_header` in OpenSSL's crypto/pem/pem_lib.c).

use super::super::passphrase::Passphrase;
use super::EncryptionError;
use cbc::cipher::block_padding::Pkcs7;
use cbc::cipher::{BlockCipherDecrypt, BlockModeDecrypt, InnerIvInit, KeyInit};
use md5::{Digest, Md5};
use zeroize::{Zeroize, Zeroizing};

/// What a `DEK-Info` header names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Scheme {
    cipher: Cipher,
    iv: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cipher {
    Aes128,
    Aes192,
    Aes256,
    DesEde3,
    Des,
}

impl Cipher {
    const ALL: [Self; 5] = [Self::Aes128, Self::Aes192, Self::Aes256, Self::DesEde3, Self::Des];

    fn name(self) -> &'static str {
        match self {
            Self::Aes128 => "AES-128-CBC",
            Self::Aes192 => "AES-192-CBC",
            Self::Aes256 => "AES-256-CBC",
            Self::DesEde3 => "DES-EDE3-CBC",
            Self::Des => "DES-CBC",
        }
    }

    fn key_len(self) -> usize {
        match self {
            Self::Aes128 => 16,
            Self::Aes192 | Self::DesEde3 => 24,
            Self::Aes256 => 32,
            Self::Des => 8,
        }
    }

    fn block_len(self) -> usize {
        match self {
            Self::Aes128 | Self::Aes192 | Self::Aes256 => 16,
            Self::DesEde3 | Self::Des => 8,
        }
    }
}

impl Scheme {
    /// `CIPHER,IV`, the initialisation vector in hexadecimal.
    pub(super) fn parse(header: &str) -> Result<Self, EncryptionError> {
        let (name, iv) = header.split_once(',').ok_or(EncryptionError::Damaged)?;
        let name = name.trim();
        let Some(cipher) = Cipher::ALL.into_iter().find(|cipher| cipher.name() == name) else {
            // The name is the file's own text: only what looks like one is repeated.
            let plain = !name.is_empty()
                && name.len() <= 32
                && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
            return Err(match plain {
                true => EncryptionError::Unsupported(name.into()),
                false => EncryptionError::Damaged,
            });
        };
        let iv = hexadecimal(iv.trim()).filter(|iv| iv.len() == cipher.block_len());
        Ok(Self { cipher, iv: iv.ok_or(EncryptionError::Damaged)? })
    }

    pub(super) fn cipher(&self) -> &'static str {
        self.cipher.name()
    }

    /// `None` when the padding is wrong, as it is with nearly every wrong passphrase.
    pub(super) fn decrypt(&self, passphrase: &Passphrase, data: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let key = self.derive(passphrase);
        match self.cipher {
            Cipher::Aes128 => cbc_decrypt::<aes::Aes128>(&key, &self.iv, data),
            Cipher::Aes192 => cbc_decrypt::<aes::Aes192>(&key, &self.iv, data),
            Cipher::Aes256 => cbc_decrypt::<aes::Aes256>(&key, &self.iv, data),
            Cipher::DesEde3 => cbc_decrypt::<des::TdesEde3>(&key, &self.iv, data),
            Cipher::Des => cbc_decrypt::<des::Des>(&key, &self.iv, data),
        }
    }

    /// `EVP_BytesToKey`: MD5 over the block before, the passphrase, and the first 8 bytes of the vector as salt.
    fn derive(&self, passphrase: &Passphrase) -> Zeroizing<Vec<u8>> {
        let mut key = Zeroizing::new(Vec::with_capacity(48));
        let mut block = [0u8; 16];
        while key.len() < self.cipher.key_len() {
            let mut hash = Md5::new();
            if !key.is_empty() {
                hash.update(block);
            }
            hash.update(passphrase.expose());
            hash.update(&self.iv[..8]);
            block = hash.finalize().into();
            key.extend_from_slice(&block);
        }
        block.zeroize();
        key.truncate(self.cipher.key_len());
        key
    }
}

/// CBC with the padding of RFC 8018 section 6.1.1, step 4.
pub(super) fn cbc_decrypt<C: BlockCipherDecrypt + KeyInit>(
    key: &[u8],
    iv: &[u8],
    data: &[u8],
) -> Option<Zeroizing<Vec<u8>>> {
    let mut buffer = Zeroizing::new(data.to_vec());
    let mode = cbc::Decryptor::<C>::inner_iv_slice_init(C::new_from_slice(key).ok()?, iv).ok()?;
    let length = mode.decrypt_padded::<Pkcs7>(&mut buffer).ok()?.len();
    buffer.truncate(length);
    Some(buffer)
}

fn hexadecimal(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u32>> = text.chars().map(|digit| digit.to_digit(16)).collect();
    let digits = digits.filter(|digits| digits.len() % 2 == 0 && digits.len() <= 64)?;
    Some(digits.chunks_exact(2).map(|pair| (pair[0] << 4 | pair[1]) as u8).collect())
}
