//! `mfa-admin bypass`: a code that lets a person in once, for the day the device is lost.

use mfa_cli::{Failure, Format, Output, Session};
use mfa_core::audit::Event;
use serde_json::json;

use crate::cli::BypassOptions;

/// Issues a code and prints it this once, or ends the one that waits.
pub(crate) fn run(
    session: &Session,
    output: &Output,
    options: &BypassOptions,
    format: Format,
) -> Result<(), Failure> {
    let user = &options.user;
    let (Some(valid), Some(reason)) = (options.valid, options.reason.as_deref()) else {
        session.cancel_bypass(user)?;
        session.log_change("bypass-cancelled", user, None);
        return match format {
            Format::Json => output.json(&json!({ "result": "cancelled", "user": user.as_str() })),
            Format::Text => output.line(&format!("The bypass code of {user} has ended.")),
        };
    };
    session.check_account(user, session.account_names(options.names.no_account_check))?;
    let (code, until) = session.issue_bypass(user, valid.seconds(), reason)?;
    let event = Event::new("bypass-issued").with("user", user.as_str()).with("reason", reason);
    session.log_event(event.with("until", until.to_string()));
    let code = code.expose_grouped();
    if format == Format::Json {
        return output.json(&json!({
            "result": "issued", "user": user.as_str(), "code": code.as_str(), "until": until.to_string()
        }));
    }
    output.line(&format!("A code that lets {user} in once, until {until}:"))?;
    output.line("")?;
    output.line(&format!("  {}", code.as_str()))?;
    output.line("")?;
    output.paragraph(
        "It is typed where the verification code is asked for, is shown this once, and ends any bypass code before it. \
         Tell it to nobody whom you do not know for sure.",
    )?;
    output.line("To end it unused:")?;
    let user = mfa_cli::shell_word(user.as_str());
    output.line(&format!("  {}", session.admin_command(&format!("bypass {user} --cancel"))))
}
