//! The one place that writes to standard output and standard error.
//!
//! Unbuffered, so that no key or code stays behind in a buffer, and without a panic when nobody reads any more.

use std::env;
use std::fs::File;
use std::io::{self, IsTerminal as _, Write as _};
use std::os::fd::AsFd as _;
use std::process::ExitCode;

use serde::Serialize;
use zeroize::Zeroizing;

use crate::failure::Failure;

/// Standard output and standard error of a program.
#[derive(Debug)]
pub struct Output {
    program: &'static str,
    stdout: File,
    stderr: File,
    charset: Charset,
    is_terminal: bool,
}

/// What the locale lets us print.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Charset {
    /// Everything.
    Utf8,
    /// ASCII alone: a C locale, or one of the old encodings.
    Ascii,
}

impl Charset {
    /// What the environment says, by the rules of locale(7).
    pub fn of_environment() -> Self {
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"]
            .into_iter()
            .filter_map(|name| env::var(name).ok())
            .find(|value| !value.is_empty())
            .unwrap_or_default()
            .to_ascii_lowercase();
        if locale.contains("utf-8") || locale.contains("utf8") { Self::Utf8 } else { Self::Ascii }
    }
}

impl Output {
    /// The output of `program`, which is what its messages begin with.
    ///
    /// # Errors
    /// No descriptor is left.
    pub fn open(program: &'static str) -> io::Result<Self> {
        Ok(Self {
            program,
            stdout: File::from(io::stdout().as_fd().try_clone_to_owned()?),
            stderr: File::from(io::stderr().as_fd().try_clone_to_owned()?),
            charset: Charset::of_environment(),
            is_terminal: io::stdout().is_terminal(),
        })
    }

    /// Whether a person looks at standard output.
    pub const fn is_terminal(&self) -> bool {
        self.is_terminal
    }

    /// What the locale lets us print.
    pub const fn charset(&self) -> Charset {
        self.charset
    }

    /// Whether the terminal understands more than text: a cursor that moves, colours.
    pub fn is_smart_terminal(&self) -> bool {
        self.is_terminal && env::var("TERM").is_ok_and(|term| !term.is_empty() && term != "dumb")
    }

    /// Whether colours are wanted (no-color.org) and understood.
    pub fn has_colours(&self) -> bool {
        self.is_smart_terminal() && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
    }

    /// Columns and rows of the terminal. None: no terminal, or one that does not say.
    pub fn size(&self) -> Option<(usize, usize)> {
        if !self.is_terminal {
            return None;
        }
        terminal_size::terminal_size_of(&self.stdout)
            .map(|(width, height)| (usize::from(width.0), usize::from(height.0)))
            .filter(|(width, height)| *width > 0 && *height > 0)
    }

    /// The columns to write in: the terminal's, at most 100; 80 where nobody knows.
    pub fn columns(&self) -> usize {
        self.size().map_or(80, |(width, _)| width.min(100))
    }

    /// Prints a line.
    ///
    /// # Errors
    /// [`Failure::Output`].
    pub fn line(&self, text: &str) -> Result<(), Failure> {
        let mut line = Zeroizing::new(String::with_capacity(text.len().saturating_add(1)));
        line.push_str(text);
        line.push('\n');
        self.part(&line)
    }

    /// Prints a sentence or more, broken at blanks to fit the terminal.
    ///
    /// # Errors
    /// [`Failure::Output`].
    pub fn paragraph(&self, text: &str) -> Result<(), Failure> {
        wrapped(text, self.columns()).iter().try_for_each(|line| self.line(line))
    }

    /// Prints text without ending the line. In an ASCII locale everything else becomes a question mark.
    ///
    /// # Errors
    /// [`Failure::Output`].
    pub fn part(&self, text: &str) -> Result<(), Failure> {
        self.as_is(&self.printable(text))
    }

    /// What the locale can show of a text.
    pub fn printable(&self, text: &str) -> Zeroizing<String> {
        match self.charset {
            Charset::Utf8 => Zeroizing::new(text.to_owned()),
            Charset::Ascii => ascii(text),
        }
    }

    /// Prints text whatever the locale says: it was asked for by name.
    ///
    /// # Errors
    /// [`Failure::Output`].
    pub fn as_is(&self, text: &str) -> Result<(), Failure> {
        (&self.stdout).write_all(text.as_bytes()).map_err(Failure::Output)
    }

    /// Prints what is no text.
    ///
    /// # Errors
    /// [`Failure::Output`].
    pub fn bytes(&self, bytes: &[u8]) -> Result<(), Failure> {
        (&self.stdout).write_all(bytes).map_err(Failure::Output)
    }

    /// Prints a value as one line of JSON.
    ///
    /// # Errors
    /// [`Failure::Output`].
    pub fn json(&self, value: &impl Serialize) -> Result<(), Failure> {
        // Room for all of it: a vector that grows leaves copies of secrets behind.
        let mut line = Zeroizing::new(Vec::with_capacity(16 * 1024));
        serde_json::to_writer(&mut *line, value).map_err(|error| Failure::Output(error.into()))?;
        line.push(b'\n');
        (&self.stdout).write_all(&line).map_err(Failure::Output)
    }

    /// Tells of something that does not stop us: `mfa-enroll: warning: ..`.
    pub fn warn(&self, sentence: &str) {
        self.error_text(&format!("{}: warning: {sentence}\n", self.program));
    }

    /// Tells of a failure and its cure on standard error.
    pub fn complain(&self, failure: &Failure) {
        if failure.is_broken_pipe() {
            return;
        }
        let hint = failure.hint().map(|hint| format!("hint: {hint}\n")).unwrap_or_default();
        self.error_text(&format!("{}: {}\n{hint}", self.program, failure.sentence()));
    }

    /// Ends the program: tells of a failure, for programs as a line of JSON too, and gives the exit code.
    pub fn exit(&self, ended: Result<(), Failure>, format: Format) -> ExitCode {
        let Err(failure) = ended else { return ExitCode::SUCCESS };
        self.complain(&failure);
        if format == Format::Json {
            // Standard output may be what failed; the exit code says it all the same.
            let _ = self.json(&FailureReport::new(&failure));
        }
        ExitCode::from(failure.exit_code())
    }

    fn error_text(&self, text: &str) {
        // Nobody is left to be told that standard error is gone.
        let _ = (&self.stderr).write_all(self.printable(text).as_bytes());
    }
}

/// Who reads what is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A person.
    Text,
    /// A program.
    Json,
}

impl Format {
    /// As `--json` has it.
    pub const fn of_flag(json: bool) -> Self {
        if json { Self::Json } else { Self::Text }
    }
}

/// A failure as programs get to see it.
#[derive(Serialize)]
struct FailureReport<'a> {
    result: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    error: String,
    hint: Option<&'a str>,
}

impl<'a> FailureReport<'a> {
    fn new(failure: &'a Failure) -> Self {
        let (result, reason) = match failure {
            Failure::NotConfirmed { reason, .. } => ("refused", Some(*reason)),
            Failure::Refused { .. } | Failure::Usage { .. } | Failure::Ended { .. } | Failure::Output(_) => {
                ("error", None)
            }
        };
        Self { result, reason, error: failure.sentence(), hint: failure.hint() }
    }
}

/// Breaks `text` into lines of at most `columns` columns, at blanks where there are any.
pub fn wrapped(text: &str, columns: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    let mut length: usize = 0;
    for word in text.split(' ') {
        let mut word: Vec<char> = word.chars().collect();
        if length > 0 && length.saturating_add(1).saturating_add(word.len()) > columns {
            lines.push(std::mem::take(&mut line));
            length = 0;
        }
        if length > 0 {
            line.push(' ');
            length = length.saturating_add(1);
        }
        while word.len() > columns {
            lines.push(word.drain(..columns).collect());
        }
        length = length.saturating_add(word.len());
        line.extend(word);
    }
    lines.push(line);
    lines
}

fn ascii(text: &str) -> Zeroizing<String> {
    let mut plain = Zeroizing::new(String::with_capacity(text.len()));
    plain.extend(text.chars().map(|character| if character.is_ascii() { character } else { '?' }));
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ascii_locale_sees_ascii() {
        assert_eq!(ascii("żółć's phone\n").as_str(), "????'s phone\n");
    }

    #[test]
    fn wrong_codes_are_a_refusal_and_everything_else_is_an_error() {
        let refused = Failure::NotConfirmed {
            reason: "same-code",
            sentence: "the same".to_owned(),
            hint: "wait".to_owned(),
        };
        let json = |failure| serde_json::to_string(&FailureReport::new(failure)).unwrap();
        assert_eq!(
            json(&refused),
            r#"{"result":"refused","reason":"same-code","error":"the same","hint":"wait"}"#
        );
        let error = Failure::Refused { sentence: "no".to_owned(), hint: None };
        assert_eq!(json(&error), r#"{"result":"error","error":"no","hint":null}"#);
    }

    #[test]
    fn lines_break_at_blanks() {
        assert_eq!(wrapped("one two three", 7), ["one two", "three"]);
        assert_eq!(wrapped("one two", 80), ["one two"]);
        assert_eq!(wrapped("", 80), [""]);
    }

    #[test]
    fn a_word_longer_than_the_line_breaks_anywhere() {
        assert_eq!(wrapped("a bcdefghij k", 4), ["a", "bcde", "fghi", "j k"]);
    }
}
