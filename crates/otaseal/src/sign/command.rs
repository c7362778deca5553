//! A command that signs: the client of a cloud's key service, of a signing server, of any device.
//!
//! What it is given and what it must give back is one round: a few bytes on standard input, a signature on standard
//! output. It gets, as environment variables, what a script may want to know:
//!
//! | variable | what |
//! |---|---|
//! | `OTASEAL_SCHEME` | `pkcs1v15-sha256`, or `legacy-bare-hash` for esp8266 core 2.5.0 to 2.5.2 |
//! | `OTASEAL_INPUT` | what standard input has: `digest-info` or `digest` |
//! | `OTASEAL_DIGEST` | SHA-256 of the payload, 64 hexadecimal digits |
//! | `OTASEAL_KEY_ID` | key id of the expected key, 64 hexadecimal digits |
//!
//! No shell stands between: the words are split as a shell would split them, and nothing else that a shell does is
//! done. A file name with `;` or `$` in it stays a file name, and the same line works where there is no shell.

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

/// Time that a command has when nothing else is said.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(60);

/// Longest time that it may be given: a day.
const MAX_TIMEOUT: u64 = 86_400;

/// Time for a command in seconds, 1 to 86400.
///
/// # Errors
/// What is expected, for anything else.
pub fn timeout(seconds: u64) -> Result<Duration, &'static str> {
    match seconds {
        1..=MAX_TIMEOUT => Ok(Duration::from_secs(seconds)),
        _ => Err("expected a number of seconds from 1 to 86400"),
    }
}

/// How much of its standard error is kept, in bytes.
const MAX_STDERR: usize = 16 * 1024;

/// Secrets that may stand in our own environment and are none of the command's business.
const OUR_SECRETS: &[&str] = &["OTASEAL_PKCS11_PIN"];

/// What a command gets on standard input under [`Scheme::Pkcs1v15Sha256`]. Under [`Scheme::Legacy`] it is
/// the digest always: that form has no DigestInfo.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CommandInput {
    /// The 51 bytes of DigestInfo, for what only pads: `openssl pkeyutl -sign` without `digest`, PKCS#11's
    /// `CKM_RSA_PKCS`.
    #[default]
    DigestInfo,
    /// The 32 bytes of SHA-256, for what makes the DigestInfo by itself: `openssl pkeyutl -sign -pkeyopt
    /// digest:sha256`, cloud key services.
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
    /// A quotation mark without its other half.
    #[error("the signer's command has a quotation mark that is not closed")]
    Quotes,
    /// No word at all.
    #[error("the signer's command is empty")]
    Empty,
}

/// A command that signs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SigningCommand {
    program: OsString,
    arguments: Vec<OsString>,
    /// What it gets on standard input.
    pub input: CommandInput,
    /// How long it may take. Then it is killed.
    pub timeout: Duration,
    /// Where it is run; nothing for the current directory.
    directory: Option<PathBuf>,
}

/// Splits a line into words as a POSIX shell does (blanks, quotation marks, backslashes); no variables, no wildcards,
/// no pipes.
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
    /// Runs it in this directory: file names in its words are then relative to it. So is its own name where that is
    /// more than a name; a bare name is looked up in `PATH`.
    pub(crate) fn run_in(&mut self, directory: &Path) {
        let program = Path::new(&self.program);
        if program.components().count() > 1 {
            self.program = directory.join(program).into();
        }
        self.directory = Some(directory.into());
    }

    fn name(&self) -> String {
        // In the settings, where nobody looked at it yet, a key may stand in its place.
        material::shown(Path::new(&self.program))
    }

    /// One round: what it said on standard output, and on standard error.
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
            // A few bytes fit into any pipe: this cannot block. A command that wants none of them closes it.
            let _ = stdin.write_all(input);
        }
        let left = || deadline.saturating_duration_since(Instant::now());
        let failure = match output.recv_timeout(left()) {
            Ok(output) if output.len() > MAX_SIGNATURE_FILE => CommandFailure::TooMuch,
            Ok(output) => match running.wait(deadline, self.timeout) {
                Ok(status) => {
                    // Whatever of its own is still running may hold standard error open.
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

/// What a command that came to its end left.
struct Answer {
    output: Vec<u8>,
    errors: Vec<u8>,
    status: ExitStatus,
}

/// Why there is no answer, and what the command had said on standard error before it was killed.
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
    /// The system does not say how it ended.
    #[error("was lost: {0}")]
    Lost(io::Error),
    /// It took longer than it may.
    #[error("did not finish in {} s and was killed", .0.as_secs_f32())]
    TimeOut(Duration),
    /// It wrote more than a signature.
    #[error("wrote more than {MAX_SIGNATURE_FILE} bytes and was killed")]
    TooMuch,
    /// It says that it failed.
    #[error("failed ({0})")]
    Failed(ExitStatus),
    /// It says that it succeeded, and wrote something else than a signature.
    #[error("gave no signature: {error}{}", begins.as_ref().map_or_else(String::new, |start| format!("; it begins: {start}")))]
    NoSignature {
        /// What is wrong with it.
        error: DetachedError,
        /// Its first characters, if they are text and no key.
        begins: Option<String>,
    },
}

/// A running command. Without a terminal it has a process group of its own, so that what it started can be killed
/// with it. At a terminal it stays in ours: it may ask for a PIN there, and Ctrl-C must reach it.
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

    /// Waits until `deadline`. Its standard output is closed already, so that it seldom takes a second look.
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
            // The child is not waited for yet, so that its number is still its own.
            if let Some(group) = rustix::process::Pid::from_raw(self.child.id().cast_signed()) {
                let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
            }
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What to do with more than was asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rest {
    /// Stop reading.
    Stop,
    /// Go on, so that the command is not held up, and forget it.
    Discard,
}

/// Reads a pipe in a thread of its own: at most one byte more than `limit` is kept, which shows the excess. The thread
/// is left to itself when nobody waits for it any more; it ends with the pipe.
fn collect(pipe: Option<impl Read + Send + 'static>, limit: usize, rest: Rest) -> mpsc::Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            // What was read before an error counts.
            let _ = pipe.by_ref().take(limit as u64 + 1).read_to_end(&mut bytes);
            if rest == Rest::Discard {
                let _ = io::copy(&mut pipe, &mut io::sink());
            }
        }
        let _ = sender.send(bytes);
    });
    receiver
}

/// Signs through a command, and knows the key that it must use by its public half.
#[derive(Debug)]
pub struct CommandSigner {
    command: SigningCommand,
    public: PublicKey,
    remarks: Mutex<Vec<String>>,
}

impl CommandSigner {
    /// A signer for this key.
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
            // A batch hears the same a thousand times.
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
