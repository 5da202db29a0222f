//! Medians and percentiles.

use std::time::Duration;

use crate::login::Took;

/// Many measurements of the same thing, in microseconds.
#[derive(Clone, Default)]
pub(crate) struct Series(Vec<f64>);

impl Series {
    pub(crate) fn add(&mut self, duration: Duration) {
        self.0.push(duration.as_secs_f64() * 1e6);
    }

    pub(crate) fn median(&self) -> f64 {
        self.percentile(50)
    }

    pub(crate) fn p99(&self) -> f64 {
        self.percentile(99)
    }

    fn percentile(&self, percent: usize) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let last = sorted.len().checked_sub(1).expect("something was measured");
        *sorted.get(last * percent / 100).expect("a place in the list")
    }
}

impl FromIterator<Duration> for Series {
    fn from_iter<I: IntoIterator<Item = Duration>>(durations: I) -> Self {
        let mut series = Self::default();
        durations.into_iter().for_each(|duration| series.add(duration));
        series
    }
}

/// pam_authenticate(3) of these logins.
pub(crate) fn authenticate(logins: &[Took]) -> Series {
    logins.iter().map(|took| took.authenticate).collect()
}

/// pam_start(3) to pam_end(3) of these logins.
pub(crate) fn cycle(logins: &[Took]) -> Series {
    logins.iter().map(|took| took.cycle).collect()
}
