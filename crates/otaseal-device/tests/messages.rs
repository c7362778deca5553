//! Tests that every error has a text of its own, and a code of its own that stays.

use std::collections::BTreeSet;

use otaseal_device::{KeyError, MetadataError, Reject, Unmet, VerifyAtError};

const KEY_ERRORS: [KeyError; 3] = [KeyError::Size, KeyError::TopBitClear, KeyError::Even];
const METADATA_ERRORS: [MetadataError; 8] = [
    MetadataError::Place,
    MetadataError::Twice,
    MetadataError::Size,
    MetadataError::Format,
    MetadataError::Cut,
    MetadataError::Order,
    MetadataError::Critical,
    MetadataError::Value,
];
const UNMET: [Unmet; 3] = [Unmet::Name, Unmet::Board, Unmet::Version];

#[test]
fn every_error_has_a_text_of_its_own() {
    let texts: Vec<String> = (Reject::ALL.iter().map(Reject::to_string))
        .chain(KEY_ERRORS.iter().map(KeyError::to_string))
        .chain(METADATA_ERRORS.iter().map(MetadataError::to_string))
        .chain(UNMET.iter().map(Unmet::to_string))
        .chain([VerifyAtError::Read("timeout").to_string()])
        .collect();
    for text in &texts {
        assert!(text.len() > 10 && text.starts_with(|c: char| c.is_ascii_lowercase()), "{text:?}");
        assert!(!text.ends_with('.') && !text.contains('\n'), "{text:?}");
    }
    assert_eq!(texts.iter().collect::<BTreeSet<_>>().len(), texts.len(), "{texts:#?}");
}

#[test]
fn an_error_of_the_storage_keeps_its_own_text_and_a_reject_its_text() {
    assert!(VerifyAtError::Read("timeout").to_string().contains("timeout"));
    for reject in Reject::ALL {
        assert_eq!(VerifyAtError::<&str>::Reject(reject).to_string(), reject.to_string());
    }
}

/// A device reports a code as one byte, so no two errors may share one.
#[test]
fn codes_are_stable_and_differ() {
    assert_eq!(METADATA_ERRORS.map(MetadataError::code), [16, 17, 18, 19, 20, 21, 22, 23]);
    assert_eq!(UNMET.map(Unmet::code), [33, 34, 35]);
    let codes: BTreeSet<u8> = (Reject::ALL.iter().map(|reject| reject.code()))
        .chain(METADATA_ERRORS.map(MetadataError::code))
        .chain(UNMET.map(Unmet::code))
        .collect();
    assert_eq!(codes.len(), Reject::ALL.len() + METADATA_ERRORS.len() + UNMET.len());
    assert!(!codes.contains(&0), "0 is success");
}
