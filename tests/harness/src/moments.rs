//! Moments inside of logins at which something befalls them.

use std::thread;
use std::time::{Duration, Instant};

use crate::login::{Login, Transcript};

/// In so many parts the time of a login is cut.
pub const PARTS: u32 = 1000;

/// Moments from 0 to a span, which goes after what the machine does: half of them are to come before the answer.
#[derive(Debug)]
pub struct Moments(Duration);

impl Moments {
    /// Moments within this time.
    pub const fn within(span: Duration) -> Self {
        Self(span)
    }

    /// The moment after `part` of [`PARTS`], by chance.
    pub fn after(&self, part: u32) -> Duration {
        self.0 * part / PARTS
    }

    /// The last one came before the answer.
    pub fn later(&mut self) {
        self.0 = self.0 * 10 / 9;
    }

    /// The last one came after it.
    pub fn earlier(&mut self) {
        self.0 = self.0 * 9 / 10;
    }
}

/// Runs a login that starts held; how long it took from the call of `pam_authenticate(3)` to its return.
pub fn timed(login: Login) -> (Duration, Transcript) {
    let mut login = login.start();
    login.wait_for_the_call();
    let begun = Instant::now();
    login.let_go();
    login.wait_for_the_return();
    let took = begun.elapsed();
    (took, login.finish())
}

/// Waits for so long. A sleep is too coarse.
pub fn spin(moment: Duration) {
    let begun = Instant::now();
    while begun.elapsed() < moment {
        thread::yield_now();
    }
}
