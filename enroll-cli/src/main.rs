//! `mfa-enroll`: how a person gets a device, sees to it, and loses it.

#![forbid(unsafe_code)]

mod account;
mod activate;
mod add;
mod cli;
mod dialogue;
mod evidence;
mod guided;
mod history;
mod last_device;
mod layout;
mod proof;
mod qr;
mod recovery_codes;
mod remove;
mod rename;
mod resync;
mod showing;
mod status;
mod suspend;
mod test;

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
    let (store, socket) = (cli.store.as_deref(), cli.socket.as_deref());
    let account = Account::open(store, socket, cli.user, cli.no_account_check)?;
    let dialogue = || Dialogue::open(output);
    match cli.verb {
        None => guided::run(&account, &dialogue()?),
        Some(Verb::Add(options)) => add::run(&account, &dialogue()?, &options),
        Some(Verb::Activate(options)) => activate::run(&account, &dialogue()?, &options),
        Some(Verb::Status(options)) => status::run(&account, output, options.json),
        Some(Verb::Test(options)) => test::run(&account, &dialogue()?, &options),
        Some(Verb::Resync(options)) => resync::run(&account, &dialogue()?, &options),
        Some(Verb::Rename(options)) => rename::run(&account, &dialogue()?, &options.name, &options.to),
        Some(Verb::Suspend(options)) => suspend::run(&account, &dialogue()?, &options),
        Some(Verb::Resume(options)) => suspend::resume(&account, &dialogue()?, &options.name),
        Some(Verb::Remove(options)) => remove::run(&account, &dialogue()?, &options),
        Some(Verb::RecoveryCodes(options)) => recovery_codes::run(&account, &dialogue()?, &options),
        Some(Verb::History(options)) => history::run(&account, output, options.json),
    }
}
