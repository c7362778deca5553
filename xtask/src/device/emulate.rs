//! Runs firmware in QEMU, on the boards that it emulates.

use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::Result;

/// A board, and the target to build for it.
pub(super) struct Board {
    pub(super) target: &'static str,
    /// GCC's name of it.
    pub(super) core: &'static str,
    pub(super) machine: &'static str,
    qemu: &'static str,
    /// Whether its flat image is the one in git.
    pub(super) committed: bool,
}

/// Cortex-M0, Cortex-M3 and RISC-V.
pub(super) const BOARDS: &[Board] = &[
    Board {
        target: "thumbv6m-none-eabi",
        core: "Cortex-M0",
        machine: "microbit",
        qemu: "qemu-system-arm",
        committed: true,
    },
    Board {
        target: "thumbv7m-none-eabi",
        core: "Cortex-M3",
        machine: "lm3s6965evb",
        qemu: "qemu-system-arm",
        committed: false,
    },
    Board {
        target: "riscv32imc-unknown-none-elf",
        core: "riscv32imc",
        machine: "virt",
        qemu: "qemu-system-riscv32",
        committed: false,
    },
];

/// The output of a firmware.
pub(super) struct Run {
    pub(super) code: i32,
    pub(super) output: String,
}

/// A verdict takes a fraction of a second. A firmware that hangs must not stop this task.
const TIME_LIMIT: Duration = Duration::from_secs(60);

impl Board {
    /// Runs a firmware with a file and, if given, the length announced for it.
    pub(super) fn run(&self, elf: &Path, image: &Path, announced: Option<usize>) -> Result<Run> {
        let mut semihosting = format!("enable=on,target=native,arg=firmware,arg={}", image.display());
        if let Some(announced) = announced {
            semihosting += &format!(",arg={announced}");
        }
        self.run_with(Path::new("."), elf, &semihosting, &[])
    }

    /// Runs a firmware with these options, in the folder of its files.
    pub(super) fn run_with(
        &self,
        folder: &Path,
        elf: &Path,
        semihosting: &str,
        more: &[&str],
    ) -> Result<Run> {
        let mut command = Command::new(self.qemu);
        command
            .current_dir(folder)
            .args(["-machine", self.machine, "-display", "none", "-monitor", "none", "-serial", "none"])
            .args(if self.machine == "virt" { &["-bios", "none"][..] } else { &[] })
            .args(["-semihosting-config", semihosting])
            .args(more)
            .arg("-kernel")
            .arg(elf)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| format!("{}: {error}", self.qemu))?;
        let started = Instant::now();
        while child.try_wait()?.is_none() {
            if started.elapsed() > TIME_LIMIT {
                child.kill()?;
                child.wait()?;
                return Err(format!("the firmware hangs on {}: {command:?}", self.machine).into());
            }
            thread::sleep(Duration::from_millis(2));
        }
        // The outputs are far smaller than a pipe's buffer, so the process never waited for a reader.
        let output = child.wait_with_output()?;
        let code = output.status.code().ok_or("QEMU was ended by a signal")?;
        // The output of semihosting is QEMU's standard output or its error stream, depending on its version.
        let text = [output.stdout, output.stderr].concat();
        let mut text = String::from_utf8_lossy(&text).into_owned();
        text = text.replace("Timer with period zero, disabling\n", "");
        Ok(Run { code, output: text })
    }
}
