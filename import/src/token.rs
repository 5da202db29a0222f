//! What every reader gives: the tokens of a whole file, or everything that is wrong with it.

use std::collections::HashMap;
use std::fmt;

use mfa_core::devices::Serial;
use mfa_core::otp::Profile;
use mfa_core::{Secret, Timestamp, UserName};

/// The fewest bytes of a seed that is not weak: 128 bits (RFC 4226 R6).
pub const STRONG_SEED_BYTES: usize = 16;

/// The most bytes of a seed: the block of HMAC-SHA-512; a longer key would only be hashed down (RFC 2104 section 2).
pub const MAX_SEED_BYTES: usize = 128;

/// One generator of codes as a file describes it, not yet anybody's device.
#[derive(Clone, Debug)]
pub struct Token {
    /// Where it stands in the file, for what the caller finds wrong with it later.
    pub place: Place,
    /// The number on its back; always there in a token file, never in what another PAM module keeps.
    pub serial: Option<Serial>,
    /// Who issued it.
    pub issuer: Option<String>,
    /// Who made it.
    pub manufacturer: Option<String>,
    /// What it is called in its maker's catalogue.
    pub model: Option<String>,
    /// How it makes codes.
    pub profile: Profile,
    /// Its seed.
    pub seed: Secret,
    /// The counter that its next press is expected to use; only where the profile counts (RFC 4226 7.2).
    pub counter: Option<u64>,
    /// The last time step that was used up; only where the profile goes by time.
    pub used_step: Option<u64>,
    /// How many time steps its clock is known to be ahead of ours (RFC 6030 `TimeDrift`).
    pub drift_steps: i32,
    /// Nobody may use it before this moment.
    pub not_before: Option<Timestamp>,
    /// Nobody may use it after this moment.
    pub expires_at: Option<Timestamp>,
    /// Whose it is, if the file says so.
    pub owner: Option<UserName>,
    /// The seed has less than 128 bits.
    pub weak: bool,
    /// The base32 text of the seed has bits left over at its end: apps drop them, but a letter may be wrong or missing.
    pub stray_bits: bool,
}

impl Token {
    /// A token of which only seed and profile are known.
    pub fn new(place: Place, profile: Profile, seed: Secret) -> Self {
        let weak = seed.len() < STRONG_SEED_BYTES;
        Self {
            place,
            serial: None,
            issuer: None,
            manufacturer: None,
            model: None,
            profile,
            seed,
            counter: None,
            used_step: None,
            drift_steps: 0,
            not_before: None,
            expires_at: None,
            owner: None,
            weak,
            stray_bits: false,
        }
    }

    /// The floor to start from: the last counter or time step that must never be accepted again.
    pub fn floor(&self) -> Option<u64> {
        match self.counter {
            Some(next) => next.checked_sub(1),
            None => self.used_step,
        }
    }

    /// Whether `now` lies within the dates that the file gives.
    pub fn is_valid_at(&self, now: Timestamp) -> bool {
        self.not_before.is_none_or(|start| now >= start) && !self.is_expired_at(now)
    }

    /// Whether the last moment of use has passed (RFC 6030 section 5: a key must not be used after its `ExpiryDate`).
    pub fn is_expired_at(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|end| now > end)
    }
}

/// A name from a file, made fit for a terminal: what is not a letter, a digit, ASCII punctuation or a blank becomes `?`, and
/// everything after the 100th character is dropped. Nothing at all is no name.
pub(crate) fn printable_name(text: &str) -> Option<String> {
    let printable = |c: char| if c.is_alphanumeric() || c == ' ' || c.is_ascii_graphic() { c } else { '?' };
    let name: String = text.trim().chars().take(100).map(printable).collect();
    (!name.is_empty()).then_some(name)
}

/// Where in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// All of it.
    File,
    /// The line of this number, counted from 1.
    Line(u64),
    /// The `KeyPackage` of this number, counted from 1, and the line of what is meant.
    Package {
        /// Which package.
        number: u64,
        /// Which line of the file.
        line: u64,
    },
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File => f.write_str("the file"),
            Self::Line(line) => write!(f, "line {line}"),
            Self::Package { number, line } => write!(f, "key package {number} (line {line})"),
        }
    }
}

/// One thing that keeps a file from being used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where it is.
    pub place: Place,
    /// What is wrong, and the cure where there is one. Never a value from the file.
    pub text: String,
}

impl Problem {
    /// A problem at `place`.
    pub fn new(place: Place, text: impl Into<String>) -> Self {
        Self { place, text: text.into() }
    }

    /// A problem with the file as a whole.
    pub(crate) fn of_file(text: impl Into<String>) -> Self {
        Self::new(Place::File, text)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.text)
    }
}

/// How many problems of one file are told; a file of the wrong kind has one in each line.
const MAX_PROBLEMS: usize = 100;

/// Gathers what the lines of a file give, and gives it out all or not at all.
#[derive(Default)]
pub(crate) struct Harvest {
    tokens: Vec<Token>,
    problems: Vec<Problem>,
    untold: bool,
}

impl Harvest {
    pub(crate) fn add(&mut self, token: Result<Token, Problem>) {
        match token {
            Ok(token) if self.problems.is_empty() => self.tokens.push(token),
            // Nothing of this file will be used: the seeds need not be kept any longer.
            Ok(_) => self.tokens.clear(),
            Err(problem) => self.report(problem),
        }
    }

    pub(crate) fn report(&mut self, problem: Problem) {
        self.tokens.clear();
        if self.problems.len() < MAX_PROBLEMS {
            self.problems.push(problem);
        } else {
            self.untold = true;
        }
    }

    /// Whether there are more problems than are told, so that a reader may stop looking.
    pub(crate) fn is_hopeless(&self) -> bool {
        self.untold
    }

    /// The tokens, if there is at least one and nothing at all is wrong.
    pub(crate) fn finish(mut self) -> Result<Vec<Token>, Vec<Problem>> {
        if self.problems.is_empty() && self.tokens.is_empty() {
            self.report(Problem::of_file("it holds no token"));
        }
        for repetition in repetitions(&self.tokens) {
            self.report(repetition);
        }
        if self.untold {
            self.problems.push(Problem::of_file("there are more problems than these"));
        }
        if self.problems.is_empty() { Ok(self.tokens) } else { Err(self.problems) }
    }
}

/// Serials and seeds that stand in the file more than once (RFC 6238 R5: each prover has its own key).
fn repetitions(tokens: &[Token]) -> Vec<Problem> {
    let mut serials = HashMap::new();
    let mut seeds = HashMap::new();
    let mut problems = Vec::new();
    for token in tokens {
        if let Some(serial) = &token.serial
            && let Some(first) = serials.insert(serial.as_str(), token.place)
        {
            problems.push(Problem::new(token.place, format!("it has the serial number of {first}")));
        }
        if let Some(first) = seeds.insert(token.seed.expose(), token.place) {
            problems.push(Problem::new(token.place, format!("it has the seed of {first}")));
        }
    }
    problems
}

/// The tokens as the tests of the readers compare them: `line 2: GALT1 SHA1 6 Time(Period(30)) None`.
#[cfg(test)]
pub(crate) fn outline(tokens: &[Token]) -> Vec<String> {
    let line = |token: &Token| {
        let serial = token.serial.as_ref().map(ToString::to_string);
        let whose = serial.or_else(|| token.owner.as_ref().map(ToString::to_string)).unwrap_or_default();
        let Profile { moving_factor, algorithm, digits } = token.profile;
        let (place, digits, counter) = (token.place, digits.count(), token.counter);
        format!("{place}: {whose} {algorithm} {digits} {moving_factor:?} {counter:?}")
    };
    tokens.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(line: u64, seed: &[u8]) -> Token {
        Token::new(Place::Line(line), Profile::PLAIN, Secret::new(seed.to_vec()))
    }

    #[test]
    fn one_problem_spoils_the_whole_file() {
        let mut harvest = Harvest::default();
        harvest.add(Ok(token(1, b"12345678901234567890")));
        harvest.add(Err(Problem::new(Place::Line(2), "it is bad")));
        harvest.add(Ok(token(3, b"02345678901234567890")));
        assert_eq!(harvest.finish().unwrap_err(), [Problem::new(Place::Line(2), "it is bad")]);
    }

    #[test]
    fn a_file_without_tokens_is_a_problem() {
        assert_eq!(Harvest::default().finish().unwrap_err()[0].to_string(), "the file: it holds no token");
    }

    #[test]
    fn a_serial_or_seed_that_comes_twice_is_a_problem() {
        let mut harvest = Harvest::default();
        for (line, serial, seed) in
            [(1, "A", b"1111"), (2, "B", b"2222"), (3, "A", b"3333"), (4, "D", b"2222")]
        {
            harvest.add(Ok(Token { serial: Some(serial.parse().unwrap()), ..token(line, seed) }));
        }
        let problems: Vec<String> = harvest.finish().unwrap_err().iter().map(Problem::to_string).collect();
        assert_eq!(
            problems,
            ["line 3: it has the serial number of line 1", "line 4: it has the seed of line 2"]
        );
    }

    #[test]
    fn a_file_of_the_wrong_kind_does_not_flood_the_screen() {
        let mut harvest = Harvest::default();
        for line in 1..=1000 {
            harvest.add(Err(Problem::new(Place::Line(line), "no")));
        }
        let problems = harvest.finish().unwrap_err();
        assert_eq!(problems.len(), 101);
        assert_eq!(problems[100].to_string(), "the file: there are more problems than these");
    }

    #[test]
    fn a_short_seed_is_flagged() {
        assert!(token(1, &[7; 15]).weak);
        assert!(!token(1, &[7; 16]).weak);
    }

    #[test]
    fn the_floor_is_the_counter_before_the_next_one_or_the_used_step() {
        assert_eq!(Token { counter: Some(0), ..token(1, b"x") }.floor(), None);
        assert_eq!(Token { counter: Some(8), ..token(1, b"x") }.floor(), Some(7));
        assert_eq!(Token { used_step: Some(37), ..token(1, b"x") }.floor(), Some(37));
    }

    #[test]
    fn dates_bound_the_use_of_a_token() {
        let at = Timestamp::from_unix_seconds;
        let token = Token { not_before: Some(at(100)), expires_at: Some(at(200)), ..token(1, b"x") };
        assert!(!token.is_valid_at(at(99)) && token.is_valid_at(at(100)) && token.is_valid_at(at(200)));
        assert!(!token.is_valid_at(at(201)) && token.is_expired_at(at(201)) && !token.is_expired_at(at(99)));
    }

    #[test]
    fn names_and_serials_can_not_trick_a_terminal() {
        assert_eq!(printable_name(" Feitian\u{1b}[31m\u{202e}, Žďár ").unwrap(), "Feitian?[31m?, Žďár");
        assert_eq!(printable_name(" \t"), None);
        for serial in ["", " ", "a\nb", "a\u{1b}b", "é", &"9".repeat(65)] {
            assert!(serial.parse::<Serial>().is_err(), "{serial:?}");
        }
        assert_eq!(" GALT11420104 ".parse::<Serial>().unwrap().as_str(), "GALT11420104");
    }
}
