//! Where a signature comes from, as far as the environment says.

use std::env;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

/// Longest text that is taken over from the environment, in characters.
const LONGEST: usize = 200;

/// Where signatures come from. Nothing of it is proved: it is what the environment says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Origin {
    /// User and machine.
    pub who: Option<String>,
    /// Commit of the source tree, with `-dirty` behind it when files were changed.
    pub git_commit: Option<String>,
    /// What the build is called by whatever runs it, with the name of the variable that says so.
    pub build_id: Option<String>,
}

impl Origin {
    /// Of this process, signing something that lies in `directory`.
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

    /// The same with a name for the build.
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

/// Of a service or a container, whose environment has no name: the number of the user that runs this.
#[cfg(unix)]
fn uid() -> Option<String> {
    Some(format!("uid {}", rustix::process::geteuid().as_raw()))
}

#[cfg(not(unix))]
fn uid() -> Option<String> {
    None
}

/// The first variable that is set, with its value.
fn variable(names: &[&'static str]) -> Option<(&'static str, String)> {
    names.iter().find_map(|name| {
        let value = env::var(name).ok().filter(|value| !value.is_empty())?;
        Some((*name, short(&value)))
    })
}

fn short(text: &str) -> String {
    text.chars().filter(|letter| !letter.is_control()).take(LONGEST).collect()
}

/// The commit of the tree that a directory is in; nothing where git knows none.
fn git(directory: &Path) -> Option<String> {
    let directory = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
    let output = Command::new("git")
        .args(["describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"])
        .current_dir(directory)
        // Looking must not write to the tree.
        .env("GIT_OPTIONAL_LOCKS", "0")
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    let commit = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (output.status.success() && !commit.is_empty()).then(|| short(&commit))
}
