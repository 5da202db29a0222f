//! How a login ended: PAM's result code and the line in the log.

use std::time::Duration;

use mfa_core::audit::Event;
use mfa_core::verify::Factor;
use mfa_core::{Error, Refusal, Verdict};
use pam::constants::PamResultCode;

use crate::conversation::{Host, Priority};
use crate::options::Delay;

/// How the auth phase ended. Exactly one arm lets anybody in.
#[derive(Debug)]
pub(crate) enum Outcome {
    Accepted {
        factor: Factor,
        delay: Delay,
    },
    /// The person has no device and is to get one in the account phase; until then nobody is let in by this module.
    EnrollPending,
    /// The password check that `mfad` makes before a first device: there can be no code yet.
    NotAsked,
    Refused {
        reason: Reason,
        delay: Delay,
    },
}

/// How the account phase ended. Exactly one arm lets anybody in who had no code.
#[derive(Debug)]
pub(crate) enum Conclusion {
    /// The person has a device now, and has proven it.
    Proven,
    Refused(Reason),
}

/// Why not. For the log, never for the prompt.
#[derive(Debug)]
pub(crate) enum Reason {
    /// The rules said no.
    Refusal(Refusal),
    /// The answer has not the shape of a code; it may be a password, and is forgotten.
    NotACode,
    /// sshd put junk in the place of the answer: the user does not exist or may not log in.
    BlockedBySshd,
    /// An empty answer.
    Cancelled,
    /// No answer.
    ConversationFailed,
    /// The store could not be read or written.
    Unavailable(Error),
    /// The same in words; or what `mfad` said to a program that may not open the store.
    UnavailableBecause(String),
    /// A bad option, policy or PAM file.
    Misconfigured(String),
    /// A person who was to enroll did not prove the device; why the last codes were not good.
    NotProven(&'static str),
    /// The program went on with another user than the one who was told to enroll.
    UserChanged,
    /// The code panicked, or contradicted itself.
    InternalError,
}

/// The pause that is asked for if the login is refused, here or later in the stack; PAM varies it by half.
const PAUSE: Duration = Duration::from_secs(2);

impl Outcome {
    pub(crate) const fn refused(reason: Reason, delay: Delay) -> Self {
        Self::Refused { reason, delay }
    }

    /// Logs the outcome, asks for the pause, and says it in PAM's words.
    pub(crate) fn finish(self, host: &mut impl Host) -> PamResultCode {
        let (priority, event) = self.event();
        log(host, priority, event);
        let code = self.code();
        if self.wants_pause() {
            host.delay_after_refusal(PAUSE);
        }
        code
    }

    fn code(&self) -> PamResultCode {
        match self {
            Self::Accepted { .. } => PamResultCode::PAM_SUCCESS,
            Self::EnrollPending | Self::NotAsked => PamResultCode::PAM_IGNORE,
            Self::Refused { reason, .. } => reason.code(),
        }
    }

    fn wants_pause(&self) -> bool {
        match self {
            // PAM pauses only if the whole stack fails: a wrong password behind a right code must not be answered sooner than behind a
            // wrong one.
            Self::Accepted { delay, .. } => *delay == Delay::OnRefusal,
            Self::EnrollPending | Self::NotAsked | Self::Refused { delay: Delay::None, .. } => false,
            Self::Refused { reason, delay: Delay::OnRefusal } => match reason {
                // Nothing was guessed.
                Reason::Cancelled | Reason::ConversationFailed => false,
                Reason::Refusal(_)
                | Reason::NotACode
                | Reason::BlockedBySshd
                | Reason::Unavailable(_)
                | Reason::UnavailableBecause(_)
                | Reason::Misconfigured(_)
                | Reason::NotProven(_)
                | Reason::UserChanged
                | Reason::InternalError => true,
            },
        }
    }

    fn event(&self) -> (Priority, Event) {
        match self {
            Self::Accepted { factor, .. } => (Priority::Info, Verdict::Accept(factor.clone()).event()),
            Self::EnrollPending => (Priority::Info, Event::new("enroll-pending")),
            Self::NotAsked => (Priority::Debug, Event::new("not-asked")),
            Self::Refused { reason, .. } => reason.event(),
        }
    }
}

impl Conclusion {
    /// Logs a refusal, and says it in PAM's words. What came before it was logged when it happened.
    pub(crate) fn finish(self, host: &mut impl Host) -> PamResultCode {
        match self {
            Self::Proven => PamResultCode::PAM_SUCCESS,
            Self::Refused(reason) => {
                let (priority, event) = reason.event();
                log(host, priority, event);
                reason.code()
            }
        }
    }
}

impl Reason {
    pub(crate) fn code(&self) -> PamResultCode {
        match self {
            Self::Refusal(_) | Self::NotACode | Self::BlockedBySshd | Self::Cancelled => {
                PamResultCode::PAM_AUTH_ERR
            }
            Self::ConversationFailed => PamResultCode::PAM_CONV_ERR,
            Self::Unavailable(_) | Self::UnavailableBecause(_) | Self::InternalError => {
                PamResultCode::PAM_AUTHINFO_UNAVAIL
            }
            Self::Misconfigured(_) => PamResultCode::PAM_SERVICE_ERR,
            Self::NotProven(_) | Self::UserChanged => PamResultCode::PAM_PERM_DENIED,
        }
    }

    fn event(&self) -> (Priority, Event) {
        let refused = |reason: &'static str| Event::new("refused").with("reason", reason);
        match self {
            Self::Refusal(refusal) => (Priority::Notice, Verdict::Refuse(*refusal).event()),
            Self::NotACode => (Priority::Notice, refused("not-a-code")),
            Self::BlockedBySshd => (Priority::Notice, refused("blocked-by-sshd")),
            Self::Cancelled | Self::ConversationFailed => (Priority::Notice, refused("cancelled")),
            Self::Unavailable(error) => {
                (priority_of(error), refused("unavailable").with("error", error.to_string()))
            }
            Self::UnavailableBecause(why) => (Priority::Error, refused("unavailable").with("error", why)),
            Self::Misconfigured(why) => (Priority::Error, refused("misconfigured").with("error", why)),
            Self::NotProven(why) => (Priority::Notice, refused("not-proven").with("codes", why)),
            Self::UserChanged => (Priority::Error, refused("user-changed")),
            Self::InternalError => (Priority::Alert, refused("unavailable").with("error", "internal error")),
        }
    }
}

/// Writes to the log who and where, and what.
pub(crate) fn log(host: &mut impl Host, priority: Priority, event: Event) {
    let event = place(event, host);
    host.log(priority, &event);
}

/// Adds who and where.
fn place(event: Event, host: &mut impl Host) -> Event {
    let methods = host.completed_ssh_methods().join(",");
    event
        .with_some("user", host.known_user())
        .with_some("service", host.service())
        .with_some("rhost", host.remote_host().filter(|host| !host.is_empty()))
        .with_some("tty", host.terminal().filter(|tty| !tty.is_empty() && tty != b"ssh"))
        .with_some("after", Some(methods).filter(|methods| !methods.is_empty()))
}

/// The module writer's guide: corrupt configuration is an alert, lack of resources critical, the rest an error.
fn priority_of(error: &Error) -> Priority {
    match error {
        Error::Corrupt { .. }
        | Error::Untrusted { .. }
        | Error::SeedDoesNotOpen
        | Error::KeyLost { .. }
        | Error::BadPolicy { .. } => Priority::Alert,
        Error::Io { .. }
        | Error::ReadOnly { .. }
        | Error::NoRandomness
        | Error::NoMemory
        | Error::Busy { .. } => Priority::Critical,
        Error::NotEnrolled
        | Error::NoStore { .. }
        | Error::TooManyDevices
        | Error::NameTaken { .. }
        | Error::NoSuchDevice { .. }
        | Error::NoSuchEnrollment
        | Error::NotAllowed
        | Error::PasswordNeeded
        | Error::CodeNeeded
        | Error::SeedInUse { .. }
        | Error::SerialInUse { .. }
        | Error::NoSuchToken { .. }
        | Error::NoBypass
        | Error::BadRequest(_) => Priority::Error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::Fake;

    #[test]
    fn a_line_names_the_place_as_far_as_there_is_one() {
        let line = |terminal, remote_host: &str| {
            let remote_host = remote_host.into();
            let mut host = Fake { remote_host, terminal, ..Fake::user("alice") };
            log(&mut host, Priority::Info, Event::new("enroll-pending"));
            host.lines.pop().unwrap()
        };
        let who = "enroll-pending user=alice service=test";
        assert_eq!(line(Some("/dev/pts/3"), "192.0.2.1"), format!("{who} rhost=192.0.2.1 tty=/dev/pts/3"));
        // What sshd says before there is a terminal.
        assert_eq!(line(Some("ssh"), "192.0.2.1"), format!("{who} rhost=192.0.2.1"));
        assert_eq!(line(Some(""), ""), who);
        assert_eq!(line(None, ""), who);
    }
}
