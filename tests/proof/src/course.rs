//! What a trial is run with: on which module, how often, and with which seed.

use mfa_test_harness::moments::PARTS;

use crate::adapters::Module;

/// One trial of one module.
pub(crate) struct Course {
    pub(crate) module: Module,
    /// How many rounds, or at the most how many of all the moments there are.
    pub(crate) count: usize,
    pub(crate) seed: u64,
}

impl Course {
    /// All numbers below `total`, or `count` of them, spread out, from a start that the seed says.
    pub(crate) fn pick(&self, total: usize) -> Vec<usize> {
        if total <= self.count {
            return (0..total).collect();
        }
        let start = self.random().below(total);
        (0..self.count).map(|index| (start + index * total / self.count) % total).collect()
    }

    /// The same for one of `parts` that share its count.
    pub(crate) fn part_of(&self, parts: usize) -> Self {
        Self { module: self.module, count: (self.count / parts.max(1)).max(1), seed: self.seed }
    }

    /// The same, so many times as often.
    pub(crate) const fn times(&self, times: usize) -> Self {
        Self { module: self.module, count: self.count.saturating_mul(times), seed: self.seed }
    }

    pub(crate) fn random(&self) -> Random {
        Random(self.seed)
    }
}

/// splitmix64: the same numbers for the same seed, everywhere.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        let bound = u64::try_from(bound.max(1)).expect("a usize has 64 bits at most");
        usize::try_from(self.next() % bound).expect("it is below a usize")
    }

    /// A part of a time, for [`mfa_test_harness::Moments::after`].
    pub(crate) fn part(&mut self) -> u32 {
        u32::try_from(self.next() % u64::from(PARTS)).expect("it is below a u32")
    }
}
