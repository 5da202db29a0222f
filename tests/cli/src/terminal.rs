//! A command on a terminal: a pseudo-terminal, and a screen as a person sees it (by the vt100 crate).

use std::fs::File;
use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use mfa_test_harness::oathtool::Generator;
use mfa_test_harness::watch;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::pty::{Winsize, openpty};
use nix::sys::termios::{LocalFlags, tcgetattr};

use crate::pipe::{Ran, exit_code};

/// How often a test looks before it gives up: for a minute, or longer where the machine is slow. Counted and not timed, because a machine
/// that stood still for a minute has not waited in vain for one.
const GLANCES: u32 = 6000;
const GLANCE: Duration = Duration::from_millis(10);

/// A terminal with a command on it.
pub struct Terminal {
    child: Child,
    master: File,
    seen: Arc<Mutex<Seen>>,
    reader: JoinHandle<()>,
    /// How much of the text has been waited for.
    position: usize,
}

/// What the command has printed.
struct Seen {
    screen: vt100::Parser,
    text: String,
}

impl Terminal {
    /// Starts a command on a terminal of 80 columns and 24 rows.
    pub fn start(command: &Command) -> Self {
        Self::start_in(command, 80, 24)
    }

    /// Starts a command on a terminal of some size.
    pub fn start_in(command: &Command, columns: u16, rows: u16) -> Self {
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        let pty = openpty(&size, None).expect("there are pseudo-terminals");
        // A program of another test that is started just now must not keep this terminal from hanging up.
        for end in [&pty.master, &pty.slave] {
            fcntl(end, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)).expect("it is open");
        }
        let side = || Stdio::from(pty.slave.try_clone().expect("a descriptor is left"));
        // A session of its own with this terminal, so that Ctrl-C comes as a signal.
        let mut setsid = Command::new("setsid");
        setsid.args(["--ctty", "--wait"]).args(crate::AS_A_SHELL_STARTS_IT);
        let child = crate::within(setsid, command)
            .stdin(side())
            .stdout(side())
            .stderr(side())
            .spawn()
            .unwrap_or_else(|error| panic!("setsid: {error}\nhint: apt-get install util-linux"));
        drop(pty.slave);
        let master = File::from(pty.master);
        let seen =
            Arc::new(Mutex::new(Seen { screen: vt100::Parser::new(rows, columns, 0), text: String::new() }));
        let reader = thread::spawn({
            let mut output = master.try_clone().expect("a descriptor is left");
            let seen = Arc::clone(&seen);
            move || {
                let mut bytes = [0; 4096];
                // A letter may come in two pieces.
                let mut unread = Vec::new();
                // EIO: the last process has closed its side.
                while let Ok(count @ 1..) = output.read(&mut bytes) {
                    let read = bytes.get(..count).unwrap_or_default();
                    unread.extend(read);
                    let mut seen = lock(&seen);
                    seen.screen.process(read);
                    seen.text.push_str(&mfa_test_screen::take_text(&mut unread));
                }
            }
        });
        Self { child, master, seen, reader, position: 0 }
    }

    /// Waits until this is printed, after what was waited for last.
    #[track_caller]
    pub fn wait_for(&mut self, text: &str) {
        let started = Instant::now();
        for _ in 0..GLANCES {
            let found = lock(&self.seen).text.get(self.position..).and_then(|new| new.find(text));
            if let Some(found) = found {
                self.position += found + text.len();
                return;
            }
            thread::sleep(GLANCE);
        }
        panic!("no {text:?} came in {:?}; the screen:\n{}", started.elapsed(), self.screen());
    }

    /// Types something, as it is.
    pub fn types(&mut self, keys: &str) {
        self.master.write_all(keys.as_bytes()).expect("the terminal takes it");
    }

    /// Types a line.
    pub fn enters(&mut self, line: &str) {
        self.types(&format!("{line}\n"));
    }

    /// Types Ctrl-C.
    pub fn interrupts(&mut self) {
        self.types("\x03");
    }

    /// What stands on the screen, without colours.
    pub fn screen(&self) -> String {
        lock(&self.seen).screen.screen().contents()
    }

    /// What stands on the screen, with everything.
    pub fn screen_in_colours(&self) -> vt100::Screen {
        lock(&self.seen).screen.screen().clone()
    }

    /// Everything that was ever printed.
    pub fn text(&self) -> String {
        lock(&self.seen).text.clone()
    }

    /// The device whose key is on the screen, of the usual kind.
    #[track_caller]
    pub fn device(&self) -> Generator {
        let is_group =
            |word: &&str| word.len() == 4 && word.chars().all(|c| matches!(c, 'A'..='Z' | '2'..='7'));
        let screen = self.screen();
        let key: String = screen
            .lines()
            .map(|line| line.split_whitespace().filter(is_group).collect::<Vec<_>>())
            .filter(|groups| groups.len() >= 4)
            .flatten()
            .collect();
        assert_eq!(key.len(), 32, "no key of 32 letters on the screen:\n{screen}");
        Generator { secret: key, algorithm: "SHA1".to_owned(), digits: 6, period: 30 }
    }

    /// Whether the terminal is in its usual mode: lines, echo, and Ctrl-C a signal.
    pub fn is_in_usual_mode(&self) -> bool {
        let usual = LocalFlags::ICANON | LocalFlags::ECHO | LocalFlags::ISIG;
        tcgetattr(&self.master).is_ok_and(|mode| mode.local_flags.contains(usual))
    }

    /// Waits for the end of the command. All that it printed is in `out`.
    #[track_caller]
    pub fn end(mut self) -> Ran {
        let mut glances = 0..GLANCES;
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("our own child") {
                break status;
            }
            if glances.next().is_none() {
                let _ = self.child.kill();
                panic!("it does not end; the screen:\n{}", self.screen());
            }
            thread::sleep(GLANCE);
        };
        self.reader.join().expect("the reader reads");
        let out = lock(&self.seen).text.replace("\r\n", "\n");
        watch::for_panics("the terminal", &out);
        Ran { code: exit_code(status), out, err: String::new() }
    }
}

fn lock(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}
