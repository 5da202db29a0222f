//! `mfa-admin import`: a fleet of accounts from a file of `user,otpauth-uri` lines.

use mfa_cli::{Failure, Format, Output, Session};
use mfa_core::devices::DeviceName;
use mfa_import::{Problem, Token, csv, otpauth};

use crate::arrivals::{self, Arrival, Done};
use crate::cli::{ArrivalOptions, ImportOptions};
use crate::{input, problems};

/// What the devices are called if nobody says anything.
const USUAL_NAME: &str = "phone";

/// Checks the whole file, then enrolls account by account.
pub(crate) fn run(
    session: &Session,
    output: &Output,
    options: &ImportOptions,
    format: Format,
) -> Result<(), Failure> {
    let file = input::shown(&options.file);
    let bytes = input::read(&options.file, csv::MAX_FILE_BYTES)?;
    let tokens =
        otpauth::list(&bytes).map_err(|problems| problems::refuse(output, format, &file, &problems, None))?;
    let name = name(options.name.as_ref(), USUAL_NAME)?;
    let arrivals = of_tokens(&file, tokens, &name)
        .map_err(|problems| problems::refuse(output, format, &file, &problems, None))?;
    let job = Job { what: "imported", file: &file, options: &options.arrival, format };
    let Some(done) = all_or_none(session, output, &job, arrivals)? else { return Ok(()) };
    if format == Format::Json {
        return output.json(&done.json("imported"));
    }
    output.line(&format!("Imported {}.", done.sentence()))?;
    known_sentence(output, &done)
}

/// The name that was asked for, or the usual one.
pub(crate) fn name(asked: Option<&DeviceName>, usual: &str) -> Result<DeviceName, Failure> {
    asked.map_or_else(
        || usual.parse().map_err(|bad| Failure::usage(format!("{bad}"), "choose another name")),
        |name| Ok(name.clone()),
    )
}

/// The tokens of a file that says whose each of them is.
pub(crate) fn of_tokens(
    file: &str,
    tokens: Vec<Token>,
    name: &DeviceName,
) -> Result<Vec<Arrival>, Vec<Problem>> {
    let mut problems = Vec::new();
    let arrival =
        |token| Arrival::new(file, token, name.clone()).map_err(|problem| problems.push(problem)).ok();
    let arrivals = tokens.into_iter().filter_map(arrival).collect();
    if problems.is_empty() { Ok(arrivals) } else { Err(problems) }
}

/// What is imported, and how.
pub(crate) struct Job<'j> {
    /// The word in the log.
    pub(crate) what: &'static str,
    pub(crate) file: &'j str,
    pub(crate) options: &'j ArrivalOptions,
    pub(crate) format: Format,
}

/// Checks all arrivals of one file and takes them over. None: it was a dry run, and has been reported.
pub(crate) fn all_or_none(
    session: &Session,
    output: &Output,
    job: &Job<'_>,
    arrivals: Vec<Arrival>,
) -> Result<Option<Done>, Failure> {
    let (accounts, misplaced) = arrivals::check(session, arrivals, job.options)?;
    if !misplaced.is_empty() {
        let problems: Vec<Problem> = misplaced.into_iter().map(|misplaced| misplaced.problem).collect();
        return Err(problems::refuse(output, job.format, job.file, &problems, None));
    }
    arrivals::warn(output, &accounts);
    if !job.options.check.dry_run {
        return arrivals::take_over(session, job.what, accounts, |_| Ok(())).map(Some);
    }
    let done = Done::of(&accounts);
    if job.format == Format::Json {
        output.json(&done.json("checked"))?;
    } else {
        let file = job.file;
        output
            .line(&format!("{file} is good: {} would be enrolled. Nothing was changed.", done.sentence()))?;
        known_sentence(output, &done)?;
    }
    Ok(None)
}

/// What was there before.
pub(crate) fn known_sentence(output: &Output, done: &Done) -> Result<(), Failure> {
    match done.known {
        0 => Ok(()),
        1 => output.line("1 device was there already."),
        known => output.line(&format!("{known} devices were there already.")),
    }
}
