use super::*;
use crate::sim::image::Sample;
use otaseal::format::gzip::{self, Effort};

fn sample(version: &str, seed: u32) -> Vec<u8> {
    Sample { name: "lamp", version, bytes: 50_000, seed }.esp8266()
}

fn board(profile: &str) -> Board {
    Board::new(profile.parse().unwrap(), &sample("1.0.0", 1))
}

#[test]
fn an_update_runs_after_the_next_start() {
    let new = sample("2.0.0", 2);
    for file in [new.clone(), gzip::gzip(&new, Effort::Fast).unwrap()] {
        let mut board = board("esp8266@3.1.2/unsigned");
        let old = board.sketch_md5();
        assert_eq!(board.receive(&file, Some(Via::Http), Content::Firmware), Answer::Took);
        assert_eq!(board.sketch_md5(), old);
        assert!(board.restart());
        assert_eq!(board.running(), new);
        assert_eq!(board.tokens().version.unwrap().value.as_str(), "2.0.0");
        assert_eq!(board.starts(), 1);
    }
}

#[test]
fn the_updater_writes_the_flash_mode_of_the_device() {
    let new = sample("2.0.0", 2);
    let mut board = board("esp8266@3.1.2/unsigned");
    board.flash_mode = FlashMode::Dout;
    board.receive(&new, Some(Via::Http), Content::Firmware);
    board.restart();
    let by_mode = Installed::of(&new).md5_by_flash_mode;
    assert_eq!(board.sketch_md5(), by_mode[&FlashMode::Dout]);
    assert_ne!(board.sketch_md5(), Md5Digest::of(&new));
}

#[test]
fn a_refused_file_changes_nothing() {
    let mut board = board("esp8266@3.1.2/unsigned");
    let before = board.sketch_md5();
    let answer = board.receive(b"no\x02image at all, but long enough", Some(Via::Espota), Content::Firmware);
    assert_eq!(
        answer,
        Answer::Refused { code: Some(10), prints: "ERROR[10]: Magic byte is not 0xE9".into() }
    );
    let large = Sample { name: "lamp", version: "3.0.0", bytes: 1_000_000, seed: 3 }.esp8266();
    let Answer::Refused { code, .. } = board.receive(&large, Some(Via::Espota), Content::Firmware) else {
        panic!("it took a file that does not fit")
    };
    assert_eq!(code, Some(4));
    assert!(board.restart());
    assert_eq!(board.sketch_md5(), before);
}

#[test]
fn an_image_that_does_not_boot_kills_the_board_although_the_updater_takes_it() {
    let mut damaged = sample("2.0.0", 2);
    // In the boot loader, whose checksum the ROM computes.
    damaged[20] ^= 1;
    let mut board = board("esp8266@3.1.2/unsigned");
    assert_eq!(board.receive(&damaged, Some(Via::Http), Content::Firmware), Answer::Took);
    assert!(!board.restart());
    assert!(!board.restart());
}

#[test]
fn a_sketch_behind_the_start_of_the_filesystem_makes_the_free_space_wrap() {
    let mut board = board("esp8266@3.1.2/unsigned");
    assert_eq!(board.free_space(), 0x10_0000 - 0xE000);
    board.fs_start = 0x1000;
    assert_eq!(board.free_space(), 0x1000u32.wrapping_sub(0xE000));
}
