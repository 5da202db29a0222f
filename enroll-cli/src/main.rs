//! `mfa-enroll`: how a person gets a device, sees to it, and loses it.

#![forbid(unsafe_code)]

mod account;
mod add;
mod changes;
mod cli;
mod dialogue;
mod guided;
mod history;
mod layout;
mod proof;
mod qr;
mod recovery_codes;
mod remove;
mod resync;
mod showing;
mod status;
mod trial;

use std::process::ExitCode;

use clap::Parser as _;
use mfa_cli::{Failure, Output, keep_out_of_core_dumps};

use crate::account::Account;
use crate::cli::{Cli, Verb};
use crate::dialogue::Dialogue;

fn main() -> ExitCode {
    let cli = Cli::parse();
    keep_out_of_core_dumps();
    let Ok(output) = Output::open("mfa-enroll") else { return ExitCode::FAILURE };
    let format = cli.format();
    output.exit(run(cli, &output), format)
}

fn run(cli: Cli, output: &Output) -> Result<(), Failure> {
    let account = Account::open(cli.store.as_deref(), cli.user, cli.no_account_check)?;
    let dialogue = || Dialogue::open(output);
    match cli.verb {
        None => guided::run(&account, &dialogue()?),
        Some(Verb::Add(options)) => add::run(&account, &dialogue()?, &options),
        Some(Verb::Status(options)) => status::run(&account, output, &options),
        Some(Verb::Remove(options)) => remove::run(&account, &dialogue()?, &options),
        Some(Verb::Rename(options)) => changes::rename(&account, output, &options),
        Some(Verb::Suspend(options)) => changes::suspend(&account, &dialogue()?, &options),
        Some(Verb::Resume(options)) => changes::resume(&account, output, &options),
        Some(Verb::Resync(options)) => resync::resync(&account, &dialogue()?, &options),
        Some(Verb::Activate(options)) => resync::activate(&account, &dialogue()?, &options),
        Some(Verb::Test) => trial::run(&account, &dialogue()?),
        Some(Verb::History(options)) => history::run(&account, output, &options),
        Some(Verb::RecoveryCodes(options)) => recovery_codes::run(&account, &dialogue()?, &options),
    }
}
