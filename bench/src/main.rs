//! What a login costs: pam_mfa beside pam_permit, pam_google_authenticator and pam_oath, and beside what the disk allows.
//!
//! Time, system calls, memory, with many users and with many processes; the modules in turn, so that whatever else the machine does
//! meets all of them alike. Prints a page of Markdown, which docs/bench.md is.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program that measures, for people at a terminal: what goes wrong ends it"
)]

mod calls;
mod chart;
mod clock;
mod crowd;
mod latency;
mod limit;
mod log;
mod login;
mod memory;
mod modules;
mod report;
mod scale;
mod statistics;
mod targets;
mod timing;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tempfile::TempDir;

use crate::calls::{Calls, Watched};
use crate::crowd::{Crowd, Work};
use crate::latency::Run;
use crate::memory::{Grow, Growth};
use crate::scale::Size;

mfa_test_harness::stand_in_for_the_wall_clock!();
mfa_test_harness::stand_in_for_the_system_log!(log::send);

/// Measures logins and prints a page of Markdown.
#[derive(Parser)]
#[command(args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    task: Option<Task>,
    /// Users of each module; each logs in once and is refused once
    #[arg(long, default_value_t = 1000)]
    users: u32,
    /// A folder on the disk to measure
    #[arg(long, default_value = "/var/tmp")]
    disk: PathBuf,
    /// A folder in memory
    #[arg(long, default_value = "/dev/shm")]
    tmpfs: PathBuf,
    /// The largest number of pam_mfa users to compare with 10
    #[arg(long, default_value_t = 100_000)]
    most_users: u32,
    /// Only compare the time of refusals, with so many users of each kind: it must not tell who is enrolled
    #[arg(long)]
    timing: Option<u32>,
    /// By how many percent they may differ
    #[arg(long, default_value_t = 10.0)]
    tolerance: f64,
    /// Writes bench.md and bench.svg into this folder too
    #[arg(long)]
    save: Option<PathBuf>,
}

/// What the bench has done by other processes of itself.
#[derive(Subcommand)]
enum Task {
    /// Logs in, for strace or valgrind to watch
    Login(Watched),
    /// Logs in, and says by how much this process has grown
    Grow(Grow),
    /// Logs in again and again beside others
    Work(Work),
}

/// All that was measured.
struct Measurements {
    /// On what, in words.
    machine: String,
    disk: Run,
    tmpfs: Run,
    /// Microseconds.
    one_hmac: f64,
    scale: Vec<Size>,
    crowds: Vec<Crowd>,
    calls: Vec<Calls>,
    growth: Vec<Growth>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    log::listen();
    if let Some(samples) = arguments.timing {
        let alike = timing::compare(&arguments.tmpfs, samples, arguments.tolerance);
        return if alike { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    match &arguments.task {
        Some(Task::Login(watched)) => watched.run(),
        Some(Task::Grow(grow)) => grow.run(),
        Some(Task::Work(work)) => work.run(),
        None => measure(&arguments),
    }
    ExitCode::SUCCESS
}

fn measure(arguments: &Arguments) {
    let Arguments { users, disk, tmpfs, most_users, save, .. } = arguments;
    let scale = scale::measure(disk, *most_users, *users);
    let measured = Measurements {
        machine: machine(),
        disk: latency::measure("disk", disk, *users),
        tmpfs: latency::measure("tmpfs", tmpfs, *users),
        one_hmac: limit::one_hmac(),
        scale: scale.sizes,
        crowds: crowd::measure(disk),
        calls: calls::measure(tmpfs),
        growth: memory::measure(tmpfs),
    };
    print!("{}", report::markdown(&measured, None));
    if let Some(folder) = save {
        let written = std::fs::write(folder.join("bench.md"), report::markdown(&measured, Some("bench.svg")))
            .and_then(|()| std::fs::write(folder.join("bench.svg"), chart::svg(&measured)));
        written.unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    }
    eprintln!("bench: removing the users ...");
}

fn machine() -> String {
    let information = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let processor = information.lines().find_map(|line| line.strip_prefix("model name")?.split(':').nth(1));
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or("?").to_owned();
    let virtual_machine = if information.contains("hypervisor") { ", a virtual machine" } else { "" };
    format!(
        "This run: {processors} processors ({}{virtual_machine}), Linux {}, and other work on it: a load average of {load} before the bench began.",
        processor.unwrap_or("of an unknown kind").trim(),
        kernel.trim().split('-').next().unwrap_or("?")
    )
}

fn temporary(parent: &Path) -> TempDir {
    tempfile::Builder::new().prefix("mfa-bench-").tempdir_in(parent).expect("a folder to measure in")
}

/// Nothing of the set-up is left to be written while we measure.
fn sync() {
    nix::unistd::sync();
}
