//! `mfa-admin status`: one account as it stands.

use mfa_cli::{AccountReport, Failure, Format, Output, Session, kind, recovery_sentence, since, standing};
use mfa_core::UserName;
use mfa_core::request::{BypassStatus, DeviceStatus};

use crate::table;

pub(crate) fn run(
    session: &Session,
    output: &Output,
    user: &UserName,
    format: Format,
) -> Result<(), Failure> {
    let status = session.status(user)?;
    if format == Format::Json {
        return output.json(&AccountReport::new(user.as_str(), &status));
    }
    if status.devices.is_empty() {
        output.line(&format!("{user} has no device."))?;
    } else {
        let row = |device: &DeviceStatus| {
            [
                device.name.to_string(),
                kind(device.profile),
                device.serial.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string),
                since(device.enrolled_at),
                standing(device),
            ]
        };
        let rows: Vec<_> = status.devices.iter().map(row).collect();
        table::print(output, ["DEVICE", "KIND", "SERIAL", "SINCE", "STANDING"], &rows)?;
        output.line(&recovery_sentence(status.recovery_codes_left))?;
    }
    match &status.bypass {
        Some(bypass) => output.paragraph(&sentence(bypass)),
        None => Ok(()),
    }
}

/// `Bypass code: until .., issued .. by ..: lost phone`
fn sentence(bypass: &BypassStatus) -> String {
    let BypassStatus { issued_at, until, reason, by } = bypass;
    format!("A bypass code waits until {until}. It was issued at {issued_at} by {by}: {reason}")
}
