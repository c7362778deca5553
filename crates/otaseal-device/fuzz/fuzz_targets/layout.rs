//! Fuzzes the layout: splitting undoes joining, each refusal has its reason, and the image cannot choose the lengths.
#![no_main]

use libfuzzer_sys::fuzz_target;
use otaseal_device::{Reject, layout};

fuzz_target!(|image: &[u8]| {
    for signature_len in [0, 1, 256, 384, 512, 65_536, u32::MAX as usize] {
        match layout::split(image, signature_len) {
            Ok((payload, signature)) => {
                assert!(!payload.is_empty());
                assert_eq!(signature.len(), signature_len);
                let joined = [payload, signature, &layout::length_field(signature_len)].concat();
                assert_eq!(joined, image);
            }
            Err(Reject::NoTrailer) => assert!(image.len() < layout::LENGTH_FIELD_LEN),
            Err(Reject::LengthField) => assert!(!image.ends_with(&layout::length_field(signature_len))),
            Err(Reject::NoSignature) => assert!(image.len() < layout::trailer_len(signature_len)),
            Err(Reject::EmptyPayload) => assert_eq!(image.len(), layout::trailer_len(signature_len)),
            Err(other) => panic!("{other:?} is not a matter of layout"),
        }
    }
});
