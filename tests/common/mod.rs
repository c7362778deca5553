//! A directory for a test, the program, and the peers that judge it.

pub(crate) mod console;
pub(crate) mod document;
#[cfg(target_os = "linux")]
pub(crate) mod memory;
#[cfg(unix)]
pub(crate) mod timed;
pub(crate) mod token;

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The program under test.
pub(crate) const OTASEAL: &str = env!("CARGO_BIN_EXE_otaseal");

/// The workspace.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().to_owned()
}

/// An input of the cases in `cmd`.
pub(crate) fn input(name: &str) -> PathBuf {
    root().join("tests/cmd/in").join(name)
}

/// Makes a temporary directory on the disk, even after [`sandboxes_in_memory`].
pub(crate) fn tempdir() -> tempfile::TempDir {
    tempfile::tempdir_in(std::env::temp_dir()).unwrap()
}

/// Puts the sandboxes of trycmd into memory if there is room. Copying the inputs of 700 cases to a disk takes a minute
/// of system time.
pub(crate) fn sandboxes_in_memory() {
    #[cfg(target_os = "linux")]
    {
        let memory = Path::new("/dev/shm");
        let room = rustix::fs::statvfs(memory).is_ok_and(|disk| disk.f_bavail * disk.f_frsize > 1 << 28);
        if room && tempfile::tempdir_in(memory).is_ok() {
            // This fails if it is done already.
            let _ = tempfile::env::override_temp_dir(memory);
        }
    }
}

/// A temporary directory in which commands run.
pub(crate) struct Bench(tempfile::TempDir);

impl Bench {
    pub(crate) fn new() -> Self {
        Self(tempdir())
    }

    /// Makes a directory with two key pairs (`key.pem` and `public.pem`, `keep.pem` and `next.pem`), a passphrase in
    /// `pass`, and `image.bin`, which holds `public.pem`.
    pub(crate) fn with_keys() -> Self {
        let bench = Self::new();
        for (private, public) in [("key.pem", "public.pem"), ("keep.pem", "next.pem")] {
            bench.openssl(&format!("genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out {private}"));
            bench.openssl(&format!("pkey -in {private} -pubout -out {public}"));
        }
        bench.write("pass", b"tr0mbone-quarry-14\n");
        bench.write("image.bin", &[firmware(5000), bench.read("public.pem")].concat());
        bench
    }

    /// Does the same, puts the first pair into `keys/` as `otaseal keygen` does, and a later build of the image into
    /// `later.bin`.
    pub(crate) fn with_keys_in_place() -> Self {
        let bench = Self::with_keys();
        fs::create_dir(bench.path("keys")).unwrap();
        for (from, to) in [("key.pem", "keys/private.pem"), ("public.pem", "keys/public.pem")] {
            fs::copy(bench.path(from), bench.path(to)).unwrap();
        }
        #[cfg(unix)]
        for key in ["key.pem", "keep.pem", "keys/private.pem"] {
            use std::os::unix::fs::PermissionsExt;
            fs::set_permissions(bench.path(key), fs::Permissions::from_mode(0o600)).unwrap();
        }
        bench.write("later.bin", &[b"later".to_vec(), bench.read("image.bin")].concat());
        bench
    }

    /// Makes a directory in memory if the system has a place for it: waiting for a disk takes most of the time.
    #[cfg(target_os = "linux")]
    pub(crate) fn in_memory() -> Self {
        let memory = tempfile::tempdir_in("/dev/shm");
        memory.map_or_else(|_| Self::new(), Self)
    }

    pub(crate) fn dir(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir().join(name)
    }

    pub(crate) fn write(&self, name: &str, bytes: &[u8]) {
        fs::write(self.path(name), bytes).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// Returns the names of all files in the directory, in order.
    pub(crate) fn listing(&self) -> Vec<String> {
        let names = fs::read_dir(self.dir()).unwrap();
        let mut names: Vec<_> =
            names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// Runs `otaseal ARGS` in the directory.
    pub(crate) fn otaseal(&self, args: &[&str]) -> Output {
        Command::new(OTASEAL).args(args).current_dir(self.dir()).output().unwrap()
    }

    /// Runs `otaseal ARGS`, which must succeed.
    pub(crate) fn ok(&self, args: &[&str]) -> Output {
        succeeded(args.join(" "), self.otaseal(args))
    }

    /// Runs `otaseal ARGS`, which must end with this exit code and say why.
    pub(crate) fn fails(&self, code: i32, args: &[&str]) -> Output {
        let output = self.otaseal(args);
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "otaseal {}: {stderr}", args.join(" "));
        let silent = stderr.is_empty() && output.stdout.is_empty();
        assert!(!silent, "otaseal {}: no reason given", args.join(" "));
        output
    }

    /// Runs any other program, which must succeed.
    pub(crate) fn run(&self, program: &str, args: &[impl AsRef<OsStr>]) -> Output {
        let output = Command::new(program).args(args).current_dir(self.dir()).output();
        succeeded(program.into(), output.unwrap_or_else(|error| panic!("{program}: {error}")))
    }

    /// Runs `openssl WORDS`.
    pub(crate) fn openssl(&self, words: &str) -> Output {
        self.run("openssl", &words.split_whitespace().collect::<Vec<_>>())
    }

    /// Runs a Python script with arguments.
    pub(crate) fn python(&self, script: &str, args: &[&str]) -> Output {
        self.run("python3", &[&["-c", script], args].concat())
    }
}

fn succeeded(what: String, output: Output) -> Output {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{what}: {}\n{stderr}", output.status);
    output
}

/// Returns whether Python has a module. If not, it prints a notice; in CI it fails.
pub(crate) fn python_with(module: &str) -> bool {
    let script = format!("import {module}");
    let found = Command::new("python3").args(["-c", &script]).output().is_ok_and(|out| out.status.success());
    assert!(found || std::env::var_os("CI").is_none(), "python3 has no {module}, and this is CI");
    if !found {
        eprintln!("SKIPPED: python3 has no {module}");
    }
    found
}

/// Returns bytes that compress about as well as firmware does. They are the same on every run, and hold no token and no
/// magic.
pub(crate) fn firmware(length: usize) -> Vec<u8> {
    let mut state = 0x2545_F491u32;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        // A small set of words with some noise in between.
        bytes.extend_from_slice(&(state >> 20 & 0x1FF).wrapping_mul(0x0101_0357).to_le_bytes());
        if state >> 29 == 0 {
            bytes.push((state >> 8) as u8);
        }
    }
    bytes.truncate(length);
    bytes
}
