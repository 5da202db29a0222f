//! The command line. What stands here as a comment is what `--help` prints.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// Answer requests about one-time codes for programs that may not open the store: mfa-enroll of an ordinary user, a screen locker.
///
/// It is started by systemd with its socket, or with --listen by anything else. Logins by root's programs do not need it.
#[derive(Debug, Parser)]
#[command(name = "mfad", version, args_conflicts_with_subcommands = true)]
#[command(after_help = "Exit codes: 1 it ended or could not begin, 2 wrong usage. See mfad(8).")]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) options: MonitorOptions,

    #[command(subcommand)]
    pub(crate) role: Option<Role>,
}

#[derive(Debug, Args)]
pub(crate) struct MonitorOptions {
    /// Listen at this socket [default: the one that systemd hands over]
    #[arg(long, value_name = "PATH")]
    pub(crate) listen: Option<PathBuf>,

    /// The system user that answers, and that the host's store is given to
    #[arg(long, value_name = "NAME", default_value = "pam-mfa", conflicts_with = "store")]
    pub(crate) user: String,

    /// Answer from the store in this folder, with its key inside, as the user who starts this
    #[arg(long, value_name = "DIR")]
    pub(crate) store: Option<PathBuf>,

    /// Another policy than /etc/pam-mfa/policy.toml; with --store the default policy, unless this names a file
    #[arg(long, value_name = "FILE")]
    pub(crate) policy: Option<PathBuf>,

    /// Where the PAM file `mfa-enroll` is, by which passwords are checked, if not in /etc/pam.d
    #[arg(long, value_name = "DIR")]
    pub(crate) pam_dir: Option<PathBuf>,
}

/// What the parts of mfad are started as. Not for people.
#[derive(Debug, Subcommand)]
pub(crate) enum Role {
    /// Answers. Standard input is the way to the monitor, standard output the socket.
    #[command(hide = true)]
    Worker(WorkerOptions),
    /// Checks one password. Standard input is the way to the worker, standard output the client.
    #[command(hide = true)]
    CheckPassword(CheckerOptions),
}

#[derive(Debug, Args)]
pub(crate) struct WorkerOptions {
    #[arg(long)]
    pub(crate) store: Option<PathBuf>,
    #[arg(long)]
    pub(crate) policy: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct CheckerOptions {
    /// What the socket is called that clients connect to
    #[arg(long)]
    pub(crate) socket: OsString,
    #[arg(long)]
    pub(crate) pam_dir: Option<PathBuf>,
}
