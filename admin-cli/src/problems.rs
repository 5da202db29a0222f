//! Everything that is wrong with a file: a line for each, and nothing of the file is used.

use std::fmt::Display;

use mfa_cli::{Failure, Format, Output, counted};
use mfa_import::{Place, Problem};
use serde_json::json;

/// How many problems of one file are told: a file that was imported before has one in each line.
const TOLD: usize = 100;

/// Tells of the problems of a file and gives the failure that sums them up.
pub(crate) fn refuse(
    output: &Output,
    format: Format,
    file: &str,
    problems: &[Problem],
    hint: Option<&str>,
) -> Failure {
    for problem in problems.iter().take(TOLD) {
        tell(output, format, file, problem);
    }
    if problems.len() > TOLD {
        output.complain(&Failure::Refused { sentence: "and more like these".to_owned(), hint: None });
    }
    let number = u64::try_from(problems.len()).unwrap_or(u64::MAX);
    Failure::Refused {
        sentence: format!("nothing was changed: {} in {file}", counted(number, "problem")),
        hint: hint.map(str::to_owned),
    }
}

/// Tells of one problem that does not stop the rest.
pub(crate) fn tell(output: &Output, format: Format, file: &str, problem: &Problem) {
    let sentence = match problem.place {
        Place::File => format!("{file}: {}", problem.text),
        Place::Line(_) | Place::Package { .. } => format!("{file}, {problem}"),
    };
    output.complain(&Failure::Refused { sentence, hint: None });
    if format == Format::Json {
        // Whether it was printed shows at the end, when the result is.
        let place = problem.place.to_string();
        let _ = output.json(&json!({ "file": file, "place": place, "problem": problem.text }));
    }
}

/// `A, B and 3 more`: enough to know which, not so many that nobody reads it.
pub(crate) fn some_of<T: Display>(things: &[T]) -> String {
    const SHOWN: usize = 5;
    let mut shown: Vec<String> = things.iter().take(SHOWN).map(ToString::to_string).collect();
    match things.len().saturating_sub(SHOWN) {
        0 => {}
        more => shown.push(format!("and {more} more")),
    }
    shown.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_are_named_and_the_rest_counted() {
        assert_eq!(some_of(&["a", "b"]), "a, b");
        assert_eq!(some_of(&[1, 2, 3, 4, 5, 6, 7]), "1, 2, 3, 4, 5, and 2 more");
    }
}
