//! Runs programs that may wait for ever, and ends them if they do.

use std::io::{Read, Seek};
use std::process::{Child, Command, Output};
use std::thread;
use std::time::{Duration, Instant};

/// A process that ends with the test, even if the test fails.
pub(crate) struct Running(pub(crate) Child);

impl Drop for Running {
    fn drop(&mut self) {
        // The process may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Returns the output of a command, or `None` if it still ran after this time. Then it is killed. A piped input is
/// empty.
pub(crate) fn within(limit: Duration, command: &mut Command) -> Option<Output> {
    let [mut stdout, mut stderr] = [(); 2].map(|()| tempfile::tempfile().unwrap());
    command.stdout(stdout.try_clone().unwrap()).stderr(stderr.try_clone().unwrap());
    let mut running = Running(command.spawn().unwrap());
    drop(running.0.stdin.take());
    let deadline = Instant::now() + limit;
    let status = loop {
        match running.0.try_wait().unwrap() {
            Some(status) => break status,
            None if Instant::now() > deadline => return None,
            None => thread::sleep(Duration::from_millis(2)),
        }
    };
    let read = |file: &mut std::fs::File| {
        let mut bytes = Vec::new();
        file.rewind().unwrap();
        file.read_to_end(&mut bytes).unwrap();
        bytes
    };
    Some(Output { status, stdout: read(&mut stdout), stderr: read(&mut stderr) })
}
