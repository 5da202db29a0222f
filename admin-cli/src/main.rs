//! `mfa-admin`: root's view of all accounts.

#![forbid(unsafe_code)]

mod cli;
mod list;
mod repair;
mod unlock;

use std::process::ExitCode;

use clap::Parser as _;
use mfa_cli::{Output, Program, Session, keep_out_of_core_dumps};

use crate::cli::{Cli, Verb};

fn main() -> ExitCode {
    let cli = Cli::parse();
    keep_out_of_core_dumps();
    let Ok(output) = Output::open("mfa-admin") else { return ExitCode::FAILURE };
    let session = Session::new(Program::Admin, cli.store.as_deref());
    if let Some(warning) = session.policy_warning() {
        output.warn(&warning);
    }
    let format = cli.format();
    let ended = match cli.verb {
        Verb::List(_) => list::run(&session, &output, format),
        Verb::Unlock(options) => unlock::run(&session, &output, &options.user),
        Verb::Repair(options) => repair::run(&session, &output, &options.user),
    };
    output.exit(ended, format)
}
