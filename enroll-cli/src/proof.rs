//! Two consecutive codes: asking for them, and saying what is wrong with them.

use mfa_cli::{Failure, profile_text};
use mfa_core::Timestamp;
use mfa_core::devices::DeviceName;
use mfa_core::otp::{Code, MovingFactor, Profile};
use mfa_core::request::{PendingEnrollment, WhyNotConfirmed};

use crate::account::Account;
use crate::dialogue::{Dialogue, EnterMeans, Which};

/// How often two codes are asked for before a command gives up.
const ROUNDS: u8 = 3;

/// What came of asking for codes.
pub(crate) enum Proof {
    /// The device is bound.
    Bound(DeviceName),
    /// The app can't do what was asked of it, and its owner takes this profile, with another key.
    Instead(Profile),
}

/// Asks for two codes up to three times.
pub(crate) fn prove(
    account: &Account,
    dialogue: &Dialogue<'_>,
    pending: &PendingEnrollment,
) -> Result<Proof, Failure> {
    let profile = pending.profile;
    let mut round = 1;
    loop {
        let (first, second) = two_codes(dialogue, profile)?;
        let why = match account.session.confirm(&account.user, pending.id, first, second)? {
            Ok(name) => {
                account.log_change("enrolled", Some(&name));
                return Ok(Proof::Bound(name));
            }
            Err(why) => why,
        };
        let failure = not_confirmed(why, profile);
        if round == ROUNDS {
            return Err(failure);
        }
        dialogue.output.line("")?;
        dialogue.output.paragraph(&format!("Not yet: {}.", failure.sentence()))?;
        if let WhyNotConfirmed::ProfileIgnored { instead } = why
            && dialogue.is_with_a_person()
        {
            let question = format!("Use {} instead, with a new key?", profile_text(instead));
            if dialogue.confirm(&question, EnterMeans::Yes)? {
                return Ok(Proof::Instead(instead));
            }
        } else if let Some(hint) = failure.hint() {
            dialogue.output.paragraph(&format!("hint: {hint}"))?;
        }
        round = round.saturating_add(1);
        dialogue.output.line(&format!("The key stays the same. Try {round} of {ROUNDS}:\n"))?;
    }
}

/// Asks for a code and the next one.
pub(crate) fn two_codes(dialogue: &Dialogue<'_>, profile: Profile) -> Result<(Code, Code), Failure> {
    let first = dialogue.ask_code(Which::First, profile)?;
    let second = dialogue.ask_code(Which::Next { after: present_step(profile) }, profile)?;
    Ok((first, second))
}

fn present_step(profile: Profile) -> u64 {
    match profile.moving_factor {
        MovingFactor::Time(period) => period.step_at(Timestamp::now()),
        MovingFactor::Counter(_) => 0,
    }
}

/// What is wrong with two codes, and what to do.
pub(crate) fn not_confirmed(why: WhyNotConfirmed, profile: Profile) -> Failure {
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
        WhyNotConfirmed::ProfileIgnored { instead } => (
            "profile-ignored",
            format!(
                "the app makes codes by {}, though it was told {}",
                profile_text(instead),
                profile_text(profile)
            ),
            format!("use another app, or add the device with: {}", profile_options(instead)),
        ),
        WhyNotConfirmed::Used => (
            "used",
            "these are right codes, but they were used before".to_owned(),
            "wait for the next two codes and type those".to_owned(),
        ),
        WhyNotConfirmed::OtherCodes => (
            "other-codes",
            "these are not codes of this key".to_owned(),
            format!(
                "see that the app has this very key, that you read its entry for this host, and that a code has {} digits",
                profile.digits.count()
            ),
        ),
    };
    Failure::NotConfirmed { reason, sentence, hint }
}

fn profile_options(profile: Profile) -> String {
    let Profile { moving_factor, algorithm, digits } = profile;
    let period = match moving_factor {
        MovingFactor::Time(period) => format!(" --period {}", period.seconds()),
        MovingFactor::Counter(_) => String::new(),
    };
    format!("--algorithm {algorithm} --digits {}{period}", digits.count())
}

fn duration(seconds: u64) -> String {
    match seconds {
        0..=119 => format!("{seconds} seconds"),
        _ => format!("{} minutes", seconds.saturating_add(30).checked_div(60).unwrap_or(0)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_off_is_named_with_its_direction() {
        let sentence =
            |seconds| not_confirmed(WhyNotConfirmed::ClockOff { seconds }, Profile::PLAIN).sentence();
        assert_eq!(sentence(330), "right codes, but the device's clock is 6 minutes ahead of this host's");
        assert_eq!(sentence(-330), "right codes, but the device's clock is 6 minutes behind this host's");
    }
}
