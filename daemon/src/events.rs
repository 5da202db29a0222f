//! What is logged of a request: who, what, and how it ended. Looking is not logged.

use mfa_cli::log_event;
use mfa_core::audit::Event;
use mfa_core::{Error, Request, Response};

use crate::PROGRAM;
use crate::password::Finding;
use crate::reply::Asking;

/// Logs how a request ended.
pub(crate) fn log(asking: &Asking<'_>, request: &Request, answered: &Result<Response, Error>) {
    for event in events(request, answered) {
        record(event, asking);
    }
}

/// Logs what became of a password.
pub(crate) fn log_password(asking: &Asking<'_>, found: Option<Finding>) {
    let finding = match found {
        Some(Finding::Right) => "right",
        Some(Finding::Wrong) => "wrong",
        Some(Finding::Closed) => "account-closed",
        Some(Finding::Unknown) => "unknown",
        None => "not-checked",
    };
    record(Event::new("password").with("finding", finding), asking);
}

fn record(event: Event, asking: &Asking<'_>) {
    let event = event.with("user", asking.user.as_str()).with("uid", asking.uid.to_string());
    log_event(PROGRAM, &event);
}

fn events(request: &Request, answered: &Result<Response, Error>) -> Vec<Event> {
    let (what, device) = described(request);
    let with_device = |event: Event, device: Option<&str>| vec![event.with_some("device", device)];
    match answered {
        Ok(Response::Verdict(verdict)) => vec![verdict.event()],
        Ok(Response::Refused(refusal)) => {
            vec![Event::new("refused").with("reason", refusal.reason()).with("request", what)]
        }
        Ok(Response::NotConfirmed(_)) => {
            with_device(Event::new("refused").with("reason", "not-confirmed").with("request", what), device)
        }
        Ok(Response::Enrolled { name, recovery_codes }) => {
            let mut events = with_device(Event::new("enrolled"), Some(name.as_str()));
            if let Request::ConfirmEnrollment { replaces: Some(old), .. } = request {
                events.extend(with_device(Event::new("replaced"), Some(old.as_str())));
            }
            if !recovery_codes.is_empty() {
                events.push(Event::new("recovery-codes"));
            }
            events
        }
        Ok(Response::Done | Response::RecoveryCodes(_)) => with_device(Event::new(what), device),
        // Not yet a change.
        Ok(Response::Pending(_)) => vec![Event::new("enrolling")],
        Ok(Response::Status(_) | Response::History(_) | Response::Bypass { .. } | Response::Exported(_)) => {
            Vec::new()
        }
        // The client asks for what is needed and comes back.
        Err(Error::PasswordNeeded | Error::CodeNeeded | Error::NotEnrolled) => Vec::new(),
        Err(Error::NotAllowed) => {
            let about = request.user().map(mfa_core::UserName::as_str);
            vec![Event::new("denied").with("request", what).with_some("about", about)]
        }
        Err(
            error @ (Error::NoStore { .. }
            | Error::KeyLost { .. }
            | Error::Io { .. }
            | Error::Untrusted { .. }
            | Error::Corrupt { .. }
            | Error::SeedDoesNotOpen
            | Error::Busy { .. }
            | Error::ReadOnly { .. }
            | Error::NoRandomness
            | Error::NoMemory
            | Error::BadPolicy { .. }),
        ) => vec![Event::new("unavailable").with("request", what).with("why", error.to_string())],
        // Whose seed or token it is stands in the log alone.
        Err(
            error @ (Error::TooManyDevices
            | Error::NameTaken { .. }
            | Error::NoSuchDevice { .. }
            | Error::NoSuchEnrollment
            | Error::SeedInUse { .. }
            | Error::SerialInUse { .. }
            | Error::NoSuchToken { .. }
            | Error::NoBypass
            | Error::BadRequest(_)),
        ) => vec![Event::new("denied").with("request", what).with("why", error.to_string())],
    }
}

/// What a request does, in the words of the other programs' logs, and to which device.
fn described(request: &Request) -> (&'static str, Option<&str>) {
    match request {
        Request::Verify { .. } => ("verify", None),
        Request::Status { .. } => ("status", None),
        Request::History { .. } => ("history", None),
        Request::BeginEnrollment { .. } | Request::ConfirmEnrollment { .. } => ("enrolled", None),
        Request::ActivateToken { serial, .. } => ("enrolled", Some(serial.as_str())),
        Request::RenameDevice { to, .. } => ("renamed", Some(to.as_str())),
        Request::SuspendDevice { name, .. } => ("suspended", Some(name.as_str())),
        Request::ResumeDevice { name, .. } => ("resumed", Some(name.as_str())),
        Request::Resync { name, .. } => ("resynced", Some(name.as_str())),
        Request::RemoveDevice { name, .. } => ("removed", Some(name.as_str())),
        Request::NewRecoveryCodes { .. } => ("recovery-codes", None),
        Request::IssueBypass { .. } => ("bypass-issued", None),
        Request::CancelBypass { .. } => ("bypass-cancelled", None),
        Request::Adopt { .. } => ("adopted", None),
        Request::Export { .. } => ("exported", None),
        Request::Unlock { .. } => ("unlocked", None),
        Request::Repair { .. } => ("repaired", None),
    }
}
