//! `mfa-admin`: root's view of all accounts.

#![forbid(unsafe_code)]

mod account_file;
mod arrivals;
mod bypass;
mod cli;
mod duration;
mod export;
mod history;
mod import;
mod import_account;
mod input;
mod list;
mod migrate;
mod problems;
mod repair;
mod status;
mod table;
mod tokens;
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
        Verb::Status(options) => status::run(&session, &output, &options.user, format),
        Verb::History(options) => history::run(&session, &output, &options.user, format),
        Verb::Unlock(options) => unlock::run(&session, &output, &options.user),
        Verb::Repair(options) => repair::run(&session, &output, &options.user),
        Verb::Bypass(options) => bypass::run(&session, &output, &options, format),
        Verb::Tokens(verb) => tokens::run(&session, &output, &verb, format),
        Verb::Import(options) => import::run(&session, &output, &options, format),
        Verb::Migrate(verb) => migrate::run(&session, &output, &verb, format),
        Verb::Export(options) => export::run(&session, &output, &options),
        Verb::ImportAccount(options) => import_account::run(&session, &output, &options),
    };
    output.exit(ended, format)
}
