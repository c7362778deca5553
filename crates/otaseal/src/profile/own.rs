//! A device with this project's verifier.

use super::update::{Course, Update};
use super::{Reason, Verdict};
use crate::sign::{Scheme, verify};
use otaseal_device::MetadataBlock;

/// The verdict of the verifier, and the block that the device's update policy would read.
pub(super) fn judge(update: &Update<'_>, course: &mut Course) -> Result<(), Verdict> {
    let Some(key) = update.device.key else {
        return Err(Verdict::Unknown { reason: Reason::KeyNotGiven { may_check_nothing: false } });
    };
    let refuse = |code: u8, reason: Reason| Verdict::Refuses {
        code: Some(code.into()),
        prints: format!("{code}: {reason}"),
        reason,
    };
    let accepted = verify::judge_bytes(update.image, key, Scheme::Pkcs1v15Sha256)
        .map_err(|reject| refuse(reject.code(), Reason::Rejected(reject)))?;
    course.passed("signature");
    match MetadataBlock::of_unverified(&update.image[..accepted.payload_len]) {
        Ok(_) => {
            course.passed("metadata");
            Ok(())
        }
        Err(error) => Err(refuse(error.code(), Reason::Metadata(error))),
    }
}
