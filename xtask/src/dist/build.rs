//! Builds each program once, and makes the wheel and the Debian package of both.

use super::tools::Tools;
use super::{empty, quietly, run_command};
use crate::Result;
use crate::tools::cargo;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A program that we hand out.
pub(super) struct Program {
    /// Its crate.
    pub(super) package: &'static str,
    pub(super) name: &'static str,
    /// What differs in Cargo's profile `release`.
    profile: &'static [&'static str],
}

/// The one that signs, and the one that talks to the network.
pub(super) const PROGRAMS: [Program; 2] = [
    Program { package: "otaseal-cli", name: "otaseal", profile: &[] },
    Program { package: "otaseal-fleet", name: "otaseal-fleet", profile: QUICKER },
];

/// Optimisation at link time over all crates of the second program takes minutes, and it gains little for a program that
/// waits for the network most of its time.
const QUICKER: &[&str] = &["profile.release.lto=\"off\"", "profile.release.codegen-units=16"];

/// The shells, with what they put around the name of a program to name its file of completions.
const SHELLS: [(&str, &str, &str); 5] = [
    ("bash", "", ".bash"),
    ("elvish", "", ".elv"),
    ("fish", "", ".fish"),
    ("powershell", "_", ".ps1"),
    ("zsh", "_", ""),
];

/// The script for PlatformIO. Users copy it into their project.
pub(super) const PLATFORMIO: &str = "docs/platformio/otaseal_sign.py";

/// Where shells look for their files of completions below `share`: the directory, then what stands around the name of the
/// program in our file, and in theirs.
const PLACES: [(&str, [&str; 2], [&str; 2]); 3] = [
    ("bash-completion/completions", ["", ".bash"], ["", ""]),
    ("fish/vendor_completions.d", ["", ".fish"], ["", ".fish"]),
    ("zsh/site-functions", ["_", ""], ["_", ""]),
];

/// How this workspace is built for others.
pub(super) struct Build<'a> {
    root: &'a Path,
    /// Cargo's target directory for this, which also has the manual pages and the completions.
    folder: &'a Path,
    tools: &'a Tools,
    /// What the compilers, cargo-deb and maturin read.
    environment: Vec<(&'static str, std::ffi::OsString)>,
    host: String,
}

impl<'a> Build<'a> {
    pub(super) fn new(root: &'a Path, folder: &'a Path, tools: &'a Tools, epoch: u64) -> Result<Self> {
        fs::create_dir_all(folder)?;
        let home = cargo_home()?;
        let maps = [(root, "/otaseal"), (&home, "/cargo")];
        let each = |option: &str| {
            let maps = maps.map(|(from, to)| format!("{option}={}={to}", from.display()));
            maps.join("\u{1f}")
        };
        let mut environment = vec![
            ("SOURCE_DATE_EPOCH", epoch.to_string().into()),
            ("CARGO_TARGET_DIR", folder.into()),
            ("CARGO_INCREMENTAL", "0".into()),
            // The flags of the user would change the bytes. This variable comes before all others.
            ("CARGO_ENCODED_RUSTFLAGS", each("--remap-path-prefix").into()),
            ("PATH", tools.path()?),
        ];
        if !cfg!(windows) {
            // AWS-LC names its own files in its errors. Microsoft's compiler does not know the option.
            environment.push(("CFLAGS", each("-ffile-prefix-map").replace('\u{1f}', " ").into()));
        }
        Ok(Self { root, folder, tools, environment, host: host(root)? })
    }

    /// Returns the target triple of this machine.
    pub(super) fn host(&self) -> &str {
        &self.host
    }

    /// Returns the file of a program that [`compile`](Self::compile) built.
    pub(super) fn program(&self, program: &Program) -> PathBuf {
        program.file(self.folder)
    }

    /// Returns the directory of the manual pages.
    pub(super) fn man(&self) -> PathBuf {
        self.folder.join("man")
    }

    /// Returns the directory of the completions.
    pub(super) fn completions(&self) -> PathBuf {
        self.folder.join("completions")
    }

    /// Builds a program through cargo-auditable.
    pub(super) fn compile(&self, program: &Program) -> Result<String> {
        let mut cargo = Command::new(self.auditable()?);
        cargo.args(["build", "--quiet", "--release", "--locked"]);
        cargo.args(program.profile.iter().flat_map(|setting| ["--config", setting]));
        cargo.args(["--package", program.package, "--bin", program.name]);
        run_command(self.prepared(&mut cargo)).map(|()| self.host.clone())
    }

    /// Makes the wheel: both programs, their manual pages, the completions that shells find below a prefix, and the script
    /// for PlatformIO.
    ///
    /// maturin finds the first program compiled. It takes the second one and the pages from a folder that pyproject.toml
    /// names. In a clone there is no such folder, so this uses a pyproject.toml of its own.
    pub(super) fn wheel(&self, out: &Path) -> Result<String> {
        let folder = self.folder.join("python");
        empty(&folder)?;
        for name in ["LICENSE-MIT", "LICENSE-APACHE", "crates/otaseal-cli/README.md"] {
            let copy = folder.join(name);
            fs::create_dir_all(copy.parent().unwrap_or(&folder))?;
            fs::copy(self.root.join(name), copy)?;
        }
        let mut project: toml::Table = fs::read_to_string(self.root.join("pyproject.toml"))?.parse()?;
        let maturin = project.get_mut("tool").and_then(|tool| tool.get_mut("maturin")?.as_table_mut());
        let maturin = maturin.ok_or("pyproject.toml has no [tool.maturin]")?;
        maturin.insert("data".into(), "data".into());
        maturin.insert("manifest-path".into(), "../../../crates/otaseal-cli/Cargo.toml".into());
        fs::write(folder.join("pyproject.toml"), toml::to_string(&project)?)?;
        for program in &PROGRAMS[1..] {
            copy_to(&self.program(program), &folder.join("data/scripts"), None)?;
        }
        let share = folder.join("data/data/share");
        for entry in fs::read_dir(self.man())? {
            copy_to(&entry?.path(), &share.join("man/man1"), None)?;
        }
        for (directory, [before, after], [first, last]) in PLACES {
            for Program { name, .. } in PROGRAMS {
                let file = self.completions().join(format!("{before}{name}{after}"));
                copy_to(&file, &share.join(directory), Some(&format!("{first}{name}{last}")))?;
            }
        }
        copy_to(&self.root.join(PLATFORMIO), &share.join("otaseal"), None)?;
        let mut maturin = Command::new(&self.tools.maturin);
        maturin.args(["build", "--quiet", "--release", "--locked", "--out"]).arg(out);
        self.prepared(&mut maturin).env("CARGO", self.auditable()?).current_dir(folder);
        run_command(&mut maturin)?;
        Ok(fs::read_dir(out)?
            .filter_map(|entry| Some(entry.ok()?.file_name().display().to_string()))
            .collect())
    }

    /// Writes a command that maturin runs in place of cargo. cargo-auditable cannot stand there by itself: it takes
    /// `cargo-auditable rustc` for a call by cargo (rust-secure-code/cargo-auditable issue 211).
    ///
    /// cargo-auditable then calls a second command, because it would name itself by its full path. Cargo mixes that name
    /// into the names of the symbols, so another directory would give another program. In PATH, it has no directory.
    fn auditable(&self) -> Result<PathBuf> {
        let (first, second) = match cfg!(windows) {
            true => ("cargo.cmd", "cargo-named.cmd"),
            false => ("cargo", "cargo-named"),
        };
        // They are not in PATH, where they would call themselves.
        let (first, second) = (self.folder.join(first), self.folder.join(second));
        let named = second.display();
        let texts = match cfg!(windows) {
            true => [
                format!("@set \"CARGO={named}\"\r\n@cargo-auditable auditable %*\r\n"),
                "@set CARGO=\r\n@set RUSTC_WORKSPACE_WRAPPER=cargo-auditable\r\n@cargo %*\r\n".to_owned(),
            ],
            false => [
                format!("#!/bin/sh\nCARGO='{named}' exec cargo-auditable auditable \"$@\"\n"),
                "#!/bin/sh\nunset CARGO\nRUSTC_WORKSPACE_WRAPPER=cargo-auditable exec cargo \"$@\"\n"
                    .to_owned(),
            ],
        };
        for (path, text) in [&first, &second].into_iter().zip(texts) {
            fs::write(path, text)?;
            #[cfg(unix)]
            fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
        }
        Ok(first)
    }

    /// Lets each program write its manual pages and its completions.
    pub(super) fn documentation(&self) -> Result<String> {
        empty(&self.man())?;
        empty(&self.completions())?;
        for program in &PROGRAMS {
            let file = self.program(program);
            run_command(quietly(&file).args(["man", "--out-dir"]).arg(self.man()))?;
            for (shell, before, after) in SHELLS {
                let completions = self.completions().join(format!("{before}{}{after}", program.name));
                run_command(quietly(&file).args(["completions", shell, "-o"]).arg(completions))?;
            }
        }
        Ok(format!("{} pages", fs::read_dir(self.man())?.count()))
    }

    /// Makes the Debian package. crates/otaseal-cli/Cargo.toml lists what is in it.
    pub(super) fn debian(&self, out: &Path) -> Result<String> {
        let mut deb = cargo(self.root);
        deb.args(["deb", "--quiet", "--no-build", "--no-strip", "--locked", "--package", "otaseal-cli"]);
        run_command(self.prepared(deb.arg("--output").arg(out.join("")))).map(|()| String::new())
    }

    fn prepared<'c>(&self, command: &'c mut Command) -> &'c mut Command {
        for (variable, _) in env::vars_os() {
            let name = variable.to_string_lossy();
            if name.starts_with("CARGO_PROFILE_") || name.starts_with("CARGO_BUILD_") || name == "RUSTFLAGS" {
                command.env_remove(&variable);
            }
        }
        command.current_dir(self.root).envs(self.environment.iter().map(|(name, value)| (name, value)))
    }
}

impl Program {
    /// Returns its file in a target directory of Cargo.
    pub(super) fn file(&self, target: &Path) -> PathBuf {
        target.join("release").join(format!("{}{}", self.name, env::consts::EXE_SUFFIX))
    }
}

fn copy_to(file: &Path, folder: &Path, name: Option<&str>) -> Result<()> {
    fs::create_dir_all(folder)?;
    let own = file.file_name().unwrap_or_default();
    fs::copy(file, folder.join(name.map_or(own, |name| name.as_ref())))?;
    Ok(())
}

/// Returns the directory with the sources from crates.io.
pub(super) fn cargo_home() -> Result<PathBuf> {
    if let Some(home) = env::var_os("CARGO_HOME") {
        return Ok(home.into());
    }
    let home = env::home_dir().ok_or("this user has no home directory")?;
    Ok(home.join(".cargo"))
}

/// Returns the target triple of this machine.
fn host(root: &Path) -> Result<String> {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc).arg("-vV").current_dir(root).output()?;
    let text = String::from_utf8(output.stdout)?;
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.ok_or("rustc does not name its host")?.to_owned())
}
