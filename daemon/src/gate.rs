//! Work that takes much memory: a few at a time, of all users together.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// So many at once.
#[derive(Debug)]
pub(crate) struct Gate {
    free: Mutex<usize>,
    freed: Condvar,
}

impl Gate {
    pub(crate) fn for_so_many(places: usize) -> Self {
        Self { free: Mutex::new(places), freed: Condvar::new() }
    }

    /// Waits for a place, until `deadline` at most.
    pub(crate) fn enter(&self, deadline: Instant) -> Option<Place<'_>> {
        let mut free = self.free();
        loop {
            if let Some(fewer) = free.checked_sub(1) {
                *free = fewer;
                return Some(Place(self));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            free = self.freed.wait_timeout(free, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn free(&self) -> MutexGuard<'_, usize> {
        // Nothing panics while it holds this.
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place, until this is dropped.
#[derive(Debug)]
pub(crate) struct Place<'a>(&'a Gate);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let Self(gate) = self;
        let mut free = gate.free();
        *free = free.saturating_add(1);
        gate.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn who_finds_no_place_waits_for_one_and_not_for_ever() {
        let gate = Gate::for_so_many(2);
        let soon = || Instant::now() + Duration::from_millis(20);
        let (one, _other) = (gate.enter(soon()).unwrap(), gate.enter(soon()).unwrap());
        assert!(gate.enter(soon()).is_none());
        std::thread::scope(|scope| {
            let waiting =
                scope.spawn(|| gate.enter(Instant::now() + Duration::from_secs(20)).map(|_| ()).is_some());
            std::thread::sleep(Duration::from_millis(20));
            drop(one);
            assert!(waiting.join().unwrap());
        });
        assert!(gate.enter(soon()).is_some(), "a place is given back");
    }
}
