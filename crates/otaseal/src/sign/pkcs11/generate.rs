//! Makes a new key inside a token. The key never leaves it.

use super::token::{Access, Token, failed};
use super::{ModuleState, Pkcs11Error, Pkcs11Signer};
use crate::key::passphrase::Secrets;
use crate::key::uri::Pkcs11Uri;
use crate::key::{KeyError, KeySize, PrivateKey, PublicKey};
use crate::output::{Planned, Run};
use crate::sign::{Scheme, Signer, sign_in_memory};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass};
use cryptoki::types::Ulong;
use std::path::Path;

/// Makes an RSA key inside the token that the URI names: sensitive, not extractable, for signing only, e = 65537. The
/// URI must have an `object`, the key's name. The key gets the URI's `id`, or a random one. The new key signs a test
/// message, and the device verifier judges the signature. If it rejects it, the key is removed again. A dry run ends
/// before the token makes the key. It returns another key of the same size.
///
/// # Errors
/// [`Pkcs11Error`]. [`Pkcs11Error::Exists`] if the token has an object of that name: it is never replaced.
pub fn generate(
    uri: &Pkcs11Uri,
    module: Option<&Path>,
    secrets: &dyn Secrets,
    size: KeySize,
    run: &Run,
) -> Result<PublicKey, Pkcs11Error> {
    let label = uri.object.as_ref().filter(|label| !label.is_empty()).ok_or(Pkcs11Error::NoName)?;
    let mut id = [0; 16];
    let no_numbers = |why: String| Pkcs11Error::Module {
        what: "the system gave no random numbers".into(),
        why,
        state: ModuleState::NoRandomNumbers,
    };
    getrandom::fill(&mut id).map_err(|error| no_numbers(error.to_string()))?;
    let id = uri.id.clone().unwrap_or_else(|| id.to_vec());
    let token = Token::open(uri, module, secrets, Access::Change)?;
    let name = token.name.clone();
    let mut taken = token.find(ObjectClass::PRIVATE_KEY, uri)?;
    taken.extend(token.find(ObjectClass::PUBLIC_KEY, uri)?);
    if !taken.is_empty() {
        let found = taken.into_iter().map(|(_, name)| name).collect();
        return Err(Pkcs11Error::Exists { token: name, found });
    }
    if run.skips(|| Planned::MakeKey { uri: uri.to_string() }) {
        let key = PrivateKey::generate(size).map_err(|error| no_numbers(error.to_string()))?;
        return Ok(key.public().clone());
    }
    let named = || [Attribute::Label(label.clone().into_bytes()), Attribute::Id(id.clone())];
    // The type is 32 bits wide on Windows.
    let bits = Ulong::try_from(size.bytes() * 8).map_err(|error| failed("the key is too large", &error))?;
    let mut public = vec![
        Attribute::Token(true),
        Attribute::Private(false),
        Attribute::Verify(true),
        Attribute::Encrypt(false),
        Attribute::ModulusBits(bits),
        Attribute::PublicExponent(vec![1, 0, 1]),
    ];
    public.extend(named());
    let mut private = vec![
        Attribute::Token(true),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Sign(true),
        Attribute::Decrypt(false),
        Attribute::Unwrap(false),
    ];
    private.extend(named());
    let (public, private) = token
        .session
        .generate_key_pair(&Mechanism::RsaPkcsKeyPairGen, &public, &private)
        .map_err(|error| failed(&format!("{name} made no key"), &error))?;
    let objects = [private, public];
    let wanted = [AttributeType::Sensitive, AttributeType::Extractable, AttributeType::KeyType];
    if let Some(what) = weakness(&token.attributes(private, &wanted)) {
        token.remove(objects);
        return Err(Pkcs11Error::Weak { token: name, what });
    }
    let own = Pkcs11Uri { object: Some(label.clone()), id: Some(id), ..Pkcs11Uri::default() };
    let key = token.key(&own).inspect_err(|_| token.remove(objects))?;
    let signer = Pkcs11Signer::of(token, key);
    prove(&signer).map_err(|why| {
        signer.remove(objects);
        Pkcs11Error::Key { token: name, key: format!("`{label}`"), source: KeyError::Generate(why) }
    })?;
    Ok(signer.public_key().clone())
}

/// Signs a message that is thrown away. The device verifier judges the signature, as it judges every signature.
fn prove(signer: &Pkcs11Signer) -> Result<(), String> {
    let proof = b"The first thing that a new key signs is thrown away.";
    let signed = sign_in_memory(proof, Scheme::Pkcs1v15Sha256, signer);
    signed.map(drop).map_err(|error| error.to_string())
}

/// Names the fault of a key that can leave its token.
fn weakness(attributes: &[Attribute]) -> Option<&'static str> {
    attributes.iter().find_map(|attribute| match attribute {
        Attribute::Sensitive(false) => Some("not sensitive"),
        Attribute::Extractable(true) => Some("extractable"),
        Attribute::KeyType(kind) if *kind != KeyType::RSA => Some("not an RSA key"),
        _ => None,
    })
}
