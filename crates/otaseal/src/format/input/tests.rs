use super::*;
use std::fs;
use std::io::Write;

const LIMIT: usize = 200_000;

#[test]
fn a_file_is_read_up_to_its_limit() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    for length in [0, 1, 65_535, 65_536, 65_537, LIMIT - 1, LIMIT] {
        let bytes: Vec<_> = (0..length).map(|at| at as u8).collect();
        fs::write(&path, &bytes).unwrap();
        for open in [Input::named, Input::found] {
            let input = open(&path).unwrap();
            assert_eq!(input.length(), Some(length as u64));
            let read = input.read(LIMIT).unwrap();
            assert!(read == bytes && read.capacity() <= LIMIT + 1, "{length}");
        }
        fs::write(dir.path().join("copy"), "").unwrap();
        let mut copy = File::create(dir.path().join("copy")).unwrap();
        assert_eq!(Input::named(&path).unwrap().copy(LIMIT as u64, &mut copy).unwrap(), length as u64);
        assert!(fs::read(dir.path().join("copy")).unwrap() == bytes);
    }
    fs::write(&path, vec![0; LIMIT + 1]).unwrap();
    let error = Input::named(&path).unwrap().read(LIMIT).unwrap_err();
    assert_eq!(
        (error.kind(), &*error.to_string()),
        (io::ErrorKind::FileTooLarge, "it is larger than 195 KiB")
    );
    let mut copy = File::create(dir.path().join("copy")).unwrap();
    let error = Input::named(&path).unwrap().copy(LIMIT as u64, &mut copy).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
    assert_eq!(too_large(64 << 20).to_string(), "it is larger than 64 MiB");
    assert_eq!(too_large(500).to_string(), "it is larger than 500 bytes");
}

#[test]
fn a_directory_is_no_file() {
    let dir = tempfile::tempdir().unwrap();
    for error in [
        Input::named(dir.path()).unwrap_err(),
        Input::found(dir.path()).unwrap_err(),
        check_regular(dir.path()).unwrap_err(),
    ] {
        assert_eq!(error.kind(), io::ErrorKind::IsADirectory);
    }
    for open in [Input::named, Input::found] {
        assert_eq!(open(&dir.path().join("none")).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
    assert!(check_regular(&dir.path().join("none")).is_ok());
}

/// Opening a pipe waits for its writer, and this test has none: it would never end.
#[cfg(unix)]
#[test]
fn a_found_file_is_regular() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("pipe");
    rustix::fs::mkfifoat(rustix::fs::CWD, &path, rustix::fs::Mode::RUSR).unwrap();
    let link = dir.path().join("link");
    std::os::unix::fs::symlink("pipe", &link).unwrap();
    let socket = dir.path().join("socket");
    let _socket = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    for (path, what) in [
        (&path, "it is a pipe, not a regular file"),
        (&link, "it is a pipe, not a regular file"),
        (&socket, "it is a socket, not a regular file"),
        (&"/dev/zero".into(), "it is a device, not a regular file"),
    ] {
        assert_eq!(Input::found(path).unwrap_err().to_string(), what);
        assert_eq!(check_regular(path).unwrap_err().to_string(), what);
    }
    fs::write(dir.path().join("file"), "text").unwrap();
    fs::remove_file(&link).unwrap();
    std::os::unix::fs::symlink("file", &link).unwrap();
    assert_eq!(Input::found(&link).unwrap().read(LIMIT).unwrap(), b"text");
}

#[cfg(unix)]
#[test]
fn a_stream_is_read_up_to_its_limit() {
    let error = Input::named(Path::new("/dev/zero")).unwrap().read(LIMIT).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
    let mut copy = tempfile::tempfile().unwrap();
    let error = Input::named(Path::new("/dev/zero")).unwrap().copy(LIMIT as u64, &mut copy).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
    assert_eq!(copy.metadata().unwrap().len(), LIMIT as u64 + 1);

    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("pipe");
    let all = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    rustix::fs::mkfifoat(rustix::fs::CWD, &path, all).unwrap();
    for length in [0, 1, 65_536, LIMIT] {
        // The writer opens the pipe as late as it likes, and writes in pieces.
        let writer = {
            let path = path.clone();
            std::thread::spawn(move || {
                std::thread::sleep(std::time::Duration::from_millis(20));
                let mut pipe = OpenOptions::new().write(true).open(path).unwrap();
                vec![7; length].chunks(1000).for_each(|piece| pipe.write_all(piece).unwrap());
            })
        };
        let input = Input::named(&path).unwrap();
        assert_eq!(input.length(), None);
        let read = input.read(LIMIT).unwrap();
        assert!(read == vec![7; length] && read.capacity() <= LIMIT + 1, "{length}");
        writer.join().unwrap();
    }
}

/// Opening the name of a socket fails, so its descriptor is copied.
#[cfg(target_os = "linux")]
#[test]
fn a_socket_has_a_name_too() {
    use std::os::fd::AsRawFd;
    let (ours, mut theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    // Descriptors that this program opened for itself are none of the user's.
    rustix::io::fcntl_setfd(&ours, rustix::io::FdFlags::empty()).unwrap();
    theirs.write_all(b"text").unwrap();
    drop(theirs);
    for name in ["/dev/fd/987654", "/proc/self/fd/987654", "/dev/fd/x"] {
        assert_eq!(Input::named(Path::new(name)).unwrap_err().kind(), io::ErrorKind::NotFound, "{name}");
    }
    let path = format!("/dev/fd/{}", ours.as_raw_fd());
    assert_eq!(Input::named(Path::new(&path)).unwrap().read(LIMIT).unwrap(), b"text");
}
