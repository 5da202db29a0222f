//! `mfa-enroll test`: does my code work? Without logging in, and without being locked out by the answer.

use mfa_cli::{Failure, counted};
use mfa_core::answer::Answer;
use mfa_core::{Factor, Refusal, Verdict};

use crate::account::Account;
use crate::dialogue::{Dialogue, end_of_input};

/// Asks for a code and tries it as a login would.
pub(crate) fn run(account: &Account, dialogue: &Dialogue<'_>) -> Result<(), Failure> {
    let output = dialogue.output;
    let ended =
        |failure: Failure| failure.when_ended("nothing was tried", "begin again when you have a code");
    let line = dialogue.ask("Code to try: ").and_then(|line| line.ok_or_else(end_of_input)).map_err(ended)?;
    let answer = match Answer::parse(&line) {
        Some(answer @ (Answer::Code(_) | Answer::Recovery(_))) => answer,
        Some(Answer::Tails(_)) | None => {
            return Err(Failure::NotConfirmed {
                reason: "not-a-code",
                sentence: "what was typed is not a code".to_owned(),
                hint: "type the digits that the device shows, or a recovery code; nothing was counted"
                    .to_owned(),
            });
        }
    };
    let refusal = match account.session.verify(&account.user, answer)? {
        Verdict::Accept(Factor::Device { name, .. }) => {
            return output.line(&format!(
                "Right: that is a code of {name}. It is used up now; wait for the next to log in."
            ));
        }
        Verdict::Accept(Factor::Recovery { left }) => {
            let left = counted(left.into(), "code");
            return output.line(&format!("Right: that was a recovery code. It is used up now; {left} left."));
        }
        Verdict::Accept(Factor::Bypass) => {
            return output.line("Right: that was the bypass code. It is used up now.");
        }
        Verdict::Refuse(refusal) => refusal,
    };
    let (sentence, hint) = match refusal {
        Refusal::Wrong => ("that is no code of this account at this time".to_owned(), RESYNC),
        Refusal::Replayed => ("that code was used before".to_owned(), "wait for the next one"),
        Refusal::Skew => (
            "that code is older than one that was used: this host's clock may have gone back".to_owned(),
            "an administrator sees to the clock: timedatectl",
        ),
        Refusal::Throttled { wait_seconds } => (
            format!("after failures a code is looked at again in {}", counted(wait_seconds, "second")),
            "wait so long; this try was not counted",
        ),
        Refusal::Disabled => (
            "too many failures have disabled the device".to_owned(),
            "a recovery code enables it, or an administrator: mfa-admin unlock USER",
        ),
        Refusal::Expired => ("the time of that bypass code is over".to_owned(), "ask for another one"),
        Refusal::NotEnrolled => ("the account has no device".to_owned(), "add one: mfa-enroll add"),
        Refusal::ReadOnly => (
            "the store can't be written, and a code like that has to be marked as used".to_owned(),
            "an administrator makes its file system writable",
        ),
    };
    Err(Failure::NotConfirmed { reason: refusal.reason(), sentence, hint: hint.to_owned() })
}

const RESYNC: &str = "see that it is the entry for this host and still on the screen; a device whose clock is off is followed by: \
                      mfa-enroll resync NAME";
