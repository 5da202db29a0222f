//! How a login ended, and what has to hold afterwards.

use std::fmt;
use std::time::Duration;

use mfa_test_harness::{Login, PamCode, Transcript};

use crate::adapters::{Person, World};
use crate::scoreboard::Attempt;

/// A login that takes longer hangs. A module may wait for a lock meanwhile.
const PATIENCE: Duration = Duration::from_secs(15);

/// How a login ended.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    LetIn,
    /// With this code, and for the reason that the log has.
    Refused(PamCode, String),
    /// The host program died of it: its status.
    Died(String),
    Hung,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LetIn => f.write_str("let in"),
            Self::Refused(code, log) if log.is_empty() => write!(f, "refused with {code:?}"),
            Self::Refused(code, log) => write!(f, "refused with {code:?}, log {log:?}"),
            Self::Died(status) => write!(f, "the host program died: {status}"),
            Self::Hung => f.write_str("hung"),
        }
    }
}

impl Outcome {
    pub(crate) fn of(transcript: &Transcript) -> Self {
        if transcript.killed_by().is_some() || transcript.returned.is_empty() {
            return Self::Died(transcript.status.to_string());
        }
        if transcript.let_in() {
            return Self::LetIn;
        }
        Self::Refused(transcript.result(), last_line(transcript))
    }

    pub(crate) fn is_let_in(&self) -> bool {
        *self == Self::LetIn
    }

    pub(crate) fn must_be_let_in(&self, what: &str) -> Attempt {
        match self {
            Self::LetIn => Ok(()),
            Self::Refused(..) | Self::Died(_) | Self::Hung => Err(format!("{what}: {self}")),
        }
    }

    pub(crate) fn must_be_refused(&self, what: &str) -> Attempt {
        match self {
            Self::Refused(..) => Ok(()),
            Self::LetIn | Self::Died(_) | Self::Hung => Err(format!("{what}: {self}")),
        }
    }

    /// In or out, but the host program lives and goes on.
    pub(crate) fn must_be_an_answer(&self, what: &str) -> Attempt {
        match self {
            Self::LetIn | Self::Refused(..) => Ok(()),
            Self::Died(_) | Self::Hung => Err(format!("{what}: {self}")),
        }
    }
}

fn last_line(transcript: &Transcript) -> String {
    // libpam's own complaints are the stack's, not the module's.
    let mut lines = transcript.log.iter().rev().filter(|line| !line.text.starts_with("PAM "));
    lines.next().map(|line| line.text.chars().take(160).collect()).unwrap_or_default()
}

/// Runs a login to its end.
pub(crate) fn run(login: Login) -> Outcome {
    run_within(PATIENCE, login)
}

/// The same, for logins that have nothing to wait for.
pub(crate) fn run_within(patience: Duration, login: Login) -> Outcome {
    match login.start().finish_within(patience) {
        Some(transcript) => Outcome::of(&transcript),
        None => Outcome::Hung,
    }
}

impl World {
    /// A whole login at `step` with the code of that step.
    pub(crate) fn attempt(&self, person: &Person, step: u64) -> Outcome {
        self.attempt_with(person, step, person.code(step))
    }

    /// A whole login at `step` with whatever is typed.
    pub(crate) fn attempt_with(&self, person: &Person, step: u64, typed: &str) -> Outcome {
        run(self.login(person, step).types(typed))
    }

    /// What must hold whatever befell the login at `step` with the code `typed`: if it was told that it is accepted it is
    /// dead; if not, it works once at the most; and the next code of the device works. Uses up the codes up to `step + 1`.
    pub(crate) fn must_be_sound_after(&self, person: &Person, step: u64, typed: &str, told: Told) -> Attempt {
        let again = self.attempt_with(person, step, typed);
        match told {
            Told::LetIn => again.must_be_refused("the code that was accepted, once more")?,
            Told::NotLetIn => again.must_be_an_answer("the same code once more")?,
        }
        if again.is_let_in() {
            let third = self.attempt_with(person, step, typed);
            third.must_be_refused("the same code a third time, after the second was let in")?;
        }
        self.attempt(person, step + 1).must_be_let_in("the next code")
    }
}

/// What the host program was told about a login that something befell.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    LetIn,
    /// That it is refused, or nothing.
    NotLetIn,
}

impl Told {
    pub(crate) fn by(transcript: &Transcript) -> Self {
        if transcript.let_in() { Self::LetIn } else { Self::NotLetIn }
    }
}
