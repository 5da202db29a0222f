//! `mfa-admin list`: who has a device, and how it stands.

use mfa_cli::{AccountReport, Failure, Format, Output, Session, counted, kind, since, standing};
use mfa_core::UserName;
use mfa_core::request::{AccountStatus, DeviceStatus};
use serde_json::json;

use crate::table;

/// Lists all accounts with a device. One that can't be read does not hide the others, but makes the command fail.
pub(crate) fn run(session: &Session, output: &Output, format: Format) -> Result<(), Failure> {
    let mut table = Table::default();
    let mut unreadable: u64 = 0;
    for user in session.accounts()? {
        match session.status(&user) {
            Ok(status) if status.devices.is_empty() && status.bypass.is_none() => {}
            Ok(status) => match format {
                Format::Json => output.json(&AccountReport::new(user.as_str(), &status))?,
                Format::Text => table.add(&user, &status),
            },
            Err(failure) => {
                unreadable = unreadable.saturating_add(1);
                output.complain(&failure);
                if format == Format::Json {
                    output.json(&json!({ "user": user.as_str(), "error": failure.sentence() }))?;
                }
            }
        }
    }
    if format == Format::Text {
        table.print(output)?;
    }
    if unreadable > 0 {
        return Err(Failure::refused(
            format!("{} can't be read", counted(unreadable, "account")),
            "the reasons stand above; until they are gone, these accounts can't log in",
        ));
    }
    Ok(())
}

/// A row for each device, and for each account that has nothing but a bypass code.
#[derive(Default)]
struct Table(Vec<[String; 6]>);

impl Table {
    fn add(&mut self, user: &UserName, status: &AccountStatus) {
        let recovery_codes =
            status.recovery_codes_left.map_or_else(|| "-".to_owned(), |left| left.to_string());
        let row = |device: &DeviceStatus| {
            [
                user.to_string(),
                device.name.to_string(),
                kind(device.profile),
                since(device.enrolled_at),
                recovery_codes.clone(),
                standing(device),
            ]
        };
        self.0.extend(status.devices.iter().map(row));
        if let Some(bypass) = &status.bypass {
            let [device, kind, recovery] = ["-", "bypass code", "-"].map(str::to_owned);
            let standing = format!("good once, until {}", bypass.until);
            self.0.push([user.to_string(), device, kind, since(bypass.issued_at), recovery, standing]);
        }
    }

    fn print(&self, output: &Output) -> Result<(), Failure> {
        if self.0.is_empty() {
            return output.line("Nobody has a device.");
        }
        table::print(output, ["ACCOUNT", "DEVICE", "KIND", "SINCE", "RECOVERY", "STANDING"], &self.0)
    }
}
