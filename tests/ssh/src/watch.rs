//! What every test checks besides its own sentence: no panic anywhere, nothing in a log that must not be there.

use std::fmt;

/// Whatever a panic, or a program that catches one, prints.
const PANIC_TEXTS: [&str; 3] = ["panicked at", "RUST_BACKTRACE", "internal error"];

/// All that a host wrote during a test.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) host: String,
    pub(crate) system_log: String,
    pub(crate) sshd_stderr: String,
    pub(crate) screens: Vec<String>,
}

/// The lines that tell of a panic.
pub(crate) fn panics(record: &Record) -> Vec<String> {
    let screens = record.screens.iter().map(String::as_str);
    let texts = [record.system_log.as_str(), record.sshd_stderr.as_str()].into_iter().chain(screens);
    texts
        .flat_map(str::lines)
        .filter(|line| PANIC_TEXTS.iter().any(|text| line.contains(text)))
        .map(str::to_owned)
        .collect()
}

/// The lines of the logs (a screen may show what was typed on it) that hold what is only for the person.
pub(crate) fn leaks(record: &Record, unspeakable: &[String]) -> Vec<String> {
    [record.system_log.as_str(), record.sshd_stderr.as_str()]
        .into_iter()
        .flat_map(str::lines)
        .filter(|line| unspeakable.iter().any(|text| has_word(line, text)))
        .map(str::to_owned)
        .collect()
}

/// Six digits in the middle of a longer number are no code.
fn has_word(line: &str, text: &str) -> bool {
    line.match_indices(text).any(|(at, found)| {
        let before = line.get(..at).and_then(|head| head.chars().next_back());
        let after = line.get(at.saturating_add(found.len())..).and_then(|tail| tail.chars().next());
        !before.is_some_and(char::is_alphanumeric) && !after.is_some_and(char::is_alphanumeric)
    })
}

impl fmt::Display for Record {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "---- {}: screens ----", self.host)?;
        for screen in &self.screens {
            writeln!(out, "{screen}")?;
        }
        writeln!(out, "---- {}: sshd ----\n{}", self.host, self.sshd_stderr)?;
        writeln!(out, "---- {}: system log ----\n{}", self.host, self.system_log)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(system_log: &str, sshd_stderr: &str, screen: &str) -> Record {
        Record {
            host: "Debian 12".to_owned(),
            system_log: system_log.to_owned(),
            sshd_stderr: sshd_stderr.to_owned(),
            screens: vec!["$ true\n".to_owned(), screen.to_owned()],
        }
    }

    #[test]
    fn a_panic_is_found_wherever_it_was_written() {
        let (quiet, panic) = ("all is well", "thread 'main' panicked at src/lib.rs:1:1:");
        assert!(panics(&record(quiet, quiet, quiet)).is_empty());
        assert_eq!(panics(&record(panic, quiet, quiet)), [panic]);
        assert_eq!(panics(&record(quiet, panic, quiet)), [panic]);
        assert_eq!(panics(&record(quiet, quiet, panic)), [panic]);
        assert_eq!(panics(&record("pam_mfa: internal error at src/lib.rs:1", quiet, quiet)).len(), 1);
    }

    #[test]
    fn a_code_is_found_in_a_log_but_not_on_a_screen_nor_inside_a_longer_number() {
        let code = ["123456".to_owned()];
        assert_eq!(leaks(&record("answer 123456", "", ""), &code).len(), 1);
        assert_eq!(leaks(&record("", "answer=\"123456\"", ""), &code).len(), 1);
        assert!(
            leaks(&record("took 1234567 us, port 0123456", "", "Verification code: 123456"), &code)
                .is_empty()
        );
    }
}
