//! Remembers what was judged: ten thousand equal devices are one question.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use super::{Code, Policy};
use crate::device::{DeviceFacts, DeviceKey};
use crate::release::Artefact;

/// So many kinds of devices are remembered of one release. A client can claim any numbers, so the memory is bounded.
const MOST: usize = 256;

/// What was found out of one release.
#[derive(Debug, Default)]
pub struct Memo(Mutex<HashMap<String, Found>>);

#[derive(Debug, Clone)]
pub(super) enum Found {
    Offer { file: String, because: String, assumed: Vec<String> },
    Never(Code, String),
}

impl Memo {
    pub(super) fn get(&self, kind: &str) -> Option<Found> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(kind).cloned()
    }

    pub(super) fn put(&self, kind: String, found: Found) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= MOST {
            all.clear();
        }
        all.insert(kind, found);
    }
}

/// Every fact on which a judgement rests, and nothing that tells two devices of one kind apart.
pub(super) fn kind(only: Option<&Artefact>, facts: &DeviceFacts, policy: Policy) -> String {
    let DeviceFacts {
        family,
        profile,
        core_at_least,
        sketch_bytes,
        free_bytes,
        chip_bytes,
        flash_mode,
        key,
        ..
    } = facts;
    let key = match key {
        DeviceKey::Unknown => "unknown".to_owned(),
        DeviceKey::None(_) => "none".to_owned(),
        DeviceKey::Holds(keys, _) => {
            keys.iter().map(|key| key.id().to_string()).collect::<Vec<_>>().join(",")
        }
        DeviceKey::HoldsUnseen(ids, _) => {
            format!("unseen {}", ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(","))
        }
    };
    fn of<T: std::fmt::Debug>(fact: &Option<crate::device::Known<T>>) -> Option<&T> {
        fact.as_ref().map(|fact| &fact.value)
    }
    format!(
        "{:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {key}",
        only.map(|only| &only.file),
        policy.way,
        policy.content,
        of(family),
        of(profile),
        of(core_at_least),
        of(sketch_bytes),
        of(free_bytes),
        of(chip_bytes),
        of(flash_mode),
    )
}
