//! Opens descriptors that the caller of the program opened: standard input, and those with a number.

use std::fs::File;
use std::io;
use std::path::Path;

/// Opens standard input without the buffer of the standard library, which is never wiped.
#[cfg(unix)]
pub(crate) fn stdin() -> io::Result<File> {
    use std::os::fd::AsFd;
    io::stdin().as_fd().try_clone_to_owned().map(File::from)
}

#[cfg(windows)]
pub(crate) fn stdin() -> io::Result<File> {
    use std::os::windows::io::AsHandle;
    io::stdin().as_handle().try_clone_to_owned().map(File::from)
}

/// Opens the descriptor that a name such as `/dev/fd/63` stands for. Opening the name of a socket fails: the system
/// makes no second one.
pub(super) fn behind(path: &Path) -> Option<io::Result<File>> {
    let text = path.to_str()?;
    let number = match text {
        "/dev/stdin" => 0,
        _ => {
            let number = text.strip_prefix("/dev/fd/").or_else(|| text.strip_prefix("/proc/self/fd/"))?;
            number.parse().ok()?
        }
    };
    Some(if number == 0 { stdin() } else { descriptor(number) })
}

/// Opens a descriptor that the shell opened.
#[cfg(target_os = "linux")]
pub(crate) fn descriptor(number: u32) -> io::Result<File> {
    let number = i32::try_from(number).map_err(|_| not_open())?;
    // A descriptor that this program opened itself closes in its child programs. One that it was given does not.
    let own = || {
        let information = information(number).ok()?;
        let flags = information.lines().find_map(|line| line.strip_prefix("flags:"))?;
        let flags = u32::from_str_radix(flags.trim(), 8).ok()?;
        Some(flags & rustix::fs::OFlags::CLOEXEC.bits() != 0)
    };
    match own() {
        Some(true) => Err(not_open()),
        _ => copied(number),
    }
}

#[cfg(target_os = "linux")]
fn not_open() -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, "it is not open")
}

#[cfg(target_os = "linux")]
fn information(number: i32) -> io::Result<String> {
    std::fs::read_to_string(format!("/proc/self/fdinfo/{number}"))
}

/// Copies a descriptor: it may be a socket, or a file of which a part was read already. Using a number from outside as
/// a descriptor is `unsafe`; copying it is not.
#[cfg(target_os = "linux")]
fn copied(number: i32) -> io::Result<File> {
    use rustix::io::Errno;
    use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};
    use std::os::fd::AsRawFd;
    let Ok(process) = pidfd_open(getpid(), PidfdFlags::empty()) else { return reopened(number) };
    if process.as_raw_fd() == number {
        return Err(not_open());
    }
    match pidfd_getfd(process, number, PidfdGetfdFlags::empty()) {
        Ok(copy) => Ok(File::from(copy)),
        Err(Errno::BADF) => Err(not_open()),
        // Linux before 5.6 cannot copy it, and some containers forbid it.
        Err(_) => reopened(number),
    }
}

/// Opens the file behind a descriptor once more, at the same position. Files without a name, such as sockets, are an
/// error.
#[cfg(target_os = "linux")]
fn reopened(number: i32) -> io::Result<File> {
    use std::io::{Seek, SeekFrom};
    let explained = |error: io::Error| match error.raw_os_error() {
        _ if error.kind() == io::ErrorKind::NotFound => not_open(),
        // ENXIO: only a socket cannot be opened by its name.
        Some(6) => {
            io::Error::new(error.kind(), "it is a socket, and this system lets only pipes and files be read")
        }
        _ => error,
    };
    let information = information(number).map_err(explained)?;
    let mut file = File::open(format!("/proc/self/fd/{number}")).map_err(explained)?;
    let place = information.lines().find_map(|line| line.strip_prefix("pos:")?.trim().parse().ok());
    if let Some(place @ 1..) = place
        && file.metadata()?.is_file()
    {
        file.seek(SeekFrom::Start(place))?;
    }
    Ok(file)
}

/// Opens a descriptor that the shell opened. Opening its name copies the descriptor here: see `fd(4)` of the BSDs and
/// macOS.
#[cfg(all(unix, not(target_os = "linux")))]
pub(crate) fn descriptor(number: u32) -> io::Result<File> {
    File::open(format!("/dev/fd/{number}"))
}

#[cfg(not(unix))]
pub(crate) fn descriptor(_: u32) -> io::Result<File> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    /// The shell gives a number. If it cannot be copied, otaseal opens its file again.
    #[test]
    fn a_descriptor_is_read_from_where_it_is() {
        use std::io::{Seek, SeekFrom, Write};
        use std::os::fd::AsRawFd;
        let text = |file: io::Result<File>| io::read_to_string(file.unwrap()).unwrap();
        for open in [copied, reopened] {
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(b"a line\nsecret\n").unwrap();
            file.seek(SeekFrom::Start(7)).unwrap();
            assert_eq!(text(open(file.as_raw_fd())), "secret\n");
            let (reader, mut writer) = io::pipe().unwrap();
            writer.write_all(b"secret").unwrap();
            drop(writer);
            assert_eq!(text(open(reader.as_raw_fd())), "secret");
            assert_eq!(open(987_654).unwrap_err().to_string(), "it is not open");
        }
        let (ours, mut theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        assert!(reopened(ours.as_raw_fd()).unwrap_err().to_string().starts_with("it is a socket"));
        theirs.write_all(b"secret").unwrap();
        drop(theirs);
        assert_eq!(text(copied(ours.as_raw_fd())), "secret");
        // A file that this program opened itself is not meant.
        let own = tempfile::tempfile().unwrap();
        assert_eq!(descriptor(own.as_raw_fd() as u32).unwrap_err().to_string(), "it is not open");
    }
}
