//! Reads the origin of a signature from the environment: user, commit and build.

use std::env;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

/// Longest text that is copied from the environment, in characters.
const LONGEST: usize = 200;

/// The origin of signatures, according to the environment. Nothing of it is proved.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Origin {
    /// User and machine.
    pub who: Option<String>,
    /// Commit of the source tree. `-dirty` follows if files were changed.
    pub git_commit: Option<String>,
    /// The name that the CI system gives to the build, with the name of the variable that holds it.
    pub build_id: Option<String>,
}

impl Origin {
    /// Reads the origin of this process, which signs something in `directory`.
    pub fn of_environment(directory: &Path) -> Self {
        let build = [
            "GITHUB_RUN_ID",
            "CI_PIPELINE_ID",
            "BUILD_BUILDID",
            "CIRCLE_WORKFLOW_ID",
            "BUILD_TAG",
            "BUILD_ID",
        ];
        Self {
            who: who(),
            git_commit: git(directory)
                .or_else(|| variable(&["GITHUB_SHA", "CI_COMMIT_SHA"]).map(|(_, value)| value)),
            build_id: variable(&build).map(|(name, value)| format!("{name}={value}")),
        }
    }

    /// Replaces the name of the build.
    #[must_use]
    pub fn with_build_id(mut self, build_id: Option<&str>) -> Self {
        if let Some(id) = build_id {
            self.build_id = Some(short(id));
        }
        self
    }
}

fn who() -> Option<String> {
    let names = ["GITHUB_ACTOR", "GITLAB_USER_LOGIN", "USER", "LOGNAME", "USERNAME"];
    let user = variable(&names).map(|(_, user)| user).or_else(uid);
    let host = fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let host = host.or_else(|| variable(&["HOSTNAME", "COMPUTERNAME"]).map(|(_, host)| host));
    match (user, host) {
        (Some(user), Some(host)) => Some(format!("{user}@{}", short(host.trim()))),
        (user, host) => user.or_else(|| host.map(|host| format!("@{}", short(host.trim())))),
    }
}

/// Returns the number of the user. Services and containers often have no user name in their environment.
#[cfg(unix)]
fn uid() -> Option<String> {
    Some(format!("uid {}", rustix::process::geteuid().as_raw()))
}

#[cfg(not(unix))]
fn uid() -> Option<String> {
    None
}

/// Returns the first variable that is set, with its value.
fn variable(names: &[&'static str]) -> Option<(&'static str, String)> {
    names.iter().find_map(|name| {
        let value = env::var(name).ok().filter(|value| !value.is_empty())?;
        Some((*name, short(&value)))
    })
}

fn short(text: &str) -> String {
    text.chars().filter(|letter| !letter.is_control()).take(LONGEST).collect()
}

/// Returns the commit of the tree that holds a directory, if git knows one.
fn git(directory: &Path) -> Option<String> {
    let directory = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
    let output = Command::new("git")
        .args(["describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"])
        .current_dir(directory)
        // Git must not write to the tree when it only looks.
        .env("GIT_OPTIONAL_LOCKS", "0")
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    let commit = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (output.status.success() && !commit.is_empty()).then(|| short(&commit))
}
