//! The program a login happens in, as sshd or sudo would be: does what a [`Plan`] says and tells all that happens.
//!
//! It is a process of its own for each login, so that a test sees what a host program would suffer: a signal, a hang,
//! a changed umask, a line on stderr. `pam-application` (tests/pam) is this with a `main` around it.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read, Seek, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Mutex, OnceLock};
use std::thread;
use std::time::Duration;

use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::stat::{Mode, umask};

use crate::disk::{self, Done};
use crate::libpam::{self, Conversation, Handle, Reply, Style};
use crate::plan::{Answer, Event, Host, Message, Plan, Session, Snapshot};
use crate::system_log::{self, Entry};
use crate::wall_clock;

/// Runs `plan`. The program has to use [`crate::stand_in_for_the_wall_clock!`], [`crate::stand_in_for_the_disk!`] with [`worked`], and
/// [`crate::stand_in_for_the_system_log!`] with [`logged`].
pub fn run(plan: &Plan) -> io::Result<()> {
    let mut printed = take_over_stdout()?;
    if let Some(mask) = plan.host.umask {
        umask(Mode::from_bits_truncate(mask));
    }
    if plan.host.has_journald {
        system_log::run_journald();
    }
    if let Some(milliseconds) = plan.host.disk_delay {
        disk::slow_down(milliseconds);
    }
    if let Some(seconds) = plan.clock {
        wall_clock::stop_at(seconds);
    }

    tell(&Event::Found(snapshot()?));
    run_sessions(plan);
    tell(&Event::Found(snapshot()?));

    let mut bytes = Vec::new();
    printed.rewind()?;
    printed.read_to_end(&mut bytes)?;
    if !bytes.is_empty() {
        tell(&Event::Printed(bytes));
    }
    Ok(())
}

/// Tells the test what happened.
pub fn tell(event: &Event) {
    let mut line = serde_json::to_vec(event).expect("an event is plain data");
    line.push(b'\n');
    // Before run() has opened it there is nobody to be told, and nothing to tell.
    let Some(report) = REPORT.get() else { return };
    let mut report = report.lock().expect("nothing panics while it holds this");
    // The test may have gone, and this process with it soon.
    let _ = report.write_all(&line);
}

/// Tells the test what a module did with the log.
pub fn logged(entry: Entry) {
    tell(&match entry {
        Entry::Line(priority, text) => Event::Log(priority, text),
        Entry::Journal(datagram) => Event::Journal(datagram),
        Entry::Meddled(function) => Event::Meddled(function.to_owned()),
    });
}

/// Tells the test what the disk did.
pub fn worked(done: Done) {
    tell(&Event::Disk(done));
}

/// Where events go: what was the standard output when this program started.
static REPORT: OnceLock<Mutex<File>> = OnceLock::new();

/// Moves the report out of the way, so that what a module prints can be told from it.
fn take_over_stdout() -> io::Result<File> {
    let report: OwnedFd = io::stdout().as_fd().try_clone_to_owned()?;
    REPORT.set(Mutex::new(File::from(report))).map_err(|_| io::Error::other("run() runs once"))?;
    let printed = File::from(memfd_create(c"stdout", MFdFlags::MFD_CLOEXEC)?);
    nix::unistd::dup2_stdout(&printed)?;
    Ok(printed)
}

fn run_sessions(plan: &Plan) {
    if let [session] = plan.sessions.as_slice() {
        run_session(0, session, plan);
        return;
    }
    thread::scope(|scope| {
        for (index, session) in plan.sessions.iter().enumerate() {
            scope.spawn(move || run_session(index, session, plan));
        }
    });
    // The kernel counts a thread a moment longer than pthread_join(3) waits for it.
    for _ in 0..1000 {
        if fs::read_dir("/proc/self/task").is_ok_and(|tasks| tasks.count() == 1) {
            return;
        }
        thread::sleep(Duration::from_millis(1));
    }
}

fn run_session(index: usize, session: &Session, plan: &Plan) {
    let script = Script { index, answers: session.answers.clone().into_iter() };
    let started =
        Handle::start(&session.confdir, &session.service, session.user.as_deref(), Box::new(script));
    let mut handle = match started {
        Ok(handle) => handle,
        Err(code) => return tell(&Event::NotStarted(index, code)),
    };
    for (item, value) in &session.items {
        handle.set_item(*item, value);
    }
    for assignment in &session.environment {
        handle.put_environment(assignment.as_bytes());
    }
    for (call, flags) in &session.calls {
        tell(&Event::Calls(index, *call));
        if plan.host.starts_held {
            wait_for_go();
        }
        // Only now: pam_start(3) itself opens files and is not what the limits are meant for.
        let limits = Limits::lower(&plan.host).expect("a soft limit can be lowered");
        let code = handle.call(*call, *flags);
        limits.restore().expect("a soft limit can be raised up to the hard one");
        tell(&Event::Returned(index, *call, code));
    }
}

/// A conversation by script.
struct Script {
    index: usize,
    answers: std::vec::IntoIter<Answer>,
}

impl Conversation for Script {
    fn answer(&mut self, style: Style, text: &[u8]) -> Reply {
        tell(&Event::Message(self.index, Message { style, text: text.to_vec() }));
        match style {
            Style::Error | Style::Info | Style::Other(_) => return Reply::Null,
            Style::PromptEchoOff | Style::PromptEchoOn => {}
        }
        match self.answers.next() {
            Some(Answer::Text(bytes)) => Reply::Text(bytes),
            Some(Answer::Null) => Reply::Null,
            Some(Answer::ConversationError) => Reply::Fail,
            Some(Answer::Held(bytes)) => {
                tell(&Event::Holding(self.index));
                wait_for_go();
                Reply::Text(bytes)
            }
            Some(Answer::Late(seconds, bytes)) => {
                wall_clock::stop_at(seconds);
                Reply::Text(bytes)
            }
            None => {
                tell(&Event::Unanswered(self.index));
                Reply::Fail
            }
        }
    }

    fn delay(&mut self, microseconds: u32) {
        if microseconds > 0 {
            tell(&Event::DelayAsked(self.index, microseconds));
        }
    }
}

/// Until the test closes the other end of our standard input. Many processes may share it as one barrier.
fn wait_for_go() {
    let _ = io::stdin().read(&mut [0]);
}

/// The limits of a host program, in force for the logins alone.
struct Limits(Vec<(Resource, u64)>);

impl Limits {
    fn lower(host: &Host) -> io::Result<Self> {
        let mapped = || -> io::Result<u64> {
            let pages: u64 = fs::read_to_string("/proc/self/statm")?
                .split_whitespace()
                .next()
                .and_then(|pages| pages.parse().ok())
                .ok_or(io::ErrorKind::InvalidData)?;
            Ok(pages * 4096)
        };
        let memory = host.memory_headroom.map(|bytes| mapped().map(|mapped| mapped + bytes)).transpose()?;
        let wanted = [
            (Resource::RLIMIT_NOFILE, host.open_files),
            (Resource::RLIMIT_FSIZE, host.file_bytes),
            (Resource::RLIMIT_AS, memory),
        ];
        let mut former = Vec::new();
        for (resource, value) in wanted {
            if let Some(value) = value {
                let (soft, hard) = getrlimit(resource)?;
                setrlimit(resource, value, hard)?;
                former.push((resource, soft));
            }
        }
        Ok(Self(former))
    }

    fn restore(self) -> io::Result<()> {
        for (resource, soft) in self.0 {
            setrlimit(resource, soft, getrlimit(resource)?.1)?;
        }
        Ok(())
    }
}

/// Signals 32 and 33 belong to libc, which sets them up with the first thread of a program.
fn without_signals_of_libc(name: &str, value: &str) -> String {
    match u64::from_str_radix(value, 16) {
        Ok(mask) if name.starts_with("Sig") => format!("{:016x}", mask & !(0b11 << 31)),
        Ok(_) | Err(_) => value.to_owned(),
    }
}

fn snapshot() -> io::Result<Snapshot> {
    const WATCHED: [&str; 12] = [
        "Umask",
        "Uid",
        "Gid",
        "Groups",
        "Threads",
        "SigBlk",
        "SigIgn",
        "SigCgt",
        "CapPrm",
        "CapEff",
        "NoNewPrivs",
        "Seccomp",
    ];
    let status = fs::read_to_string("/proc/self/status")?
        .lines()
        .filter_map(|line| line.split_once(':'))
        .filter(|(name, _)| WATCHED.contains(name))
        .map(|(name, value)| (name.to_owned(), without_signals_of_libc(name, value.trim())))
        .collect();
    let mut descriptors = BTreeMap::new();
    for entry in fs::read_dir("/proc/self/fd")? {
        let entry = entry?;
        // The descriptor of this very reading is gone by now.
        if let Ok(leads_to) = fs::read_link(entry.path()) {
            let leads_to = leads_to.to_string_lossy().into_owned();
            if !leads_to.ends_with("/fd") {
                descriptors.insert(entry.file_name().to_string_lossy().into_owned(), leads_to);
            }
        }
    }
    let environment = std::env::vars_os()
        .map(|(name, value)| (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned()))
        .collect();
    Ok(Snapshot {
        status,
        descriptors,
        directory: std::env::current_dir()?,
        environment,
        locale: libpam::locale(),
        timers: fs::read_to_string("/proc/self/timers").unwrap_or_default(),
    })
}
