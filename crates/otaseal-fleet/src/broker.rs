//! The options that name a broker.

use crate::error::Failure;
use crate::package;
use crate::secret::PasswordArgs;
use clap::Args;
use otaseal_delivery::homie::{Base, DeviceId};
use otaseal_delivery::mqtt::{Address, Options, Secret, Trust};
use std::path::PathBuf;

/// Where the broker is, and where the devices are in it.
#[derive(Debug, Args)]
pub(crate) struct BrokerArgs {
    /// Address of the broker: mqtt://HOST[:PORT] or mqtts://HOST[:PORT], perhaps with USER@
    #[arg(long, value_name = "URL", help_heading = "Broker")]
    pub(crate) broker: Address,
    /// Certificates of the authorities that the broker's certificate must come from, in PEM form
    /// [default: those that the system trusts]
    #[arg(long, value_name = "FILE", help_heading = "Broker")]
    broker_ca: Option<PathBuf>,
    /// Base topic of the devices, with its last slash
    #[arg(long, value_name = "TOPIC", default_value = "homie/", help_heading = "Broker")]
    pub(crate) base: Base,
    #[command(flatten)]
    password: PasswordArgs,
}

impl BrokerArgs {
    /// Returns the options of a session.
    pub(crate) fn options(&self) -> Result<Options, Failure> {
        let mut address = self.broker.clone();
        if let Some(password) = self.password.read("the broker")? {
            if address.user.is_none() {
                return Err(Failure::usage(
                    "a password needs the name of a user",
                    "put it into the address: mqtt://USER@HOST",
                ));
            }
            address.password = Some(Secret::new(password.to_string()));
        }
        let mut options = Options::new(address);
        if let Some(path) = &self.broker_ca {
            let bytes = package::read(path, 1 << 20).map_err(|error| Failure::file(path, &error))?;
            options.trust = Trust::Authorities(bytes);
        }
        Ok(options)
    }
}

/// Asks for the name of the device once more, before something that cannot be undone.
pub(crate) fn confirm(device: &DeviceId, typed: Option<&str>, what: &str) -> Result<(), Failure> {
    let typed = match typed {
        Some(typed) => typed.to_owned(),
        None => {
            let question = format!("This {what}. Type the name of the device to go on: ");
            rpassword::prompt_password(question).map_err(|error| {
                Failure::new(
                    format!("no answer could be read from the terminal: {error}"),
                    "give the name with --confirm where there is no terminal",
                )
            })?
        }
    };
    match typed.trim() == device.to_string() {
        true => Ok(()),
        false => Err(Failure::refused(
            "that is not the name of the device: nothing was done",
            "type it as it stands in the command",
        )),
    }
}

impl BrokerArgs {
    /// The same from options that a command declares itself, because it can do without a broker.
    pub(crate) fn of(broker: &Address, ca: Option<&PathBuf>, base: &Base, password: &PasswordArgs) -> Self {
        Self {
            broker: broker.clone(),
            broker_ca: ca.cloned(),
            base: base.clone(),
            password: password.clone(),
        }
    }
}
