//! By how much a program grows that has a login in it.

use std::path::{Path, PathBuf};
use std::process::Command;

use clap::{Args, ValueEnum};
use mfa_test_harness::libpam::Call;

use crate::clock::Clock;
use crate::login::{Kind, Login};
use crate::modules::{Module, Prepared};
use crate::temporary;

/// KiB that a process has more than before its first login.
pub(crate) struct Growth {
    pub(crate) module: Module,
    /// When pam_authenticate(3) has returned, and the module is still there.
    pub(crate) resident: i64,
    /// Of that, what it has written to, so that no other process can share it.
    pub(crate) private: i64,
    /// The same after a hundred more logins have ended.
    pub(crate) private_after_many: i64,
}

/// Each module in a process of its own.
pub(crate) fn measure(parent: &Path) -> Vec<Growth> {
    eprintln!("bench: the memory of a login ...");
    Module::ALL.map(|module| of(module, parent)).into()
}

fn of(module: Module, parent: &Path) -> Growth {
    let folder = temporary(parent);
    let name = module.to_possible_value().expect("each has a name").get_name().to_owned();
    let output = Command::new(std::env::current_exe().expect("a process knows its own program"))
        .arg("grow")
        .arg(folder.path())
        .args(["--module", &name])
        .output()
        .expect("our own program");
    assert!(output.status.success(), "{}: {}", module.name(), String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let numbers: Vec<i64> = text.split_whitespace().map(|word| word.parse().expect("a number")).collect();
    let [resident, private, private_after_many] = numbers.try_into().expect("three numbers");
    Growth { module, resident, private, private_after_many }
}

/// A process whose memory is looked at.
#[derive(Args)]
pub(crate) struct Grow {
    folder: PathBuf,
    #[arg(long)]
    module: Module,
}

/// The logins that follow the first.
const MORE_LOGINS: u32 = 100;

impl Grow {
    /// Logs in and prints by how much this process has grown.
    pub(crate) fn run(&self) {
        let at = Prepared::set_up(self.module, &self.folder, 1);
        let clock = Clock::new(MORE_LOGINS + 2);
        let login = |step| Login { at: &at, user: 0, step, kind: Kind::Accepted };
        // What libpam itself needs is there before.
        let permit = Prepared::set_up(Module::Permit, &self.folder, 1);
        let first = Login { at: &permit, ..login(0) };
        first.timed(&clock);
        let code = login(0).code(&clock);

        let before = Memory::now();
        let mut handle = login(0).start(code);
        let result = handle.call(Call::Authenticate, 0);
        let during = Memory::now();
        drop(handle);
        login(0).check(result);
        for step in 1..=MORE_LOGINS {
            login(step).timed(&clock);
        }
        let after = Memory::now();
        println!(
            "{} {} {}",
            during.resident - before.resident,
            during.private - before.private,
            after.private - before.private
        );
    }
}

/// The memory of this process in KiB, as proc(5) has it in smaps_rollup.
struct Memory {
    resident: i64,
    private: i64,
}

impl Memory {
    fn now() -> Self {
        let text = std::fs::read_to_string("/proc/self/smaps_rollup").expect("/proc is mounted");
        let field = |name: &str| -> i64 {
            let line =
                text.lines().find_map(|line| line.strip_prefix(name)).expect("a field of smaps_rollup");
            line.trim_end_matches("kB").trim().parse().expect("a number")
        };
        Self { resident: field("Rss:"), private: field("Private_Dirty:") }
    }
}
