//! How a command ends that does not end well: a sentence, its cure, and the exit code.

use std::io;

/// Why a command did not do what it was asked for.
#[derive(Debug)]
pub enum Failure {
    /// It was refused, or it did not work. Exit code 1.
    Refused {
        /// What happened.
        sentence: String,
        /// What to do about it.
        hint: Option<String>,
    },
    /// The command line can't be met as it stands. Exit code 2.
    Usage {
        /// What is wrong with it.
        sentence: String,
        /// What to type instead.
        hint: String,
    },
    /// The two codes did not prove a device; nothing has changed. Exit code 1.
    NotConfirmed {
        /// The reason in one word, for programs.
        reason: &'static str,
        /// What is wrong with the codes.
        sentence: String,
        /// What to do about it.
        hint: String,
    },
    /// The dialogue was ended before it was done.
    Ended {
        /// By what.
        ending: Ending,
        /// What that means for the account.
        sentence: String,
        /// What to do next.
        hint: Option<String>,
    },
    /// Standard output does not take what is written to it. Exit code 1.
    Output(io::Error),
}

/// What ended a dialogue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// There was no more input. Exit code 1.
    EndOfInput,
    /// A signal, such as the 2 of Ctrl-C. Exit code 128 and its number, as a shell has it.
    Signal(u8),
}

impl Failure {
    /// A refusal with its cure.
    pub fn refused(sentence: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Refused { sentence: sentence.into(), hint: Some(hint.into()) }
    }

    /// A command line that can't be met, and what to type instead.
    pub fn usage(sentence: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Usage { sentence: sentence.into(), hint: hint.into() }
    }

    /// A dialogue that ended early.
    pub fn ended(ending: Ending) -> Self {
        let sentence = match ending {
            Ending::EndOfInput => "the input ended before all was answered",
            Ending::Signal(_) => "cancelled",
        };
        Self::Ended { ending, sentence: sentence.to_owned(), hint: None }
    }

    /// The same failure; a dialogue that ended early also says what that means.
    #[must_use]
    pub fn when_ended(self, meaning: &str, cure: impl Into<String>) -> Self {
        match self {
            Self::Ended { ending, sentence, .. } => {
                Self::Ended { ending, sentence: format!("{sentence}: {meaning}"), hint: Some(cure.into()) }
            }
            other @ (Self::Refused { .. }
            | Self::Usage { .. }
            | Self::NotConfirmed { .. }
            | Self::Output(_)) => other,
        }
    }

    /// What happened, without a full stop.
    pub fn sentence(&self) -> String {
        match self {
            Self::Refused { sentence, .. }
            | Self::Usage { sentence, .. }
            | Self::NotConfirmed { sentence, .. }
            | Self::Ended { sentence, .. } => sentence.clone(),
            Self::Output(error) => format!("can't write to standard output: {error}"),
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> Option<&str> {
        match self {
            Self::Refused { hint, .. } | Self::Ended { hint, .. } => hint.as_deref(),
            Self::Usage { hint, .. } | Self::NotConfirmed { hint, .. } => Some(hint),
            Self::Output(_) => None,
        }
    }

    /// The exit code: 1 refused or failed, 2 usage, 128 and more a signal.
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Usage { .. } => 2,
            Self::Ended { ending: Ending::Signal(number), .. } => number.saturating_add(128),
            Self::Refused { .. }
            | Self::NotConfirmed { .. }
            | Self::Ended { ending: Ending::EndOfInput, .. }
            | Self::Output(_) => 1,
        }
    }

    /// Whether whoever read our output has gone away: there is nobody left to tell.
    pub fn is_broken_pipe(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}
