//! Medians and percentiles.

use std::time::Duration;

/// Many durations of the same thing.
#[derive(Clone, Default)]
pub(crate) struct Series(Vec<Duration>);

impl Series {
    pub(crate) fn add(&mut self, duration: Duration) {
        self.0.push(duration);
    }

    /// The median in microseconds.
    pub(crate) fn median(&self) -> f64 {
        self.percentile(50)
    }

    /// The 99th percentile in microseconds.
    pub(crate) fn p99(&self) -> f64 {
        self.percentile(99)
    }

    fn percentile(&self, percent: usize) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let last = sorted.len().checked_sub(1).expect("something was measured");
        let at = sorted.get(last * percent / 100).expect("a place in the list");
        at.as_secs_f64() * 1e6
    }
}

impl FromIterator<Duration> for Series {
    fn from_iter<I: IntoIterator<Item = Duration>>(durations: I) -> Self {
        Self(durations.into_iter().collect())
    }
}
