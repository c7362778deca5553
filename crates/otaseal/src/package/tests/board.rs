use super::*;
use crate::format::metadata::Labels;
use crate::testing::pico_image;

#[test]
fn a_board_in_the_metadata_or_in_the_tokens_must_be_the_images() {
    let bench = Bench::new();
    let refused = |image: &[u8], board: Option<&str>| {
        fs::write(bench.path("fw.bin"), image).unwrap();
        // The packages of firmware with different names go into different directories.
        let _ = fs::remove_dir_all(bench.path("dist"));
        let mut options = bench.options();
        options.metadata = board.map(|board| Labels { board: board.parse().ok(), ..Labels::default() });
        bench.package(&options).err().map(|error| error.to_string())
    };
    let image = pico_image(Some("pico_w"));
    assert_eq!(refused(&image, None), None);
    for board in ["pico_w", "rpi-pico-w", "lamp-2"] {
        assert_eq!(refused(&image, Some(board)), None, "{board}");
    }
    let error = refused(&image, Some("pico2")).unwrap();
    assert!(error.contains("the board pico2, but it is an RP2040 image for the board pico_w"), "{error}");
    // Homie's tokens: another firmware for the same board is no contradiction.
    let with = |name: &[u8]| {
        let name = [&b"\xbf\x84\xe4\x13\x54"[..], name, b"\x93\x44\x6b\xa7\x75\0"].concat();
        [&image[..], &name, VERSION].concat()
    };
    assert_eq!(refused(&with(b"lamp"), None), None);
    assert_eq!(refused(&with(b"esp32-lamp"), None), None);
    assert!(refused(&with(b"esp32"), None).unwrap().contains("the board esp32, but"));
    assert!(refused(&with(b"Pico 2"), None).unwrap().contains("the board Pico 2, but"));
    assert_eq!(refused(&with("Pico é".as_bytes()), None), None);
}
