//! Opens a token, and finds a key in it.

use super::{ModuleState, Pkcs11Error, module};
use crate::key::PublicKey;
use crate::key::material;
use crate::key::passphrase::{
    Passphrase, PassphraseSource, SecretError, SecretKind, SecretPlace, Secrets, ask,
};
use crate::key::uri::{PIN_VARIABLE, Pkcs11Uri};
use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::MechanismType;
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::{Slot, TokenInfo};
use cryptoki::types::AuthPin;
use std::fmt;
use std::path::Path;

/// A token. Its user is logged in.
pub(super) struct Token {
    pub(super) context: Pkcs11,
    pub(super) slot: Slot,
    /// Its name in messages.
    pub(super) name: String,
    pub(super) uri: String,
    pub(super) pin: Option<AuthPin>,
    /// Holds the login, which ends with the last session of the application.
    pub(super) session: Session,
}

/// A private key in a token.
pub(super) struct Key {
    pub(super) object: ObjectHandle,
    pub(super) name: String,
    pub(super) public: PublicKey,
    pub(super) way: Way,
}

/// The kind of a session.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    Use,
    Change,
}

/// The name of a key or a token in messages.
pub(super) struct Named<'a> {
    pub(super) label: &'a str,
    pub(super) id: &'a [u8],
}

impl fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let label: String = self.label.chars().map(|c| if c.is_control() { '\u{FFFD}' } else { c }).collect();
        write!(f, "`{label}` (id ")?;
        match self.id {
            [] => f.write_str("none")?,
            id => id.iter().take(64).try_for_each(|byte| write!(f, "%{byte:02X}"))?,
        }
        f.write_str(")")
    }
}

impl Token {
    /// Loads the module, finds the token, and logs in.
    pub(super) fn open(
        uri: &Pkcs11Uri,
        module: Option<&Path>,
        secrets: &dyn Secrets,
        access: Access,
    ) -> Result<Self, Pkcs11Error> {
        let (context, slot, info) = reach(uri, module)?;
        let name = token_name(slot, &info);
        let opened = match access {
            Access::Use => context.open_ro_session(slot),
            Access::Change => context.open_rw_session(slot),
        };
        let session = opened.map_err(|error| failed(&format!("{name} could not be opened"), &error))?;
        let mut token = Self { context, slot, name, uri: uri.without_pin().to_string(), pin: None, session };
        token.log_in(uri, &info, secrets)?;
        Ok(token)
    }

    fn log_in(
        &mut self,
        uri: &Pkcs11Uri,
        info: &TokenInfo,
        secrets: &dyn Secrets,
    ) -> Result<(), Pkcs11Error> {
        if !info.login_required() {
            return Ok(());
        }
        let token = || self.name.clone();
        if info.user_pin_locked() {
            return Err(Pkcs11Error::Locked { token: token() });
        }
        // A reader with its own keypad asks for the PIN itself.
        if !info.protected_authentication_path() {
            let pin = pin(uri, &self.name, secrets)?;
            let text = std::str::from_utf8(pin.expose()).map_err(|_| Pkcs11Error::PinText)?;
            self.pin = Some(AuthPin::new(text.into()));
        }
        match self.session.login(UserType::User, self.pin.as_ref()) {
            Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => Ok(()),
            Err(Error::Pkcs11(RvError::PinLocked, _)) => Err(Pkcs11Error::Locked { token: token() }),
            Err(Error::Pkcs11(RvError::PinIncorrect | RvError::PinLenRange | RvError::PinInvalid, _)) => {
                let now = self.context.get_token_info(self.slot).ok();
                if now.as_ref().is_some_and(TokenInfo::user_pin_locked) {
                    return Err(Pkcs11Error::Locked { token: token() });
                }
                let last = now.is_some_and(|now| now.user_pin_final_try());
                Err(Pkcs11Error::WrongPin { token: token(), last })
            }
            Err(error) => Err(failed(&format!("{} refused the login", self.name), &error)),
        }
    }

    /// Returns the objects of a class that the URI names, with their names in messages.
    pub(super) fn find(
        &self,
        class: ObjectClass,
        uri: &Pkcs11Uri,
    ) -> Result<Vec<(ObjectHandle, String)>, Pkcs11Error> {
        let mut template = vec![Attribute::Class(class)];
        template.extend(uri.object.as_ref().map(|label| Attribute::Label(label.clone().into_bytes())));
        template.extend(uri.id.as_ref().map(|id| Attribute::Id(id.clone())));
        let failed = |error| failed(&format!("{} could not be searched", self.name), &error);
        let found = self.session.find_objects(&template).map_err(failed)?;
        Ok(found.into_iter().map(|object| (object, self.name_of(object))).collect())
    }

    fn name_of(&self, object: ObjectHandle) -> String {
        let (mut label, mut id) = (String::new(), Vec::new());
        for attribute in self.attributes(object, &[AttributeType::Label, AttributeType::Id]) {
            match attribute {
                Attribute::Label(bytes) => label = String::from_utf8_lossy(&bytes).into_owned(),
                Attribute::Id(bytes) => id = bytes,
                _ => {}
            }
        }
        Named { label: &label, id: &id }.to_string()
    }

    /// Returns the attributes that the token gives, and omits the others.
    pub(super) fn attributes(&self, object: ObjectHandle, wanted: &[AttributeType]) -> Vec<Attribute> {
        self.session.get_attributes(object, wanted).unwrap_or_default()
    }

    /// Returns the private key that the URI names, and the facts about it.
    pub(super) fn key(&self, uri: &Pkcs11Uri) -> Result<Key, Pkcs11Error> {
        let (object, name) = self.private_key(uri)?;
        let public = self.public_key(object, &name)?;
        let way = self.way(object, &name)?;
        Ok(Key { object, name, public, way })
    }

    pub(super) fn remove(&self, objects: [ObjectHandle; 2]) {
        for object in objects {
            // An object that cannot be removed stays. The caller reports that the key must not be used.
            let _ = self.session.destroy_object(object);
        }
    }

    fn private_key(&self, uri: &Pkcs11Uri) -> Result<(ObjectHandle, String), Pkcs11Error> {
        let mut found = self.find(ObjectClass::PRIVATE_KEY, uri)?;
        let (token, searched) = (self.name.clone(), self.uri.clone());
        let names =
            |found: Vec<(ObjectHandle, String)>| found.into_iter().map(|(_, name)| name).take(20).collect();
        match found.len() {
            0 => {
                let all = self.find(ObjectClass::PRIVATE_KEY, &Pkcs11Uri::default())?;
                Err(Pkcs11Error::NoKey { token, uri: searched, found: names(all) })
            }
            1 => Ok(found.remove(0)),
            _ => Err(Pkcs11Error::Keys { token, uri: searched, found: names(found) }),
        }
    }

    /// Returns the public half: from the private object, because every RSA key knows its modulus and most give it, or
    /// from the public object with the same identifier.
    fn public_key(&self, private: ObjectHandle, key: &str) -> Result<PublicKey, Pkcs11Error> {
        let (mut numbers, mut id) = (Numbers::default(), Vec::new());
        let wanted = [
            AttributeType::KeyType,
            AttributeType::Id,
            AttributeType::Modulus,
            AttributeType::PublicExponent,
        ];
        for attribute in self.attributes(private, &wanted) {
            match attribute {
                Attribute::KeyType(kind) if kind != KeyType::RSA => {
                    return Err(Pkcs11Error::NotRsa { token: self.name.clone(), key: key.to_owned() });
                }
                Attribute::Id(bytes) => id = bytes,
                attribute => numbers.take(attribute),
            }
        }
        if !numbers.complete() && !id.is_empty() {
            let wanted = Pkcs11Uri { id: Some(id), ..Pkcs11Uri::default() };
            for (object, _) in self.find(ObjectClass::PUBLIC_KEY, &wanted)?.into_iter().take(1) {
                for attribute in
                    self.attributes(object, &[AttributeType::Modulus, AttributeType::PublicExponent])
                {
                    numbers.take(attribute);
                }
            }
        }
        let (token, key) = (self.name.clone(), key.to_owned());
        match numbers.complete() {
            true => PublicKey::from_numbers(trimmed(&numbers.modulus), trimmed(&numbers.exponent))
                .map_err(|source| Pkcs11Error::Key { token, key, source }),
            false => Err(Pkcs11Error::NoPublicKey { token, key }),
        }
    }

    fn way(&self, private: ObjectHandle, key: &str) -> Result<Way, Pkcs11Error> {
        let offered = self
            .context
            .get_mechanism_list(self.slot)
            .map_err(|error| failed(&format!("{} does not list its mechanisms", self.name), &error))?;
        let wanted = [AttributeType::AlwaysAuthenticate, AttributeType::AllowedMechanisms];
        let (mut allowed, mut always) = (None, false);
        for attribute in self.attributes(private, &wanted) {
            match attribute {
                Attribute::AllowedMechanisms(list) if !list.is_empty() => allowed = Some(list),
                Attribute::AlwaysAuthenticate(value) => always = value,
                _ => {}
            }
        }
        let can = |mechanism: &MechanismType| {
            offered.contains(mechanism) && allowed.as_ref().is_none_or(|list| list.contains(mechanism))
        };
        // Such a key wants its PIN between two calls. For CKM_RSA_PKCS, the crate makes both in one.
        if can(&MechanismType::RSA_PKCS) && !always {
            return Ok(Way::Padding);
        }
        if can(&MechanismType::SHA256_RSA_PKCS) {
            return Ok(Way::Hashing { pin_each_time: always });
        }
        Err(Pkcs11Error::NoMechanism { token: self.name.clone(), key: key.to_owned() })
    }
}

/// Big-endian numbers of an RSA key.
#[derive(Default)]
struct Numbers {
    modulus: Vec<u8>,
    exponent: Vec<u8>,
}

impl Numbers {
    fn take(&mut self, attribute: Attribute) {
        match attribute {
            Attribute::Modulus(bytes) => self.modulus = bytes,
            Attribute::PublicExponent(bytes) => self.exponent = bytes,
            _ => {}
        }
    }

    fn complete(&self) -> bool {
        !self.modulus.is_empty() && !self.exponent.is_empty()
    }
}

/// Takes off the leading zero that some tokens write.
fn trimmed(number: &[u8]) -> &[u8] {
    &number[number.iter().take_while(|&&byte| byte == 0).count()..]
}

/// Returns the PIN: from the URI's file, or the environment variable, or `secrets`. An empty PIN is refused, even if
/// there is another place. A variable that is set and empty is a secret that did not arrive, and does not mean that
/// another place is wanted.
fn pin(uri: &Pkcs11Uri, token: &str, secrets: &dyn Secrets) -> Result<Passphrase, Pkcs11Error> {
    Ok(match &uri.pin_source {
        Some(path) => {
            PassphraseSource::File(path.clone()).read(SecretKind::Pin).map_err(|error| match error {
                SecretError::Unreadable { kind, why, .. } => {
                    SecretError::Unreadable { kind, place: SecretPlace::PinSource, why }
                }
                error => error,
            })?
        }
        None if std::env::var_os(PIN_VARIABLE).is_some() => {
            PassphraseSource::Environment(PIN_VARIABLE.into()).read(SecretKind::Pin)?
        }
        None => ask(secrets, SecretKind::Pin, token)?,
    })
}

/// Loads the module, and finds the token in it.
fn reach(uri: &Pkcs11Uri, module: Option<&Path>) -> Result<(Pkcs11, Slot, TokenInfo), Pkcs11Error> {
    let path = module::find(uri, module)?;
    if !material::is_name(path.as_os_str()) {
        let why = "it cannot be the name of a file".into();
        return Err(Pkcs11Error::Load { path: material::NOT_A_NAME.into(), why });
    }
    let context = Pkcs11::new(&path).map_err(|error| {
        let why = match error {
            Error::LibraryLoading(error) => error.to_string(),
            Error::MissingSymbol(name) => format!("it has no {name}, so it is not a PKCS#11 module"),
            error => in_short(&error),
        };
        Pkcs11Error::Load { path: path.clone(), why }
    })?;
    match context.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
        // One process may open two keys of one module.
        Ok(()) | Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => {}
        Err(error) => return Err(failed("the module could not be started", &error)),
    }
    let (slot, info) = find_slot(&context, uri)?;
    Ok((context, slot, info))
}

/// Loads the module of a key in a token, and finds the token. It does not log in, and does not look for the key. Returns
/// the token's name for messages.
///
/// # Errors
/// [`Pkcs11Error`] of the module and of the token.
pub fn find_token(uri: &Pkcs11Uri, module: Option<&Path>) -> Result<String, Pkcs11Error> {
    reach(uri, module).map(|(_, slot, info)| token_name(slot, &info))
}

fn find_slot(context: &Pkcs11, uri: &Pkcs11Uri) -> Result<(Slot, TokenInfo), Pkcs11Error> {
    let unlisted = |error| failed("the module does not list its tokens", &error);
    let (mut matching, mut all) = (Vec::new(), Vec::new());
    for slot in context.get_slots_with_token().map_err(unlisted)? {
        // Somebody took the token out in the meantime.
        let Ok(info) = context.get_token_info(slot) else { continue };
        if !info.token_initialized() {
            continue;
        }
        all.push(token_name(slot, &info));
        if is_meant(context, slot, &info, uri) {
            matching.push((slot, info));
        }
    }
    let searched = uri.without_pin().to_string();
    match matching.len() {
        0 => Err(Pkcs11Error::NoToken { uri: searched, found: all }),
        1 => Ok(matching.remove(0)),
        _ => {
            let found = matching.iter().map(|(slot, info)| token_name(*slot, info)).collect();
            Err(Pkcs11Error::Tokens { uri: searched, found })
        }
    }
}

fn is_meant(context: &Pkcs11, slot: Slot, info: &TokenInfo, uri: &Pkcs11Uri) -> bool {
    let same = |wanted: &Option<String>, found: &str| wanted.as_ref().is_none_or(|wanted| wanted == found);
    let token = same(&uri.token, info.label())
        && same(&uri.manufacturer, info.manufacturer_id())
        && same(&uri.model, info.model())
        && same(&uri.serial, info.serial_number())
        && uri.slot_id.is_none_or(|id| id == slot.id());
    if !token || (uri.slot_description.is_none() && uri.slot_manufacturer.is_none()) {
        return token;
    }
    context.get_slot_info(slot).is_ok_and(|info| {
        same(&uri.slot_description, info.slot_description())
            && same(&uri.slot_manufacturer, info.manufacturer_id())
    })
}

fn token_name(slot: Slot, info: &TokenInfo) -> String {
    let clean = |text: &str| -> String { text.chars().filter(|c| !c.is_control()).collect() };
    let (label, serial) = (clean(info.label()), clean(info.serial_number()));
    format!("token `{label}` (serial {serial}, slot {})", slot.id())
}

pub(super) fn failed(what: &str, error: &Error) -> Pkcs11Error {
    Pkcs11Error::Module { what: what.into(), why: in_short(error), state: state(error) }
}

/// Returns the known cause of a module's error.
pub(super) fn state(error: &Error) -> ModuleState {
    match error {
        Error::Pkcs11(RvError::SessionCount, _) => ModuleState::SessionsInUse,
        Error::Pkcs11(RvError::DeviceRemoved | RvError::TokenNotPresent, _) => ModuleState::TokenRemoved,
        _ => ModuleState::Unknown,
    }
}

/// Returns the error in the words of PKCS#11, without the paragraph that the crate adds.
pub(super) fn in_short(error: &Error) -> String {
    match error {
        Error::Pkcs11(value, function) => format!("{value:?} in C_{function:?}"),
        error => error.to_string(),
    }
}

/// The way in which a token signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// It pads its input: `CKM_RSA_PKCS`.
    Padding,
    /// It takes only the whole message: `CKM_SHA256_RSA_PKCS`.
    Hashing {
        /// Whether it wants the PIN for every signature (`CKA_ALWAYS_AUTHENTICATE`).
        pin_each_time: bool,
    },
}
