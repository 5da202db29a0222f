//! `mfa-enroll add`: a key, a QR code, two consecutive codes, a device.

use mfa_cli::Failure;
use mfa_core::Timestamp;
use mfa_core::devices::DeviceName;
use mfa_core::otp::{MovingFactor, Profile};
use mfa_core::otpauth;
use mfa_core::request::PendingEnrollment;
use serde::Serialize;

use crate::account::Account;
use crate::cli::{AddOptions, QrChoice};
use crate::dialogue::Dialogue;
use crate::proof::{Proof, not_confirmed, prove};
use crate::qr::{PictureFile, Qr};
use crate::recovery_codes;
use crate::showing::Showing;

/// Adds a device as the command line says.
pub(crate) fn run(account: &Account, dialogue: &Dialogue<'_>, options: &AddOptions) -> Result<(), Failure> {
    account.check_name()?;
    if options.json {
        return by_program(account, dialogue, options);
    }
    let showing = Showing::choose(dialogue.output, options.qr.as_ref())?;
    if let Some(reminder) = account.mind_whose() {
        dialogue.output.paragraph(&reminder)?;
    }
    let wanted = NewDevice {
        name: options.name.clone(),
        profile: options.profile(),
        issuer: options.issuer.clone(),
        recovery_codes: if options.no_recovery_codes { RecoveryCodes::No } else { RecoveryCodes::WithFirst },
    };
    by_person(account, dialogue, wanted, &showing)
}

/// The device to add.
pub(crate) struct NewDevice {
    name: Option<DeviceName>,
    profile: Profile,
    issuer: Option<String>,
    recovery_codes: RecoveryCodes,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum RecoveryCodes {
    /// With the first device.
    WithFirst,
    No,
}

impl NewDevice {
    /// One as every app can be.
    pub(crate) const fn plain(name: DeviceName) -> Self {
        Self {
            name: Some(name),
            profile: Profile::PLAIN,
            issuer: None,
            recovery_codes: RecoveryCodes::WithFirst,
        }
    }
}

/// Adds a device with a person, who gets three tries at two codes.
pub(crate) fn by_person(
    account: &Account,
    dialogue: &Dialogue<'_>,
    mut wanted: NewDevice,
    showing: &Showing,
) -> Result<(), Failure> {
    let output = dialogue.output;
    let issuer = wanted.issuer.as_deref().unwrap_or_else(|| account.issuer());
    let (name, picture_file) = loop {
        let picture_file = showing.picture_file()?;
        let pending = account.session.begin(&account.user, wanted.name.clone(), wanted.profile)?;
        showing.show(account, output, &pending, issuer, picture_file.as_ref())?;
        match prove(account, dialogue, &pending)
            .map_err(|failure| failure.when_ended("no device was added", key_is_kept(&pending)))?
        {
            Proof::Bound(name) => break (name, picture_file),
            Proof::Instead(profile) => wanted.profile = profile,
        }
    };
    if let Some(file) = picture_file {
        file.keep();
    }
    output
        .line(&format!("\nDone: {} has the device {name}. Both codes are used up now.", account.on_host()))?;
    if let Some(path) = showing.picture_path() {
        output.paragraph(&format!("{} still holds the key: remove it.", path.display()))?;
    }
    if wanted.recovery_codes == RecoveryCodes::No || !showing.shows_secrets() {
        return Ok(());
    }
    recovery_codes::with_first_device(account, output)
}

/// Adds a device with a program: two lines of JSON out, two codes in.
fn by_program(account: &Account, dialogue: &Dialogue<'_>, options: &AddOptions) -> Result<(), Failure> {
    let output = dialogue.output;
    let picture_file = match &options.qr {
        None | Some(QrChoice::Auto | QrChoice::None) => None,
        Some(QrChoice::File(format, path)) => Some(PictureFile::create(path, *format)?),
        Some(QrChoice::Utf8 | QrChoice::Ascii) => {
            return Err(Failure::usage(
                "--json prints JSON alone, and no QR code",
                "have it as a picture: --qr png:FILE or svg:FILE",
            ));
        }
    };
    let pending = account.session.begin(&account.user, options.name.clone(), options.profile())?;
    let profile = pending.profile;
    let issuer = options.issuer.as_deref().unwrap_or_else(|| account.issuer());
    let uri = otpauth::uri(issuer, &account.user, profile, &pending.seed);
    if let Some(file) = &picture_file {
        file.draw(&Qr::of(&uri)?)?;
    }
    let period = match profile.moving_factor {
        MovingFactor::Time(period) => Some(period.seconds()),
        MovingFactor::Counter(_) => None,
    };
    output.json(&Offer {
        user: account.user.as_str(),
        device: pending.name.as_str(),
        secret: &pending.seed.to_base32(),
        uri: &uri,
        algorithm: profile.algorithm.name(),
        digits: profile.digits.count(),
        period,
    })?;
    let read = || dialogue.read_code(profile.digits);
    let codes = read().and_then(|first| Ok((first, read()?)));
    let (first, second) =
        codes.map_err(|failure| failure.when_ended("no device was added", key_is_kept(&pending)))?;
    match account.session.confirm(&account.user, pending.id, first, second)? {
        Ok(name) => {
            account.log_change("enrolled", Some(&name));
            if let Some(file) = picture_file {
                file.keep();
            }
            output.json(&Enrolled {
                result: "enrolled",
                user: account.user.as_str(),
                device: name.as_str(),
                recovery_codes: [],
            })
        }
        Err(why) => Err(not_confirmed(why, profile)),
    }
}

/// The first line of JSON.
#[derive(Serialize)]
struct Offer<'a> {
    user: &'a str,
    device: &'a str,
    secret: &'a str,
    uri: &'a str,
    algorithm: &'static str,
    digits: u8,
    period: Option<u64>,
}

/// The second line of JSON.
#[derive(Serialize)]
struct Enrolled<'a> {
    result: &'static str,
    user: &'a str,
    device: &'a str,
    /// They take a while to make: a program asks for them by `recovery-codes --json`.
    recovery_codes: [&'a str; 0],
}

fn key_is_kept(pending: &PendingEnrollment) -> String {
    let seconds = pending.until.seconds_since(Timestamp::now()).unwrap_or(0);
    let minutes = seconds.div_ceil(60).max(1);
    format!("the key is kept for {minutes} minutes: the same command shows it again")
}
