//! A wall clock that stands in the step of whoever logs in, and the codes of all steps.

use mfa_test_harness::oathtool::Generator;

/// The seed that all users of the bench have: that of RFC 6238.
pub(crate) const SEED: &[u8; 20] = b"12345678901234567890";
pub(crate) const SEED_BASE32: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
const PERIOD: u64 = 30;

/// The codes of so many steps, one after the other.
pub(crate) struct Clock {
    first_step: u64,
    codes: Vec<String>,
}

impl Clock {
    /// From now on.
    pub(crate) fn new(steps: u32) -> Self {
        Self::starting_at(mfa_test_harness::account::unix_seconds() / PERIOD, steps)
    }

    /// From the same step in every run: what is done with the codes is then the same to the last instruction.
    pub(crate) fn of_every_run(steps: u32) -> Self {
        const STEP_IN_2027: u64 = 60_000_000;
        Self::starting_at(STEP_IN_2027, steps)
    }

    fn starting_at(first_step: u64, steps: u32) -> Self {
        let generator = Generator {
            secret: SEED_BASE32.to_owned(),
            algorithm: "SHA1".to_owned(),
            digits: 6,
            period: PERIOD,
        };
        Self { first_step, codes: generator.codes(first_step, u64::from(steps)) }
    }

    /// Stops the wall clock in the middle of a step, and gives the code of it.
    pub(crate) fn move_to(&self, step: u32) -> &str {
        mfa_test_harness::wall_clock::stop_at((self.first_step + u64::from(step)) * PERIOD + PERIOD / 2);
        self.codes.get(usize::try_from(step).expect("a small number")).expect("a code for each step")
    }

    /// The moment at which [`Clock::move_to`] has stopped for the first step.
    pub(crate) const fn now(&self) -> u64 {
        self.first_step * PERIOD + PERIOD / 2
    }

    /// A code that is right for no step nearby.
    pub(crate) fn wrong(&self) -> String {
        let mut candidates = (0..1_000_000).map(|number| format!("{number:06}"));
        candidates.find(|code| !self.codes.contains(code)).expect("most codes are wrong")
    }
}
