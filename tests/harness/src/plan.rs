//! What is said between a test and the program it starts for a login: a plan down, events up.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::disk::Done;
use crate::libpam::{Call, Item, PamCode, Style};

/// All that one run of `pam-application` does.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Plan {
    /// What the wall clock shows, in seconds since 1970, standing still. None: the real time.
    pub clock: Option<u64>,
    /// What the host program is like.
    pub host: Host,
    /// One after the other; several of them at once, each in its thread, if there is more than one.
    pub sessions: Vec<Session>,
}

/// The state a host program is in when it starts a login.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Host {
    /// RLIMIT_NOFILE while it calls libpam.
    pub open_files: Option<u64>,
    /// RLIMIT_FSIZE while it calls libpam, in bytes.
    pub file_bytes: Option<u64>,
    /// RLIMIT_AS while it calls libpam: so many bytes more than it has mapped.
    pub memory_headroom: Option<u64>,
    /// The umask.
    pub umask: Option<u32>,
    /// Each write in place and each sync comes so many milliseconds later.
    pub disk_delay: Option<u64>,
    /// /dev/log leads to journald.
    pub has_journald: bool,
    /// Waits for the test before it calls libpam.
    pub starts_held: bool,
}

/// One handle of libpam, from pam_start_confdir(3) to pam_end(3).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Session {
    /// The folder with the stack.
    pub confdir: PathBuf,
    /// PAM_SERVICE, and the name of the file with the stack.
    pub service: String,
    /// PAM_USER. None: the stack has to ask.
    pub user: Option<Vec<u8>>,
    /// What the application knows about the login.
    pub items: Vec<(Item, Vec<u8>)>,
    /// `NAME=value` for pam_putenv(3).
    pub environment: Vec<String>,
    /// What the person says to each prompt, in order.
    pub answers: Vec<Answer>,
    /// What the application calls, and with which flags.
    pub calls: Vec<(Call, i32)>,
}

/// What a person, or a hostile application, does at a prompt.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Answer {
    /// Types this.
    Text(Vec<u8>),
    /// The application hands over NULL as the answer.
    Null,
    /// The application says PAM_CONV_ERR.
    ConversationError,
    /// Types this, once the test lets go ([`crate::Running::let_go`]).
    Held(Vec<u8>),
    /// The wall clock moves to this second while the person types this.
    Late(u64, Vec<u8>),
}

/// What happened in a run, in the order it did.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Event {
    /// The host program before the first pam_start, or after the last pam_end.
    Found(Snapshot),
    /// A module said something, or asked.
    Message(usize, Message),
    /// The person is at the prompt and waits for the test.
    Holding(usize),
    /// A prompt came for which the test had no answer.
    Unanswered(usize),
    /// libpam would now wait so many microseconds.
    DelayAsked(usize, u32),
    /// A line for the system log: priority with facility, and text.
    Log(i32, String),
    /// A datagram for journald.
    Journal(Vec<u8>),
    /// The disk did something.
    Disk(Done),
    /// A module called this function of the C library, which a guest must leave alone.
    Meddled(String),
    /// A function of libpam is about to be called.
    Calls(usize, Call),
    /// A function of libpam came back.
    Returned(usize, Call, PamCode),
    /// pam_start_confdir failed.
    NotStarted(usize, PamCode),
    /// Something was written to the standard output of the host program.
    Printed(Vec<u8>),
}

/// A message of a module.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Which kind.
    pub style: Style,
    /// Its text.
    pub text: Vec<u8>,
}

/// All of a process that a guest must leave as it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// umask, uids, gids, groups, signal masks and handlers, capabilities, number of threads:
    /// the lines of /proc/self/status that must not change.
    pub status: BTreeMap<String, String>,
    /// Open descriptors and what they lead to.
    pub descriptors: BTreeMap<String, String>,
    /// The working directory.
    pub directory: PathBuf,
    /// The environment.
    pub environment: BTreeMap<String, String>,
    /// The locale.
    pub locale: String,
    /// The interval timers that run (timer_create(2)).
    pub timers: String,
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} \"{}\"", self.style, self.text.escape_ascii())
    }
}

impl Snapshot {
    /// What is not as it was, in words.
    pub fn changes(&self, later: &Self) -> Vec<String> {
        let mut found = Vec::new();
        for (before, after) in [
            (&self.status, &later.status),
            (&self.descriptors, &later.descriptors),
            (&self.environment, &later.environment),
        ] {
            let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
            for name in names.into_iter().filter(|name| before.get(*name) != after.get(*name)) {
                found.push(format!("{name}: {:?} became {:?}", before.get(name), after.get(name)));
            }
        }
        let directories = [&self.directory, &later.directory].map(|path| path.display().to_string());
        for (what, [before, after]) in [
            ("directory", directories),
            ("locale", [self.locale.clone(), later.locale.clone()]),
            ("timers", [self.timers.clone(), later.timers.clone()]),
        ] {
            if before != after {
                found.push(format!("{what}: {before} became {after}"));
            }
        }
        found
    }
}
