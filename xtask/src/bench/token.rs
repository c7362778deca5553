//! Signs with a key in a token, and compares one run of ours with one `pkcs11-tool` process for each signature.

use super::{Bench, Promise};
use crate::Result;
use crate::tools::run as run_command;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

/// Images in one run of ours. They are small, so that the token does most of the work.
const IMAGES: u32 = 500;
/// Runs of `pkcs11-tool` in a round.
const LOOP: u32 = 10;
/// Each round measures every contender once.
const ROUNDS: usize = 5;

const PIN: &str = "1234";
const LABEL: &str = "benchmark";
/// The places where Debian and other distributions install SoftHSM's module.
const MODULES: &[&str] = &["/usr/lib/softhsm/libsofthsm2.so", "/usr/local/lib/softhsm/libsofthsm2.so"];

/// Measures signatures a second of SoftHSM, through `otaseal sign` and through `pkcs11-tool --sign`. There is no
/// promised number.
pub(super) fn run(bench: &Bench) -> Result<(String, Promise)> {
    let module = MODULES.iter().find(|path| Path::new(path).exists());
    let module = *module.ok_or("SoftHSM is not installed: apt-get install softhsm2 opensc")?;
    let token = Token::new(bench, module)?;
    let names = images(&bench.folder.join("token.images"))?;
    let info = bench.folder.join("token.info");
    let raw = ["--quiet", "digest", "--raw", "digest-info"];
    run_command(Command::new(&bench.program).args(raw).arg(&names[0]).arg("-o").arg(&info))?;
    let list = bench.folder.join("token.list");
    fs::write(&list, names.iter().map(|name| format!("{}\n", name.display())).collect::<String>())?;

    let key = format!("pkcs11:token={LABEL};object={LABEL}?module-path={module}");
    let ours = |key: &Path, jobs: &str| -> Result<f64> {
        let output = bench.folder.join("token.signed");
        let _ = fs::remove_dir_all(&output);
        let mut command = token.command(&bench.program);
        command.args(["--quiet", "sign", "--jobs", jobs, "--from-list"]).arg(&list);
        command.arg("--out-dir").arg(&output).arg("--key").arg(key).env("OTASEAL_PKCS11_PIN", PIN);
        rate(IMAGES, || finish(&mut command))
    };
    let theirs = || -> Result<f64> {
        let mut command = token.command(Path::new("pkcs11-tool"));
        command.args(["--module", module, "--token-label", LABEL, "--login", "--pin", PIN, "--sign"]);
        command.args(["--mechanism", "RSA-PKCS", "--label", LABEL]);
        command.arg("--input-file").arg(&info).arg("--output-file").arg(bench.folder.join("token.signature"));
        rate(LOOP, || (0..LOOP).try_for_each(|_| finish(&mut command)))
    };
    let names = [
        "`otaseal sign`, the key in the token, 1 thread",
        "`otaseal sign`, the key in the token, 2 threads",
        "`otaseal sign`, the key in a file, 1 thread",
        "`pkcs11-tool --sign`, a process for each",
    ];
    let mut rates = names.map(|_| Vec::with_capacity(ROUNDS));
    for _ in 0..ROUNDS {
        let token = Path::new(&key);
        let round = [ours(token, "1")?, ours(token, "2")?, ours(&bench.key, "1")?, theirs()?];
        rates.iter_mut().zip(round).for_each(|(rates, rate)| rates.push(rate));
    }
    let mut text = String::from("| who signs | signatures a second, median of 5 | best |\n|---|---|---|\n");
    for (name, rates) in names.iter().zip(&mut rates) {
        rates.sort_by(f64::total_cmp);
        text.push_str(&format!("| {name} | {:.0} | {:.0} |\n", rates[ROUNDS / 2], rates[ROUNDS - 1]));
    }
    Ok((text, Ok(())))
}

/// SoftHSM with one token, which holds the example key.
struct Token {
    configuration: PathBuf,
}

impl Token {
    fn new(bench: &Bench, module: &str) -> Result<Self> {
        let folder = bench.folder.join("softhsm");
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(folder.join("tokens"))?;
        let token = Self { configuration: folder.join("softhsm2.conf") };
        let text = format!("directories.tokendir = {}\nlog.level = ERROR\n", folder.join("tokens").display());
        fs::write(&token.configuration, text)?;
        let util = |words: &[&str]| {
            let mut command = token.command(Path::new("softhsm2-util"));
            finish(command.args(["--module", module]).args(words))
        };
        util(&["--init-token", "--free", "--label", LABEL, "--pin", PIN, "--so-pin", PIN])?;
        let key = bench.key.display().to_string();
        util(&["--import", &key, "--token", LABEL, "--label", LABEL, "--id", "01", "--pin", PIN])?;
        Ok(token)
    }

    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.env("SOFTHSM2_CONF", &self.configuration);
        command
    }
}

fn images(folder: &Path) -> Result<Vec<PathBuf>> {
    fs::create_dir_all(folder)?;
    (0..IMAGES)
        .map(|number| {
            let path = folder.join(format!("{number:03}.bin"));
            fs::write(&path, format!("The firmware number {number}, as small as it can be."))?;
            Ok(path)
        })
        .collect()
}

/// Runs a command to its end, without its output.
fn finish(command: &mut Command) -> Result<()> {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let status = command.status().map_err(|error| format!("{command:?}: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("{command:?}: {status}").into()) }
}

/// Returns how many of `count` are done in a second.
fn rate(count: u32, work: impl FnOnce() -> Result<()>) -> Result<f64> {
    let start = Instant::now();
    work()?;
    Ok(f64::from(count) / start.elapsed().as_secs_f64())
}
