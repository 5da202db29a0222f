//! What speaks for an ordinary user: asked of a person, or of a program.

use mfa_cli::{Failure, Password, Witness, password_of};
use mfa_core::UserName;
use mfa_core::answer::Answer;
use serde::Serialize;

use crate::dialogue::{Dialogue, capitalised, end_of_input};

impl Witness for Dialogue<'_> {
    fn password(&self, user: &UserName, before: Option<Failure>) -> Result<Password, Failure> {
        match before {
            None => {
                self.output.paragraph("Before a first device is bound, the account's password is checked.")?
            }
            Some(failure) => self.may_ask_again(failure)?,
        }
        let prompt = format!("Password of {user}: ");
        password_of(&self.ask_hidden(&prompt)?.ok_or_else(end_of_input)?)
    }

    fn code(&self, _: &UserName, before: Option<Failure>) -> Result<Answer, Failure> {
        match before {
            None => self.output.paragraph("That needs a code, which is used up by it.")?,
            Some(failure) => self.may_ask_again(failure)?,
        }
        self.ask_answer("Current code of one of your devices, or a recovery code: ")
    }
}

impl Dialogue<'_> {
    /// Tells what was wrong. Through a pipe there is nobody who could do better.
    fn may_ask_again(&self, failure: Failure) -> Result<(), Failure> {
        if !self.is_with_a_person() {
            return Err(failure);
        }
        self.output.paragraph(&format!("{}.", capitalised(&failure.sentence())))
    }
}

/// A program that speaks for somebody: it is asked by a line of JSON, and once.
pub(crate) struct ByProgram<'a>(pub(crate) &'a Dialogue<'a>);

/// What is asked of a program.
#[derive(Serialize)]
struct Question {
    asks: &'static str,
}

impl Witness for ByProgram<'_> {
    fn password(&self, _: &UserName, before: Option<Failure>) -> Result<Password, Failure> {
        if let Some(failure) = before {
            return Err(failure);
        }
        self.0.output.json(&Question { asks: "password" })?;
        password_of(&self.0.read()?.ok_or_else(end_of_input)?)
    }

    fn code(&self, _: &UserName, before: Option<Failure>) -> Result<Answer, Failure> {
        if let Some(failure) = before {
            return Err(failure);
        }
        self.0.output.json(&Question { asks: "code" })?;
        self.0.read_answer()
    }
}
