use super::*;

#[test]
fn the_size_of_a_packet_is_that_of_the_standard() {
    // A PUBLISH of topic `a/b` and payload `hello`: 30 0a 00 03 61 2f 62 + payload.
    assert_eq!(packet_bytes(Version::V3, Quality::Once, 3, 5), 12);
    assert_eq!(packet_bytes(Version::V3, Quality::Acknowledged, 3, 5), 14);
    assert_eq!(packet_bytes(Version::V5, Quality::Once, 3, 5), 13);
    // The length field grows at 128, 16,384 and 2,097,152.
    assert_eq!(packet_bytes(Version::V3, Quality::Once, 1, 124), 2 + 127);
    assert_eq!(packet_bytes(Version::V3, Quality::Once, 1, 125), 3 + 128);
    assert_eq!(packet_bytes(Version::V3, Quality::Once, 1, 16_380), 3 + 16_383);
    assert_eq!(packet_bytes(Version::V3, Quality::Once, 1, 16_381), 4 + 16_384);
    assert_eq!(packet_bytes(Version::V3, Quality::Once, 1, 2_097_149), 5 + 2_097_152);
}
