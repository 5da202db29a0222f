//! How an account stands, in words.

use mfa_core::devices::Status;
use mfa_core::history::{Change, What};
use mfa_core::otp::{MovingFactor, Profile};
use mfa_core::request::{AccountStatus, BypassStatus, DeviceStatus};
use mfa_core::{Timestamp, UserName};

use crate::output::wrapped;

/// So many recovery codes, or fewer, are few.
const FEW_RECOVERY_CODES: u8 = 3;

/// `SHA256, 8 digits, 60 s`
pub fn profile_text(profile: Profile) -> String {
    let Profile { moving_factor, algorithm, digits } = profile;
    let digits = digits.count();
    match moving_factor {
        MovingFactor::Time(period) => format!("{algorithm}, {digits} digits, {} s", period.seconds()),
        MovingFactor::Counter(_) => format!("{algorithm}, {digits} digits, counter"),
    }
}

/// What a device is: `app`, or `app (SHA256, 8 digits, 60 s)` where it is not the usual one.
pub fn kind(profile: Profile) -> String {
    if profile == Profile::PLAIN { "app".to_owned() } else { format!("app ({})", profile_text(profile)) }
}

/// The same, but a hardware token is known by its number: `token 1234567`.
fn kind_or_token(device: &DeviceStatus) -> String {
    match &device.serial {
        None => kind(device.profile),
        Some(serial) if device.profile == Profile::PLAIN => format!("token {serial}"),
        Some(serial) => format!("token {serial} ({})", profile_text(device.profile)),
    }
}

/// The day, `2026-11-24`.
pub fn since(moment: Timestamp) -> String {
    let text = moment.to_string();
    text.split('T').next().unwrap_or_default().to_owned()
}

/// The minute, `2026-11-24 15:00 UTC`.
pub fn moment(moment: Timestamp) -> String {
    let text = moment.to_string();
    let (day, time) = text.split_once('T').unwrap_or((&text, ""));
    let minute = time.rsplit_once(':').map_or(time, |(minute, _)| minute);
    format!("{day} {minute} UTC")
}

/// How a device stands: `ready`, `2 failures`, `5 failures, waits 4 s`, `disabled after 50 failures`.
pub fn standing(device: &DeviceStatus) -> String {
    let failures = counted(device.failures.into(), "failure");
    if device.disabled {
        return format!("disabled after {failures}");
    }
    if let Some(end) = device.expires_at.filter(|_| device.is_expired) {
        return format!("expired on {}", since(end));
    }
    match device.status {
        Status::Suspended => "suspended".to_owned(),
        Status::Assigned => "waits to be activated".to_owned(),
        Status::Active if device.wait_seconds > 0 => {
            format!("{failures}, waits {}", duration(device.wait_seconds))
        }
        Status::Active if device.closed_to_strangers => format!("{failures}, closed to unknown addresses"),
        Status::Active if device.stranger_wait_seconds > 0 => {
            format!("{failures}, unknown addresses wait {}", duration(device.stranger_wait_seconds))
        }
        Status::Active if device.failures > 0 => failures,
        Status::Active => "ready".to_owned(),
    }
}

/// Whether a device's codes let its owner in.
pub fn counts(device: &DeviceStatus) -> bool {
    device.status == Status::Active && !device.disabled && !device.is_expired
}

/// A line for each device, its columns under each other; two where one is too narrow.
pub fn device_lines(devices: &[DeviceStatus], columns: usize) -> Vec<String> {
    let width =
        |texts: &mut dyn Iterator<Item = String>| texts.map(|text| text.chars().count()).max().unwrap_or(0);
    let name_width = width(&mut devices.iter().map(|device| device.name.to_string()));
    let kind_width = width(&mut devices.iter().map(kind_or_token));
    devices
        .iter()
        .flat_map(|device| {
            let (name, kind) = (device.name.as_str(), kind_or_token(device));
            let (day, standing) = (since(device.enrolled_at), standing(device));
            let line = format!("  {name:name_width$}  {kind:kind_width$}  since {day}  {standing}");
            if line.chars().count() <= columns {
                return vec![line];
            }
            let rest = format!("{kind}, since {day}, {standing}");
            let rest = wrapped(&rest, columns.saturating_sub(4));
            std::iter::once(format!("  {name}"))
                .chain(rest.into_iter().map(|line| format!("    {line}")))
                .collect()
        })
        .collect()
}

/// How well something is, at the beginning of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mark {
    On,
    Missing,
    Attention,
}

impl Mark {
    const fn text(self) -> &'static str {
        match self {
            Self::On => "[x]",
            Self::Missing => "[ ]",
            Self::Attention => "[!]",
        }
    }
}

/// What is on and what is missing: `[x]` on, `[ ]` missing, `[!]` to be seen to.
pub fn security_lines(user: &UserName, status: &AccountStatus, columns: usize) -> Vec<String> {
    let mut points = vec![devices_point(user, status)];
    points.extend(spare_point(status));
    if !status.devices.is_empty() || status.recovery_codes_left.is_some() {
        points.push(recovery_point(status.recovery_codes_left));
    }
    points.extend(trouble_point(status));
    points
        .extend(status.devices.iter().filter(|device| device.status == Status::Assigned).map(waiting_point));
    points.extend(status.bypass.as_ref().map(bypass_point));
    points
        .into_iter()
        .flat_map(|(mark, text)| {
            let first = format!("  {} ", mark.text());
            indented(&text, &first, first.len(), columns)
        })
        .collect()
}

fn devices_point(user: &UserName, status: &AccountStatus) -> (Mark, String) {
    let number = status.devices.iter().filter(|device| counts(device)).count();
    let others = status.recovery_codes_left.is_some_and(|left| left > 0);
    match (number, others) {
        (0, _) if status.devices.is_empty() => {
            (Mark::Missing, format!("No device: where a code is asked for, {user} can't log in."))
        }
        (0, false) => (
            Mark::Attention,
            format!("No device that counts: where a code is asked for, {user} can't log in."),
        ),
        (0, true) => (
            Mark::Attention,
            format!("No device that counts: where a code is asked for, {user} needs a recovery code."),
        ),
        (1, _) => (Mark::On, "One device to log in with.".to_owned()),
        (number, _) => (Mark::On, format!("{number} devices to log in with: one may be lost.")),
    }
}

/// A second device is missing where there is one that counts.
fn spare_point(status: &AccountStatus) -> Option<(Mark, String)> {
    let mut counting = status.devices.iter().filter(|device| counts(device));
    let (Some(only), None) = (counting.next(), counting.next()) else { return None };
    Some((Mark::Missing, format!("A second device, for the day {} is lost.", only.name)))
}

fn recovery_point(left: Option<u8>) -> (Mark, String) {
    match left {
        None => (Mark::Missing, "Recovery codes, for the day all devices are lost.".to_owned()),
        Some(0) => (Mark::Attention, "No recovery code is left: make new ones.".to_owned()),
        Some(left) if left <= FEW_RECOVERY_CODES => {
            (Mark::Attention, format!("Only {} left: make new ones.", counted(left.into(), "recovery code")))
        }
        Some(left) => (Mark::On, format!("Recovery codes: {left} left.")),
    }
}

fn trouble_point(status: &AccountStatus) -> Option<(Mark, String)> {
    let troubled: Vec<&str> = status
        .devices
        .iter()
        .filter(|device| device.disabled || device.closed_to_strangers)
        .map(|device| device.name.as_str())
        .collect();
    if troubled.is_empty() {
        return None;
    }
    let names = troubled.join(", ");
    Some((
        Mark::Attention,
        format!(
            "Too many wrong codes for {names}. A recovery code at the login ends that; so can root: mfa-admin unlock"
        ),
    ))
}

fn waiting_point(device: &DeviceStatus) -> (Mark, String) {
    let number = device.serial.as_ref().map_or_else(|| device.name.to_string(), ToString::to_string);
    (
        Mark::Missing,
        format!("The hardware token {number} waits for two of its codes: mfa-enroll activate {number}"),
    )
}

fn bypass_point(bypass: &BypassStatus) -> (Mark, String) {
    let BypassStatus { until, reason, by, .. } = bypass;
    (
        Mark::Attention,
        format!("A bypass code lets somebody in once until {}: {reason} (issued by {by}).", moment(*until)),
    )
}

/// `Recovery codes: 10 left`, or what their absence means.
pub fn recovery_sentence(left: Option<u8>) -> String {
    match left {
        None => "No recovery codes: to lose the device is to be locked out.".to_owned(),
        Some(0) => "Recovery codes: none left.".to_owned(),
        Some(left) => format!("Recovery codes: {left} left."),
    }
}

/// What happened to an account's devices, a line each, oldest first.
pub fn history_lines(changes: &[Change], columns: usize) -> Vec<String> {
    changes.iter().flat_map(|change| change_lines(change, columns)).collect()
}

fn change_lines(change: &Change, columns: usize) -> Vec<String> {
    let text = format!("{}, by {}", happened(change), change.by);
    let moment = moment(change.moment());
    indented(&text, &format!("{moment}  "), INDENT.len(), columns)
}

/// A text in lines of at most `columns` columns: behind `first`, and below it.
fn indented(text: &str, first: &str, indent: usize, columns: usize) -> Vec<String> {
    let blanks = " ".repeat(indent);
    wrapped(text, columns.saturating_sub(indent).max(20))
        .into_iter()
        .enumerate()
        .map(|(number, line)| format!("{}{line}", if number == 0 { first } else { &blanks }))
        .collect()
}

/// As wide as a moment and the gap behind it.
const INDENT: &str = "2026-11-24 15:00 UTC  ";

fn happened(change: &Change) -> String {
    let name = &change.name;
    match change.what {
        What::Enrolled => format!("{name} was bound by two codes"),
        What::Assigned => format!("the token {name} was assigned"),
        What::Migrated => format!("{name} was taken over from elsewhere"),
        What::Renamed => format!("a device was renamed to {name}"),
        What::Suspended => format!("{name} was suspended"),
        What::Resumed => format!("{name} was resumed"),
        What::Resynced => format!("{name} was resynchronised"),
        What::Removed => format!("{name} was removed"),
        What::Replaced => format!("{name} was replaced by a new device"),
        What::RecoveryCodes => "new recovery codes were made".to_owned(),
        What::ScratchCodes => "scratch codes were taken over from elsewhere".to_owned(),
        What::BypassIssued => format!("a bypass code was issued ({name})"),
        What::BypassCancelled => format!("a bypass code was cancelled ({name})"),
        What::Unlocked => "failures were forgotten".to_owned(),
        What::Repaired => "a damaged state was made anew".to_owned(),
    }
}

/// `1 failure`, `2 failures`
pub fn counted(number: u64, word: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {word}{plural}")
}

/// `90 s`, `30 min`
pub(crate) fn duration(seconds: u64) -> String {
    match seconds {
        0..=119 => format!("{seconds} s"),
        _ => format!("{} min", seconds.div_ceil(60)),
    }
}

#[cfg(test)]
mod tests {
    use mfa_core::hex::Hex;
    use mfa_core::history::Origin;
    use mfa_core::otp::Digits;

    use super::*;

    fn device(name: &str) -> DeviceStatus {
        DeviceStatus {
            id: Hex([1; 8]),
            name: name.parse().unwrap(),
            serial: None,
            profile: Profile::PLAIN,
            status: Status::Active,
            enrolled_at: Timestamp::from_unix_seconds(1_800_000_000),
            expires_at: None,
            is_expired: false,
            failures: 0,
            disabled: false,
            closed_to_strangers: false,
            wait_seconds: 0,
            stranger_wait_seconds: 0,
            drift_steps: 0,
        }
    }

    fn phone() -> DeviceStatus {
        device("phone")
    }

    fn token(name: &str) -> DeviceStatus {
        DeviceStatus { serial: Some("00123".parse().unwrap()), ..device(name) }
    }

    fn security(devices: Vec<DeviceStatus>, recovery_codes_left: Option<u8>) -> Vec<String> {
        let status = AccountStatus { devices, recovery_codes_left, bypass: None };
        security_lines(&"alice".parse().unwrap(), &status, 80)
    }

    #[test]
    fn a_device_stands_as_its_worst_trouble() {
        assert_eq!(standing(&phone()), "ready");
        assert_eq!(standing(&DeviceStatus { failures: 1, ..phone() }), "1 failure");
        assert_eq!(
            standing(&DeviceStatus { failures: 5, wait_seconds: 4, ..phone() }),
            "5 failures, waits 4 s"
        );
        assert_eq!(
            standing(&DeviceStatus { failures: 15, stranger_wait_seconds: 3541, ..phone() }),
            "15 failures, unknown addresses wait 60 min"
        );
        assert_eq!(
            standing(&DeviceStatus { failures: 50, closed_to_strangers: true, ..phone() }),
            "50 failures, closed to unknown addresses"
        );
        assert_eq!(standing(&DeviceStatus { status: Status::Suspended, ..phone() }), "suspended");
        let over = DeviceStatus {
            expires_at: Some(Timestamp::from_unix_seconds(1_800_000_000)),
            is_expired: true,
            ..phone()
        };
        assert_eq!(standing(&over), "expired on 2027-01-15");
        assert!(!counts(&over));
        assert_eq!(
            standing(&DeviceStatus { failures: 50, disabled: true, wait_seconds: 9, ..phone() }),
            "disabled after 50 failures"
        );
    }

    #[test]
    fn a_device_is_an_app_or_a_token_and_only_an_unusual_profile_is_spelt_out() {
        assert_eq!(kind_or_token(&phone()), "app");
        assert_eq!(kind_or_token(&token("key ring")), "token 00123");
        let eight = Profile { digits: Digits::try_from(8).unwrap(), ..Profile::PLAIN };
        assert_eq!(kind_or_token(&DeviceStatus { profile: eight, ..phone() }), "app (SHA1, 8 digits, 30 s)");
    }

    #[test]
    fn a_day_is_the_day_in_utc_and_a_moment_its_minute() {
        assert_eq!(since(Timestamp::from_unix_seconds(1_800_000_000)), "2027-01-15");
        assert_eq!(moment(Timestamp::from_unix_seconds(1_800_000_000)), "2027-01-15 08:00 UTC");
        assert_eq!(INDENT.len(), moment(Timestamp::from_unix_seconds(0)).len() + 2);
    }

    #[test]
    fn devices_stand_in_columns() {
        assert_eq!(
            device_lines(&[phone(), device("old phone"), token("key ring")], 80),
            [
                "  phone      app          since 2027-01-15  ready",
                "  old phone  app          since 2027-01-15  ready",
                "  key ring   token 00123  since 2027-01-15  ready"
            ]
        );
    }

    #[test]
    fn what_is_too_long_for_the_screen_takes_two_lines() {
        let name = "x".repeat(40);
        assert_eq!(
            device_lines(&[device(&name)], 60),
            [format!("  {name}"), "    app, since 2027-01-15, ready".to_owned()]
        );
    }

    #[test]
    fn the_security_status_says_what_is_on_and_what_is_missing() {
        assert_eq!(
            security(Vec::new(), None),
            ["  [ ] No device: where a code is asked for, alice can't log in."]
        );
        assert_eq!(
            security(vec![phone()], None),
            [
                "  [x] One device to log in with.",
                "  [ ] A second device, for the day phone is lost.",
                "  [ ] Recovery codes, for the day all devices are lost."
            ]
        );
        assert_eq!(
            security(vec![phone(), device("tablet")], Some(10)),
            ["  [x] 2 devices to log in with: one may be lost.", "  [x] Recovery codes: 10 left."]
        );
    }

    #[test]
    fn three_recovery_codes_are_a_warning_and_four_are_not() {
        let line = |left| security(vec![phone(), device("tablet")], Some(left)).pop().unwrap();
        assert_eq!(line(4), "  [x] Recovery codes: 4 left.");
        assert_eq!(line(3), "  [!] Only 3 recovery codes left: make new ones.");
        assert_eq!(line(1), "  [!] Only 1 recovery code left: make new ones.");
        assert_eq!(line(0), "  [!] No recovery code is left: make new ones.");
    }

    #[test]
    fn a_suspended_or_disabled_device_does_not_count() {
        let suspended = DeviceStatus { status: Status::Suspended, ..phone() };
        let disabled = DeviceStatus { disabled: true, failures: 50, ..phone() };
        assert!(security(vec![suspended.clone()], None)[0].ends_with("alice can't log in."));
        let lines = security(vec![disabled], Some(1)).join("\n");
        assert!(
            lines.starts_with(
                "  [!] No device that counts: where a code is asked for, alice needs a recovery"
            ),
            "{lines}"
        );
        assert!(security(vec![suspended, device("tablet")], None)[1].contains("the day tablet is lost"));
    }

    #[test]
    fn a_token_that_waits_and_a_bypass_code_are_told_and_no_line_is_too_long() {
        let waiting = DeviceStatus { status: Status::Assigned, ..token("key ring") };
        let status = AccountStatus {
            devices: vec![phone(), waiting],
            recovery_codes_left: Some(10),
            bypass: Some(BypassStatus {
                issued_at: Timestamp::from_unix_seconds(1_800_000_000),
                until: Timestamp::from_unix_seconds(1_800_003_600),
                reason: "lost phone ".repeat(10).trim().to_owned(),
                by: Origin::new("root (sudo by carol)"),
            }),
        };
        let lines = security_lines(&"alice".parse().unwrap(), &status, 80);
        let text = lines.join("\n");
        assert!(text.contains("[ ] The hardware token 00123 waits for two of its codes"), "{text}");
        assert!(text.contains("[!] A bypass code lets somebody in once until 2027-01-15 09:00 UTC: lost"));
        assert!(text.ends_with("(issued by root (sudo by carol))."), "{text}");
        assert!(lines.iter().all(|line| line.chars().count() <= 80), "{text}");
    }

    #[test]
    fn a_change_is_a_sentence_with_its_minute_and_origin() {
        let change = Change {
            number: 1,
            at: 1_800_000_000,
            what: What::Suspended,
            device: None,
            name: "phone".to_owned(),
            by: Origin::new("alice by mfad"),
        };
        assert_eq!(
            history_lines(&[change], 80),
            ["2027-01-15 08:00 UTC  phone was suspended, by alice by mfad"]
        );
    }
}
