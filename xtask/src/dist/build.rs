//! Builds the program once, and makes the wheel and the Debian package of it.

use super::tools::Tools;
use super::{empty, quietly, run_command};
use crate::Result;
use crate::tools::cargo;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The shells, with the names that they give to a file of completions.
const SHELLS: [(&str, &str); 5] = [
    ("bash", "otaseal.bash"),
    ("elvish", "otaseal.elv"),
    ("fish", "otaseal.fish"),
    ("powershell", "_otaseal.ps1"),
    ("zsh", "_otaseal"),
];

/// The script for PlatformIO. Users copy it into their project.
pub(super) const PLATFORMIO: &str = "docs/platformio/otaseal_sign.py";

/// Files of completions, where their shells look for them below `share`, and their names there.
const PLACES: [(&str, &str, &str); 3] = [
    ("otaseal.bash", "bash-completion/completions", "otaseal"),
    ("otaseal.fish", "fish/vendor_completions.d", "otaseal.fish"),
    ("_otaseal", "zsh/site-functions", "_otaseal"),
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

    /// Returns the program that [`compile`](Self::compile) built.
    pub(super) fn program(&self) -> PathBuf {
        program(self.folder)
    }

    /// Returns the directory of the manual pages.
    pub(super) fn man(&self) -> PathBuf {
        self.folder.join("man")
    }

    /// Returns the directory of the completions.
    pub(super) fn completions(&self) -> PathBuf {
        self.folder.join("completions")
    }

    /// Builds the program through cargo-auditable.
    pub(super) fn compile(&self) -> Result<String> {
        let mut cargo = Command::new(self.auditable()?);
        cargo.args([
            "build",
            "--quiet",
            "--release",
            "--locked",
            "--package",
            "otaseal-cli",
            "--bin",
            "otaseal",
        ]);
        run_command(self.prepared(&mut cargo)).map(|()| self.host.clone())
    }

    /// Makes the wheel: the program, its manual pages, the completions that shells find below a prefix, and the script for
    /// PlatformIO.
    ///
    /// maturin finds the program compiled. It takes the pages from a folder that pyproject.toml names. In a clone there
    /// is no such folder, so this uses a pyproject.toml of its own.
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
        let share = folder.join("data/data/share");
        for entry in fs::read_dir(self.man())? {
            copy_to(&entry?.path(), &share.join("man/man1"), None)?;
        }
        for (file, directory, name) in PLACES {
            copy_to(&self.completions().join(file), &share.join(directory), Some(name))?;
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

    /// Lets the program write its manual pages and its completions.
    pub(super) fn documentation(&self) -> Result<String> {
        empty(&self.man())?;
        run_command(quietly(&self.program()).args(["man", "--out-dir"]).arg(self.man()))?;
        empty(&self.completions())?;
        for (shell, name) in SHELLS {
            let file = self.completions().join(name);
            run_command(quietly(&self.program()).args(["completions", shell, "-o"]).arg(file))?;
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

/// Returns the program that a build in this folder made.
pub(super) fn program(folder: &Path) -> PathBuf {
    folder.join("release").join(format!("otaseal{}", env::consts::EXE_SUFFIX))
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
