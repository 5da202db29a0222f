//! One login, timed: pam_authenticate(3) alone, and all from pam_start(3) to pam_end(3).

use std::time::{Duration, Instant};

use mfa_test_harness::libpam::{Call, Conversation, Handle, PamCode, Reply, Style};
use mfa_test_harness::{Item, Stack};
use nix::time::{ClockId, clock_gettime};

use crate::clock::Clock;
use crate::modules::{Module, Prepared, user_name};

/// What a login took.
#[derive(Clone, Copy)]
pub(crate) struct Took {
    /// pam_authenticate(3).
    pub(crate) authenticate: Duration,
    /// From pam_start(3) to pam_end(3): with the loading of the module.
    pub(crate) cycle: Duration,
    /// Of pam_authenticate(3), the time that the processor has worked for it.
    pub(crate) processor: Duration,
}

/// How a login is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Kind {
    /// With the code of the step.
    Accepted,
    /// With a wrong code.
    Refused,
}

impl Kind {
    pub(crate) const BOTH: [Self; 2] = [Self::Accepted, Self::Refused];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Refused => "refused",
        }
    }
}

/// A login to be: of a user, in a step of the clock.
#[derive(Clone, Copy)]
pub(crate) struct Login<'a> {
    pub(crate) at: &'a Prepared,
    pub(crate) user: u32,
    pub(crate) step: u32,
    pub(crate) kind: Kind,
}

impl Login<'_> {
    /// Logs in and looks at the result.
    pub(crate) fn timed(self, clock: &Clock) -> Took {
        let code = self.code(clock);
        let (took, result) = timed(self.at.stack(self.user), &user_name(self.user), code);
        self.check(result);
        took
    }

    /// What is typed. The clock is moved to where it is right.
    pub(crate) fn code(self, clock: &Clock) -> String {
        let right = clock.move_to(self.step);
        match self.kind {
            Kind::Accepted => right.to_owned(),
            Kind::Refused => clock.wrong(),
        }
    }

    /// pam_start(3), which loads the module.
    pub(crate) fn start(self, code: String) -> Handle {
        start(self.at.stack(self.user), &user_name(self.user), code)
    }

    /// Whether it ended as it was meant to.
    pub(crate) fn check(self, result: PamCode) {
        let let_in = self.at.module() == Module::Permit || self.kind == Kind::Accepted;
        let name = self.at.module().name();
        assert_eq!(
            result == PamCode::SUCCESS,
            let_in,
            "{name}: user {}, {:?}: {result:?}",
            self.user,
            self.kind
        );
    }
}

/// A login of this user, who types this.
pub(crate) fn timed(stack: &Stack, user: &str, code: String) -> (Took, PamCode) {
    let begun = Instant::now();
    let mut handle = start(stack, user, code);
    let (worked, called) = (processor_time(), Instant::now());
    let result = handle.call(Call::Authenticate, 0);
    let (processor, authenticate) = (processor_time().saturating_sub(worked), called.elapsed());
    drop(handle);
    (Took { authenticate, cycle: begun.elapsed(), processor }, result)
}

fn start(stack: &Stack, user: &str, code: String) -> Handle {
    let typist = Box::new(Typist { code: code.into_bytes() });
    let mut handle = Handle::start(stack.path(), Stack::SERVICE, Some(user.as_bytes()), typist)
        .unwrap_or_else(|code| panic!("pam_start_confdir: {code:?}"));
    handle.set_item(Item::RemoteHost, b"192.0.2.1");
    handle
}

fn processor_time() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).expect("every thread has that clock").into()
}

/// Types its code at every prompt.
struct Typist {
    code: Vec<u8>,
}

impl Conversation for Typist {
    fn answer(&mut self, style: Style, _text: &[u8]) -> Reply {
        match style {
            Style::PromptEchoOff | Style::PromptEchoOn => Reply::Text(self.code.clone()),
            Style::Error | Style::Info | Style::Other(_) => Reply::Null,
        }
    }

    // The wait after a failure is a matter of the stack, not of the module's speed.
    fn delay(&mut self, _microseconds: u32) {}
}
