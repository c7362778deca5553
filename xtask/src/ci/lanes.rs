//! Runs steps beside others: each lane is a process of its own, whose output is shown when it ends.

use crate::Result;
use std::env;
use std::fs::{self, File};
use std::io::{Read, stdin};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A lane that runs. If it is dropped before its end, it is stopped.
pub(super) struct Lane {
    name: &'static str,
    log: PathBuf,
    process: Child,
}

impl Lane {
    /// Starts this program again as `cargo xtask ci --lane NAME`.
    ///
    /// # Errors
    ///
    /// The program cannot start.
    pub(super) fn start(root: &Path, name: &'static str) -> Result<Self> {
        let mut command = Command::new(env::current_exe()?);
        command.args(["ci", "--lane", name]);
        Self::spawn(&root.join("target/ci"), name, command)
    }

    fn spawn(folder: &Path, name: &'static str, mut command: Command) -> Result<Self> {
        fs::create_dir_all(folder)?;
        let log = folder.join(format!("{name}.log"));
        let file = File::create(&log)?;
        command.stdin(Stdio::piped()).stdout(file.try_clone()?).stderr(file);
        // `end_with_parent` needs a group.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        Ok(Self { name, log, process: command.spawn()? })
    }

    /// Waits for the end of the lane, and shows what it said.
    ///
    /// # Errors
    ///
    /// A step of the lane failed.
    #[allow(clippy::print_stderr, reason = "the output of steps")]
    pub(super) fn finish(mut self) -> Result<()> {
        // `Child::wait` would close the standard input first, which stops the lane.
        let input = self.process.stdin.take();
        let status = self.process.wait()?;
        drop(input);
        eprintln!("=== lane {}\n{}", self.name, String::from_utf8_lossy(&fs::read(&self.log)?).trim_end());
        if status.success() { Ok(()) } else { Err(format!("lane {}: {status}", self.name).into()) }
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}

/// Ends this lane and all its programs when the process that started it ends or drops the [`Lane`].
#[allow(clippy::print_stderr, reason = "somebody may type the name of the lane, without a terminal")]
pub(super) fn end_with_parent() {
    std::thread::spawn(|| {
        // Nobody writes to it: it ends when the other side is closed.
        let _ = stdin().read_to_end(&mut Vec::new());
        eprintln!("error: the standard input ended: nobody waits for this lane");
        if cfg!(unix) {
            let _ = Command::new("kill").args(["--", &format!("-{}", std::process::id())]).status();
        }
        std::process::exit(3);
    });
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn lane(folder: &Path, script: &str) -> Lane {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        Lane::spawn(folder, "test", command).unwrap()
    }

    #[test]
    fn a_lane_that_fails_fails_the_run() {
        let folder = tempfile::tempdir().unwrap();
        assert!(lane(folder.path(), "exit 0").finish().is_ok());
        let error = lane(folder.path(), "echo output; echo error >&2; exit 3").finish().unwrap_err();
        assert!(error.to_string().starts_with("lane test: "), "{error}");
        assert_eq!(fs::read_to_string(folder.path().join("test.log")).unwrap(), "output\nerror\n");
    }

    #[test]
    fn a_lane_learns_that_nobody_waits_for_it() {
        let folder = tempfile::tempdir().unwrap();
        drop(lane(folder.path(), "read line; echo stopped"));
        assert_eq!(fs::read_to_string(folder.path().join("test.log")).unwrap(), "stopped\n");
    }
}
