//! `mfa-admin tokens`: the stock of hardware tokens and whose they are.

mod assign;
mod import;
mod list;
mod unassign;

use mfa_cli::{Failure, Format, Output, Session, shell_word};
use mfa_core::Timestamp;
use mfa_core::devices::Serial;
use mfa_core::otp::MovingFactor;
use mfa_core::request::DeviceStatus;
use mfa_core::store::{Stock, StockToken};

use crate::cli::TokensVerb;

pub(crate) fn run(
    session: &Session,
    output: &Output,
    verb: &TokensVerb,
    format: Format,
) -> Result<(), Failure> {
    match verb {
        TokensVerb::Import(options) => import::run(session, output, options, format),
        TokensVerb::List(options) => list::run(session, output, options, format),
        TokensVerb::Show(options) => list::show(session, output, &options.serial, format),
        TokensVerb::Assign(options) => assign::run(session, output, options),
        TokensVerb::Unassign(options) => unassign::run(session, output, &options.serial),
        TokensVerb::Remove(options) => unassign::remove(session, output, &options.serial),
    }
}

/// The token of that number.
fn token<'s>(session: &Session, stock: &'s Stock, serial: &Serial) -> Result<&'s StockToken, Failure> {
    stock.token(serial).ok_or_else(|| {
        Failure::refused(
            format!("the stock has no token {serial}"),
            format!("see which there are: {}", session.admin_command("tokens list")),
        )
    })
}

/// The device of that number among these.
fn device_of<'d>(serial: &Serial, devices: &'d [DeviceStatus]) -> Option<&'d DeviceStatus> {
    devices.iter().find(|device| device.serial.as_ref() == Some(serial))
}

/// The floor of a token whose device was removed from its account without `tokens unassign`, so that nobody knows what it has used: beyond
/// every step that could have been accepted until now. How far a counter has come can't be told; two codes in a row will.
fn floor_beyond_use(token: &StockToken, now: Timestamp) -> Option<u64> {
    /// As far as the clock of a token may be off when it is activated.
    const CLOCK_SECONDS: u64 = 24 * 3600;
    /// And as far as it may drift from there, and one more that is accepted early.
    const DRIFT_STEPS: u64 = 12;
    match token.profile().moving_factor {
        MovingFactor::Time(period) => {
            let latest = period
                .step_at(Timestamp::from_unix_seconds(now.unix_seconds().saturating_add(CLOCK_SECONDS)));
            token.floor.max(Some(latest.saturating_add(DRIFT_STEPS)))
        }
        MovingFactor::Counter(_) => token.floor,
    }
}

/// Why nobody may have the token now, if so.
fn out_of_date(token: &StockToken, now: Timestamp) -> Option<String> {
    match (token.not_before, token.expires_at) {
        (_, Some(end)) if now > end => Some(format!("expired on {}", mfa_cli::since(end))),
        (Some(start), _) if now < start => Some(format!("is not valid before {}", mfa_cli::since(start))),
        _ => None,
    }
}

/// `tokens assign 'GALT 1' USER`, for hints.
fn command(session: &Session, verb: &str, serial: &Serial, rest: &str) -> String {
    let space = if rest.is_empty() { "" } else { " " };
    session.admin_command(&format!("tokens {verb} {}{space}{rest}", shell_word(serial.as_str())))
}
