//! Installs the Debian package and the wheel into empty places, and runs the transcripts of `tests/install` there.

use super::build::cargo_home;
use super::{VERSION, run_command};
use crate::Result;
use crate::tools::{find, step};
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// Transcripts, by the names of their scripts. Each needs these programs.
const TRANSCRIPTS: &[(&str, &[&str])] = &[
    ("first", &["man", "bash"]),
    ("arduino", &["g++", "xtensa-lx106-elf-gcc"]),
    ("platformio", &["scons", "gcc"]),
    ("release", &["softhsm2-util", "openssl", "/usr/lib/softhsm/libsofthsm2.so"]),
    ("rust", &["git", "qemu-system-arm", "arm-none-eabi-ld"]),
];

/// From nothing to the first signed file: `pip install` and `otaseal sign` together.
const FIRST_FILE: Duration = Duration::from_secs(5);

/// Time to make an empty Debian, in seconds: a mirror that does not answer must not block a check for ever.
const DEBIAN_TIME: &str = "240";

/// Checks what is in `out`.
///
/// # Errors
///
/// A package that cannot be installed, or a transcript that fails.
pub(super) fn check(root: &Path, out: &Path) -> Result<String> {
    step("the Debian package in an empty Debian", &["mmdebstrap", "chroot", "apt-get"], || {
        debian(root, out)
    })?;
    let place = tempfile::tempdir()?;
    let mut report = String::new();
    step("the wheel in an empty venv", &["python3"], || {
        report = wheel(place.path(), out)?;
        Ok(report.clone())
    })?;
    for (name, needs) in TRANSCRIPTS {
        step(&format!("the wheel: {name}.sh"), needs, || {
            let home = tempfile::tempdir()?;
            let path = env::var("PATH")?;
            // Cargo itself, not rustup's: that one needs more than an empty home directory.
            let path = format!("{}/bin:{}/bin:{path}", place.path().display(), sysroot()?);
            let place = Place { home: home.path(), path: &path, share: &place.path().join("share") };
            transcript(root, name, &mut Command::new("sh"), &place)
        })?;
    }
    Ok(report)
}

/// Installs the package into a new, minimal Debian of this machine's release, and runs the first transcript there.
fn debian(root: &Path, out: &Path) -> Result<String> {
    if Command::new("id").arg("-u").output()?.stdout != b"0\n" {
        return match env::var_os("CI") {
            Some(_) => Err("only root can enter another root: CI runs this as root".into()),
            None => Ok("SKIPPED: only root can enter another root".into()),
        };
    }
    let place = tempfile::tempdir()?;
    let chroot = place.path();
    let (release, mirror) = mirror()?;
    let mut bootstrap = Command::new("timeout");
    bootstrap.args([DEBIAN_TIME, "mmdebstrap", "--quiet", "--variant=minbase", "--include=man-db", &release]);
    run_command(bootstrap.arg(chroot).arg(&mirror))?;
    fs::copy(only(out, ".deb")?, chroot.join("otaseal.deb"))?;
    let mut install = Command::new("chroot");
    install.arg(chroot).args(["dpkg", "--install", "/otaseal.deb"]);
    let installed = install.output()?;
    if !installed.status.success() {
        return Err(String::from_utf8_lossy(&installed.stderr).into_owned().into());
    }
    fs::create_dir(chroot.join("home/user"))?;
    // The transcript's PATH has no directory of administrators.
    let mut shell = Command::new(find("chroot").unwrap_or_else(|| "chroot".into()));
    shell.arg(chroot).arg("sh");
    let home = Path::new("/home/user");
    transcript(
        root,
        "first",
        &mut shell,
        &Place { home, path: "/usr/bin:/bin", share: Path::new("/usr/share") },
    )?;
    Ok(format!("{release} of {mirror}"))
}

/// Returns the Debian release of this machine, and the mirror that it uses.
fn mirror() -> Result<(String, String)> {
    let mut targets = Command::new("apt-get");
    targets.args(["indextargets", "--format", "$(ORIGIN) $(CODENAME) $(REPO_URI)"]);
    let output = targets.output()?;
    let text = String::from_utf8(output.stdout)?;
    let main = text.lines().find_map(|line| {
        let (release, mirror) = line.strip_prefix("Debian ")?.split_once(' ')?;
        // The others are updates of it: bookworm-security.
        (!release.contains('-')).then(|| (release.to_owned(), mirror.to_owned()))
    });
    main.ok_or_else(|| "apt knows no mirror of Debian: type `apt-get update`".into())
}

/// Installs the wheel into a new venv, and signs a file: both together are timed.
fn wheel(place: &Path, out: &Path) -> Result<String> {
    run_command(Command::new("python3").args(["-m", "venv"]).arg(place))?;
    let firmware = place.join("firmware.bin");
    fs::write(&firmware, b"firmware".repeat(50_000))?;
    let start = Instant::now();
    let mut pip = Command::new(place.join("bin/pip"));
    run_command(pip.args(["install", "--quiet", "--no-index"]).arg(only(out, ".whl")?))?;
    let pip = start.elapsed();
    let otaseal = place.join("bin/otaseal");
    run_command(Command::new(&otaseal).args(["--quiet", "keygen"]).current_dir(place))?;
    let mut sign = Command::new(&otaseal);
    let signed = sign.args(["--quiet", "sign"]).arg(&firmware).current_dir(place).output()?;
    let whole = start.elapsed();
    if !signed.status.success() {
        return Err(String::from_utf8_lossy(&signed.stderr).into_owned().into());
    }
    let text = format!(
        "from nothing to the first signed file: {:.2} s, of which pip took {:.2} s",
        whole.as_secs_f32(),
        pip.as_secs_f32()
    );
    if whole > FIRST_FILE {
        return Err(format!("{text}; more than {} s", FIRST_FILE.as_secs()).into());
    }
    Ok(text)
}

/// Where a transcript runs.
struct Place<'a> {
    home: &'a Path,
    path: &'a str,
    share: &'a Path,
}

/// Runs a script of `tests/install` with a shell, in an empty home directory and with nothing else of this environment.
fn transcript(root: &Path, name: &str, shell: &mut Command, place: &Place<'_>) -> Result<String> {
    let script = fs::read_to_string(root.join("tests/install").join(format!("{name}.sh")))?;
    shell.env_clear().env("HOME", place.home).env("PATH", place.path);
    shell.env("VERSION", VERSION).env("SHARE", place.share);
    if name == "rust" {
        shell.env("REPOSITORY", root).env("CARGO_HOME", cargo_home()?);
        // A test builds the same crates of crates.io in the same way and from the same place, so Cargo builds them once
        // for both.
        shell.env("CARGO_TARGET_DIR", root.join("target/example-project"));
        shell.env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1");
    }
    // The shell may run in another root, so it goes to its home by itself.
    let output = shell.args(["-euc", &format!("cd \"$HOME\"\n{script}")]).output()?;
    if output.status.success() {
        return Ok(String::new());
    }
    let said =
        [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    Err(format!("tests/install/{name}.sh: {}\n{said}", output.status).into())
}

/// Returns the directory of the compiler that runs, and of its Cargo.
fn sysroot() -> Result<String> {
    let output = Command::new("rustc").args(["--print", "sysroot"]).output()?;
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

/// Returns the one file with this ending.
fn only(folder: &Path, ending: &str) -> Result<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir(folder)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.to_string_lossy().ends_with(ending))
        .collect();
    match (found.pop(), found.is_empty()) {
        (Some(path), true) => Ok(path),
        _ => Err(format!("{} has not one file *{ending}: type `cargo xtask dist`", folder.display()).into()),
    }
}
