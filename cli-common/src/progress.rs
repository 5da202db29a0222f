//! A line that shows how far a long job is, for a person at a terminal; nothing in a pipe.

use std::fs::File;
use std::io::{self, IsTerminal as _, Write as _};
use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

/// Jobs of fewer steps are over before anybody looks.
const FEW_STEPS: usize = 1000;
/// How often the line is drawn.
const PAUSE: Duration = Duration::from_millis(100);
/// The width of the bar in characters.
const WIDTH: usize = 30;

/// The line, on standard error, so that it does not get into what is printed. It is gone when this is dropped.
#[derive(Debug)]
pub struct Progress {
    terminal: Option<File>,
    what: &'static str,
    done: usize,
    total: usize,
    drawn: Option<Instant>,
}

impl Progress {
    /// A job of `total` steps: `sealing`.
    pub fn begin(what: &'static str, total: usize) -> Self {
        let stderr = io::stderr();
        let terminal = (total >= FEW_STEPS && stderr.is_terminal())
            .then(|| stderr.as_fd().try_clone_to_owned().ok().map(File::from))
            .flatten();
        Self { terminal, what, done: 0, total, drawn: None }
    }

    /// One more step is done.
    pub fn step(&mut self) {
        self.done = self.done.saturating_add(1);
        let is_time = self.drawn.is_none_or(|drawn| drawn.elapsed() >= PAUSE) || self.done == self.total;
        if let Some(mut terminal) = self.terminal.as_ref().filter(|_| is_time) {
            self.drawn = Some(Instant::now());
            // Nobody is left to be told that standard error is gone.
            let _ = terminal.write_all(line(self.what, self.done, self.total).as_bytes());
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(mut terminal) = self.terminal.as_ref().filter(|_| self.drawn.is_some()) {
            let _ = terminal.write_all(b"\r\x1b[K");
        }
    }
}

fn line(what: &str, done: usize, total: usize) -> String {
    let filled = done.saturating_mul(WIDTH).checked_div(total).unwrap_or(WIDTH).min(WIDTH);
    let bar = "#".repeat(filled);
    format!("\r{what} [{bar:WIDTH$}] {done} of {total}\x1b[K")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_grows_to_its_full_width() {
        assert_eq!(
            line("sealing", 5000, 10_000),
            "\rsealing [###############               ] 5000 of 10000\x1b[K"
        );
        assert!(line("sealing", 10_000, 10_000).contains(&"#".repeat(30)));
        assert!(line("sealing", 0, 0).contains("0 of 0"), "nothing is divided by zero");
    }
}
