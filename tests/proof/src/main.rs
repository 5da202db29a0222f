//! The proof kit: black-box trials of OTP modules through the real libpam. docs/proof.md says what they are for.
//!
//! Each trial is a function from a [`Course`] to a [`Finding`]. It knows a module only through `adapters.rs`.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::arithmetic_side_effects,
    reason = "a panic in a trial is caught and shown on the scoreboard as an error"
)]
#![expect(clippy::unnecessary_wraps, reason = "every trial is a `fn(&Course) -> Finding`")]

mod adapters;
mod calls;
mod changes;
mod clock;
mod course;
mod devices;
mod enrollment;
mod faults;
mod hosts;
mod killed;
mod neighbours;
mod once;
mod people;
mod places;
mod play;
mod power;
mod replay;
mod scoreboard;
mod tracer;

use std::cell::RefCell;
use std::fs;
use std::panic::{self, AssertUnwindSafe};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use clap::Parser;

use crate::adapters::Module;
use crate::course::{Course, Random};
use crate::scoreboard::{Entry, Finding, Scoreboard, Unfit};

/// Runs every OTP module through the same trials and prints one scoreboard. Run it as root; see docs/proof.md.
#[derive(Parser)]
struct Options {
    /// A smaller count of everything, for CI: under a minute.
    #[arg(long)]
    quick: bool,

    /// So many rounds of each trial, whatever its own count is.
    #[arg(long, value_name = "N")]
    rounds: Option<usize>,

    /// The seed of a former run, in hex. Without it, a new one.
    #[arg(long, value_name = "HEX", value_parser = |text: &str| u64::from_str_radix(text, 16))]
    seed: Option<u64>,

    /// Only trials whose name contains this.
    #[arg(long, value_name = "TEXT")]
    trial: Vec<String>,

    /// Only this module: pam_mfa, pam_google_authenticator or pam_oath.
    #[arg(long, value_name = "NAME")]
    module: Vec<String>,

    /// Where scoreboard.md and scoreboard.json go.
    #[arg(long, value_name = "FOLDER", default_value = "target/proof")]
    output: PathBuf,

    /// End with the first trial that fails.
    #[arg(long)]
    stop_at_failure: bool,

    /// How many trials run beside each other. Without it: one for each processor.
    #[arg(long, value_name = "N")]
    jobs: Option<usize>,
}

/// A trial: its name, what has to hold, the function, and how often it is done in a full and in a quick run.
struct Trial(&'static str, &'static str, fn(&Course) -> Finding, usize, usize);

/// As many as there are.
const ALL: usize = usize::MAX;

#[rustfmt::skip]
const TRIALS: &[Trial] = &[
    // At the same instant.
    Trial("one-code-at-once", "one code, 64 processes at a barrier: exactly one is let in", once::one_code_at_once, 100, 6),
    Trial("one-code-on-a-slow-disk", "the same where each write and sync takes 2 ms longer", once::one_code_on_a_slow_disk, 10, 1),
    Trial("one-recovery-code-at-once", "one recovery code, 64 processes at a barrier: exactly one is let in", once::one_recovery_code_at_once, 50, 2),
    Trial("each-device-counts", "three devices: each one's code works, once", devices::each_counts, 20, 3),
    Trial("each-device-at-once", "the codes of three devices, 64 processes: exactly one is let in for each", devices::each_once_at_once, 20, 2),
    Trial("one-bypass-code-at-once", "one bypass code of root's, 64 processes: exactly one; a replaced or expired one: nobody", once::one_bypass_code_at_once, 20, 1),
    Trial("only-active-devices", "suspended, removed, not yet proven: refused; taken up again: let in", devices::only_active_ones_count, ALL, ALL),
    Trial("counter-device", "a device that counts: each code once, older ones never", devices::counter_device, ALL, ALL),
    Trial("guesses-at-once", "64 wrong guesses at once count as 64 in a row do", neighbours::guesses_at_once, 20, 2),
    Trial("guesses-cost-a-wait", "3 wrong codes and more: the right one has to wait, and then works", neighbours::guesses_cost_a_wait, ALL, ALL),
    Trial("guesses-have-an-end", "100 wrong guesses an hour apart: the device is closed", neighbours::guesses_have_an_end, ALL, ALL),
    Trial("eight-users-at-once", "8 users at once: all are let in", neighbours::eight_users_at_once, 50, 5),
    Trial("another-session", "a session that ends while somebody is at the prompt does not refuse that one", neighbours::another_session, 20, 5),
    Trial("held-lock", "somebody holds the account's lock for ever: refused, in time; let in afterwards; for a second: let in", neighbours::held_lock, ALL, ALL),
    Trial("stranger-guesses", "a stranger who guesses does not refuse the owner", neighbours::stranger_guesses, 10, 2),
    // kill -9.
    Trial("kill-at-random", "kill -9 at random moments of a login", killed::login_at_random_moments, 1000, 30),
    Trial("kill-at-every-call", "kill -9 before and after every system call of a login", killed::login_at_every_call, ALL, 40),
    Trial("kill-a-recovery", "kill -9 before and after system calls of a login by recovery code", killed::recovery_at_every_call, 120, 10),
    Trial("kill-an-enrollment", "kill -9 before and after every system call of the enrollment of a second device", killed::enrollment_at_every_call, 1000, 20),
    Trial("kill-a-first-enrollment", "the same of a first device, in an empty store and beside another account", killed::first_enrollment_at_every_call, 300, 12),
    Trial("kill-a-change", "the same of every other change: recovery codes, suspend, resume, remove, bypass", killed::change_at_every_call, 500, 20),
    // What the system refuses.
    Trial("one-call-fails", "each open, write, sync, rename of a login fails with ENOSPC, EIO, EROFS, EDQUOT, EMFILE", faults::one_call_fails, ALL, ALL),
    Trial("short-writes", "each write of a login writes half, an eighth, a byte", faults::short_writes, ALL, ALL),
    Trial("wrong-code-and-a-call-fails", "a wrong code is refused whatever fails", faults::wrong_code_while_a_call_fails, ALL, ALL),
    Trial("enrollment-call-fails", "each such call of an enrollment fails", faults::one_call_of_an_enrollment_fails, 200, 10),
    Trial("change-call-fails", "each such call of every other change fails", faults::one_call_of_a_change_fails, 200, 10),
    Trial("disk-stays-broken", "all changes fail, or all syncs, until the disk is well again", faults::disk_stays_broken, ALL, ALL),
    Trial("full-disk", "a full disk, where overwriting needs room as well: each code lets in, once", faults::full_disk, ALL, ALL),
    Trial("restart-after-a-broken-disk", "a recovery code used while nothing can be written, and again after a restart: not both", faults::restart_after_a_broken_disk, ALL, ALL),
    // Power cuts.
    Trial("power-cut-at-success", "power cut at the moment of success (ext4, journal not flushed): the code is dead", power::cut_at_success, 20, 5),
    Trial("power-cut-in-a-login", "power cut at any moment of a login, every order that its syncs allow", replay::cut_in_a_login, ALL, 60),
    Trial("power-cut-in-a-recovery", "the same of a login by recovery code", replay::cut_in_a_recovery, 100, 10),
    Trial("power-cut-in-an-enrollment", "the same of the enrollment of a second device", replay::cut_in_an_enrollment, 400, 20),
    Trial("power-cut-in-a-first-enrollment", "the same of a first device, in an empty store and beside another account", replay::cut_in_a_first_enrollment, 200, 5),
    Trial("power-cut-in-a-change", "the same of every other change", replay::cut_in_a_change, 500, 25),
    Trial("power-cut-after-an-offer", "between the key that is shown and its codes: the same key is shown again", replay::cut_after_an_offer, 100, 20),
    Trial("power-cut-after-a-failed-sync", "a sync fails, then the power: who was let in is not let in again", replay::cut_after_a_failed_sync, ALL, ALL),
    Trial("lock-outlives-the-sync", "what is written under a lock is on the disk before the lock is let go of", replay::lock_outlives_the_sync, ALL, ALL),
    // The clock, and codes.
    Trial("clock-set-back", "the clock set back revives no code", clock::set_back, ALL, ALL),
    Trial("clock-set-forward", "the clock set forward: the code of then works, once", clock::set_forward, ALL, ALL),
    Trial("suspended", "asleep at the prompt: the time of the answer counts", clock::suspended, ALL, ALL),
    Trial("window", "one step early or late is fine, two are not", clock::window, ALL, ALL),
    Trial("older-code", "a code older than the one last used is dead", clock::older_code, ALL, ALL),
    Trial("colliding-codes", "two steps of a window with the same digits: used once, dead", clock::colliding_codes, 3, 1),
    Trial("colliding-devices", "two devices that show the same digits in one window: used once, dead", devices::colliding_devices, 3, 1),
    // What lies where a file should be.
    Trial("instead-of-a-file", "FIFO, device, link, folder, huge file, wrong owner or mode: refused, at once", places::instead_of_a_file, ALL, ALL),
    Trial("folders", "a folder that others can write, of another owner, or a link: refused", places::folders, ALL, ALL),
    Trial("damaged-bytes", "bytes lost, changed or old in each file: a used code stays used", places::damaged_bytes, ALL, ALL),
    Trial("before-an-enrollment", "the like where an enrollment wants to write: it ends, and the old device works", places::before_an_enrollment, ALL, ALL),
    // People and host programs.
    Trial("ugly-names", "user names of every ugly kind: refused, nothing left behind", people::ugly_names, ALL, ALL),
    Trial("near-misses", "a digit off, missing or too many: refused", people::near_misses, ALL, 20),
    Trial("each-to-their-own", "somebody else's code or files: refused", people::each_to_their_own, ALL, ALL),
    Trial("misspelt-settings", "a word of the PAM line or of the policy that is not understood: nobody is let in", people::misspelt_settings, ALL, ALL),
    Trial("long-answers", "answers of 512, 513 and 10,000 bytes", people::long_answers, ALL, ALL),
    Trial("broken-conversations", "a conversation that returns NULL, fails, or says nothing: refused, nobody charged", people::broken_conversations, ALL, ALL),
    Trial("never-answers", "somebody who never answers holds nobody up", people::never_answers, 10, 2),
    Trial("few-descriptors", "RLIMIT_NOFILE from 0 to 23", hosts::few_descriptors, ALL, ALL),
    Trial("small-files", "RLIMIT_FSIZE from 0", hosts::small_files, ALL, ALL),
    Trial("little-memory", "RLIMIT_AS from nothing more than there is", hosts::little_memory, ALL, ALL),
    Trial("little-memory-for-a-recovery", "the same with a recovery code", hosts::little_memory_for_a_recovery, ALL, ALL),
    Trial("ignores-children", "a host program that ignores SIGCHLD", hosts::ignores_children, 10, 2),
    Trial("any-umask", "any umask: let in, and nobody else can read the secret", hosts::any_umask, ALL, ALL),
    Trial("threads", "8 threads: each its own code, then all the same", hosts::threads, 20, 3),
];

/// What is wrong, and the cure.
type Complaint = (String, String);

fn main() -> ExitCode {
    let options = Options::parse();
    match prove(&options) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err((what, cure)) => {
            complain(&what, &cure);
            ExitCode::from(2)
        }
    }
}

fn prove(options: &Options) -> Result<bool, Complaint> {
    if !nix::unistd::geteuid().is_root() {
        return Err((
            "the trials cut power and change owners, and this is not root".into(),
            "sudo make proof".into(),
        ));
    }
    let chosen = |module: &Module| {
        options.module.is_empty() || options.module.iter().any(|name| name == module.name())
    };
    let modules: Vec<Module> = Module::ALL.into_iter().filter(chosen).collect();
    if modules.is_empty() {
        let known = Module::ALL.map(Module::name).join(", ");
        return Err((
            format!("no module is called {}", options.module.join(" or ")),
            format!("known: {known}"),
        ));
    }
    let versions: Result<Vec<_>, Complaint> =
        modules.iter().map(|module| Ok((*module, module.version()?))).collect();
    let versions = versions?;
    let seed = options.seed.unwrap_or_else(new_seed);
    let begun = Instant::now();
    let entries = run_all(options, &modules, seed);
    if entries.is_empty() {
        return Err((
            format!("no trial has {} in its name", options.trial.join(" or ")),
            "without --trial: all".into(),
        ));
    }
    let scoreboard = Scoreboard { entries, seed, took: begun.elapsed(), versions };
    publish(&scoreboard, options)?;
    Ok(scoreboard.is_in_order())
}

/// Every chosen trial of every module, several beside each other; in the order of the list.
fn run_all(options: &Options, modules: &[Module], seed: u64) -> Vec<Entry> {
    let chosen =
        |name: &str| options.trial.is_empty() || options.trial.iter().any(|part| name.contains(part));
    let tasks: Vec<(&Trial, Module)> = TRIALS
        .iter()
        .filter(|trial| chosen(trial.0))
        .flat_map(|trial| modules.iter().map(move |module| (trial, *module)))
        .collect();
    keep_panics_quiet();
    let jobs =
        options.jobs.or_else(|| std::thread::available_parallelism().ok().map(usize::from)).unwrap_or(1);
    let (next, done) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..jobs.max(1) {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::SeqCst);
                    let Some((trial, module)) = tasks.get(index) else { return };
                    let entry = run_one(options, trial, *module, seed);
                    say(&entry.line());
                    if options.stop_at_failure && !entry.is_in_order() {
                        next.store(tasks.len(), Ordering::SeqCst);
                    }
                    done.lock().expect("nothing panics while it holds this").push((index, entry));
                }
            });
        }
    });
    let mut done = done.into_inner().expect("nothing panicked while it held this");
    done.sort_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, entry)| entry).collect()
}

fn run_one(options: &Options, trial: &Trial, module: Module, seed: u64) -> Entry {
    let Trial(name, rule, function, full, quick) = trial;
    // Of its own, so that a trial can be run again alone.
    let seed = name
        .bytes()
        .chain(module.name().bytes())
        .fold(seed, |seed, byte| Random(seed ^ u64::from(byte)).next());
    let count = options.rounds.unwrap_or(if options.quick { *quick } else { *full });
    let course = Course { module, count, seed };
    let begun = Instant::now();
    let finding = panic::catch_unwind(AssertUnwindSafe(|| function(&course)))
        .unwrap_or_else(|_| Err(Unfit::Broke(LAST_PANIC.take())));
    Entry { trial: name, rule, module, seed, took: begun.elapsed(), finding }
}

thread_local! {
    static LAST_PANIC: RefCell<String> = const { RefCell::new(String::new()) };
}

/// They are shown on the scoreboard.
fn keep_panics_quiet() {
    panic::set_hook(Box::new(|panic| {
        let text: String = panic.to_string().chars().take(2000).collect();
        LAST_PANIC.with_borrow_mut(|last| *last = text);
    }));
}

fn new_seed() -> u64 {
    let drawn = fs::read_to_string("/proc/sys/kernel/random/uuid").unwrap_or_default();
    drawn.bytes().fold(0, |seed, byte| Random(seed ^ u64::from(byte)).next())
}

#[expect(clippy::print_stdout, reason = "the scoreboard")]
fn publish(scoreboard: &Scoreboard, options: &Options) -> Result<(), Complaint> {
    let markdown = scoreboard.markdown();
    println!("\n{markdown}");
    let written = fs::create_dir_all(&options.output)
        .and_then(|()| fs::write(options.output.join("scoreboard.md"), &markdown))
        .and_then(|()| {
            fs::write(options.output.join("scoreboard.json"), format!("{:#}\n", scoreboard.json()))
        });
    written.map_err(|error| {
        (format!("{}: {error}", options.output.display()), "choose another folder with --output".into())
    })
}

#[expect(clippy::print_stderr, reason = "progress")]
fn say(line: &str) {
    eprintln!("{line}");
}

#[expect(clippy::print_stderr, reason = "this is how a program complains")]
fn complain(what: &str, cure: &str) {
    eprintln!("mfa-proof: {what}\nhint: {cure}");
}
