//! Signs with a command: the client of a cloud key service, of a signing server, or of another device.
//!
//! One run of the command is one signature: a few bytes on standard input, the signature on standard output. The
//! command gets these environment variables:
//!
//! | variable | value |
//! |---|---|
//! | `OTASEAL_SCHEME` | `pkcs1v15-sha256`, or `legacy-bare-hash` for esp8266 core 2.5.0 to 2.5.2 |
//! | `OTASEAL_INPUT` | the content of standard input: `digest-info` or `digest` |
//! | `OTASEAL_DIGEST` | SHA-256 of the payload, 64 hexadecimal digits |
//! | `OTASEAL_KEY_ID` | key id of the expected key, 64 hexadecimal digits |
//!
//! otaseal uses no shell. It splits the line into words as a shell would, and does nothing else that a shell does. A
//! file name with `;` or `$` stays a file name, and the same line works on systems without a shell.

use super::detached::{self, DetachedError, MAX_SIGNATURE_FILE};
use crate::format::digest::Sha256Digest;
use crate::key::PublicKey;
use crate::key::material;
use crate::key::said;
use crate::sign::{Scheme, SignError, Signer, digest_info};
use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::str::FromStr;
use std::sync::{Mutex, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

/// Default time limit of a command.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(60);

/// Longest time limit, in seconds: a day.
const MAX_TIMEOUT: u64 = 86_400;

/// Makes a time limit from seconds, 1 to 86400.
///
/// # Errors
/// The expected range, for any other number.
pub fn timeout(seconds: u64) -> Result<Duration, &'static str> {
    match seconds {
        1..=MAX_TIMEOUT => Ok(Duration::from_secs(seconds)),
        _ => Err("expected a number of seconds from 1 to 86400"),
    }
}

/// Bytes of its standard error that are kept.
const MAX_STDERR: usize = 16 * 1024;

/// Secrets that may stand in our own environment. The command must not see them.
const OUR_SECRETS: &[&str] = &["OTASEAL_PKCS11_PIN"];

/// The standard input of a command under [`Scheme::Pkcs1v15Sha256`]. Under [`Scheme::Legacy`] it is always the digest:
/// a legacy signature has no DigestInfo.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CommandInput {
    /// The 51 bytes of DigestInfo, for a signer that only pads: `openssl pkeyutl -sign` without `digest`, PKCS#11's
    /// `CKM_RSA_PKCS`.
    #[default]
    DigestInfo,
    /// The 32 bytes of SHA-256, for a signer that makes the DigestInfo itself:
    /// `openssl pkeyutl -sign -pkeyopt digest:sha256`, cloud key services.
    Digest,
}

impl CommandInput {
    const fn name(self) -> &'static str {
        match self {
            Self::DigestInfo => "digest-info",
            Self::Digest => "digest",
        }
    }
}

impl FromStr for CommandInput {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "digest-info" => Ok(Self::DigestInfo),
            "digest" => Ok(Self::Digest),
            _ => Err("expected digest-info or digest"),
        }
    }
}

/// Why a line is no command.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CommandError {
    /// A quotation mark is not closed.
    #[error("the signer's command has a quotation mark that is not closed")]
    Quotes,
    /// The line has no word.
    #[error("the signer's command is empty")]
    Empty,
}

/// A command that signs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SigningCommand {
    program: OsString,
    arguments: Vec<OsString>,
    /// Its standard input.
    pub input: CommandInput,
    /// Its time limit. A command that takes longer is killed.
    pub timeout: Duration,
    /// The directory in which it runs. If absent, it runs in the current directory.
    directory: Option<PathBuf>,
}

/// Splits a line into words as a POSIX shell does: blanks, quotation marks, backslashes. There are no variables,
/// wildcards or pipes.
impl FromStr for SigningCommand {
    type Err = CommandError;

    fn from_str(line: &str) -> Result<Self, CommandError> {
        let words = shell_words::split(line).map_err(|_| CommandError::Quotes)?;
        let mut words = words.into_iter().map(OsString::from);
        let program = words.next().filter(|program| !program.is_empty()).ok_or(CommandError::Empty)?;
        let (arguments, input) = (words.collect(), CommandInput::default());
        Ok(Self { program, arguments, input, timeout: DEFAULT_TIMEOUT, directory: None })
    }
}

impl SigningCommand {
    /// Makes the command run in this directory, so that file names in its words are relative to it. The program's own
    /// path is too; a bare name is looked up in `PATH`.
    pub(crate) fn run_in(&mut self, directory: &Path) {
        let program = Path::new(&self.program);
        if program.components().count() > 1 {
            self.program = directory.join(program).into();
        }
        self.directory = Some(directory.into());
    }

    fn name(&self) -> String {
        // Nobody has checked the settings yet: a key may stand in the place of the program.
        material::shown(Path::new(&self.program))
    }

    /// Runs the command once. Returns its standard output and its standard error.
    fn run(&self, input: &[u8], environment: &[(&str, String)]) -> Result<Answer, Unanswered> {
        let deadline = Instant::now() + self.timeout;
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).envs(environment.iter().map(|(name, value)| (name, value)));
        if let Some(directory) = &self.directory {
            command.current_dir(directory);
        }
        for secret in OUR_SECRETS {
            command.env_remove(secret);
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut running = Running::start(command).map_err(CommandFailure::Start)?;
        let output = collect(running.child.stdout.take(), MAX_SIGNATURE_FILE, Rest::Stop);
        let errors = collect(running.child.stderr.take(), MAX_STDERR, Rest::Discard);
        if let Some(mut stdin) = running.child.stdin.take() {
            // A few bytes fit into any pipe, so this cannot block. A command that does not want them closes the pipe.
            let _ = stdin.write_all(input);
        }
        let left = || deadline.saturating_duration_since(Instant::now());
        let failure = match output.recv_timeout(left()) {
            Ok(output) if output.len() > MAX_SIGNATURE_FILE => CommandFailure::TooMuch,
            Ok(output) => match running.wait(deadline, self.timeout) {
                Ok(status) => {
                    // A child of the command may still be running and hold standard error open.
                    let errors = errors.recv_timeout(left().min(Duration::from_secs(1))).unwrap_or_default();
                    return Ok(Answer { output, errors, status });
                }
                Err(failure) => failure,
            },
            Err(_) => CommandFailure::TimeOut(self.timeout),
        };
        running.kill();
        let errors = errors.recv_timeout(Duration::from_millis(200)).unwrap_or_default();
        Err(Unanswered { failure, errors })
    }
}

/// The output of a command that ended.
struct Answer {
    output: Vec<u8>,
    errors: Vec<u8>,
    status: ExitStatus,
}

/// Why there is no answer, and the command's standard error until it was killed.
struct Unanswered {
    failure: CommandFailure,
    errors: Vec<u8>,
}

impl From<CommandFailure> for Unanswered {
    fn from(failure: CommandFailure) -> Self {
        Self { failure, errors: Vec::new() }
    }
}

/// Why a command gave no signature. `Display` follows the command's name in a sentence.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CommandFailure {
    /// The system did not start it.
    #[error("could not be started: {0}")]
    Start(io::Error),
    /// The system cannot tell how it ended.
    #[error("ended in an unknown way: {0}")]
    Lost(io::Error),
    /// It took longer than it may.
    #[error("did not finish within {} s, and otaseal killed it", .0.as_secs_f32())]
    TimeOut(Duration),
    /// It wrote more than a signature.
    #[error("wrote more than {MAX_SIGNATURE_FILE} bytes, and otaseal killed it")]
    TooMuch,
    /// It reports a failure.
    #[error("failed ({0})")]
    Failed(ExitStatus),
    /// It reports success, but it wrote no signature.
    #[error("gave no signature: {error}{}", begins.as_ref().map_or_else(String::new, |start| format!("; it begins: {start}")))]
    NoSignature {
        /// Why the output is no signature.
        error: DetachedError,
        /// Its first characters, if they are text and no key.
        begins: Option<String>,
    },
}

/// A running command. Without a terminal, it has a process group of its own, so that its children can be killed with
/// it. At a terminal it stays in our group: it may ask for a PIN there, and Ctrl-C must reach it.
struct Running {
    child: Child,
    #[cfg(unix)]
    grouped: bool,
}

impl Running {
    #[cfg(unix)]
    fn start(mut command: Command) -> io::Result<Self> {
        use std::io::IsTerminal;
        use std::os::unix::process::CommandExt;
        let grouped = !io::stdin().is_terminal() && !io::stderr().is_terminal();
        if grouped {
            command.process_group(0);
        }
        Ok(Self { child: command.spawn()?, grouped })
    }

    #[cfg(not(unix))]
    fn start(mut command: Command) -> io::Result<Self> {
        Ok(Self { child: command.spawn()? })
    }

    /// Waits until `deadline`. The standard output is closed already, so that a second look is seldom needed.
    fn wait(&mut self, deadline: Instant, timeout: Duration) -> Result<ExitStatus, CommandFailure> {
        let mut pause = Duration::from_micros(200);
        loop {
            if let Some(status) = self.child.try_wait().map_err(CommandFailure::Lost)? {
                return Ok(status);
            }
            if Instant::now() >= deadline {
                return Err(CommandFailure::TimeOut(timeout));
            }
            thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(20));
        }
    }

    fn kill(&mut self) {
        #[cfg(unix)]
        if self.grouped {
            // Nobody has waited for the child yet, so that its number is still its own.
            if let Some(group) = rustix::process::Pid::from_raw(self.child.id().cast_signed()) {
                let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
            }
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether to read output beyond the limit.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rest {
    /// Stop reading.
    Stop,
    /// Go on reading and forget the bytes, so that the command is not held up.
    Discard,
}

/// Reads a pipe in a thread of its own. It keeps at most one byte more than `limit`, which shows that there was more.
/// If nobody waits for the thread any more, it goes on alone and ends with the pipe.
fn collect(pipe: Option<impl Read + Send + 'static>, limit: usize, rest: Rest) -> mpsc::Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            // Bytes that were read before an error count.
            let _ = pipe.by_ref().take(limit as u64 + 1).read_to_end(&mut bytes);
            if rest == Rest::Discard {
                let _ = io::copy(&mut pipe, &mut io::sink());
            }
        }
        let _ = sender.send(bytes);
    });
    receiver
}

/// Signs with a command, and knows the public half of the key that the command must use.
#[derive(Debug)]
pub struct CommandSigner {
    command: SigningCommand,
    public: PublicKey,
    remarks: Mutex<Vec<String>>,
}

impl CommandSigner {
    /// Makes a signer for this key.
    pub fn new(command: SigningCommand, public: PublicKey) -> Self {
        Self { command, public, remarks: Mutex::default() }
    }

    fn failed(&self, failure: CommandFailure, errors: &[u8]) -> SignError {
        SignError::Command { command: self.command.name(), failure: failure.into(), said: said::said(errors) }
    }
}

impl Signer for CommandSigner {
    fn public_key(&self) -> &PublicKey {
        &self.public
    }

    fn sign_digest(&self, scheme: Scheme, digest: &Sha256Digest) -> Result<Vec<u8>, SignError> {
        let (scheme_name, kind) = match scheme {
            Scheme::Pkcs1v15Sha256 => ("pkcs1v15-sha256", self.command.input),
            Scheme::Legacy => ("legacy-bare-hash", CommandInput::Digest),
        };
        let environment = [
            ("OTASEAL_SCHEME", scheme_name.to_owned()),
            ("OTASEAL_INPUT", kind.name().to_owned()),
            ("OTASEAL_DIGEST", digest.to_string()),
            ("OTASEAL_KEY_ID", self.public.id().to_string()),
        ];
        let info = digest_info(digest);
        let input: &[u8] = match kind {
            CommandInput::DigestInfo => &info,
            CommandInput::Digest => &digest.0,
        };
        let answer = self.command.run(input, &environment);
        let answer = answer.map_err(|Unanswered { failure, errors }| self.failed(failure, &errors))?;
        if !answer.status.success() {
            return Err(self.failed(CommandFailure::Failed(answer.status), &answer.errors));
        }
        let signature = detached::decode(&answer.output, self.public.size()).map_err(|error| {
            let begins = said::start(&answer.output);
            self.failed(CommandFailure::NoSignature { error, begins }, &answer.errors)
        })?;
        if let Some(said) = said::said(&answer.errors) {
            let mut remarks = self.remarks.lock().unwrap_or_else(PoisonError::into_inner);
            let remark = format!("{} {said}", self.command.name());
            // A batch gets the same remark a thousand times.
            if remarks.len() < 20 && !remarks.contains(&remark) {
                remarks.push(remark);
            }
        }
        Ok(signature)
    }

    fn remarks(&self) -> Vec<String> {
        self.remarks.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(all(test, unix))]
mod tests;
