//! Two consecutive codes: asking for them, and saying what is wrong with them.

use mfa_cli::{Failure, Proof, profile_text};
use mfa_core::Timestamp;
use mfa_core::otp::{Code, MovingFactor, Profile};
use mfa_core::request::WhyNotConfirmed;

use crate::dialogue::{Dialogue, EnterMeans, Which};

/// How often two codes are asked for before a command gives up.
const ROUNDS: u8 = 3;

/// What makes the codes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Maker {
    /// An app that has just got a key, and may get another one of another profile.
    NewApp,
    /// A device that is what it is.
    Given,
}

/// What came of asking for codes.
pub(crate) enum Outcome<T> {
    /// They were right.
    Proven(T),
    /// The app can't do what was asked of it, and its owner takes this profile, with another key.
    Instead(Profile),
}

/// Asks for two codes, and again up to three times in all, until `submit` says that they are right.
pub(crate) fn prove<T>(
    dialogue: &Dialogue<'_>,
    profile: Profile,
    maker: Maker,
    mut submit: impl FnMut((Code, Code)) -> Result<Proof<T>, Failure>,
) -> Result<Outcome<T>, Failure> {
    let mut round = 1;
    loop {
        let first = dialogue.ask_code(Which::First, profile)?;
        let second = dialogue.ask_code(Which::Next { after: present_step(profile) }, profile)?;
        let why = match submit((first, second))? {
            Ok(proven) => return Ok(Outcome::Proven(proven)),
            Err(why) => why,
        };
        let failure = not_confirmed(why, profile, maker);
        if round == ROUNDS {
            return Err(failure);
        }
        dialogue.output.line("")?;
        dialogue.output.paragraph(&format!("Not yet: {}.", failure.sentence()))?;
        if let WhyNotConfirmed::ProfileIgnored { instead } = why
            && maker == Maker::NewApp
            && dialogue.is_with_a_person()
        {
            let question = format!("Use {} instead, with a new key?", profile_text(instead));
            if dialogue.confirm(&question, EnterMeans::Yes)? {
                return Ok(Outcome::Instead(instead));
            }
        } else if let Some(hint) = failure.hint() {
            dialogue.output.paragraph(&format!("hint: {hint}"))?;
        }
        round = round.saturating_add(1);
        let same_key = if maker == Maker::NewApp { "The key stays the same. " } else { "" };
        dialogue.output.line(&format!("{same_key}Try {round} of {ROUNDS}:\n"))?;
    }
}

/// Reads two codes from a program: right or wrong, once.
pub(crate) fn read_codes(dialogue: &Dialogue<'_>, profile: Profile) -> Result<(Code, Code), Failure> {
    let first = dialogue.read_code(profile.digits)?;
    Ok((first, dialogue.read_code(profile.digits)?))
}

fn present_step(profile: Profile) -> u64 {
    match profile.moving_factor {
        MovingFactor::Time(period) => period.step_at(Timestamp::now()),
        MovingFactor::Counter(_) => 0,
    }
}

/// What is wrong with two codes, and what to do.
pub(crate) fn not_confirmed(why: WhyNotConfirmed, profile: Profile, maker: Maker) -> Failure {
    let (reason, sentence, hint) = match why {
        WhyNotConfirmed::SameCode => (
            "same-code",
            "that was the same code twice".to_owned(),
            "type one code, wait until the device shows the next, then type that".to_owned(),
        ),
        WhyNotConfirmed::NotConsecutive => (
            "not-consecutive",
            "these are codes of this key, but the second does not follow the first".to_owned(),
            "type two codes that come one right after the other".to_owned(),
        ),
        WhyNotConfirmed::ClockOff { seconds } => {
            let direction = if seconds < 0 { "behind" } else { "ahead of" };
            (
                "clock-off",
                format!(
                    "right codes, but the device's clock is {} {direction} this host's",
                    duration(seconds.unsigned_abs())
                ),
                format!(
                    "let the device set its clock by the network; this host's says {}: if that is wrong, see timedatectl",
                    Timestamp::now()
                ),
            )
        }
        WhyNotConfirmed::ProfileIgnored { instead } => profile_ignored(instead, profile, maker),
        WhyNotConfirmed::Used => (
            "used",
            "these are right codes, but they were used before".to_owned(),
            "wait for the next two codes and type those".to_owned(),
        ),
        WhyNotConfirmed::OtherCodes => other_codes(profile, maker),
    };
    Failure::NotConfirmed { reason, sentence, hint }
}

fn profile_ignored(instead: Profile, profile: Profile, maker: Maker) -> (&'static str, String, String) {
    let (does, told) = (profile_text(instead), profile_text(profile));
    match maker {
        Maker::NewApp => (
            "profile-ignored",
            format!(
                "the app has ignored {}: it makes codes by {does}, though it was told {told}",
                ignored(instead, profile)
            ),
            format!("use another app, or add the device with: {}", profile_options(instead)),
        ),
        Maker::Given => (
            "profile-ignored",
            format!("the device makes codes by {does}, though it is known as one of {told}"),
            "tell an administrator: what is known of it is wrong".to_owned(),
        ),
    }
}

fn other_codes(profile: Profile, maker: Maker) -> (&'static str, String, String) {
    let digits = profile.digits.count();
    match maker {
        Maker::NewApp => (
            "other-codes",
            "these are not codes of this key".to_owned(),
            format!(
                "see that the app has this very key, that you read its entry for this host, and that a code has {digits} digits"
            ),
        ),
        Maker::Given => (
            "other-codes",
            "these are not two codes in a row of this device".to_owned(),
            format!(
                "see that it is this very device, and type two codes of {digits} digits that come one right after the other"
            ),
        ),
    }
}

/// What of `told` the app has taken no notice of: `the digits and the period`.
fn ignored(does: Profile, told: Profile) -> String {
    let moving_factor = match told.moving_factor {
        MovingFactor::Time(_) => "the period",
        MovingFactor::Counter(_) => "that it should count",
    };
    let differences = [
        (does.algorithm != told.algorithm, "the algorithm"),
        (does.digits != told.digits, "the digits"),
        (does.moving_factor != told.moving_factor, moving_factor),
    ];
    let names: Vec<&str> =
        differences.into_iter().filter(|(differs, _)| *differs).map(|(_, name)| name).collect();
    match names.as_slice() {
        [before @ .., last] if !before.is_empty() => format!("{} and {last}", before.join(", ")),
        names => names.concat(),
    }
}

fn profile_options(profile: Profile) -> String {
    let Profile { moving_factor, algorithm, digits } = profile;
    let moving_factor = match moving_factor {
        MovingFactor::Time(period) => format!("--period {}", period.seconds()),
        MovingFactor::Counter(_) => "--counter".to_owned(),
    };
    format!("--algorithm {algorithm} --digits {} {moving_factor}", digits.count())
}

fn duration(seconds: u64) -> String {
    match seconds {
        0..=119 => format!("{seconds} seconds"),
        _ => format!("{} minutes", seconds.saturating_add(30).checked_div(60).unwrap_or(0)),
    }
}

#[cfg(test)]
mod tests {
    use mfa_core::otp::{Algorithm, Digits, LookAhead, Period};

    use super::*;

    fn sentence(why: WhyNotConfirmed, profile: Profile) -> String {
        not_confirmed(why, profile, Maker::NewApp).sentence()
    }

    #[test]
    fn a_clock_that_is_off_is_named_with_its_direction() {
        let sentence = |seconds| sentence(WhyNotConfirmed::ClockOff { seconds }, Profile::PLAIN);
        assert_eq!(sentence(330), "right codes, but the device's clock is 6 minutes ahead of this host's");
        assert_eq!(sentence(-330), "right codes, but the device's clock is 6 minutes behind this host's");
    }

    #[test]
    fn what_an_app_has_ignored_is_named() {
        let digits = Digits::try_from(8).unwrap();
        let minute = MovingFactor::Time(Period::try_from(60).unwrap());
        let plain = Profile::PLAIN;
        let all = Profile { moving_factor: minute, algorithm: Algorithm::Sha256, digits };
        assert_eq!(ignored(plain, Profile { digits, ..plain }), "the digits");
        assert_eq!(ignored(Profile { digits, ..plain }, all), "the algorithm and the period");
        assert_eq!(ignored(plain, all), "the algorithm, the digits and the period");
        let counter = Profile { moving_factor: MovingFactor::Counter(LookAhead::DEFAULT), ..plain };
        assert_eq!(ignored(plain, counter), "that it should count");
    }
}
