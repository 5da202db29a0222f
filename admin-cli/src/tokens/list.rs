//! `mfa-admin tokens list` and `tokens show`: what the stock holds and whose it is.

use mfa_cli::{Failure, Format, Output, Session, profile_text, since, standing};
use mfa_core::Timestamp;
use mfa_core::devices::{Serial, Status};
use mfa_core::otp::MovingFactor;
use mfa_core::store::StockToken;
use serde::Serialize;

use crate::cli::TokensListOptions;
use crate::table;

/// Lists all tokens, or those that are nobody's.
pub(crate) fn run(
    session: &Session,
    output: &Output,
    options: &TokensListOptions,
    format: Format,
) -> Result<(), Failure> {
    let now = Timestamp::now();
    let stock = session.stock()?;
    let mut tokens =
        stock.tokens().filter(|token| !options.unassigned || token.assigned_to.is_none()).peekable();
    if format == Format::Json {
        return tokens.try_for_each(|token| output.json(&TokenReport::new(token)));
    }
    if tokens.peek().is_none() {
        return output.line(if options.unassigned {
            "The stock has no token that is nobody's."
        } else {
            "The stock has no token."
        });
    }
    let row = |token: &StockToken| {
        [
            token.serial().to_string(),
            profile_text(token.profile()),
            made(token),
            token.expires_at.map_or_else(|| "-".to_owned(), since),
            whose(token, now),
        ]
    };
    let rows: Vec<_> = tokens.map(row).collect();
    table::print(output, ["SERIAL", "KIND", "MADE BY", "EXPIRES", "WHOSE"], &rows)
}

/// Shows one token, and how it stands in the account of its owner.
pub(crate) fn show(
    session: &Session,
    output: &Output,
    serial: &Serial,
    format: Format,
) -> Result<(), Failure> {
    let stock = session.stock()?;
    let token = super::token(session, &stock, serial)?;
    let in_account = token.assigned_to.as_ref().map(|user| session.status(user)).transpose()?;
    let device = in_account.as_ref().and_then(|status| super::device_of(serial, &status.devices));
    if format == Format::Json {
        let status = device.map(|device| status_word(device.status));
        return output.json(&TokenReport {
            device: device.map(|device| device.name.to_string()),
            status,
            ..TokenReport::new(token)
        });
    }
    let mut lines = vec![
        ("Serial number", serial.to_string()),
        ("Kind", profile_text(token.profile())),
        ("Made by", made(token)),
    ];
    lines.extend(token.not_before.map(|start| ("Valid from", since(start))));
    lines.extend(token.expires_at.map(|end| ("Expires", since(end))));
    if token.drift_steps != 0 {
        lines.push(("Clock", format!("{:+} time steps", token.drift_steps)));
    }
    lines.push(("Whose", whose(token, Timestamp::now())));
    match (&token.assigned_to, device) {
        (Some(_), Some(device)) => {
            lines.push(("Device", device.name.to_string()));
            lines.push(("Standing", standing(device)));
        }
        (Some(user), None) => lines.push((
            "Standing",
            format!("{user} has removed it; to free it: {}", super::command(session, "unassign", serial, "")),
        )),
        (None, _) => {}
    }
    lines.iter().try_for_each(|(what, value)| output.line(&format!("{:<15}{value}", format!("{what}:"))))
}

fn made(token: &StockToken) -> String {
    match (token.manufacturer(), token.model()) {
        (Some(maker), Some(model)) => format!("{maker}, {model}"),
        (Some(name), None) | (None, Some(name)) => name.to_owned(),
        (None, None) => "-".to_owned(),
    }
}

fn whose(token: &StockToken, now: Timestamp) -> String {
    let nobody = || {
        super::out_of_date(token, now).map_or_else(|| "nobody's".to_owned(), |why| format!("nobody's, {why}"))
    };
    token.assigned_to.as_ref().map_or_else(nobody, ToString::to_string)
}

const fn status_word(status: Status) -> &'static str {
    match status {
        Status::Active => "active",
        Status::Suspended => "suspended",
        Status::Assigned => "assigned",
    }
}

/// A token as `--json` shows it. Never its seed, nor the mark of it.
#[derive(Serialize)]
struct TokenReport<'t> {
    serial: &'t str,
    kind: &'static str,
    algorithm: &'static str,
    digits: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    period: Option<u64>,
    manufacturer: Option<&'t str>,
    model: Option<&'t str>,
    not_before: Option<String>,
    expires_at: Option<String>,
    drift_steps: i32,
    assigned_to: Option<&'t str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    device: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<&'static str>,
}

impl<'t> TokenReport<'t> {
    fn new(token: &'t StockToken) -> Self {
        let profile = token.profile();
        let (kind, period) = match profile.moving_factor {
            MovingFactor::Time(period) => ("totp", Some(period.seconds())),
            MovingFactor::Counter(_) => ("hotp", None),
        };
        Self {
            serial: token.serial().as_str(),
            kind,
            algorithm: profile.algorithm.name(),
            digits: profile.digits.count(),
            period,
            manufacturer: token.manufacturer(),
            model: token.model(),
            not_before: token.not_before.map(|moment| moment.to_string()),
            expires_at: token.expires_at.map(|moment| moment.to_string()),
            drift_steps: token.drift_steps,
            assigned_to: token.assigned_to.as_ref().map(mfa_core::UserName::as_str),
            device: None,
            status: None,
        }
    }
}
