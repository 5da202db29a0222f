//! `mfa-admin migrate oath`: from the users file of pam_oath.

use mfa_cli::{Failure, Format, Output, Session};
use mfa_core::Timestamp;
use mfa_import::local_time::LocalTime;
use mfa_import::oath_users;

use crate::cli::OathOptions;
use crate::import::{Job, all_or_none, known_sentence, name, of_tokens};
use crate::{input, problems};

/// What the devices are called: the file does not say whether they are apps or tokens.
const NAME: &str = "oath";

pub(crate) fn run(
    session: &Session,
    output: &Output,
    options: &OathOptions,
    format: Format,
) -> Result<(), Failure> {
    let file = input::shown(&options.file);
    let bytes = input::read(&options.file, oath_users::MAX_FILE_BYTES)?;
    let tokens = oath_users::read(&bytes, &LocalTime::of_this_host(), Timestamp::now())
        .map_err(|problems| problems::refuse(output, format, &file, &problems, None))?;
    let arrivals = of_tokens(&file, tokens, &name(None, NAME)?)
        .map_err(|problems| problems::refuse(output, format, &file, &problems, None))?;
    let job = Job { what: "migrated", file: &file, options: &options.arrival, format };
    let Some(done) = all_or_none(session, output, &job, arrivals)? else { return Ok(()) };
    if format == Format::Json {
        return output.json(&done.json("migrated"));
    }
    output.line(&format!("Moved in: {}.", done.sentence()))?;
    known_sentence(output, &done)?;
    super::next_steps(output, "pam_oath.so")
}
