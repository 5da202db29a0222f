//! The command line. What stands here as a comment is what `--help` prints.

use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, Parser, Subcommand};
use mfa_cli::Format;
use mfa_core::UserName;
use mfa_core::devices::{DeviceName, Serial};
use mfa_core::otp::{Algorithm, Digits, LookAhead, MovingFactor, Period, Profile};

/// See to the second factor of your login: authenticator apps and hardware tokens, and recovery codes for the day they are lost.
///
/// Without a command it shows how things stand and asks what to do.
#[derive(Debug, Parser)]
#[command(name = "mfa-enroll", version, arg_required_else_help = false)]
#[command(after_help = "Exit codes: 0 done, 1 refused or failed, 2 wrong usage. See mfa-enroll(1).")]
pub(crate) struct Cli {
    /// Whose account [default: your own]; that of another needs root
    #[arg(long, value_name = "NAME", global = true, display_order = 90)]
    pub(crate) user: Option<UserName>,

    /// Use the store in this folder, with its key inside, instead of the host's own
    #[arg(long, value_name = "DIR", global = true, display_order = 91)]
    pub(crate) store: Option<PathBuf>,

    /// Ask mfad at this socket, and open no store
    #[arg(long, value_name = "PATH", global = true, display_order = 92, conflicts_with = "store")]
    pub(crate) socket: Option<PathBuf>,

    /// Accept an account name that this host does not know
    #[arg(long, global = true, display_order = 93)]
    pub(crate) no_account_check: bool,

    #[command(subcommand)]
    pub(crate) verb: Option<Verb>,
}

impl Cli {
    /// Who reads the answer.
    pub(crate) const fn format(&self) -> Format {
        Format::of_flag(match &self.verb {
            Some(Verb::Add(options)) => options.json,
            Some(Verb::Activate(options)) => options.json,
            Some(Verb::Status(options) | Verb::History(options)) => options.json,
            Some(Verb::Test(options)) => options.json,
            Some(Verb::Resync(options)) => options.json,
            Some(Verb::RecoveryCodes(options)) => options.json,
            Some(Verb::Rename(_) | Verb::Suspend(_) | Verb::Resume(_) | Verb::Remove(_)) | None => false,
        })
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Add an authenticator app: shows a QR code, asks for two consecutive codes
    Add(AddOptions),
    /// Activate a hardware token that an administrator has assigned, by two consecutive codes
    Activate(ActivateOptions),
    /// Show the devices and how they stand
    Status(ReportOptions),
    /// Try a code without logging in; it is used up by that
    Test(TestOptions),
    /// Follow a device whose clock or counter has run away, by two consecutive codes
    Resync(ResyncOptions),
    /// Call a device something else
    Rename(RenameOptions),
    /// Put a device aside: its codes are refused until it is resumed
    Suspend(SuspendOptions),
    /// Let a device count again that was suspended
    Resume(ResumeOptions),
    /// Remove a device
    Remove(RemoveOptions),
    /// Make ten new recovery codes; the old ones end
    RecoveryCodes(RecoveryCodesOptions),
    /// Show every device there ever was, and what became of it
    History(ReportOptions),
}

#[derive(Debug, Args)]
pub(crate) struct AddOptions {
    /// What to call the device [default: phone, then phone 2, ..; or as the one that it replaces]
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

    /// Codes that a press of a button moves on (HOTP), and not the time
    #[arg(long, conflicts_with = "period")]
    pub(crate) counter: bool,

    /// How many presses a login may be behind, 1 to 20 [default: 5]
    #[arg(long, value_name = "COUNT", requires = "counter", value_parser = look_ahead)]
    pub(crate) look_ahead: Option<LookAhead>,

    /// Put it in the place of this device, which works until the new one is proven
    #[arg(long, value_name = "NAME")]
    pub(crate) replace: Option<DeviceName>,

    /// What the app calls this host [default: the host name]
    #[arg(long, value_name = "TEXT", value_parser = issuer)]
    pub(crate) issuer: Option<String>,

    /// How to show the QR code: auto, utf8, ascii, none, png:FILE or svg:FILE
    #[arg(long, value_name = "HOW")]
    pub(crate) qr: Option<QrChoice>,

    /// Make no recovery codes, though there are none
    #[arg(long)]
    pub(crate) no_recovery_codes: bool,

    /// For programs: print the key as a line of JSON, read two codes, a line each, print the result as a line of JSON
    #[arg(long)]
    pub(crate) json: bool,
}

impl AddOptions {
    /// How the device shall make codes.
    pub(crate) fn profile(&self) -> Profile {
        let moving_factor = if self.counter {
            MovingFactor::Counter(self.look_ahead.unwrap_or(LookAhead::DEFAULT))
        } else {
            MovingFactor::Time(self.period)
        };
        Profile { moving_factor, algorithm: self.algorithm, digits: self.digits }
    }
}

#[derive(Debug, Args)]
pub(crate) struct ActivateOptions {
    /// The serial number on the token
    #[arg(value_name = "SERIAL")]
    pub(crate) serial: Serial,

    /// What to call it [default: as the administrator called it]
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<DeviceName>,

    /// Make no recovery codes, though there are none
    #[arg(long)]
    pub(crate) no_recovery_codes: bool,

    /// For programs: read two codes, a line each, print the result as a line of JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// What only shows something.
#[derive(Debug, Args)]
pub(crate) struct ReportOptions {
    /// For programs: print JSON, a line for each thing
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct TestOptions {
    /// For programs: read a code, print the result as a line of JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ResyncOptions {
    /// The device's name
    #[arg(value_name = "NAME")]
    pub(crate) name: DeviceName,

    /// For programs: read two codes, a line each, print the result as a line of JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct RenameOptions {
    /// The device's name
    #[arg(value_name = "NAME")]
    pub(crate) name: DeviceName,

    /// Its new name
    #[arg(value_name = "NEW")]
    pub(crate) to: DeviceName,
}

#[derive(Debug, Args)]
pub(crate) struct SuspendOptions {
    /// The device's name
    #[arg(value_name = "NAME")]
    pub(crate) name: DeviceName,

    /// Do not ask, though it is the last device that counts
    #[arg(long)]
    pub(crate) yes: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ResumeOptions {
    /// The device's name
    #[arg(value_name = "NAME")]
    pub(crate) name: DeviceName,
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

fn look_ahead(text: &str) -> Result<LookAhead, String> {
    LookAhead::try_from(text.parse().unwrap_or(0)).map_err(|error| error.to_string())
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
