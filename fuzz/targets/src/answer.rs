//! What a person types.

use mfa_core::answer::Answer;
use mfa_core::verify::Typed;

use crate::reference::{Meaning, alone, at_the_end};

/// Any bytes at the prompt: they are recognised as what the reference takes them for, and as nothing else.
pub fn answer(bytes: &[u8]) {
    let found = match Answer::parse(bytes) {
        None => None,
        Some(Answer::Code(code)) => Some(Meaning::Digits(code.expose_text().to_string())),
        Some(Answer::Recovery(code)) => Some(Meaning::Letters(code.expose_grouped().replace('-', ""))),
        Some(Answer::Tails(_)) => panic!("a password was found where there is a code alone"),
    };
    assert_eq!(found, alone(bytes));
    // At the end of a password: digits alone, for a recovery code is recognised by the module.
    let digits = at_the_end(bytes).into_iter().any(|meaning| matches!(meaning, Meaning::Digits(_)));
    assert_eq!(Typed::tails(bytes).is_some(), digits);
}
