//! Builds and runs the C verifiers.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::generate::Image;
use crate::Result;

/// The BearSSL version of the numbers in the documentation.
const BEARSSL: &str = "bearssl-0.6+dfsg.1";

/// The files of BearSSL that an RSA and SHA-256 verdict needs; `i15_*` and the codecs come whole.
const BEARSSL_FILES: [&str; 4] =
    ["rsa/rsa_i15_pkcs1_vrfy.c", "rsa/rsa_i15_pub.c", "rsa/rsa_pkcs1_sig_unpad.c", "hash/sha2small.c"];

/// A verifier of another project.
pub(crate) struct Peer {
    pub(crate) name: &'static str,
    command: Vec<String>,
    folder: PathBuf,
}

/// Images for a peer, in the format that `tests/peers/bearssl/batch.c` describes.
pub(crate) struct Batch<'a> {
    pub(crate) legacy: bool,
    pub(crate) modulus: Vec<u8>,
    pub(crate) images: &'a [Image],
}

/// Builds both peers under `target/interop`.
///
/// # Errors
///
/// A missing compiler, BearSSL or source. The text names the Debian packages.
pub(crate) fn build(root: &Path) -> Result<Vec<Peer>> {
    let folder = root.join("target/interop");
    fs::create_dir_all(&folder)?;
    let sources = root.join("tests/peers/bearssl");
    let common = ["batch.c", "verdict.c"].map(|file| sources.join(file));

    let native = folder.join("native");
    let mut gcc = Command::new("gcc");
    gcc.args(["-O2", "-Wall", "-Wextra", "-Werror", "-o"]).arg(&native).args(&common);
    compile(gcc.arg(sources.join("native.c")).arg("-lbearssl"), "gcc libbearssl-dev")?;

    let elf = folder.join("lx106.elf");
    let mut gcc = Command::new("xtensa-lx106-elf-gcc");
    gcc.args(["-Os", "-std=c99", "-ffreestanding", "-nostdlib", "-mtext-section-literals"])
        .args([
            "-ffunction-sections",
            "-fdata-sections",
            "-Wl,--gc-sections",
            "-Wl,--no-warn-rwx-segments",
            "-T",
        ])
        .arg(sources.join("lx106.ld"))
        .arg("-o")
        .arg(&elf)
        .arg(sources.join("lx106.c"))
        .args(&common)
        .args(freestanding(root)?)
        .arg("-lgcc");
    compile(&mut gcc, "gcc-xtensa-lx106")?;

    let qemu =
        "qemu-system-xtensa -cpu lx106 -M sim -display none -monitor none -serial stdio -semihosting -kernel";
    let mut emulated: Vec<String> = qemu.split(' ').map(str::to_owned).collect();
    emulated.push(elf.display().to_string());
    Ok(vec![
        Peer { name: "BearSSL", command: vec![native.display().to_string()], folder: folder.clone() },
        Peer { name: "BearSSL on the ESP8266's core", command: emulated, folder },
    ])
}

/// Arguments that compile BearSSL and the functions it needs for a core without a C library.
pub(crate) fn freestanding(root: &Path) -> Result<Vec<PathBuf>> {
    let own = root.join("tests/peers/bearssl/freestanding");
    let bearssl = bearssl_source(&root.join("target/interop"))?;
    let mut args = vec![own.join("string.c")];
    for folder in [own, bearssl.join("inc"), bearssl.join("src")] {
        args.push(format!("-I{}", folder.display()).into());
    }
    args.extend(BEARSSL_FILES.map(|file| bearssl.join("src").join(file)));
    for (folder, start) in [("int", "i15_"), ("codec", "")] {
        let mut files = Vec::new();
        for entry in fs::read_dir(bearssl.join("src").join(folder))? {
            let entry = entry?;
            let name = entry.file_name();
            if name.to_str().is_some_and(|name| name.starts_with(start) && name.ends_with(".c")) {
                files.push(entry.path());
            }
        }
        files.sort();
        args.extend(files);
    }
    Ok(args)
}

/// Fetches BearSSL's source once, from the place of this machine's Debian packages.
fn bearssl_source(folder: &Path) -> Result<PathBuf> {
    let source = folder.join(BEARSSL);
    if source.join("src").is_dir() {
        return Ok(source);
    }
    // Use a copy of the list of package sources, with source packages. The machine's own list stays as it is.
    let (lists, parts) = (folder.join("apt-lists"), folder.join("apt-parts"));
    fs::create_dir_all(lists.join("partial"))?;
    fs::create_dir_all(&parts)?;
    let system = Path::new("/etc/apt");
    let mut found = vec![system.join("sources.list")];
    if let Ok(entries) = fs::read_dir(system.join("sources.list.d")) {
        found.extend(entries.flatten().map(|entry| entry.path()));
    }
    for path in found {
        let Ok(text) = fs::read_to_string(&path) else { continue };
        if text.contains("debian")
            && let Some(name) = path.file_name()
        {
            let lines = text.lines().map(|line| match line.strip_prefix("deb ") {
                Some(rest) => format!("deb-src {rest}\n"),
                None if line.starts_with("Types:") => "Types: deb-src\n".to_owned(),
                None => format!("{line}\n"),
            });
            fs::write(parts.join(name), lines.collect::<String>())?;
        }
    }
    let apt = || {
        let mut apt = Command::new("apt-get");
        apt.current_dir(folder).arg("-q").args(["-o", "Dir::Etc::sourcelist=/dev/null", "-o"]);
        apt.arg(format!("Dir::Etc::sourceparts={}", parts.display())).arg("-o");
        apt.arg(format!("Dir::State::lists={}", lists.display())).stdout(Stdio::null());
        apt
    };
    compile(apt().arg("update"), "apt, and a network")?;
    compile(apt().args(["source", "bearssl"]), "dpkg-dev")?;
    if source.join("src").is_dir() {
        Ok(source)
    } else {
        Err(format!("Debian's bearssl is not {BEARSSL}").into())
    }
}

pub(crate) fn compile(command: &mut Command, packages: &str) -> Result<()> {
    let program = command.get_program().display().to_string();
    let status = command.status().map_err(|error| format!("{program}: {error}\nneeded: {packages}"))?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("{program} failed: {status}\nneeded: {packages}").into())
    }
}

impl Peer {
    /// Returns for each image whether the peer accepts it.
    pub(crate) fn judge(&self, batch: &Batch<'_>) -> Result<Vec<bool>> {
        let path = self.folder.join("batch.bin");
        fs::write(&path, batch.bytes()?)?;
        let (program, args) = self.command.split_first().ok_or("no command")?;
        let output = Command::new(program)
            .args(args)
            .current_dir(&self.folder)
            .stdin(File::open(&path)?)
            .stderr(Stdio::inherit())
            .output()
            .map_err(|error| format!("{program}: {error}\nneeded: qemu-system-misc"))?;
        let digits = output.stdout.trim_ascii();
        if !output.status.success() || digits.len() != batch.images.len() {
            return Err(format!("{}: {}, {} verdicts", self.name, output.status, digits.len()).into());
        }
        Ok(digits.iter().map(|&digit| digit == b'1').collect())
    }
}

impl Batch<'_> {
    fn bytes(&self) -> Result<Vec<u8>> {
        let mut bytes = vec![u8::from(self.legacy)];
        bytes.extend(u16::try_from(self.modulus.len())?.to_le_bytes());
        bytes.extend(&self.modulus);
        bytes.extend(u32::try_from(self.images.len())?.to_le_bytes());
        for image in self.images {
            bytes.extend(u32::try_from(image.bytes.len())?.to_le_bytes());
            bytes.extend(&image.bytes);
        }
        Ok(bytes)
    }
}
