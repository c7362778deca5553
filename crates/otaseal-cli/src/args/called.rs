//! Of the subcommands, only the one that is called is described to the parser.
//!
//! The descriptions of all of them take a tenth of the time in which an image is signed.

use super::Command;
use crate::cmd;
use clap::error::Error;
use clap::{ArgMatches, Args, FromArgMatches, Subcommand};
use std::env;

/// The subcommand of this process.
#[derive(Debug)]
pub(crate) struct Called(pub(crate) Command);

impl FromArgMatches for Called {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        Command::from_arg_matches(matches).map(Self)
    }

    fn from_arg_matches_mut(matches: &mut ArgMatches) -> Result<Self, Error> {
        Command::from_arg_matches_mut(matches).map(Self)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        self.0.update_from_arg_matches(matches)
    }
}

impl Subcommand for Called {
    fn augment_subcommands(command: clap::Command) -> clap::Command {
        match called() {
            Some(subcommand) => command.subcommand(subcommand),
            None => Command::augment_subcommands(command),
        }
    }

    fn augment_subcommands_for_update(command: clap::Command) -> clap::Command {
        Command::augment_subcommands_for_update(command)
    }

    fn has_subcommand(name: &str) -> bool {
        Command::has_subcommand(name)
    }
}

/// The subcommand that is called, where that is certain: behind nothing but the flags of every subcommand. What the
/// command line as a whole is needed for (its help, a name that is not known, completions, manual pages) is not found.
fn called() -> Option<clap::Command> {
    let mut arguments = env::args_os().skip(1);
    let name = arguments.find(|argument| !["--json", "--quiet", "-q"].iter().any(|flag| argument == flag))?;
    one(name.to_str()?)
}

fn one(name: &str) -> Option<clap::Command> {
    let (name, augment): (_, fn(clap::Command) -> clap::Command) = match name {
        "attach" => ("attach", cmd::attach::Attach::augment_args),
        "compress" => ("compress", cmd::compress::Compress::augment_args),
        "digest" => ("digest", cmd::digest::Digest::augment_args),
        "identify" => ("identify", cmd::identify::Identify::augment_args),
        "inspect" => ("inspect", cmd::inspect::Inspect::augment_args),
        "keygen" => ("keygen", cmd::keygen::Keygen::augment_args),
        "package" => ("package", cmd::package::Package::augment_args),
        "pubkey" => ("pubkey", cmd::pubkey::Pubkey::augment_args),
        "release" => ("release", cmd::release::Release::augment_args),
        "sign" => ("sign", cmd::sign::Sign::augment_args),
        "signing-py" => ("signing-py", cmd::signing_py::SigningPy::augment_args),
        "strip" => ("strip", cmd::strip::Strip::augment_args),
        "verify" => ("verify", cmd::verify::Verify::augment_args),
        _ => return None,
    };
    Some(augment(clap::Command::new(name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each by itself is what it is among all of them.
    #[test]
    fn every_subcommand_is_the_same_alone() {
        let all = Command::augment_subcommands(clap::Command::new("otaseal"));
        let mut alone = 0;
        for subcommand in all.get_subcommands() {
            let Some(one) = one(subcommand.get_name()) else { continue };
            // But for its place among them.
            let described = |command: clap::Command| format!("{:?}", command.display_order(0));
            assert_eq!(described(one), described(subcommand.clone()));
            alone += 1;
        }
        assert_eq!(alone, 13);
    }
}
