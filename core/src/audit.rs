//! One line, and the same as fields, for every decision.

use std::fmt::Write as _;

use crate::one_line::is_printable;
use crate::verify::{Factor, Refusal, Verdict};

/// How one login or one change ended, as it is logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    what: &'static str,
    pairs: Vec<(&'static str, String)>,
}

impl Event {
    /// An event of a kind, such as `accepted`, `refused` or `enrolled`.
    pub const fn new(what: &'static str) -> Self {
        Self { what, pairs: Vec::new() }
    }

    /// Adds `key=value`. Control characters and invisible ones are escaped, so that a value can't end the line or fake another one.
    #[must_use]
    pub fn with(mut self, key: &'static str, value: impl AsRef<[u8]>) -> Self {
        self.pairs.push((key, escaped(value.as_ref())));
        self
    }

    /// Adds `key=value` if there is a value.
    #[must_use]
    pub fn with_some(self, key: &'static str, value: Option<impl AsRef<[u8]>>) -> Self {
        match value {
            Some(value) => self.with(key, value),
            None => self,
        }
    }

    /// `accepted user=alice device="old phone" rhost=192.0.2.1`
    pub fn line(&self) -> String {
        let mut line = self.what.to_owned();
        for (key, value) in &self.pairs {
            let quote = if value.is_empty() || value.contains([' ', '"', '=']) { "\"" } else { "" };
            // Writing to a String can't fail.
            let _ = write!(line, " {key}={quote}{}{quote}", value.replace('"', "\\\""));
        }
        line
    }

    /// The same for a journal: `PAM_MFA_EVENT=accepted`, `PAM_MFA_USER=alice`, ..
    pub fn fields(&self) -> Vec<(String, String)> {
        let field = |key: &str, value: &str| (format!("PAM_MFA_{}", key.to_uppercase()), value.to_owned());
        std::iter::once(field("event", self.what))
            .chain(self.pairs.iter().map(|(key, value)| field(key, value)))
            .collect()
    }
}

/// The longest value that is logged, in bytes before escaping: a name of 4,000 bytes is an attack, not a name.
const MAX_VALUE_BYTES: usize = 300;

fn escaped(value: &[u8]) -> String {
    let cut = value.get(..MAX_VALUE_BYTES).unwrap_or(value);
    let mut text = String::with_capacity(cut.len());
    for chunk in cut.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '\\' => text.push_str("\\\\"),
                _ if !is_printable(character) => {
                    let _ = write!(text, "\\u{{{:x}}}", u32::from(character));
                }
                _ => text.push(character),
            }
        }
        for byte in chunk.invalid() {
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    if cut.len() < value.len() {
        let _ = write!(text, "...({} bytes)", value.len());
    }
    text
}

impl Refusal {
    /// The reason as it stands in the log.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Wrong => "wrong",
            Self::Replayed => "replayed",
            Self::Skew => "skew",
            Self::Throttled { .. } => "throttled",
            Self::Disabled => "disabled",
            Self::Expired => "expired",
            Self::NotEnrolled => "not-enrolled",
            Self::ReadOnly => "read-only",
        }
    }
}

impl Verdict {
    /// The event to log, without who and where.
    pub fn event(&self) -> Event {
        match self {
            Self::Accept(Factor::Device { name, .. }) => Event::new("accepted").with("device", name.as_str()),
            Self::Accept(Factor::Recovery { left }) => {
                Event::new("accepted").with("factor", "recovery-code").with("left", left.to_string())
            }
            Self::Accept(Factor::Bypass) => Event::new("accepted").with("factor", "bypass-code"),
            Self::Refuse(refusal) => {
                let event = Event::new("refused").with("reason", refusal.reason());
                match refusal {
                    Refusal::Throttled { wait_seconds } => event.with("wait", format!("{wait_seconds}s")),
                    Refusal::Wrong
                    | Refusal::Replayed
                    | Refusal::Skew
                    | Refusal::Disabled
                    | Refusal::Expired
                    | Refusal::NotEnrolled
                    | Refusal::ReadOnly => event,
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_line_and_the_same_fields() {
        let event = Event::new("accepted")
            .with("user", "alice")
            .with("device", "old phone")
            .with_some("rhost", None::<&str>);
        assert_eq!(event.line(), "accepted user=alice device=\"old phone\"");
        assert_eq!(
            event.fields(),
            [("PAM_MFA_EVENT", "accepted"), ("PAM_MFA_USER", "alice"), ("PAM_MFA_DEVICE", "old phone")]
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
        );
    }

    #[test]
    fn a_name_can_not_break_the_line_or_fake_a_field() {
        let line = Event::new("refused").with("user", b"a\nb\x1b[31m\\ reason=\"x\" \xff\xe2\x80\xae").line();
        assert_eq!(line, "refused user=\"a\\u{a}b\\u{1b}[31m\\\\ reason=\\\"x\\\" \\xff\\u{202e}\"");
        assert!(!line.contains('\n') && !line.contains('\u{1b}'));
    }

    #[test]
    fn a_huge_name_is_cut() {
        let line = Event::new("refused").with("user", "x".repeat(4000)).line();
        assert!(line.len() < 400 && line.contains("...(4000 bytes)"));
    }
}
