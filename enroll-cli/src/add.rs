//! `mfa-enroll add`: a key, a QR code, two consecutive codes, a device.

use mfa_cli::{Enrolled, Failure, Output};
use mfa_core::Timestamp;
use mfa_core::devices::DeviceName;
use mfa_core::otp::{MovingFactor, Profile};
use mfa_core::otpauth;
use mfa_core::request::{PendingEnrollment, RecoveryCodes};
use serde::Serialize;

use crate::account::Account;
use crate::cli::{AddOptions, QrChoice};
use crate::dialogue::Dialogue;
use crate::evidence::ByProgram;
use crate::proof::{Maker, Outcome, not_confirmed, prove, read_codes};
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
        replaces: options.replace.clone(),
        recovery_codes: if options.no_recovery_codes { RecoveryCodes::No } else { RecoveryCodes::IfNone },
    };
    by_person(account, dialogue, wanted, &showing)
}

/// The device to add.
pub(crate) struct NewDevice {
    name: Option<DeviceName>,
    profile: Profile,
    issuer: Option<String>,
    replaces: Option<DeviceName>,
    recovery_codes: RecoveryCodes,
}

impl NewDevice {
    /// One as every app can be.
    pub(crate) const fn plain(name: DeviceName) -> Self {
        Self {
            name: Some(name),
            profile: Profile::PLAIN,
            issuer: None,
            replaces: None,
            recovery_codes: RecoveryCodes::IfNone,
        }
    }

    /// The same, in the place of another one.
    pub(crate) fn in_place_of(self, old: DeviceName) -> Self {
        Self { replaces: Some(old), ..self }
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
    let (session, user) = (&account.session, &account.user);
    let issuer = wanted.issuer.as_deref().unwrap_or_else(|| account.issuer());
    let replaces = wanted.replaces.as_ref();
    // Codes that nobody sees are made for nobody.
    let recovery_codes = if showing.shows_secrets() { wanted.recovery_codes } else { RecoveryCodes::No };
    let (enrolled, picture_file) = loop {
        let picture_file = showing.picture_file()?;
        let pending =
            session
                .begin(user, wanted.name.clone(), wanted.profile, replaces.cloned(), dialogue)
                .map_err(|failure| failure.when_ended(unchanged(replaces), "begin again when you like"))?;
        showing.show(account, output, &pending, replaces, issuer, picture_file.as_ref())?;
        let outcome = prove(dialogue, pending.profile, Maker::NewApp, |codes| {
            session.confirm(user, pending.id, codes, replaces.cloned(), recovery_codes)
        });
        match outcome.map_err(|failure| failure.when_ended(unchanged(replaces), key_is_kept(&pending)))? {
            Outcome::Proven(enrolled) => break (enrolled, picture_file),
            Outcome::Instead(profile) => wanted.profile = profile,
        }
    };
    if let Some(file) = picture_file {
        file.keep();
    }
    log(account, &enrolled, replaces);
    tell(account, output, &enrolled)?;
    if let Some(old) = replaces {
        output.paragraph(&format!("The old {old} has ended: its codes are refused from now on."))?;
    }
    if let Some(path) = showing.picture_path() {
        output.paragraph(&format!("{} still holds the key: remove it.", path.display()))?;
    }
    recovery_codes::show_new(account, output, &enrolled.recovery_codes)
}

/// Tells a person that a device is bound.
pub(crate) fn tell(account: &Account, output: &Output, enrolled: &Enrolled) -> Result<(), Failure> {
    output.line(&format!(
        "\nDone: {} has the device {}. Both codes are used up now.",
        account.on_host(),
        enrolled.name
    ))
}

fn log(account: &Account, enrolled: &Enrolled, replaces: Option<&DeviceName>) {
    account.log_change("enrolled", Some(&enrolled.name));
    if let Some(old) = replaces {
        account.log_change("replaced", Some(old));
    }
    if !enrolled.recovery_codes.is_empty() {
        account.log_change("recovery-codes", None);
    }
}

/// What an early end means.
const fn unchanged(replaces: Option<&DeviceName>) -> &'static str {
    match replaces {
        None => "no device was added",
        Some(_) => "no device was added, and the old one works as before",
    }
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
    let (session, user, replaces) = (&account.session, &account.user, options.replace.as_ref());
    let witness = ByProgram(dialogue);
    let pending =
        session.begin(user, options.name.clone(), options.profile(), replaces.cloned(), &witness)?;
    let profile = pending.profile;
    let issuer = options.issuer.as_deref().unwrap_or_else(|| account.issuer());
    let uri = otpauth::uri(issuer, user, profile, &pending.seed);
    if let Some(file) = &picture_file {
        file.draw(&Qr::of(&uri)?)?;
    }
    let (period, counter) = match profile.moving_factor {
        MovingFactor::Time(period) => (Some(period.seconds()), None),
        MovingFactor::Counter(_) => (None, Some(0)),
    };
    output.json(&Offer {
        user: user.as_str(),
        device: pending.name.as_str(),
        secret: &pending.seed.to_base32(),
        uri: &uri,
        algorithm: profile.algorithm.name(),
        digits: profile.digits.count(),
        period,
        counter,
    })?;
    let codes = read_codes(dialogue, profile)
        .map_err(|failure| failure.when_ended(unchanged(replaces), key_is_kept(&pending)))?;
    let enrolled = session
        .confirm(user, pending.id, codes, replaces.cloned(), RecoveryCodes::No)?
        .map_err(|why| not_confirmed(why, profile, Maker::NewApp))?;
    log(account, &enrolled, replaces);
    if let Some(file) = picture_file {
        file.keep();
    }
    report(account, output, &enrolled)
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
    /// Where the device's counter begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    counter: Option<u64>,
}

/// Tells a program that a device is bound.
pub(crate) fn report(account: &Account, output: &Output, enrolled: &Enrolled) -> Result<(), Failure> {
    output.json(&Report {
        result: "enrolled",
        user: account.user.as_str(),
        device: enrolled.name.as_str(),
        recovery_codes: [],
    })
}

/// The second line of JSON.
#[derive(Serialize)]
struct Report<'a> {
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
