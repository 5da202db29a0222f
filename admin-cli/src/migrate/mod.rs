//! `mfa-admin migrate`: moving in from another PAM module. The old files stay until somebody removes them.

mod google_authenticator;
mod oath;

use mfa_cli::{Failure, Format, Output, Session};

use crate::cli::MigrateVerb;

pub(crate) fn run(
    session: &Session,
    output: &Output,
    verb: &MigrateVerb,
    format: Format,
) -> Result<(), Failure> {
    match verb {
        MigrateVerb::GoogleAuthenticator(options) => {
            google_authenticator::run(session, output, options, format)
        }
        MigrateVerb::Oath(options) => oath::run(session, output, options, format),
    }
}

/// What is left to do: the line in the PAM files.
fn next_steps(output: &Output, module: &str) -> Result<(), Failure> {
    output.line("")?;
    output.paragraph(&format!(
        "Logins still go through {module}. In the PAM files that name it, put this line in its place:"
    ))?;
    output.line("  auth  required  pam_mfa.so")?;
    output.paragraph(&format!(
        "They are found by: grep -l {module} /etc/pam.d/*. After that run this once more: it carries over what was used in between."
    ))
}
