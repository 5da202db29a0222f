//! How a login ended: PAM's result code and the line in the log.

use std::time::Duration;

use mfa_core::audit::Event;
use mfa_core::verify::Factor;
use mfa_core::{Error, Refusal, Verdict};
use pam::constants::PamResultCode;

use crate::conversation::{Host, Priority};
use crate::options::Delay;

/// How a login ended. Exactly one arm lets anybody in.
#[derive(Debug)]
pub(crate) enum Outcome {
    Accepted(Factor),
    Refused { reason: Reason, delay: Delay },
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
    /// A bad option or policy.
    Misconfigured(String),
    /// The code panicked, or contradicted itself.
    InternalError,
}

/// The pause that is asked for after a refusal; PAM varies it by half.
const PAUSE: Duration = Duration::from_secs(2);

impl Outcome {
    pub(crate) const fn refused(reason: Reason, delay: Delay) -> Self {
        Self::Refused { reason, delay }
    }

    /// Logs the outcome, asks for the pause, and says it in PAM's words.
    pub(crate) fn finish(self, host: &mut impl Host) -> PamResultCode {
        let (priority, event) = self.event();
        let event = place(event, host);
        host.log(priority, &event);
        let code = self.code();
        if self.wants_pause() {
            host.delay_after_refusal(PAUSE);
        }
        code
    }

    fn code(&self) -> PamResultCode {
        match self {
            Self::Accepted(_) => PamResultCode::PAM_SUCCESS,
            Self::Refused { reason, .. } => match reason {
                Reason::Refusal(_) | Reason::NotACode | Reason::BlockedBySshd | Reason::Cancelled => {
                    PamResultCode::PAM_AUTH_ERR
                }
                Reason::ConversationFailed => PamResultCode::PAM_CONV_ERR,
                Reason::Unavailable(_) | Reason::InternalError => PamResultCode::PAM_AUTHINFO_UNAVAIL,
                Reason::Misconfigured(_) => PamResultCode::PAM_SERVICE_ERR,
            },
        }
    }

    fn wants_pause(&self) -> bool {
        match self {
            Self::Accepted(_) | Self::Refused { delay: Delay::None, .. } => false,
            Self::Refused { reason, delay: Delay::OnRefusal } => match reason {
                // Nothing was guessed.
                Reason::Cancelled | Reason::ConversationFailed => false,
                Reason::Refusal(_)
                | Reason::NotACode
                | Reason::BlockedBySshd
                | Reason::Unavailable(_)
                | Reason::Misconfigured(_)
                | Reason::InternalError => true,
            },
        }
    }

    fn event(&self) -> (Priority, Event) {
        let refused = |reason: &'static str| Event::new("refused").with("reason", reason);
        match self {
            Self::Accepted(factor) => (Priority::Info, Verdict::Accept(factor.clone()).event()),
            Self::Refused { reason, .. } => match reason {
                Reason::Refusal(refusal) => (Priority::Notice, Verdict::Refuse(*refusal).event()),
                Reason::NotACode => (Priority::Notice, refused("not-a-code")),
                Reason::BlockedBySshd => (Priority::Notice, refused("blocked-by-sshd")),
                Reason::Cancelled | Reason::ConversationFailed => (Priority::Notice, refused("cancelled")),
                Reason::Unavailable(error) => {
                    (priority_of(error), refused("unavailable").with("error", error.to_string()))
                }
                Reason::Misconfigured(why) => (Priority::Error, refused("misconfigured").with("error", why)),
                Reason::InternalError => {
                    (Priority::Alert, refused("unavailable").with("error", "internal error"))
                }
            },
        }
    }
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
