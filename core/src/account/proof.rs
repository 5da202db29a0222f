//! Two consecutive codes: proof that a device holds the seed, and where its clock or counter stands.

use std::ops::RangeInclusive;

use crate::clock::Timestamp;
use crate::otp::{Algorithm, Code, Generator, MovingFactor, Period, Profile};
use crate::request::WhyNotConfirmed;
use crate::secret::Secret;
use crate::state::DeviceState;
use crate::verify::DRIFT_CAP_STEPS;

/// A device that is to be proven.
pub(crate) struct Claim<'a> {
    pub(crate) seed: &'a Secret,
    pub(crate) profile: Profile,
    /// The last step or counter that was used; both codes must lie above it.
    pub(crate) floor: Option<u64>,
    pub(crate) span: Span,
    pub(crate) now: Timestamp,
}

/// How far codes are searched.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Span {
    /// An app on a device whose clock should be right. What is found beyond the drift that a login follows serves to say how far it is off.
    App,
    /// A hardware token that lay in a drawer for years, or a device that ran away: two codes in a row are looked for a day either way.
    Token,
}

/// Where two consecutive codes were found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Proven {
    /// The counter of the second: both are used up.
    floor: u64,
    /// By how many steps the device is ahead: the least that has the second code in its window.
    steps_ahead: i32,
}

impl Proven {
    /// Takes note of it in a device's state. What the drift can hold is drift, more is the offset of its clock.
    pub(crate) fn note(self, entry: &mut DeviceState) {
        entry.floor = entry.floor.max(Some(self.floor));
        let drift = i8::try_from(self.steps_ahead).ok().filter(|steps| steps.unsigned_abs() <= MOST_DRIFT);
        entry.drift_steps = drift.unwrap_or(0);
        entry.clock_offset_steps = if drift.is_some() { 0 } else { self.steps_ahead };
    }
}

const MOST_DRIFT: u8 = DRIFT_CAP_STEPS.unsigned_abs();
/// How far from now an app's codes are searched, in steps either way.
const APP_STEPS: u64 = 120;
/// How many presses a counter device may have had before it is enrolled.
const NEW_COUNTERS: u64 = 100;
/// How far from now the codes of a token are searched, in seconds either way.
const TOKEN_SECONDS: u64 = 24 * 3600;
/// How many presses a counter token may be ahead.
const TOKEN_COUNTERS: u64 = 1000;

/// Looks for `first` and, right after it, `second`.
pub(crate) fn prove(claim: &Claim<'_>, first: &Code, second: &Code) -> Result<Proven, WhyNotConfirmed> {
    if first.same_as(second) {
        return Err(WhyNotConfirmed::SameCode);
    }
    let mut pairs = consecutive(claim, claim.profile, first, second);
    let found_any = !pairs.is_empty();
    // RFC 6238 5.2: what was used is not evidence.
    pairs.retain(|second| claim.floor.is_none_or(|floor| second.saturating_sub(1) > floor));
    let present = match claim.profile.moving_factor {
        MovingFactor::Time(period) => period.step_at(claim.now),
        MovingFactor::Counter(_) => 0,
    };
    let nearest = pairs.into_iter().min_by_key(|second| second.abs_diff(present));
    let Some(floor) = nearest else {
        return Err(if found_any { WhyNotConfirmed::Used } else { why_not(claim, first, second) });
    };
    let MovingFactor::Time(period) = claim.profile.moving_factor else {
        return Ok(Proven { floor, steps_ahead: 0 });
    };
    let ahead = i64::try_from(floor).unwrap_or(i64::MAX).saturating_sub(i64::try_from(present).unwrap_or(0));
    let steps_ahead = i32::try_from(ahead.saturating_sub(ahead.signum())).unwrap_or(i32::MAX);
    if claim.span == Span::App && ahead.unsigned_abs() > u64::from(MOST_DRIFT) {
        return Err(WhyNotConfirmed::ClockOff { seconds: ahead.saturating_mul(seconds_of(period)) });
    }
    Ok(Proven { floor, steps_ahead })
}

fn seconds_of(period: Period) -> i64 {
    i64::from(u8::from(period))
}

/// The counters at which `second` stands and `first` just before it.
fn consecutive(claim: &Claim<'_>, profile: Profile, first: &Code, second: &Code) -> Vec<u64> {
    let generator = Generator::new(claim.seed, profile.algorithm, profile.digits);
    let mut found = Vec::new();
    let mut previous_matches = false;
    for counter in searched(claim, profile) {
        let code = generator.code_at(counter);
        if previous_matches && code.same_as(second) {
            found.push(counter);
        }
        previous_matches = code.same_as(first);
    }
    found
}

fn searched(claim: &Claim<'_>, profile: Profile) -> RangeInclusive<u64> {
    match (profile.moving_factor, claim.span) {
        (MovingFactor::Time(period), span) => {
            let present = period.step_at(claim.now);
            let reach = match span {
                Span::App => APP_STEPS,
                Span::Token => TOKEN_SECONDS.checked_div(period.seconds()).unwrap_or(APP_STEPS),
            };
            present.saturating_sub(reach)..=present.saturating_add(reach)
        }
        (MovingFactor::Counter(_), span) => {
            let reach = match span {
                Span::App => NEW_COUNTERS,
                Span::Token => TOKEN_COUNTERS,
            };
            // One below, so that a pair that begins with the code used last is found and told from a wrong one.
            let start = claim.floor.unwrap_or(0);
            start..=start.saturating_add(reach)
        }
    }
}

fn why_not(claim: &Claim<'_>, first: &Code, second: &Code) -> WhyNotConfirmed {
    let profile = claim.profile;
    let generator = Generator::new(claim.seed, profile.algorithm, profile.digits);
    let shows =
        |code: &Code| searched(claim, profile).any(|counter| generator.code_at(counter).same_as(code));
    if shows(first) && shows(second) {
        return WhyNotConfirmed::NotConsecutive;
    }
    for algorithm in [profile.algorithm, Algorithm::Sha1] {
        for digits in [profile.digits, Profile::PLAIN.digits] {
            for moving_factor in [profile.moving_factor, Profile::PLAIN.moving_factor] {
                let instead = Profile { moving_factor, algorithm, digits };
                if instead != profile && !consecutive(claim, instead, first, second).is_empty() {
                    return WhyNotConfirmed::ProfileIgnored { instead };
                }
            }
        }
    }
    WhyNotConfirmed::OtherCodes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hex::Hex;
    use crate::otp::LookAhead;

    const NOW: u64 = 1_800_000_000;
    const STEP: u64 = NOW / 30;

    fn seed() -> Secret {
        Secret::new(b"12345678901234567890".to_vec())
    }

    fn proven(profile: Profile, floor: Option<u64>, span: Span, at: u64) -> Result<Proven, WhyNotConfirmed> {
        let seed = seed();
        let generator = Generator::new(&seed, profile.algorithm, profile.digits);
        let claim = Claim { seed: &seed, profile, floor, span, now: Timestamp::from_unix_seconds(NOW) };
        prove(&claim, &generator.code_at(at), &generator.code_at(at + 1))
    }

    #[test]
    fn a_token_is_found_a_day_either_way_and_an_app_is_told_that_its_clock_is_off() {
        let hour = 120;
        assert_eq!(
            proven(Profile::PLAIN, None, Span::Token, STEP + 23 * hour),
            Ok(Proven { floor: STEP + 23 * hour + 1, steps_ahead: 23 * 120 })
        );
        assert_eq!(
            proven(Profile::PLAIN, None, Span::Token, STEP - 23 * hour).unwrap().steps_ahead,
            -23 * 120 + 2
        );
        assert_eq!(
            proven(Profile::PLAIN, None, Span::Token, STEP + 25 * hour),
            Err(WhyNotConfirmed::OtherCodes)
        );
        assert_eq!(
            proven(Profile::PLAIN, None, Span::App, STEP + 19),
            Err(WhyNotConfirmed::ClockOff { seconds: 600 })
        );
    }

    #[test]
    fn an_app_may_be_off_by_as_much_as_its_drift_may_hold() {
        let most = u64::from(MOST_DRIFT);
        assert!(proven(Profile::PLAIN, None, Span::App, STEP + most - 1).is_ok());
        assert!(proven(Profile::PLAIN, None, Span::App, STEP - most - 1).is_ok());
        for off in [STEP + most, STEP - most - 2] {
            let refused = proven(Profile::PLAIN, None, Span::App, off);
            assert!(matches!(refused, Err(WhyNotConfirmed::ClockOff { .. })), "{off}: {refused:?}");
        }
    }

    #[test]
    fn used_codes_prove_nothing() {
        for floor in [STEP, STEP + 1] {
            assert_eq!(
                proven(Profile::PLAIN, Some(floor), Span::Token, STEP),
                Err(WhyNotConfirmed::Used),
                "floor {floor}"
            );
        }
        assert!(proven(Profile::PLAIN, Some(STEP - 1), Span::Token, STEP).is_ok());
    }

    #[test]
    fn a_counter_is_followed_a_thousand_presses_above_its_floor() {
        let counter = Profile { moving_factor: MovingFactor::Counter(LookAhead::DEFAULT), ..Profile::PLAIN };
        assert_eq!(proven(counter, Some(7), Span::Token, 1000), Ok(Proven { floor: 1001, steps_ahead: 0 }));
        assert_eq!(proven(counter, Some(7), Span::Token, 1007), Err(WhyNotConfirmed::OtherCodes));
        assert_eq!(proven(counter, Some(7), Span::Token, 7), Err(WhyNotConfirmed::Used));
        assert!(proven(counter, Some(7), Span::Token, 8).is_ok());
        assert!(proven(counter, None, Span::Token, 0).is_ok());
    }

    #[test]
    fn a_small_offset_is_drift_and_a_large_one_is_the_clocks() {
        let mut entry = DeviceState::with_floor(Hex([1; 8]), Some(9), 3);
        Proven { floor: 20, steps_ahead: -10 }.note(&mut entry);
        assert_eq!((entry.floor, entry.drift_steps, entry.clock_offset_steps), (Some(20), -10, 0));
        Proven { floor: 19, steps_ahead: 11 }.note(&mut entry);
        assert_eq!((entry.floor, entry.drift_steps, entry.clock_offset_steps), (Some(20), 0, 11));
    }
}
