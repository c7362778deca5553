//! The ends of an espota push, in words.

use crate::evidence::{By, End, Evidence};
use crate::text::said;
use crate::updater;

/// The device took the update.
pub(super) fn taken() -> End {
    End::Reached {
        evidence: Evidence::Taken,
        more: "The device restarts now. It runs the new image when it is seen again by mDNS, by another push, or by its \
               next request to a server."
            .into(),
    }
}

/// We refuse the image.
pub(super) fn refused_by_us(code: &str, why: &str) -> End {
    End::Refused { by: By::Us, code: code.into(), says: String::new(), why: why.into() }
}

/// The updater of the device refuses, in these words.
pub(super) fn refused(words: &[u8]) -> End {
    let says = said(words);
    let found = updater::explain(&says);
    End::Refused { by: By::Device, code: found.code, says, why: found.why.into() }
}

pub(super) fn wrong_password(says: &str) -> End {
    End::Refused {
        by: By::Device,
        code: "authentication-failed".into(),
        says: says.into(),
        why:
            "The password is wrong. It is the one that the running sketch gives to ArduinoOTA.setPassword()."
                .into(),
    }
}

pub(super) fn needs_password() -> End {
    End::Refused {
        by: By::Device,
        code: "needs-password".into(),
        says: "AUTH".into(),
        why: "The device asks for a password, and none was given. It is the one that the running sketch gives to \
              ArduinoOTA.setPassword()."
            .into(),
    }
}

pub(super) fn no_answer_to_password() -> End {
    failed(
        Evidence::Contact,
        "The device asked for the password and then did not answer.",
        "Restart the device and try again. Its sketch may block for too long between two calls of ArduinoOTA.handle().",
    )
}

pub(super) fn no_answer(invitations: u32, contact: bool, strange: Option<&str>, unreachable: bool) -> End {
    let why = match (strange, unreachable) {
        (Some(text), _) => format!("What answers there does not speak espota. It says: {text}"),
        (None, true) => "Nobody listens at this UDP port of the device.".into(),
        (None, false) => format!("The device did not answer. It was invited {invitations} times."),
    };
    failed(if contact { Evidence::Contact } else { Evidence::Nothing }, &why, ADVICE_NO_ANSWER)
}

pub(super) fn unreachable() -> End {
    failed(Evidence::Nothing, "Nobody listens at this UDP port of the device.", ADVICE_NO_ANSWER)
}

const ADVICE_NO_ANSWER: &str = "Check the address and the port: an ESP8266 has 8266, an RP2040 2040, an ESP32 3232. The \
    sketch must call ArduinoOTA.begin() in setup() and ArduinoOTA.handle() in loop().";

pub(super) fn never_connected() -> End {
    failed(
        Evidence::Contact,
        "The device said OK, but it did not connect to this computer.",
        "Let the device reach this computer: open the TCP port in the firewall, and use no address translation between \
         them. An ESP32 ends so too if it has no room for the image.",
    )
}

pub(super) fn flood(contact: bool) -> End {
    failed(
        if contact { Evidence::Contact } else { Evidence::Nothing },
        "What answers there sends far more datagrams than a device does.",
        "Check the address. Something else may use this port.",
    )
}

pub(super) fn early_ok() -> End {
    failed(
        Evidence::Contact,
        "The device said OK before it had the whole image.",
        "Do not trust this update: check what the device runs.",
    )
}

pub(super) fn too_much(evidence: Evidence) -> End {
    failed(
        evidence,
        "The device acknowledges more bytes than it was sent.",
        "What connected does not behave as a device. Check the address.",
    )
}

/// Every byte is there, and nobody refused.
fn sent(more: &str) -> End {
    End::Reached {
        evidence: Evidence::Sent,
        more: format!("{more} Check what it runs. If that is the old firmware, restart it and push again."),
    }
}

/// The device closed the connection without a word.
pub(super) fn closed(evidence: Evidence) -> End {
    let why = match evidence {
        Evidence::Sent => {
            return sent("The device closed the connection without saying whether it took the update.");
        }
        Evidence::HandedOver => "The device closed the connection without saying whether it took the update.",
        _ => "The device closed the connection before it had the whole image.",
    };
    failed(evidence, why, "Check what the device runs. If it runs the old firmware, try again.")
}

/// The device fell silent.
pub(super) fn silent(evidence: Evidence) -> End {
    let why = match evidence {
        Evidence::Sent => return sent("The device then said nothing."),
        Evidence::HandedOver => "The device got the image and then said nothing.",
        _ => "The device stopped to take bytes.",
    };
    failed(evidence, why, "Restart the device, check what it runs, and try again.")
}

pub(super) fn too_slow(evidence: Evidence) -> End {
    if evidence == Evidence::Sent {
        return silent(evidence);
    }
    failed(
        evidence,
        "The device takes the image too slowly.",
        "Bring the device nearer to its access point, restart it, and try again.",
    )
}

/// A socket could not be had.
pub(super) fn no_socket(what: &str, error: &std::io::Error) -> End {
    failed(Evidence::Nothing, &format!("{what}: {error}"), "")
}

pub(super) fn failed(evidence: Evidence, why: &str, advice: &str) -> End {
    End::Failed { evidence, why: why.into(), advice: advice.into() }
}
