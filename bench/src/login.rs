//! One login, timed: pam_authenticate(3) alone, and all from pam_start(3) to pam_end(3).

use std::time::{Duration, Instant};

use mfa_test_harness::libpam::{Call, Conversation, Handle, PamCode, Reply, Style};
use mfa_test_harness::{Item, Stack};
use nix::time::{ClockId, clock_gettime};

use crate::Clock;
use crate::modules::{Module, user_name};

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

/// A login to be.
pub(crate) struct Login<'a> {
    pub(crate) stack: &'a Stack,
    pub(crate) user: u32,
}

impl Login<'_> {
    /// With the code of the user's own step.
    pub(crate) fn accepted(&self, clock: &Clock) -> Took {
        let code = clock.move_to(self.user).to_owned();
        let (took, result) = self.timed(code);
        assert_eq!(result, PamCode::SUCCESS, "user {} was refused", self.user);
        took
    }

    /// With a wrong code.
    pub(crate) fn refused(&self, module: Module, clock: &Clock) -> Took {
        clock.move_to(self.user);
        let (took, result) = self.timed(clock.wrong());
        if module == Module::Permit {
            assert_eq!(result, PamCode::SUCCESS, "pam_permit refuses nobody");
        } else {
            assert_ne!(result, PamCode::SUCCESS, "user {} was let in with a wrong code", self.user);
        }
        took
    }

    pub(crate) fn timed(&self, code: String) -> (Took, PamCode) {
        timed(self.stack, &user_name(self.user), code)
    }
}

/// A login of this user, who types this.
pub(crate) fn timed(stack: &Stack, user: &str, code: String) -> (Took, PamCode) {
    let typist = Box::new(Typist { code: code.into_bytes() });
    let begun = Instant::now();
    let mut handle = Handle::start(stack.path(), Stack::SERVICE, Some(user.as_bytes()), typist)
        .unwrap_or_else(|code| panic!("pam_start_confdir: {code:?}"));
    handle.set_item(Item::RemoteHost, b"192.0.2.1");
    let (worked, called) = (processor_time(), Instant::now());
    let result = handle.call(Call::Authenticate, 0);
    let (processor, authenticate) = (processor_time().saturating_sub(worked), called.elapsed());
    drop(handle);
    (Took { authenticate, cycle: begun.elapsed(), processor }, result)
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
