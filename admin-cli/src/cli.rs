//! The command line. What stands here as a comment is what `--help` prints.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use mfa_cli::Format;
use mfa_core::UserName;
use mfa_core::devices::{DeviceName, Serial};
use mfa_import::SecretEncoding;

use crate::duration::Duration;

/// All accounts that have a second factor: who has what, tokens, moving in and out, ways back in.
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
            Verb::Status(options) | Verb::History(options) => options.json,
            Verb::Bypass(options) => options.json,
            Verb::Tokens(TokensVerb::Import(options)) => options.check.json,
            Verb::Tokens(TokensVerb::List(options)) => options.json,
            Verb::Tokens(TokensVerb::Show(options)) => options.json,
            Verb::Import(options) => options.arrival.check.json,
            Verb::Migrate(MigrateVerb::GoogleAuthenticator(options)) => options.arrival.check.json,
            Verb::Migrate(MigrateVerb::Oath(options)) => options.arrival.check.json,
            Verb::Unlock(_)
            | Verb::Repair(_)
            | Verb::Tokens(TokensVerb::Assign(_) | TokensVerb::Unassign(_) | TokensVerb::Remove(_))
            | Verb::Export(_)
            | Verb::ImportAccount(_) => false,
        })
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// List all accounts with their devices and how they stand
    List(ListOptions),
    /// Show one account: its devices, recovery codes and bypass code
    Status(AccountOptions),
    /// Show every device that an account ever had, and what became of it
    History(AccountOptions),
    /// Forget an account's failures and enable its devices again
    Unlock(UnlockOptions),
    /// Make a new state for an account whose state is damaged, so that no used code works again
    Repair(RepairOptions),
    /// Make a code that lets a person in once
    Bypass(BypassOptions),
    /// Keep a stock of hardware tokens and give them to people
    #[command(subcommand)]
    Tokens(TokensVerb),
    /// Enroll many accounts from a file of "user,otpauth-uri" lines
    Import(ImportOptions),
    /// Take over accounts from another PAM module
    #[command(subcommand)]
    Migrate(MigrateVerb),
    /// Write an account's devices, encrypted, for another host
    Export(ExportOptions),
    /// Take over what "export" wrote on another host
    ImportAccount(ImportAccountOptions),
}

#[derive(Debug, Args)]
pub(crate) struct ListOptions {
    /// For programs: print one line of JSON for each account
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct AccountOptions {
    /// Whose account
    #[arg(value_name = "USER")]
    pub(crate) user: UserName,
    /// For programs: print JSON
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

#[derive(Debug, Args)]
pub(crate) struct BypassOptions {
    /// Whose account
    #[arg(value_name = "USER")]
    pub(crate) user: UserName,
    /// How long the code is good: 1m to 30d, such as 90m, 1h or 2d
    #[arg(long, value_name = "TIME", required_unless_present = "cancel", conflicts_with = "cancel")]
    pub(crate) valid: Option<Duration>,
    /// Why, for the log and the record
    #[arg(long, value_name = "TEXT", required_unless_present = "cancel", conflicts_with = "cancel")]
    pub(crate) reason: Option<String>,
    /// End the code that is waiting
    #[arg(long)]
    pub(crate) cancel: bool,
    #[command(flatten)]
    pub(crate) names: NameOptions,
    /// For programs: print one line of JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Which names of accounts are accepted.
#[derive(Debug, Args)]
pub(crate) struct NameOptions {
    /// Accept accounts that this host does not know (yet)
    #[arg(long)]
    pub(crate) no_account_check: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TokensVerb {
    /// Take the tokens of a vendor's file into the stock, all or none
    Import(TokensImportOptions),
    /// List the tokens of the stock
    List(TokensListOptions),
    /// Show one token
    Show(TokensShowOptions),
    /// Give a token to a person, who then activates it with two of its codes
    Assign(TokensAssignOptions),
    /// Take a token back, so that it is free for somebody else
    Unassign(TokensSerialOptions),
    /// Forget a token that is nobody's
    Remove(TokensSerialOptions),
}

#[derive(Debug, Args)]
pub(crate) struct TokensImportOptions {
    /// The vendor's file; - is standard input
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// What kind of file it is, if it does not show: pskc, entra-csv or oath-csv
    #[arg(long, value_name = "FORMAT")]
    pub(crate) format: Option<mfa_import::Format>,
    /// How the secrets of a CSV file are written: base32 or hex
    #[arg(long, value_name = "ENCODING")]
    pub(crate) secret_encoding: Option<SecretEncoding>,
    /// Read the pre-shared key of a PSKC file from this file, in hexadecimal, instead of asking for it
    #[arg(long, value_name = "FILE", conflicts_with = "password_file")]
    pub(crate) key_file: Option<PathBuf>,
    /// Read the password of a PSKC file from the first line of this file instead of asking for it
    #[arg(long, value_name = "FILE")]
    pub(crate) password_file: Option<PathBuf>,
    /// Leave tokens out that have expired or are not valid yet
    #[arg(long)]
    pub(crate) skip_expired: bool,
    #[command(flatten)]
    pub(crate) check: CheckOptions,
}

/// What every command has that reads a file of many devices.
#[derive(Debug, Args)]
pub(crate) struct CheckOptions {
    /// Take seeds of less than 128 bits too
    #[arg(long)]
    pub(crate) allow_weak: bool,
    /// Check everything and change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// For programs: print one line of JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct TokensListOptions {
    /// Only those that are nobody's
    #[arg(long)]
    pub(crate) unassigned: bool,
    /// For programs: print one line of JSON for each token
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct TokensShowOptions {
    /// The serial number on the token
    #[arg(value_name = "SERIAL")]
    pub(crate) serial: Serial,
    /// For programs: print one line of JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct TokensAssignOptions {
    /// The serial number on the token
    #[arg(value_name = "SERIAL")]
    pub(crate) serial: Serial,
    /// To whose account
    #[arg(value_name = "USER")]
    pub(crate) user: UserName,
    /// What to call it in the account: "token" if nothing is said
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<DeviceName>,
    #[command(flatten)]
    pub(crate) names: NameOptions,
}

#[derive(Debug, Args)]
pub(crate) struct TokensSerialOptions {
    /// The serial number on the token
    #[arg(value_name = "SERIAL")]
    pub(crate) serial: Serial,
}

/// What every way of taking over devices has.
#[derive(Debug, Args)]
pub(crate) struct ArrivalOptions {
    #[command(flatten)]
    pub(crate) check: CheckOptions,
    #[command(flatten)]
    pub(crate) names: NameOptions,
}

#[derive(Debug, Args)]
pub(crate) struct ImportOptions {
    /// A file of "user,otpauth-uri" lines; - is standard input
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// What to call the devices: "phone" if nothing is said
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<DeviceName>,
    #[command(flatten)]
    pub(crate) arrival: ArrivalOptions,
}

#[derive(Debug, Subcommand)]
pub(crate) enum MigrateVerb {
    /// From ~/.google_authenticator files
    GoogleAuthenticator(GoogleOptions),
    /// From pam_oath's users file
    Oath(OathOptions),
}

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("who").required(true).multiple(false).args(["user", "all"]))]
#[command(group = clap::ArgGroup::new("where").multiple(false).args(["home_relative", "secret"]))]
pub(crate) struct GoogleOptions {
    /// Whose file; may be given more than once
    #[arg(long, value_name = "USER")]
    pub(crate) user: Vec<UserName>,
    /// The files of all accounts in /etc/passwd
    #[arg(long)]
    pub(crate) all: bool,
    /// Where the file lies below each home, instead of .google_authenticator
    #[arg(long, value_name = "PATH")]
    pub(crate) home_relative: Option<PathBuf>,
    /// Where the file lies, as secret= in the PAM file says it: ~, ${HOME} and ${USER} are understood
    #[arg(long, value_name = "PATTERN")]
    pub(crate) secret: Option<String>,
    /// Remove each old file once its account has moved
    #[arg(long)]
    pub(crate) remove_old: bool,
    #[command(flatten)]
    pub(crate) arrival: ArrivalOptions,
}

#[derive(Debug, Args)]
pub(crate) struct OathOptions {
    /// The users file, usually /etc/users.oath
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) arrival: ArrivalOptions,
}

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("to").required(true).multiple(false).args(["recipient", "passphrase"]))]
pub(crate) struct ExportOptions {
    /// Whose account
    #[arg(value_name = "USER")]
    pub(crate) user: UserName,
    /// Encrypt to this age recipient, age1..; may be given more than once
    #[arg(long, value_name = "RECIPIENT")]
    pub(crate) recipient: Vec<String>,
    /// Encrypt with a passphrase, which is asked for on the terminal
    #[arg(long)]
    pub(crate) passphrase: bool,
    /// Write text, for a terminal or a letter, instead of bytes
    #[arg(long)]
    pub(crate) armor: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ImportAccountOptions {
    /// What "export" wrote; - is standard input
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// The account on this host, if it has another name here
    #[arg(long, value_name = "NEW")]
    pub(crate) user: Option<UserName>,
    /// The file with the age identity that it was encrypted to; without it a passphrase is asked for
    #[arg(long, value_name = "FILE")]
    pub(crate) identity: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) names: NameOptions,
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
