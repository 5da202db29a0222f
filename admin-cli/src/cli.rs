//! The command line. What stands here as a comment is what `--help` prints.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use mfa_cli::Format;
use mfa_core::UserName;

/// See all accounts that have a second factor, unlock and repair them.
#[derive(Debug, Parser)]
#[command(name = "mfa-admin", version)]
#[command(after_help = "Exit codes: 0 done, 1 refused or failed, 2 wrong usage. See mfa-admin(8).")]
pub(crate) struct Cli {
    /// Use the store in this folder, with its key inside, instead of the host's own
    #[arg(long, value_name = "DIR", global = true, display_order = 90)]
    pub(crate) store: Option<PathBuf>,

    #[command(subcommand)]
    pub(crate) verb: Verb,
}

impl Cli {
    /// Who reads the answer.
    pub(crate) const fn format(&self) -> Format {
        Format::of_flag(match &self.verb {
            Verb::List(options) => options.json,
            Verb::Unlock(_) | Verb::Repair(_) => false,
        })
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// List all accounts with their devices and how they stand
    List(ListOptions),
    /// Forget an account's failures and enable its devices again
    Unlock(UnlockOptions),
    /// Make a new state for an account whose state is damaged, so that no used code works again
    Repair(RepairOptions),
}

#[derive(Debug, Args)]
pub(crate) struct ListOptions {
    /// For programs: print one line of JSON for each account
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct UnlockOptions {
    /// Whose account
    #[arg(value_name = "USER")]
    pub(crate) user: UserName,
}

#[derive(Debug, Args)]
pub(crate) struct RepairOptions {
    /// Whose account
    #[arg(value_name = "USER")]
    pub(crate) user: UserName,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }
}
