//! Runs the tasks as a command: takes arguments, writes a report, returns an exit code.

use super::CargoError;
use super::args::{Task, parse};
use super::build::Build;
use super::keygen::{self, NewKey};
use super::note::Note;
use super::tasks::{self, SignedBuild, VerifiedFile};
use crate::key::material;
use crate::output::{Run, Written, signals};
use crate::project::advice::{Advice, Speaker};
use crate::sign::Scheme;
use otaseal_device::KeyId;
use std::ffi::OsString;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Runs one task from its arguments, which do not start with the program's name. It writes the result to `out`, and
/// notes and errors to `err`: the library itself never prints.
///
/// The exit code is 0 done or accepted, 1 judged and rejected, 2 usage, 3 could not do it.
///
/// This is a whole program: if it is stopped by a signal, it removes its temporary files. See [`signals`].
pub fn run(
    arguments: impl IntoIterator<Item = OsString>,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> ExitCode {
    // If the system refuses this, everything else still works.
    let _ = signals::report_size_limit();
    signals::end_cleanly_with_names(|| {});
    let result = perform(arguments.into_iter(), out, err);
    match result {
        Ok(()) => ExitCode::SUCCESS,
        // The reader of the output has gone, for example `| head`. A message would not reach anybody.
        Err(CargoError::Report(error)) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::from(3),
        Err(error) => {
            let [what, help] = [error.to_string(), error.advice(Speaker::Hook)].map(material::without_keys);
            let _ = writeln!(err, "error: {what}\nhelp: {help}");
            ExitCode::from(error.exit_code())
        }
    }
}

fn perform(
    arguments: impl Iterator<Item = OsString>,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<(), CargoError> {
    // If a note cannot be written, the task goes on.
    let mut note = |note: Note| drop(writeln!(err, "{}", words(&note)));
    let written = match parse(arguments)? {
        Task::Help(text) => out.write_all(text.as_bytes()),
        Task::Sign(request) => {
            let made = tasks::sign(&request, &mut note)?;
            match request.policy.run.is_dry() {
                true => {
                    let key = made.report.manifest.key.as_ref();
                    planned(&request.policy.run, key.map(|key| key.id), out)
                }
                false => signed(&made, out),
            }
        }
        Task::Keygen(task) => {
            let made = keygen::keygen(&task, &mut note)?;
            let run = &task.request.policy.run;
            if run.is_dry() { planned(run, None, out) } else { new_key(&made, out) }
        }
        Task::Pubkey(task) if task.request.policy.run.is_dry() => {
            tasks::pubkey(&task)?;
            planned(&task.request.policy.run, None, out)
        }
        Task::Pubkey(task) => {
            let files = tasks::pubkey(&task)?;
            files.iter().try_for_each(|(path, written)| emitted(11, path, *written, out))
        }
        Task::Verify(task) => {
            let files = tasks::verify(&task)?;
            files.iter().try_for_each(|file| accepted(file, out))
        }
    };
    written.and_then(|()| out.flush()).map_err(CargoError::Report)
}

/// Says what a real run would do.
fn planned(run: &Run, key_id: Option<KeyId>, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "dry run        otaseal wrote nothing")?;
    run.planned().iter().try_for_each(|step| writeln!(out, "{step}"))?;
    key_id.iter().try_for_each(|id| writeln!(out, "key id         {id}"))
}

fn words(note: &Note) -> String {
    match note {
        Note::Building { command } => format!("building: {command}"),
        Note::Prebuilt { why, path } => format!("note: {why}; packaging the prebuilt {}", short(path)),
        Note::PublishedKey { path, published_at, .. } => format!(
            "\n  WARNING: signing with a published key ({published_at}).\n  \
             Anybody can sign for a device that trusts it: never ship it. `cargo xtask keygen` makes your own key.\n  \
             otaseal read the key from {}.\n",
            short(path)
        ),
        Note::Key(finding) => format!("warning: {finding}\n         ({})", finding.advice(Speaker::Hook)),
        Note::Image(finding) => format!("warning: {finding}\n         ({})", finding.advice(Speaker::Hook)),
        Note::Continuity { warning } => {
            format!("warning: {warning}\n         (`cargo xtask pubkey` writes the key into the sources)")
        }
        Note::Support(doubt) => format!("warning: {doubt}"),
        Note::LedgerRecovered { recovered } => {
            format!("warning: the ledger ended in an unfinished line; otaseal moved it to {}", recovered.file)
        }
        Note::NotIgnored(found) => format!("warning: {found}\n         ({})", found.advice(Speaker::Hook)),
        Note::NotEmitted { what, help } => {
            format!("warning: the firmware does not have the new key yet: {what}\n         ({help})")
        }
    }
}

fn signed(signed: &SignedBuild, out: &mut dyn Write) -> io::Result<()> {
    let (manifest, out_dir) = (&signed.report.manifest, &signed.report.out_dir);
    let from = match &signed.build {
        Build::Built(path) => format!("built {}", short(path)),
        Build::Prebuilt { path, .. } => format!("prebuilt {}", short(path)),
        Build::Given(path) => short(path),
    };
    writeln!(out, "packaged   {from}")?;
    let tokens = [("", &manifest.name), ("", &manifest.version), ("brand ", &manifest.brand)];
    let tokens: Vec<_> =
        tokens.iter().filter_map(|(label, token)| Some(format!("{label}{}", token.as_ref()?))).collect();
    if !tokens.is_empty() {
        writeln!(out, "firmware   {}", tokens.join(" "))?;
    }
    match &manifest.key {
        Some(key) => writeln!(out, "key id     {}", key.id)?,
        None => writeln!(out, "key id     none: nothing is signed, because the devices check no signature")?,
    }
    writeln!(out, "package    {}", short(out_dir))?;
    for made in &manifest.artefacts {
        let path = out_dir.join(&made.file);
        let verified = if signed.verified.iter().any(|file| file.path == path) { "  verified" } else { "" };
        writeln!(out, "{:>9}  {}{verified}", made.digests.size_bytes, made.file)?;
    }
    writeln!(out, "{:>9}  {}", "", crate::package::manifest::FILE_NAME)?;
    if let Some(entered) = &signed.report.ledger {
        writeln!(
            out,
            "ledger     {} lines, the last has SHA-256 {}",
            entered.head.records, entered.head.sha256
        )?;
    }
    for removed in &signed.report.removed {
        writeln!(out, "removed    {removed} (of the earlier package)")?;
    }
    signed.verified_with.iter().try_for_each(|key| writeln!(out, "verified with {}", short(key)))
}

fn new_key(made: &NewKey, out: &mut dyn Write) -> io::Result<()> {
    let encrypted = if made.encrypted { "encrypted; " } else { "" };
    writeln!(out, "private key  {}  ({encrypted}keep it secret, keep a copy)", short(&made.private))?;
    writeln!(out, "public key   {}", short(&made.public))?;
    writeln!(out, "key id       {}", made.key.id())?;
    made.emitted.iter().try_for_each(|(path, written)| emitted(13, path, *written, out))
}

/// Writes one line about a source file that has the public key, with its label in a column of this width.
fn emitted(width: usize, path: &Path, written: Written, out: &mut dyn Write) -> io::Result<()> {
    let label = match written {
        Written::Changed => "written",
        Written::Unchanged => "up to date",
    };
    writeln!(out, "{label:width$}{}", short(path))
}

fn accepted(file: &VerifiedFile, out: &mut dyn Write) -> io::Result<()> {
    let form = match file.scheme {
        Scheme::Pkcs1v15Sha256 => "",
        Scheme::Legacy => ", legacy signature",
    };
    writeln!(out, "accepted   {} ({} bytes of payload{form})", short(&file.path), file.payload_len)?;
    writeln!(out, "key id     {}", file.key_id)
}

/// Returns a path relative to the current directory, if it is below it.
fn short(path: &Path) -> String {
    let below = std::env::current_dir().ok().and_then(|here| path.strip_prefix(here).ok().map(PathBuf::from));
    below.unwrap_or_else(|| path.into()).display().to_string()
}
