//! The command line. What stands here as a comment is what `--help` prints.

use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, Parser, Subcommand};
use mfa_cli::Format;
use mfa_core::UserName;
use mfa_core::devices::{DeviceName, Serial};
use mfa_core::otp::{Algorithm, Digits, MovingFactor, Period, Profile};

/// Set up the second factor of a login: an app that shows one-time codes, and recovery codes for the day it is lost.
///
/// Without a command it shows how things stand and asks what to do.
#[derive(Debug, Parser)]
#[command(name = "mfa-enroll", version, arg_required_else_help = false)]
#[command(after_help = "Exit codes: 0 done, 1 refused or failed, 2 wrong usage. See mfa-enroll(1).")]
pub(crate) struct Cli {
    /// Whose account [default: your own]
    #[arg(long, value_name = "NAME", global = true, display_order = 90)]
    pub(crate) user: Option<UserName>,

    /// Use the store in this folder, with its key inside, instead of the host's own
    #[arg(long, value_name = "DIR", global = true, display_order = 91)]
    pub(crate) store: Option<PathBuf>,

    /// Accept an account name that this host does not know
    #[arg(long, global = true, display_order = 92)]
    pub(crate) no_account_check: bool,

    #[command(subcommand)]
    pub(crate) verb: Option<Verb>,
}

impl Cli {
    /// Who reads the answer.
    pub(crate) const fn format(&self) -> Format {
        Format::of_flag(match &self.verb {
            Some(Verb::Add(options)) => options.json,
            Some(Verb::Status(options)) => options.json,
            Some(Verb::RecoveryCodes(options)) => options.json,
            Some(Verb::History(options)) => options.json,
            Some(
                Verb::Remove(_)
                | Verb::Rename(_)
                | Verb::Suspend(_)
                | Verb::Resume(_)
                | Verb::Resync(_)
                | Verb::Activate(_)
                | Verb::Test,
            )
            | None => false,
        })
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Add a device: shows a QR code, asks for two consecutive codes
    Add(AddOptions),
    /// Show the devices and how they stand
    Status(StatusOptions),
    /// Remove a device
    Remove(RemoveOptions),
    /// Call a device something else
    Rename(RenameOptions),
    /// Put a device aside: its codes are refused until it is resumed
    Suspend(SuspendOptions),
    /// Take a suspended device up again
    Resume(DeviceOption),
    /// Follow a device whose clock or counter has run away, by two of its codes
    Resync(DeviceOption),
    /// Bind a hardware token that an administrator has assigned, by two of its codes
    Activate(ActivateOptions),
    /// Try a code without logging in; it is used up by that
    Test,
    /// Show which devices there were, and what became of them
    History(HistoryOptions),
    /// Make ten new recovery codes; the old ones end
    RecoveryCodes(RecoveryCodesOptions),
}

#[derive(Debug, Args)]
pub(crate) struct AddOptions {
    /// What to call the device [default: phone, then phone 2, ..]
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<DeviceName>,

    /// The hash: SHA1, SHA256 or SHA512; some apps know only the first
    #[arg(long, value_name = "HASH", default_value_t = Profile::PLAIN.algorithm)]
    pub(crate) algorithm: Algorithm,

    /// The length of a code: 6, 7 or 8; some apps know only the first
    #[arg(long, value_name = "COUNT", default_value = "6", value_parser = digits)]
    pub(crate) digits: Digits,

    /// How long a code is shown, 10 to 120 seconds; some apps know only 30
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = period)]
    pub(crate) period: Period,

    /// What the app calls this host [default: the host name]
    #[arg(long, value_name = "TEXT", value_parser = issuer)]
    pub(crate) issuer: Option<String>,

    /// How to show the QR code: auto, utf8, ascii, none, png:FILE or svg:FILE
    #[arg(long, value_name = "HOW")]
    pub(crate) qr: Option<QrChoice>,

    /// Make no recovery codes with the first device
    #[arg(long)]
    pub(crate) no_recovery_codes: bool,

    /// For programs: print the key as a line of JSON, read two codes, a line each, print the result as a line of JSON
    #[arg(long)]
    pub(crate) json: bool,
}

impl AddOptions {
    /// How the device shall make codes.
    pub(crate) const fn profile(&self) -> Profile {
        Profile {
            moving_factor: MovingFactor::Time(self.period),
            algorithm: self.algorithm,
            digits: self.digits,
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct StatusOptions {
    /// For programs: print one line of JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct RemoveOptions {
    /// The device's name
    #[arg(value_name = "NAME")]
    pub(crate) name: DeviceName,

    /// Do not ask
    #[arg(long)]
    pub(crate) yes: bool,
}

#[derive(Debug, Args)]
pub(crate) struct DeviceOption {
    /// The device's name
    #[arg(value_name = "NAME")]
    pub(crate) name: DeviceName,
}

#[derive(Debug, Args)]
pub(crate) struct RenameOptions {
    /// The device's name
    #[arg(value_name = "NAME")]
    pub(crate) name: DeviceName,

    /// Its new name
    #[arg(value_name = "NEW-NAME")]
    pub(crate) to: DeviceName,
}

#[derive(Debug, Args)]
pub(crate) struct SuspendOptions {
    /// The device's name
    #[arg(value_name = "NAME")]
    pub(crate) name: DeviceName,

    /// Do not ask, even if no other device lets the person in
    #[arg(long)]
    pub(crate) yes: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ActivateOptions {
    /// The number on the token
    #[arg(value_name = "SERIAL")]
    pub(crate) serial: Serial,

    /// What to call it [default: as the administrator did]
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<DeviceName>,
}

#[derive(Debug, Args)]
pub(crate) struct HistoryOptions {
    /// For programs: print a line of JSON for each change
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct RecoveryCodesOptions {
    /// Do not ask, though the old codes end
    #[arg(long)]
    pub(crate) yes: bool,

    /// For programs: print one line of JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// How the QR code is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum QrChoice {
    /// What the terminal can do.
    Auto,
    /// In half blocks.
    Utf8,
    /// In ASCII.
    Ascii,
    /// Not at all.
    None,
    /// As a picture.
    File(PictureFormat, PathBuf),
}

/// The format of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PictureFormat {
    Png,
    Svg,
}

impl FromStr for QrChoice {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let file = |format, path: &str| {
            if path.is_empty() {
                return Err("a file name must follow the colon");
            }
            Ok(Self::File(format, PathBuf::from(path)))
        };
        match (text, text.split_once(':')) {
            ("auto", _) => Ok(Self::Auto),
            ("utf8", _) => Ok(Self::Utf8),
            ("ascii", _) => Ok(Self::Ascii),
            ("none", _) => Ok(Self::None),
            (_, Some(("png", path))) => file(PictureFormat::Png, path),
            (_, Some(("svg", path))) => file(PictureFormat::Svg, path),
            _ => Err("it must be auto, utf8, ascii, none, png:FILE or svg:FILE"),
        }
    }
}

fn digits(text: &str) -> Result<Digits, String> {
    Digits::try_from(text.parse().unwrap_or(0)).map_err(|error| error.to_string())
}

fn period(text: &str) -> Result<Period, String> {
    Period::try_from(text.parse().unwrap_or(0)).map_err(|error| error.to_string())
}

fn issuer(text: &str) -> Result<String, &'static str> {
    let issuer = text.trim();
    if issuer.is_empty() || issuer.chars().count() > 64 || issuer.chars().any(char::is_control) {
        return Err("it must have 1 to 64 characters, no control characters");
    }
    Ok(issuer.to_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_qr_choice_is_one_of_six() {
        assert_eq!("auto".parse(), Ok(QrChoice::Auto));
        assert_eq!("png:a:b.png".parse(), Ok(QrChoice::File(PictureFormat::Png, "a:b.png".into())));
        for text in ["", "png", "png:", "svg:", "jpg:x", "UTF8", "none:"] {
            assert!(text.parse::<QrChoice>().is_err(), "{text}");
        }
    }
}
