//! A program on a terminal: what it shows, what is typed, how it ends.

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::process::{Child, ChildStdin, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use crate::engine;
use crate::host::PATIENCE;

/// A program that runs on a terminal of its own, inside a host.
#[derive(Debug)]
pub struct Terminal {
    running: Child,
    keyboard: Mutex<ChildStdin>,
    screen: Arc<Screen>,
    /// Up to where the screen has been read: a prompt that was answered does not count again.
    read: Mutex<usize>,
}

/// How a program ended.
#[derive(Clone, Debug)]
pub struct Ended {
    /// Its exit status.
    pub status: i32,
    /// All that it showed.
    pub screen: String,
}

impl Terminal {
    pub(crate) fn start(container: &str, user: &str, command: &str) -> Self {
        // script(1) makes the terminal; its own standard input is the keyboard.
        let mut running =
            engine::docker(&["exec", "--interactive", "--user", user, "--workdir", "/", container])
                .args(["script", "--quiet", "--flush", "--return", "--command", command, "/dev/null"])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .spawn()
                .unwrap_or_else(|error| {
                    panic!("docker can't be run: {error}\nhint: `make test` installs and starts it")
                });
        let keyboard = running.stdin.take().expect("standard input is piped");
        let mut output = running.stdout.take().expect("standard output is piped");
        let screen = Arc::new(Screen::of(command, ""));
        let writer = Arc::clone(&screen);
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            // A letter may come in two pieces.
            let mut bytes = Vec::new();
            while let Ok(length @ 1..) = output.read(&mut buffer) {
                bytes.extend(buffer.get(..length).unwrap_or_default());
                writer.show(&mfa_test_screen::take_text(&mut bytes));
            }
            writer.show(&String::from_utf8_lossy(&bytes));
            writer.close();
        });
        Self { running, keyboard: Mutex::new(keyboard), screen, read: Mutex::new(0) }
    }

    /// Waits until this text is shown, after what was waited for before.
    pub fn wait_for(&self, text: &str) {
        let _ = self.wait_for_one_of(&[text]);
    }

    /// Waits until one of these texts is shown, and says which.
    pub fn wait_for_one_of(&self, texts: &[&str]) -> usize {
        let mut read = self.read.lock().expect("no holder panics");
        let found = self.screen.wait(|shown, open| {
            let new = shown.get(*read..)?;
            let mut found = texts.iter().enumerate();
            match found.find_map(|(which, text)| Some((which, new.find(text)?.saturating_add(text.len())))) {
                Some(found) => Some(Some(found)),
                None if open => None,
                None => Some(None),
            }
        });
        let Some(Some((which, end))) = found else {
            panic!("{texts:?} is not shown:\n{}", self.screen.shown())
        };
        *read = read.saturating_add(end);
        which
    }

    /// What stands on a terminal of this size when it has shown all that came so far.
    pub fn screen_of(&self, columns: u16, rows: u16) -> mfa_test_screen::Screen {
        let mut parser = mfa_test_screen::Parser::new(rows, columns, 0);
        parser.process(self.screen.text().as_bytes());
        parser.screen().clone()
    }

    /// All that was shown so far.
    pub fn text(&self) -> String {
        self.screen.text()
    }

    /// The key that is shown last, in groups of four letters, without the blanks.
    pub fn key(&self) -> String {
        let text = self.text();
        let groups = text.lines().map(key_groups).rfind(|groups| groups.len() == 8);
        groups.unwrap_or_else(|| panic!("no key is shown:\n{text}")).concat()
    }

    /// Types a line.
    pub fn type_line(&self, line: &str) {
        self.type_keys(&format!("{line}\n"));
    }

    /// Presses Ctrl-C until the program ends, as people do.
    ///
    /// Once is not always enough: sudo does not notice it between the prompt and the moment when it begins to read.
    pub fn interrupt(self) -> Ended {
        let begin = Instant::now();
        while begin.elapsed() < PATIENCE && self.screen.is_open() {
            self.type_keys("\x03");
            std::thread::sleep(Duration::from_millis(300));
        }
        self.end()
    }

    fn type_keys(&self, keys: &str) {
        let mut keyboard = self.keyboard.lock().expect("no holder panics");
        // A program that has ended reads no more; what it showed tells the test.
        let _ = keyboard.write_all(keys.as_bytes()).and_then(|()| keyboard.flush());
    }

    /// Waits for the end of the program.
    pub fn end(mut self) -> Ended {
        let closed = self.screen.wait(|_, open| (!open).then_some(()));
        assert!(closed.is_some(), "the program does not end:\n{}", self.screen.shown());
        let status = self.running.wait().expect("a child can be waited for");
        Ended { status: status.code().unwrap_or(-1), screen: self.screen.text() }
    }

    pub(crate) fn screen(&self) -> Arc<Screen> {
        Arc::clone(&self.screen)
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // Nothing to do where it has ended already.
        let _ = self.running.kill();
        let _ = self.running.wait();
    }
}

/// The groups of four letters in a line.
fn key_groups(line: &str) -> Vec<&str> {
    let is_group = |word: &&str| word.len() == 4 && word.chars().all(|c| matches!(c, 'A'..='Z' | '2'..='7'));
    line.split_whitespace().filter(is_group).collect()
}

/// What a program has shown so far.
#[derive(Debug)]
pub(crate) struct Screen {
    command: String,
    content: Mutex<Content>,
    changed: Condvar,
}

#[derive(Debug)]
struct Content {
    text: String,
    open: bool,
}

impl Screen {
    pub(crate) fn of(command: &str, text: &str) -> Self {
        Self {
            command: command.to_owned(),
            content: Mutex::new(Content { text: text.to_owned(), open: true }),
            changed: Condvar::new(),
        }
    }

    /// For people: the command and what it showed.
    pub(crate) fn shown(&self) -> String {
        let mut shown = format!("$ {}\n", self.command);
        for line in self.text().lines() {
            let _ = writeln!(shown, "| {}", line.trim_end_matches('\r'));
        }
        shown
    }

    fn text(&self) -> String {
        self.content.lock().expect("no holder panics").text.clone()
    }

    fn is_open(&self) -> bool {
        self.content.lock().expect("no holder panics").open
    }

    fn show(&self, text: &str) {
        self.content.lock().expect("no holder panics").text.push_str(text);
        self.changed.notify_all();
    }

    fn close(&self) {
        self.content.lock().expect("no holder panics").open = false;
        self.changed.notify_all();
    }

    /// Waits until `found` finds something in the text, being told also whether more may come.
    fn wait<T>(&self, mut found: impl FnMut(&str, bool) -> Option<T>) -> Option<T> {
        let begin = Instant::now();
        let mut content = self.content.lock().expect("no holder panics");
        loop {
            if let Some(result) = found(&content.text, content.open) {
                return Some(result);
            }
            let left = PATIENCE.checked_sub(begin.elapsed())?;
            content = self.changed.wait_timeout(content, left).expect("no holder panics").0;
        }
    }
}
