//! Runs a command on many inputs in parallel, and prints a line for each, in the order of the inputs.

use crate::error::{Exit, Failure};
use crate::io::Place;
use crate::report::{Outcome, Reporter};
use clap::Args;
use otaseal::key::material;
use otaseal::output::{Inputs, repeated};
use serde::Serialize;
use std::collections::HashSet;
use std::ffi::OsStr;
use std::fmt;
use std::iter;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// Largest list of inputs in bytes: a million names of 64 letters.
const MAX_LIST: usize = 64 << 20;

/// Options of the commands that take many inputs.
#[derive(Debug, Args)]
pub(crate) struct BatchArgs {
    /// Read more inputs from LIST: a file with a name on each line, or - for standard input
    #[arg(long, value_name = "LIST", help_heading = "General", hide_short_help = true)]
    from_list: Option<Place>,
    /// Go on with the other inputs after one has failed
    #[arg(long, help_heading = "General", hide_short_help = true)]
    keep_going: bool,
    /// Work on N inputs at once [default: one for each core; more with a ledger]
    #[arg(long, value_name = "N", help_heading = "General", hide_short_help = true)]
    jobs: Option<NonZero<usize>>,
}

impl BatchArgs {
    /// Returns the number of inputs to work on at once: by default one for each core, and at least `least`.
    pub(crate) fn jobs(&self, least: usize) -> usize {
        let cores = || thread::available_parallelism().map_or(1, NonZero::get);
        self.jobs.map_or_else(|| cores().max(least), NonZero::get)
    }

    pub(crate) fn list(&self) -> Option<&Place> {
        self.from_list.as_ref()
    }

    /// Returns the named inputs, then those of the list.
    pub(crate) fn inputs(&self, named: &[Place]) -> Result<Vec<PathBuf>, Failure> {
        let mut inputs = Vec::with_capacity(named.len());
        for place in named {
            match place {
                Place::Path(path) => inputs.push(path.clone()),
                Place::Std => {
                    return Err(Failure::usage(
                        "standard input is one image and has no name",
                        "sign it alone, with -o; to read a list of names, use --from-list -",
                    ));
                }
            }
        }
        if let Some(list) = &self.from_list {
            let bytes = list.read(MAX_LIST)?;
            let refused =
                |what: &str| Failure::new(format_args!("{list}: {what}"), "give one name on each line");
            if bytes.len() > MAX_LIST {
                return Err(refused("the list is larger than 64 MiB"));
            }
            let text = std::str::from_utf8(&bytes).map_err(|_| refused("the list is not UTF-8 text"))?;
            // An error would show a line as a file name, so no line may be part of a key.
            if material::is_key(&bytes) || !text.lines().all(|line| material::is_name(OsStr::new(line))) {
                return Err(refused(
                    "this is not a list of names: it holds a key, or a line that is not a name",
                ));
            }
            inputs.extend(text.lines().filter(|line| !line.is_empty()).map(PathBuf::from));
        }
        match inputs.is_empty() {
            true => Err(Failure::usage("there is no input", "name at least one file")),
            false => Ok(inputs),
        }
    }
}

/// Refuses a batch in which two inputs would make one file, or an output would replace an input.
pub(crate) fn check_outputs<'a>(
    read: &Inputs,
    outputs: impl Iterator<Item = &'a Path> + Clone,
) -> Result<(), Failure> {
    if let Some(output) = repeated(outputs.clone()) {
        return Err(Failure::usage(
            format_args!("two inputs have the same output, {}", output.display()),
            "run otaseal once for each directory of inputs, with another --out-dir",
        ));
    }
    for output in outputs {
        if let Err(error) = read.check(output) {
            return Err(Failure::usage(error, "choose another --out-dir: otaseal never overwrites an input"));
        }
    }
    Ok(())
}

/// The report on one input, as JSON.
#[derive(Serialize)]
struct Line<'a, T> {
    input: String,
    #[serde(flatten)]
    result: Reported<'a, T>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Reported<'a, T> {
    Done {
        #[serde(flatten)]
        outcome: &'a T,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        warnings: Vec<String>,
        exit_code: Exit,
    },
    Failed(&'a Failure),
}

/// The summary of a batch. Each result has been printed already.
#[derive(Debug, Serialize)]
pub(crate) struct Summary {
    what: &'static str,
    done: usize,
    failed: usize,
    not_started: usize,
    exit: Exit,
}

impl Outcome for Summary {
    fn exit(&self) -> Exit {
        self.exit
    }

    fn is_reported(&self) -> bool {
        true
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, done, failed, not_started, .. } = self;
        write!(f, "{what} {done} of {}", done + failed + not_started)?;
        if *failed > 0 {
            write!(f, ", {failed} failed")?;
        }
        if *not_started > 0 {
            write!(f, ", {not_started} not started")?;
        }
        writeln!(f)
    }
}

/// The result of a command that takes one input or many.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum OneOrMany<T> {
    One(Box<T>),
    Many(Summary),
}

impl<T: Outcome> Outcome for OneOrMany<T> {
    fn key(&self) -> Option<String> {
        match self {
            Self::One(outcome) => outcome.key(),
            Self::Many(_) => None,
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::One(outcome) => outcome.exit(),
            Self::Many(summary) => summary.exit(),
        }
    }

    fn warnings(&self) -> Vec<String> {
        match self {
            Self::One(outcome) => outcome.warnings(),
            Self::Many(summary) => summary.warnings(),
        }
    }

    fn stdout_is_taken(&self) -> bool {
        matches!(self, Self::One(outcome) if outcome.stdout_is_taken())
    }

    fn is_reported(&self) -> bool {
        matches!(self, Self::Many(_))
    }
}

impl<T: Outcome> fmt::Display for OneOrMany<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::One(outcome) => outcome.fmt(f),
            Self::Many(summary) => summary.fmt(f),
        }
    }
}

/// Time to collect results before printing them.
const PAUSE: Duration = Duration::from_millis(2);

/// Does `work` for every input, on several threads. `line` returns the line for a result. The exit code is the worst of
/// all.
pub(crate) fn run<T: Outcome + Send>(
    what: &'static str,
    args: &BatchArgs,
    jobs: usize,
    inputs: &[PathBuf],
    reporter: &Reporter,
    work: impl Fn(usize, &Path) -> Result<T, Failure> + Sync,
    line: impl Fn(&T) -> String,
) -> Result<Summary, Failure> {
    let next = AtomicUsize::new(0);
    let stop = AtomicBool::new(false);
    let (sender, receiver) = mpsc::channel();
    let worker = |sender: mpsc::Sender<(usize, Option<Result<T, Failure>>)>| {
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(input) = inputs.get(index) else { return };
            let result = (!stop.load(Ordering::Relaxed)).then(|| work(index, input));
            let bad = result.as_ref().is_some_and(|result| match result {
                Ok(outcome) => outcome.exit() != Exit::Done,
                Err(_) => true,
            });
            if bad && !args.keep_going {
                stop.store(true, Ordering::Relaxed);
            }
            // The receiver is gone only if printing failed. Then start nothing more.
            if sender.send((index, result)).is_err() {
                return;
            }
        }
    };
    let mut summary = Summary { what, done: 0, failed: 0, not_started: 0, exit: Exit::Done };
    thread::scope(|scope| {
        for _ in 0..jobs.min(inputs.len()) {
            let sender = sender.clone();
            scope.spawn(|| worker(sender));
        }
        drop(sender);
        let mut waiting: Vec<_> = inputs.iter().map(|_| None).collect();
        let mut turn = 0;
        let mut said = HashSet::new();
        // The receiver is moved in here, so that a failure to print closes the channel before the scope waits for its
        // threads. They would not stop otherwise.
        let receiver = receiver;
        while let Ok(first) = receiver.recv() {
            for (index, result) in iter::once(first).chain(receiver.try_iter()) {
                waiting[index] = Some(result);
            }
            while let Some(result) = waiting.get_mut(turn).and_then(Option::take) {
                report(&inputs[turn], result, &mut summary, reporter, &line, &mut said)?;
                turn += 1;
            }
            // Waking up for each result would take time from the workers.
            if turn < inputs.len() {
                thread::sleep(PAUSE);
            }
        }
        Ok(summary)
    })
}

fn report<T: Outcome>(
    input: &Path,
    result: Option<Result<T, Failure>>,
    summary: &mut Summary,
    reporter: &Reporter,
    line: &impl Fn(&T) -> String,
    said: &mut HashSet<String>,
) -> Result<(), Failure> {
    let input = input.display().to_string();
    match result {
        Some(Ok(outcome)) => {
            let (warnings, exit_code) = (outcome.warnings(), outcome.exit());
            match exit_code {
                Exit::Done => summary.done += 1,
                _ => summary.failed += 1,
            }
            summary.exit = summary.exit.max(exit_code);
            // Print a warning once: all inputs of a batch share a published key, for example.
            let new: Vec<_> = warnings.iter().filter(|text| said.insert((*text).clone())).cloned().collect();
            let result = Reported::Done { outcome: &outcome, warnings, exit_code };
            reporter.line(&Line { input, result }, &new, &line(&outcome))
        }
        Some(Err(failure)) => {
            summary.failed += 1;
            summary.exit = summary.exit.max(failure.exit);
            let result = Reported::<T>::Failed(&failure);
            reporter.failed_line(&Line { input, result }, &failure)
        }
        None => {
            summary.not_started += 1;
            let failure = Failure::new("not started: an earlier input failed", "add --keep-going to go on");
            let result = Reported::<T>::Failed(&failure);
            reporter.json_line(&Line { input, result })
        }
    }
}
