//! What a login costs: pam_mfa beside pam_permit, pam_google_authenticator and pam_oath, and beside what the disk allows.
//!
//! One process, one accepted and one refused login for each of many users, the modules in turn, so that whatever else the
//! machine does meets all of them alike. Prints Markdown.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program that measures, for people at a terminal: what goes wrong ends it"
)]

mod limit;
mod log;
mod login;
mod modules;
mod report;
mod scale;
mod statistics;
mod timing;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use mfa_test_harness::oathtool::Generator;

use crate::limit::Limit;
use crate::login::{Login, Took};
use crate::modules::{Module, Modules};
use crate::statistics::Series;

mfa_test_harness::stand_in_for_the_wall_clock!();
mfa_test_harness::stand_in_for_the_system_log!(log::send);

/// Measures logins and prints a table in Markdown.
#[derive(Parser)]
struct Arguments {
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
}

/// All that one run on one medium measured.
struct Run {
    medium: &'static str,
    file_system: String,
    /// In the order of [`Module::ALL`].
    modules: Vec<(Module, Measured)>,
    /// One in-place write of 4 KiB and fdatasync(2).
    limit: Series,
}

#[derive(Default)]
struct Measured {
    accepted: Vec<Took>,
    refused: Vec<Took>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    log::listen();
    if let Some(samples) = arguments.timing {
        let alike = timing::compare(&arguments.tmpfs, samples, arguments.tolerance);
        return if alike { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    let disk = measure("disk", &arguments.disk, arguments.users);
    let tmpfs = measure("tmpfs", &arguments.tmpfs, arguments.users);
    let scale = scale::measure(&arguments.disk, arguments.most_users, arguments.users);
    print!("{}", report::markdown(&[disk, tmpfs], &scale.sizes));
    eprintln!("bench: removing the users ...");
    ExitCode::SUCCESS
}

fn measure(medium: &'static str, folder: &Path, users: u32) -> Run {
    eprintln!("bench: {users} users of each module on {medium} ({}) ...", folder.display());
    let folder =
        tempfile::Builder::new().prefix("mfa-bench-").tempdir_in(folder).expect("a folder to measure in");
    let modules = Modules::set_up(folder.path(), users);
    let limit = Limit::new(folder.path());
    sync();

    let mut run = Run {
        medium,
        file_system: limit::file_system(folder.path()),
        modules: Module::ALL.map(|module| (module, Measured::default())).into(),
        limit: Series::default(),
    };
    let clock = Clock::new(users);
    for user in 0..users {
        limit.write_once(&mut run.limit);
        // The one that comes first is another one each time.
        let turn = usize::try_from(user).expect("a small number") % run.modules.len();
        for index in (0..run.modules.len()).map(|index| (index + turn) % Module::ALL.len()) {
            let (module, measured) = run.modules.get_mut(index).expect("there is a place for each module");
            let login = Login { stack: modules.stack(*module, user), user };
            measured.refused.push(login.refused(*module, &clock));
            measured.accepted.push(login.accepted(&clock));
        }
    }
    run
}

/// The codes of the one seed that all users of the bench have, a step for each of them.
struct Clock {
    first_step: u64,
    codes: Vec<String>,
}

/// The seed: that of RFC 6238.
const SEED: &[u8; 20] = b"12345678901234567890";
const SEED_BASE32: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
const PERIOD: u64 = 30;

impl Clock {
    fn new(steps: u32) -> Self {
        let generator = Generator {
            secret: SEED_BASE32.to_owned(),
            algorithm: "SHA1".to_owned(),
            digits: 6,
            period: PERIOD,
        };
        let first_step = mfa_test_harness::account::unix_seconds() / PERIOD;
        Self { first_step, codes: generator.codes(first_step, u64::from(steps)) }
    }

    /// Stops the wall clock in the middle of a step, and gives the code of it.
    fn move_to(&self, step: u32) -> &str {
        mfa_test_harness::wall_clock::stop_at((self.first_step + u64::from(step)) * PERIOD + PERIOD / 2);
        self.codes.get(usize::try_from(step).expect("a small number")).expect("a code for each step")
    }

    /// The moment at which [`Clock::move_to`] has stopped for the first step.
    fn now(&self) -> u64 {
        self.first_step * PERIOD + PERIOD / 2
    }

    /// A code that is right for no step nearby.
    fn wrong(&self) -> String {
        let mut candidates = (0..1_000_000).map(|number| format!("{number:06}"));
        candidates.find(|code| !self.codes.contains(code)).expect("most codes are wrong")
    }
}

/// Nothing of the set-up is left to be written while we measure.
fn sync() {
    nix::unistd::sync();
}
