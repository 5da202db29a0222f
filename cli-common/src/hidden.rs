//! Asking for a password on the terminal, without showing it.
//!
//! The terminal itself is opened, so that this works while standard input and output carry a file.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::os::fd::AsFd as _;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::termios::{LocalFlags, SetArg, Termios, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

use crate::failure::{Ending, Failure};
use crate::signals::Signals;

/// The most bytes of a password.
const MAX_BYTES: usize = 1024;

const CTRL_C: u8 = 0x03;
const CTRL_D: u8 = 0x04;
const CTRL_U: u8 = 0x15;
const BACKSPACE: u8 = 0x08;
const DELETE: u8 = 0x7f;

/// The terminal of this process, to ask for passwords on.
#[derive(Debug)]
pub struct HiddenInput(File);

impl HiddenInput {
    /// Opens it.
    ///
    /// # Errors
    /// There is none: `instead` is what to do about that.
    pub fn open(instead: &str) -> Result<Self, Failure> {
        OpenOptions::new().read(true).write(true).open("/dev/tty").map(Self).map_err(|_| {
            Failure::refused("a password has to be typed, and there is no terminal to ask on", instead)
        })
    }

    /// Asks once.
    ///
    /// # Errors
    /// Ctrl-C, Ctrl-D, or it is longer than a password can be.
    pub fn ask(&self, prompt: &str) -> Result<Zeroizing<String>, Failure> {
        let mut typed = self.ask_bytes(prompt)?;
        String::from_utf8(std::mem::take(&mut *typed)).map(Zeroizing::new).map_err(|error| {
            drop(Zeroizing::new(error.into_bytes()));
            Failure::refused("what was typed is not UTF-8", "begin again")
        })
    }

    /// Asks once, for what need not be UTF-8: the password of an account.
    ///
    /// # Errors
    /// Ctrl-C, Ctrl-D, or it is longer than a password can be.
    pub fn ask_bytes(&self, prompt: &str) -> Result<Zeroizing<Vec<u8>>, Failure> {
        // Whatever ends the program must find the terminal as it was.
        let signals = Signals::hold()?;
        let quiet = Quiet::begin(&self.0).map_err(failed)?;
        (&self.0).write_all(prompt.as_bytes()).map_err(failed)?;
        let typed = read_line(&self.0, || self.wait(&signals));
        drop(quiet);
        (&self.0).write_all(b"\n").map_err(failed)?;
        typed
    }

    /// Waits for a key, or for a signal that ends the program.
    fn wait(&self, signals: &Signals) -> Result<(), Failure> {
        let mut sources =
            [PollFd::new(self.0.as_fd(), PollFlags::POLLIN), PollFd::new(signals.as_fd(), PollFlags::POLLIN)];
        match poll(&mut sources, PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(failed(errno)),
        }
        match signals.ending()? {
            Some(ending) => Err(Failure::ended(ending)),
            None => Ok(()),
        }
    }

    /// Asks twice, for a new password that nobody could correct later.
    ///
    /// # Errors
    /// As [`HiddenInput::ask`], or the two differ, or there is nothing.
    pub fn ask_twice(&self, prompt: &str) -> Result<Zeroizing<String>, Failure> {
        let first = self.ask(&format!("{prompt}: "))?;
        if first.is_empty() {
            return Err(Failure::refused("nothing was typed", "begin again"));
        }
        let second = self.ask(&format!("{prompt}, once more: "))?;
        if first != second {
            return Err(Failure::refused("the two do not agree; nothing was done", "begin again"));
        }
        Ok(first)
    }
}

/// A terminal that shows nothing and hands over each key at once, also those that would be signals: whatever is typed, the terminal is as it
/// was before when this is dropped.
struct Quiet<'t> {
    terminal: &'t File,
    before: Termios,
}

impl<'t> Quiet<'t> {
    fn begin(terminal: &'t File) -> io::Result<Self> {
        let before = tcgetattr(terminal.as_fd())?;
        let mut quiet = before.clone();
        quiet.local_flags.remove(LocalFlags::ECHO | LocalFlags::ICANON | LocalFlags::ISIG);
        // Flush: what was typed before the question is not the answer.
        tcsetattr(terminal.as_fd(), SetArg::TCSAFLUSH, &quiet)?;
        Ok(Self { terminal, before })
    }
}

impl Drop for Quiet<'_> {
    fn drop(&mut self) {
        let _ = tcsetattr(self.terminal.as_fd(), SetArg::TCSAFLUSH, &self.before);
    }
}

/// Reads up to the end of the line; `wait` returns when there may be a key.
fn read_line(
    mut keys: impl io::Read,
    wait: impl Fn() -> Result<(), Failure>,
) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let mut typed = Zeroizing::new(Vec::with_capacity(MAX_BYTES));
    loop {
        let mut key = Zeroizing::new([0; 1]);
        wait()?;
        match keys.by_ref().read(&mut *key) {
            Ok(0) => return Err(Failure::ended(Ending::EndOfInput)),
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(failed(error)),
        }
        match *key {
            [b'\n' | b'\r'] => return Ok(typed),
            [CTRL_C] => return Err(Failure::ended(Ending::Signal(2))),
            [CTRL_D] if typed.is_empty() => return Err(Failure::ended(Ending::EndOfInput)),
            [CTRL_U] => typed.clear(),
            // The bytes of one character: those that continue it, and the one that begins it.
            [BACKSPACE | DELETE] => while typed.pop().is_some_and(|byte| byte & 0xc0 == 0x80) {},
            [byte] if typed.len() < MAX_BYTES => typed.push(byte),
            [_] => return Err(Failure::refused("that is longer than a password can be", "begin again")),
        }
    }
}

fn failed(error: impl Into<io::Error>) -> Failure {
    Failure::Refused { sentence: format!("can't ask on the terminal: {}", error.into()), hint: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_edit_what_was_typed() {
        let typed = |keys: &[u8]| {
            read_line(keys, || Ok(())).map(|typed| String::from_utf8_lossy(&typed).into_owned())
        };
        assert_eq!(typed(b"hunter2\n").unwrap(), "hunter2");
        assert_eq!(typed("ax\u{7f}bż\u{7f}c\r".as_bytes()).unwrap(), "abc");
        assert_eq!(typed(b"wrong\x15right\n").unwrap(), "right");
        assert_eq!(typed(b"\x7f\n").unwrap(), "");
        assert!(matches!(typed(b"ab\x03"), Err(Failure::Ended { ending: Ending::Signal(2), .. })));
        for ends in [&b"\x04"[..], b"half"] {
            assert!(matches!(typed(ends), Err(Failure::Ended { ending: Ending::EndOfInput, .. })));
        }
        assert!(typed(&[b'a'; 2000]).is_err());
        assert_eq!(read_line(&b"p\xfcss\n"[..], || Ok(())).unwrap().as_slice(), b"p\xfcss");
    }
}
