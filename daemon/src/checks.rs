//! The checkers that run: how many, and for how long.

use std::process::Child;
use std::time::{Duration, Instant};

use mfa_cli::log_event;
use mfa_core::audit::Event;

use crate::PROGRAM;

/// The checkers that were started and have not ended yet.
#[derive(Debug, Default)]
pub(crate) struct Checks(Vec<(Child, Instant)>);

impl Checks {
    /// How many run.
    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    /// One more.
    pub(crate) fn add(&mut self, checker: Child) {
        self.0.push((checker, Instant::now()));
    }

    /// Forgets those that have ended, and kills those that have been running for longer than `most`: a module of PAM may have taken the alarm away
    /// that ends a checker, or be stopped, and must not use up what everybody's checks share.
    pub(crate) fn end(&mut self, most: Duration) {
        self.0.retain_mut(|(checker, started)| {
            if !matches!(checker.try_wait(), Ok(None)) {
                return false;
            }
            if started.elapsed() > most {
                log_event(PROGRAM, &Event::new("checker-killed").with("pid", checker.id().to_string()));
                // It is still our child, so this number is nobody else's. What is left of it is gone the next time.
                let _ = checker.kill();
            }
            true
        });
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::thread::sleep;

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    fn running(command: &str) -> Checks {
        let mut checks = Checks::default();
        checks.add(Command::new("sh").arg("-c").arg(command).spawn().unwrap());
        checks
    }

    #[track_caller]
    fn wait_for_the_end(checks: &mut Checks, most: Duration) {
        let begin = Instant::now();
        while checks.count() > 0 {
            assert!(begin.elapsed() < LONG, "it is still there");
            checks.end(most);
            sleep(Duration::from_millis(10));
        }
    }

    #[test]
    fn who_has_ended_is_counted_no_more() {
        let mut checks = running("exit 3");
        assert_eq!(checks.count(), 1);
        wait_for_the_end(&mut checks, LONG);
    }

    #[test]
    fn who_has_stopped_or_hears_no_signal_is_ended_when_the_time_is_over() {
        for command in ["kill -STOP $$; sleep 50", "trap '' ALRM TERM INT HUP; while :; do sleep 50; done"] {
            let mut checks = running(command);
            sleep(Duration::from_millis(100));
            checks.end(LONG);
            assert_eq!(checks.count(), 1, "{command}");
            wait_for_the_end(&mut checks, Duration::from_millis(50));
        }
    }
}
