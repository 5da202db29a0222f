//! Asking: on a terminal, and through a pipe.
//!
//! The terminal stays in its usual mode, so there is nothing to restore, whatever happens; but for a password, which is not shown. Input is
//! read byte by byte into memory that wipes itself.

use std::fs::File;
use std::io::{self, IsTerminal as _, Read as _};
use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use mfa_cli::{Ending, Failure, HiddenInput, Output, Signals};
use mfa_core::Timestamp;
use mfa_core::answer::Answer;
use mfa_core::otp::{Code, Digits, MovingFactor, Profile};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use zeroize::Zeroizing;

/// What was typed, without the end of the line.
pub(crate) type Line = Zeroizing<Vec<u8>>;

/// The longest line that is kept; the rest of a longer one is dropped, and it is no answer to anything then.
const MAX_LINE_BYTES: usize = 4096;

/// How often a code is asked for again because what was typed is none.
const MALFORMED_ANSWERS: usize = 5;

/// How often the seconds left are looked at.
const TICK: u16 = 250;

/// The columns that the line with the seconds left needs.
const LIVE_COLUMNS: usize = 60;

/// A longer pause between two looks means that the program was stopped: the screen has changed under it.
const STOPPED: Duration = Duration::from_secs(3);

/// The person in front of us, or the program that speaks for one. While it lasts, Ctrl-C is looked at where something is asked.
pub(crate) struct Dialogue<'a> {
    pub(crate) output: &'a Output,
    signals: Signals,
    input: File,
    input_is_terminal: bool,
}

/// Which of two consecutive codes is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    First,
    /// The one after the code that was typed in this time step.
    Next {
        after: u64,
    },
}

/// What Enter alone means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EnterMeans {
    Yes,
    No,
}

impl<'a> Dialogue<'a> {
    /// A dialogue by standard input and `output`.
    pub(crate) fn open(output: &'a Output) -> Result<Self, Failure> {
        let input = io::stdin().as_fd().try_clone_to_owned().map_err(|error| failed(&error))?;
        Ok(Self {
            output,
            signals: Signals::hold()?,
            input: File::from(input),
            input_is_terminal: io::stdin().is_terminal(),
        })
    }

    /// Whether a person types.
    pub(crate) const fn is_with_a_person(&self) -> bool {
        self.input_is_terminal
    }

    /// Asks, and reads one line. None at the end of the input.
    pub(crate) fn ask(&self, prompt: &str) -> Result<Option<Line>, Failure> {
        self.ask_below(prompt, || None)
    }

    /// Asks for what must not be seen, and reads one line. None at the end of the input.
    pub(crate) fn ask_hidden(&self, prompt: &str) -> Result<Option<Line>, Failure> {
        if self.input_is_terminal {
            let terminal = HiddenInput::open("run it on a terminal")?;
            return terminal.ask_bytes(&self.output.printable(prompt)).map(Some);
        }
        self.ask(prompt)
    }

    /// Asks for a code of any device, or a recovery code; again if what is typed can be neither.
    pub(crate) fn ask_answer(&self, prompt: &str) -> Result<Answer, Failure> {
        for _ in 0..MALFORMED_ANSWERS {
            match Answer::parse(&self.ask(prompt)?.ok_or_else(end_of_input)?) {
                Some(answer) => return Ok(answer),
                None => self.output.line(&format!("{}.", capitalised(NO_ANSWER)))?,
            }
        }
        Err(no_answer())
    }

    /// Reads a code of any device, or a recovery code, from a program: one line, no question, no second chance.
    pub(crate) fn read_answer(&self) -> Result<Answer, Failure> {
        Answer::parse(&self.read()?.ok_or_else(end_of_input)?).ok_or_else(no_answer)
    }

    /// Reads a line from a program.
    pub(crate) fn read(&self) -> Result<Option<Line>, Failure> {
        self.read_line(|_| Ok(()))
    }

    /// Asks until the answer is yes or no.
    pub(crate) fn confirm(&self, question: &str, enter: EnterMeans) -> Result<bool, Failure> {
        let choices = match enter {
            EnterMeans::Yes => "[Y/n]",
            EnterMeans::No => "[y/N]",
        };
        loop {
            let line = self.ask(&format!("{question} {choices} "))?.ok_or_else(end_of_input)?;
            match line.trim_ascii().to_ascii_lowercase().as_slice() {
                b"" => return Ok(enter == EnterMeans::Yes),
                b"y" | b"yes" => return Ok(true),
                b"n" | b"no" => return Ok(false),
                _ => self.output.line("Please answer y or n.")?,
            }
        }
    }

    /// Asks for a code of a device, with the seconds until its next one; again if what is typed can't be a code.
    pub(crate) fn ask_code(&self, which: Which, profile: Profile) -> Result<Code, Failure> {
        let prompt = match which {
            Which::First => "First code: ",
            Which::Next { .. } => "Next code:  ",
        };
        for _ in 0..MALFORMED_ANSWERS {
            let line = self.ask_below(prompt, || countdown(which, profile))?.ok_or_else(end_of_input)?;
            match Answer::parse(&line) {
                Some(Answer::Code(code)) => return Ok(code),
                Some(Answer::Recovery(_)) => {
                    self.output.line("That is a recovery code. Type the digits that the device shows.")?;
                }
                Some(Answer::Tails(_)) | None => {
                    self.output.line(&format!("{}.", not_a_code(profile.digits)))?
                }
            }
        }
        Err(no_codes(profile.digits))
    }

    /// Reads a code from a program: one line, no question, no second chance.
    pub(crate) fn read_code(&self, digits: Digits) -> Result<Code, Failure> {
        match Answer::parse(&self.read()?.ok_or_else(end_of_input)?) {
            Some(Answer::Code(code)) => Ok(code),
            Some(Answer::Recovery(_) | Answer::Tails(_)) | None => Err(no_codes(digits)),
        }
    }

    /// Asks below a line that is kept up to date while the person types.
    fn ask_below(&self, prompt: &str, above: impl Fn() -> Option<String>) -> Result<Option<Line>, Failure> {
        let mut shown = above();
        let show = |shown: &Option<String>| {
            let above = shown.as_ref().map(|text| format!("{text}\n")).unwrap_or_default();
            self.output.part(&format!("{above}{prompt}"))
        };
        show(&shown)?;
        // In a narrow terminal the line above takes more than one row.
        let is_live = self.input_is_terminal
            && self.output.is_smart_terminal()
            && self.output.columns() >= LIVE_COLUMNS;
        let line = self.read_line(|pause| {
            if !is_live || shown.is_none() {
                return Ok(());
            }
            let present = above();
            if pause >= STOPPED {
                shown = present;
                self.output.part("\n")?;
                return show(&shown);
            }
            if present != shown {
                shown = present;
                // Save the cursor, write one line up, restore: what is being typed is not touched. In one write without control
                // characters that the terminal driver would split it at.
                let text = shown.as_deref().unwrap_or_default();
                self.output.part(&format!("\x1b7\x1b[1A\x1b[1G{text}\x1b[K\x1b8"))?;
            }
            Ok(())
        });
        let ended_by_enter = self.input_is_terminal && matches!(&line, Ok(Some(_)));
        let newline = if ended_by_enter { Ok(()) } else { self.output.part("\n") };
        // What ended the line matters more than a terminal that is gone.
        let line = line?;
        newline.map(|()| line)
    }

    /// Reads a line; calls `tick` now and then with the time since the last call.
    fn read_line(
        &self,
        mut tick: impl FnMut(Duration) -> Result<(), Failure>,
    ) -> Result<Option<Line>, Failure> {
        let mut line = Zeroizing::new(Vec::with_capacity(MAX_LINE_BYTES));
        let mut ticked = Instant::now();
        loop {
            let mut watched = [
                PollFd::new(self.signals.as_fd(), PollFlags::POLLIN),
                PollFd::new(self.input.as_fd(), PollFlags::POLLIN),
            ];
            match poll(&mut watched, PollTimeout::from(TICK)) {
                Ok(_) | Err(Errno::EINTR) => {}
                Err(errno) => return Err(failed(&errno.into())),
            }
            let [_, input] = watched;
            if let Some(ending) = self.signals.ending()? {
                return Err(Failure::ended(ending));
            }
            if ticked.elapsed() >= Duration::from_millis(TICK.into()) {
                tick(ticked.elapsed())?;
                ticked = Instant::now();
            }
            if !input.any().unwrap_or(false) {
                continue;
            }
            let mut byte = Zeroizing::new([0_u8]);
            match (&self.input).read(&mut *byte) {
                Ok(0) if line.is_empty() => return Ok(None),
                Ok(0) => return Ok(Some(line)),
                Ok(_) if *byte == [b'\n'] => return Ok(Some(line)),
                Ok(_) if line.len() < MAX_LINE_BYTES => line.extend(byte.iter()),
                Ok(_) => {}
                Err(error)
                    if matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock) => {}
                Err(error) => return Err(failed(&error)),
            }
        }
    }
}

/// What is typed, as text to choose by.
pub(crate) fn text(line: &Line) -> String {
    String::from_utf8_lossy(line).trim().to_owned()
}

/// The failure of a dialogue whose input ends before it is done.
pub(crate) fn end_of_input() -> Failure {
    Failure::ended(Ending::EndOfInput)
}

fn countdown(which: Which, profile: Profile) -> Option<String> {
    let MovingFactor::Time(period) = profile.moving_factor else { return None };
    let now = Timestamp::now();
    let step = period.step_at(now);
    let left = period.seconds().saturating_sub(now.unix_seconds().checked_rem(period.seconds())?);
    Some(match which {
        Which::First => format!("The code on the screen of the device changes in {left} s."),
        Which::Next { after } if step <= after => format!("Wait for the next code: it comes in {left} s."),
        Which::Next { .. } => format!("The next code is there; it changes in {left} s."),
    })
}

fn not_a_code(digits: Digits) -> String {
    format!("That is not a code: type the {} digits that the device shows", digits.count())
}

fn no_codes(digits: Digits) -> Failure {
    Failure::NotConfirmed {
        reason: "not-a-code",
        sentence: "what was typed is not a code".to_owned(),
        hint: format!("type the {} digits that the device shows", digits.count()),
    }
}

const NO_ANSWER: &str =
    "that is neither a code, of 6 to 8 digits, nor a recovery code, of 16 letters and digits";

fn no_answer() -> Failure {
    Failure::NotConfirmed {
        reason: "not-a-code",
        sentence: NO_ANSWER.to_owned(),
        hint: "type the digits that a device shows, or one of the recovery codes".to_owned(),
    }
}

/// A sentence that begins one: `that ..` becomes `That ..`.
pub(crate) fn capitalised(sentence: &str) -> String {
    let mut rest = sentence.chars();
    rest.next().map(|first| first.to_uppercase().chain(rest).collect()).unwrap_or_default()
}

fn failed(source: &io::Error) -> Failure {
    Failure::Refused { sentence: format!("can't read standard input: {source}"), hint: None }
}
