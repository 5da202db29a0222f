//! `mfa-enroll test`: is this code good? Asked as a login would ask, without a login.

use mfa_cli::{Failure, counted};
use mfa_core::answer::Answer;
use mfa_core::{Factor, Verdict};
use serde::Serialize;

use crate::account::Account;
use crate::cli::TestOptions;
use crate::dialogue::Dialogue;

/// Tries a code as the command line says.
pub(crate) fn run(account: &Account, dialogue: &Dialogue<'_>, options: &TestOptions) -> Result<(), Failure> {
    if !options.json {
        return by_person(account, dialogue);
    }
    let factor = verify(account, dialogue.read_answer()?)?;
    let (word, device, left) = match &factor {
        Factor::Device { name, .. } => ("device", Some(name.as_str()), None),
        Factor::Recovery { left } => ("recovery-code", None, Some(*left)),
        Factor::Bypass => ("bypass-code", None, None),
    };
    dialogue.output.json(&Accepted {
        result: "accepted",
        user: account.user.as_str(),
        factor: word,
        device,
        left,
    })
}

/// Tries a code with a person.
pub(crate) fn by_person(account: &Account, dialogue: &Dialogue<'_>) -> Result<(), Failure> {
    let output = dialogue.output;
    output.paragraph(&format!(
        "A code of {} is tried as a login would try it: a right one is used up, a wrong one counts as a failure.",
        account.on_host()
    ))?;
    let answer = dialogue
        .ask_answer("Code: ")
        .map_err(|failure| failure.when_ended("no code was tried", "begin again when you like"))?;
    match verify(account, answer)? {
        Factor::Device { name, .. } => {
            output.line(&format!("Right: that is a code of {name}. It is used up now."))
        }
        Factor::Recovery { left } => {
            let left = counted(left.into(), "recovery code");
            output.paragraph(&format!("Right: that was a recovery code. It is used up now; {left} left."))
        }
        Factor::Bypass => output.line("Right: that was the bypass code. It is used up now."),
    }
}

fn verify(account: &Account, answer: Answer) -> Result<Factor, Failure> {
    match account.session.verify(&account.user, answer)? {
        Verdict::Accept(factor) => Ok(factor),
        Verdict::Refuse(refusal) => Err(account.session.refused(refusal, &account.user)),
    }
}

#[derive(Serialize)]
struct Accepted<'a> {
    result: &'static str,
    user: &'a str,
    factor: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    device: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    left: Option<u8>,
}
