//! How failures slow the next try and in the end disable a device (RFC 4226 7.3, NIST SP 800-63B 3.2.2).

use serde::Deserialize;

use crate::clock::Timestamp;

/// One of the named rules for failures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Throttle {
    /// NIST SP 800-63B 3.2.2: three free tries, then waits of 1, 2, 4, .. seconds up to one hour. A device is
    /// disabled at 50 failures from known addresses; 50 from elsewhere close it to unknown addresses.
    #[default]
    Nist,
    /// PCI DSS 8.3.4: as `nist`, but from the tenth failure on every wait is at least 30 minutes.
    Pci,
    /// DISA STIG: disabled at the third failure, until root or a recovery code releases it.
    Stig,
}

const FREE_TRIES: u32 = 3;
const LONGEST_WAIT_SECONDS: u64 = 3600;
const PCI_TRIES: u32 = 10;
const PCI_WAIT_SECONDS: u64 = 30 * 60;

/// At how many consecutive failures a device is disabled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cap {
    /// So many from known addresses disable it; so many from anywhere else close it to everywhere else alone.
    Each(u32),
    /// So many from everywhere together disable it.
    Together(u32),
}

impl Throttle {
    /// The seconds that must pass after the last of `own` failures before the next try from that kind of place is looked at.
    /// `together` counts the failures from everywhere.
    pub fn wait_seconds(self, own: u32, together: u32) -> u64 {
        let ladder = match own.checked_sub(FREE_TRIES) {
            None => 0,
            Some(doublings) => 1_u64.checked_shl(doublings).unwrap_or(u64::MAX).min(LONGEST_WAIT_SECONDS),
        };
        match self {
            Self::Pci if together >= PCI_TRIES => ladder.max(PCI_WAIT_SECONDS),
            Self::Nist | Self::Pci | Self::Stig => ladder,
        }
    }

    /// When a device is disabled. No preset allows the more than 100 failures in a row that NIST forbids.
    pub const fn cap(self) -> Cap {
        match self {
            Self::Nist | Self::Pci => Cap::Each(50),
            Self::Stig => Cap::Together(3),
        }
    }
}

/// The failures in a row from one kind of place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Failures {
    /// How many since the last success.
    pub count: u32,
    /// When the last one was.
    pub last: Timestamp,
}

impl Failures {
    /// The seconds still to wait at `now`; zero means that the next try is looked at. `together`: as in [`Throttle::wait_seconds`].
    ///
    /// A last failure in the future means that the clock was set back: then the wait is counted from now on (see [`Self::settle`]),
    /// so that a clock that was wrong once does not lock anybody out for years.
    pub fn wait_seconds(self, throttle: Throttle, together: u32, now: Timestamp) -> u64 {
        throttle.wait_seconds(self.count, together).saturating_sub(now.seconds_since(self.last).unwrap_or(0))
    }

    /// Moves a last failure that lies in the future to `now`.
    pub fn settle(&mut self, now: Timestamp) {
        self.last = self.last.min(now);
    }

    /// Takes back one failure that was counted.
    pub fn take_back(&mut self) {
        self.count = self.count.saturating_sub(1);
    }

    /// Counts one failure.
    pub fn record(&mut self, now: Timestamp) {
        self.count = self.count.saturating_add(1);
        self.last = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_unix_seconds(seconds)
    }

    #[test]
    fn three_tries_are_free_then_waits_double_up_to_an_hour() {
        let waits: Vec<u64> =
            (0..=18).map(|failures| Throttle::Nist.wait_seconds(failures, failures)).collect();
        let expected = [0, 0, 0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 3600, 3600, 3600, 3600];
        assert_eq!(waits, expected);
        assert_eq!(Throttle::Nist.wait_seconds(u32::MAX, u32::MAX), 3600);
    }

    #[test]
    fn pci_waits_half_an_hour_from_the_tenth_failure() {
        assert_eq!(Throttle::Pci.wait_seconds(9, 9), 64);
        assert_eq!(Throttle::Pci.wait_seconds(10, 10), 1800);
        assert_eq!(Throttle::Pci.wait_seconds(15, 15), 3600);
        assert_eq!(Throttle::Pci.wait_seconds(5, 10), 1800, "wherever they came from");
    }

    #[test]
    fn every_preset_disables_at_or_below_the_hundred_of_nist() {
        assert_eq!([Throttle::Nist.cap(), Throttle::Pci.cap()], [Cap::Each(50); 2]);
        assert_eq!(Throttle::Stig.cap(), Cap::Together(3));
    }

    #[test]
    fn a_wait_runs_from_the_last_failure() {
        let mut failures = Failures::default();
        for _ in 0..5 {
            failures.record(at(1000));
        }
        assert_eq!(failures.wait_seconds(Throttle::Nist, 5, at(1000)), 4);
        assert_eq!(failures.wait_seconds(Throttle::Nist, 5, at(1003)), 1);
        assert_eq!(failures.wait_seconds(Throttle::Nist, 5, at(1004)), 0);
    }

    #[test]
    fn a_clock_set_back_by_years_costs_no_more_than_the_wait_itself() {
        let mut failures = Failures { count: 5, last: at(2_000_000_000) };
        assert_eq!(failures.wait_seconds(Throttle::Nist, 5, at(1000)), 4);
        failures.settle(at(1000));
        assert_eq!(failures.wait_seconds(Throttle::Nist, 5, at(1004)), 0);
    }
}
