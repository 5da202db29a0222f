//! The module without libpam: what the fuzz targets call. Only in `fuzz/module`, never in `pam_mfa.so`.

use std::ffi::CStr;
use std::path::Path;

use mfa_core::verify::Factor;

use crate::conversation::Host as _;
use crate::enrollment;
use crate::fake::{Fake, Says};
use crate::login;
use crate::options::Options;
use crate::outcome::Outcome;
use crate::pam_stack;

/// One login, from the auth phase to the account phase if that has anything to do.
#[derive(Debug, Default)]
pub struct Session {
    /// PAM_USER.
    pub user: Vec<u8>,
    /// PAM_SERVICE.
    pub service: Option<&'static str>,
    /// PAM_RHOST.
    pub remote_host: Vec<u8>,
    /// PAM_AUTHTOK.
    pub password: Option<Vec<u8>>,
    /// What is said to each prompt. After the last of them the conversation fails.
    pub answers: Vec<Answer>,
    /// The groups that the user is in.
    pub groups: Vec<&'static str>,
}

/// What is said to a prompt.
#[derive(Clone, Debug)]
pub enum Answer {
    /// These bytes.
    Bytes(Vec<u8>),
    /// The code, so many steps from now, of an app with the key that was shown last.
    OfTheKeyShown(i64),
}

/// What came of it.
#[derive(Debug)]
pub struct Ended {
    /// The result of the auth phase, as PAM's number.
    pub auth: i32,
    /// What let the person in there.
    pub factor: Option<Factor>,
    /// The result of the account phase, as PAM's number, if the auth phase has left it something to do.
    pub account: Option<i32>,
    /// What was said to the prompts.
    pub said: Vec<Vec<u8>>,
    /// The prompts.
    pub prompts: Vec<String>,
    /// The key that was shown last, in base32.
    pub key_shown: Option<String>,
    /// The lines for the log.
    pub log: Vec<String>,
}

/// Runs a login.
pub fn log_in(session: Session, arguments: &[&CStr]) -> Ended {
    let mut host = Fake {
        service: session.service,
        remote_host: session.remote_host,
        groups: session.groups,
        ..Fake::user(session.user)
    };
    if let Some(password) = session.password {
        host = host.with_password(password);
    }
    for answer in session.answers {
        host = match answer {
            Answer::Bytes(bytes) => host.answering(bytes),
            Answer::OfTheKeyShown(steps) => host.saying(Says::Code(steps)),
        };
    }
    let outcome = login::authenticate(&mut host, arguments);
    let factor = match &outcome {
        Outcome::Accepted { factor, .. } => Some(factor.clone()),
        Outcome::EnrollPending | Outcome::NotAsked | Outcome::Refused { .. } => None,
    };
    let auth = number(outcome.finish(&mut host));
    let account = host.mark().map(|mark| {
        let conclusion = enrollment::conclude(&mut host, arguments, &mark);
        number(conclusion.finish(&mut host))
    });
    let key_shown = host.key_shown();
    Ended {
        auth,
        factor,
        account,
        said: host.said,
        prompts: host.prompts.into_iter().map(|(prompt, _)| prompt).collect(),
        key_shown,
        log: host.lines,
    }
}

#[expect(clippy::as_conversions, reason = "an enum of C's numbers")]
const fn number(code: pam::constants::PamResultCode) -> i32 {
    code as i32
}

/// Whether these words of a PAM file are understood; else why not.
///
/// # Errors
/// The sentence for the log.
pub fn parse_options(arguments: &[&CStr]) -> Result<(), String> {
    Options::parse(arguments).map(|_| ()).map_err(|bad| bad.to_string())
}

/// Whether the PAM file of `service` in `folder` is sure to come to the module in its account phase.
///
/// # Errors
/// The sentence for the log.
pub fn check_account_phase(service: &[u8], folder: &Path, module: &Path) -> Result<(), String> {
    pam_stack::check_account_phase(service, Some(folder), Some(module))
}
