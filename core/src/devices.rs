//! The secret file: an account's devices and recovery codes. Written at enrollment only, never by a login.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::hex::Hex;
use crate::history::Change;
use crate::one_line::is_printable;
use crate::otp::{Algorithm, BadParameter, Digits, Generator, LookAhead, MovingFactor, Period, Profile};
use crate::recovery::{self, Bypass, RecoverySet};
use crate::seal::{Binding, HostKey, Sealed};
use crate::secret::{Secret, random_bytes};
use crate::toml_text::{self, Unreadable};
use crate::user_name::UserName;
use crate::verify::OpenDevice;

/// How many devices an account may have.
pub const MAX_DEVICES: usize = 8;

/// The format that this version writes and reads.
const FORMAT: u32 = 1;

/// The largest secret file that is read, in bytes: 8 devices, 10 recovery codes and the last changes need less than 10,000.
pub(crate) const MAX_FILE_BYTES: u64 = 32 * 1024;

/// Names one device for ever, through renames; random.
pub type DeviceId = Hex<8>;

/// What its owner calls a device: 1 to 40 printable characters, `phone` or `YubiKey (blue)`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DeviceName(String);

impl DeviceName {
    /// The longest name, in characters.
    pub const MAX_CHARACTERS: usize = 40;

    /// What nobody's device is called.
    pub(crate) fn decoy() -> Self {
        Self("decoy".to_owned())
    }

    /// The name as its owner wrote it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for DeviceName {
    type Err = BadParameter;

    fn from_str(text: &str) -> std::result::Result<Self, BadParameter> {
        let name = text.trim();
        if name.is_empty() || name.chars().count() > Self::MAX_CHARACTERS {
            return Err(BadParameter("a device name must have 1 to 40 characters"));
        }
        if !name.chars().all(is_printable) {
            return Err(BadParameter("a device name can't hold control or invisible characters"));
        }
        Ok(Self(name.to_owned()))
    }
}

impl TryFrom<String> for DeviceName {
    type Error = BadParameter;

    fn try_from(text: String) -> std::result::Result<Self, BadParameter> {
        text.parse()
    }
}

impl From<DeviceName> for String {
    fn from(name: DeviceName) -> Self {
        name.0
    }
}

impl fmt::Display for DeviceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A hardware token's serial number: 1 to 64 printable ASCII characters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Serial(String);

impl Serial {
    /// The number as printed.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Serial {
    type Err = BadParameter;

    fn from_str(text: &str) -> std::result::Result<Self, BadParameter> {
        let number = text.trim();
        let printable = number.bytes().all(|byte| matches!(byte, b' '..=b'~'));
        (printable && (1..=64).contains(&number.len()))
            .then(|| Self(number.to_owned()))
            .ok_or(BadParameter("a serial number must have 1 to 64 printable ASCII characters"))
    }
}

impl TryFrom<String> for Serial {
    type Error = BadParameter;

    fn try_from(text: String) -> std::result::Result<Self, BadParameter> {
        text.parse()
    }
}

impl From<Serial> for String {
    fn from(serial: Serial) -> Self {
        serial.0
    }
}

impl fmt::Display for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One device: its public parameters and its sealed seed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "DeviceFields", into = "DeviceFields")]
pub struct Device {
    /// Which device this is, in the state file too.
    pub id: DeviceId,
    /// What its owner calls it.
    pub name: DeviceName,
    /// How it makes codes.
    pub profile: Profile,
    /// Whether it may be used.
    pub status: Status,
    /// When its codes were proven, in seconds since 1970; when it was assigned, for one that waits for its codes.
    pub enrolled_at: u64,
    /// The number on a hardware token.
    pub serial: Option<Serial>,
    /// The last second in which its codes are good, in seconds since 1970: the expiry date of a token. None: for ever.
    pub expires_at: Option<u64>,
    sealed: Sealed,
}

/// Whether a device may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Its codes let its owner in.
    Active,
    /// Put aside by its owner or by root; its codes are refused until it is resumed.
    Suspended,
    /// A hardware token that root gave to its owner; its codes are refused until two of them in a row have proven it.
    Assigned,
}

/// A [`Device`] as the keys of a TOML table.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct DeviceFields {
    id: DeviceId,
    name: DeviceName,
    kind: Kind,
    algorithm: Algorithm,
    digits: Digits,
    #[serde(skip_serializing_if = "Option::is_none")]
    period: Option<Period>,
    #[serde(skip_serializing_if = "Option::is_none")]
    look_ahead: Option<LookAhead>,
    status: Status,
    enrolled_at: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    serial: Option<Serial>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires_at: Option<u64>,
    sealed: Sealed,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Totp,
    Hotp,
}

impl From<Device> for DeviceFields {
    fn from(device: Device) -> Self {
        let Device { id, name, profile, status, enrolled_at, serial, expires_at, sealed } = device;
        let (kind, period, look_ahead) = match profile.moving_factor {
            MovingFactor::Time(period) => (Kind::Totp, Some(period), None),
            MovingFactor::Counter(look_ahead) => (Kind::Hotp, None, Some(look_ahead)),
        };
        let Profile { algorithm, digits, .. } = profile;
        Self {
            id,
            name,
            kind,
            algorithm,
            digits,
            period,
            look_ahead,
            status,
            enrolled_at,
            serial,
            expires_at,
            sealed,
        }
    }
}

impl TryFrom<DeviceFields> for Device {
    type Error = &'static str;

    fn try_from(fields: DeviceFields) -> std::result::Result<Self, Self::Error> {
        let DeviceFields {
            id,
            name,
            kind,
            algorithm,
            digits,
            period,
            look_ahead,
            status,
            enrolled_at,
            serial,
            expires_at,
            sealed,
        } = fields;
        let moving_factor = match (kind, period, look_ahead) {
            (Kind::Totp, Some(period), None) => MovingFactor::Time(period),
            (Kind::Hotp, None, Some(look_ahead)) => MovingFactor::Counter(look_ahead),
            (Kind::Totp | Kind::Hotp, ..) => {
                return Err("a totp device has a period, a hotp device a look_ahead");
            }
        };
        Ok(Self {
            id,
            name,
            profile: Profile { moving_factor, algorithm, digits },
            status,
            enrolled_at,
            serial,
            expires_at,
            sealed,
        })
    }
}

impl Device {
    /// Whether its time is over (NIST SP 800-63B: an expired authenticator is not usable).
    pub fn is_expired_at(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|end| now.unix_seconds() > end)
    }

    /// Makes a device for `user` out of a seed: a new identifier, and the seed sealed for this user, device and profile.
    ///
    /// # Errors
    /// No randomness.
    pub fn seal(
        key: &HostKey,
        user: &UserName,
        name: DeviceName,
        profile: Profile,
        seed: &Secret,
        now: Timestamp,
    ) -> Result<Self> {
        let id = Hex(random_bytes()?);
        let sealed = Sealed::seal(key, &binding(user, id, profile), seed)?;
        let enrolled_at = now.unix_seconds();
        let (serial, expires_at) = (None, None);
        Ok(Self { id, name, profile, status: Status::Active, enrolled_at, serial, expires_at, sealed })
    }

    /// The seed itself.
    ///
    /// # Errors
    /// [`Error::SeedDoesNotOpen`] if it was sealed for another user, device or profile, or under another key.
    pub fn open_seed(&self, key: &HostKey, user: &UserName) -> Result<Secret> {
        self.sealed.open(key, &binding(user, self.id, self.profile))
    }

    /// The device's generator, keyed with its seed.
    ///
    /// # Errors
    /// As [`Device::open_seed`].
    pub fn generator(&self, key: &HostKey, user: &UserName) -> Result<Generator> {
        let Profile { algorithm, digits, .. } = self.profile;
        Ok(Generator::new(&self.open_seed(key, user)?, algorithm, digits))
    }
}

fn binding(user: &UserName, id: DeviceId, profile: Profile) -> Binding {
    let (kind, factor) = match profile.moving_factor {
        MovingFactor::Time(period) => (b"totp", u8::from(period)),
        MovingFactor::Counter(look_ahead) => (b"hotp", u8::from(look_ahead)),
    };
    Binding::new(&[
        b"pam-mfa seed 1",
        user.as_str().as_bytes(),
        &id.0,
        kind,
        profile.algorithm.name().as_bytes(),
        &[u8::from(profile.digits), factor],
    ])
}

/// Everything in the secret file of one account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Devices {
    format: u32,
    user: UserName,
    /// The devices, oldest first; at most [`MAX_DEVICES`].
    #[serde(rename = "device", default, skip_serializing_if = "Vec::is_empty")]
    pub list: Vec<Device>,
    /// The hashes of the recovery codes, if there are any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovery: Option<RecoverySet>,
    /// A code that root has issued to let the person in once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bypass: Option<Bypass>,
    /// What the update that wrote this file did; before the next one these go to the history.
    #[serde(rename = "change", default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) changes: Vec<Change>,
}

impl Devices {
    /// An account with no device yet.
    pub fn none(user: &UserName) -> Self {
        Self {
            format: FORMAT,
            user: user.clone(),
            list: Vec::new(),
            recovery: None,
            bypass: None,
            changes: Vec::new(),
        }
    }

    /// The device of that name.
    pub fn named(&self, name: &DeviceName) -> Option<&Device> {
        self.list.iter().find(|device| device.name == *name)
    }

    /// The device of that name, to change it.
    ///
    /// # Errors
    /// [`Error::NoSuchDevice`].
    pub(crate) fn named_mut(&mut self, name: &DeviceName) -> Result<&mut Device> {
        let missing = || Error::NoSuchDevice { name: name.to_string() };
        self.list.iter_mut().find(|device| device.name == *name).ok_or_else(missing)
    }

    /// Whether a device was ever proven by its codes.
    pub(crate) fn has_proven(&self) -> bool {
        self.list.iter().any(|device| device.status != Status::Assigned)
    }

    /// Whether there is anything that an answer could be compared with.
    pub fn can_answer(&self) -> bool {
        !self.list.is_empty() || self.bypass.is_some()
    }

    /// Opens every seed.
    ///
    /// # Errors
    /// [`Error::SeedDoesNotOpen`] if one does not: a damaged record must not pass for an account with one device fewer.
    pub fn open(&self, key: &HostKey) -> Result<Vec<OpenDevice>> {
        self.list
            .iter()
            .map(|device| {
                Ok(OpenDevice {
                    id: device.id,
                    name: device.name.clone(),
                    status: device.status,
                    expires_at: device.expires_at.map(Timestamp::from_unix_seconds),
                    moving_factor: device.profile.moving_factor,
                    digits: device.profile.digits,
                    generator: device.generator(key, &self.user)?,
                })
            })
            .collect()
    }

    /// Reads the text of a secret file.
    ///
    /// # Errors
    /// A sentence that says what is wrong, without any content of the file.
    pub fn from_toml(text: &str, user: &UserName) -> std::result::Result<Self, String> {
        let devices: Self = toml_text::read(text).map_err(|error| error_without_content(&error, text))?;
        if devices.format != FORMAT {
            return Err(format!("its format is {}, this version reads {FORMAT}", devices.format));
        }
        if devices.user != *user {
            return Err("it belongs to another account".to_owned());
        }
        if devices.list.len() > MAX_DEVICES {
            return Err("it has more than 8 devices".to_owned());
        }
        let (set, bypass) = (devices.recovery.as_ref(), devices.bypass.as_ref());
        if set.is_some_and(|set| !set.is_sound()) || bypass.is_some_and(|bypass| !bypass.is_sound()) {
            return Err("its recovery codes have parameters that no version wrote".to_owned());
        }
        if set.zip(bypass).is_some_and(|(set, bypass)| !recovery::fit_together(set, bypass)) {
            return Err("its bypass code is hashed unlike its recovery codes".to_owned());
        }
        let mut identifiers: Vec<DeviceId> = devices.list.iter().map(|device| device.id).collect();
        identifiers.sort_unstable();
        identifiers.dedup();
        if identifiers.len() != devices.list.len() {
            return Err("two of its devices have the same id".to_owned());
        }
        Ok(devices)
    }

    /// The text of the secret file.
    ///
    /// # Errors
    /// Never for a value made by this crate.
    pub fn to_toml(&self) -> Result<String> {
        let body = toml::to_string(self)
            .map_err(|error| Error::Corrupt { path: "devices.toml".into(), why: error.to_string() })?;
        Ok(format!(
            "# Written by mfa-enroll and mfa-admin. Seeds are sealed, recovery codes are hashed.\n{body}"
        ))
    }
}

/// The parser's message and line, but not the quoted source line: it could hold a seal or a hash.
fn error_without_content(error: &Unreadable, text: &str) -> String {
    let message = error.message().lines().next().unwrap_or_default();
    // Messages of the parser may quote a value; ours never do. Keep the part before the first quotation.
    let unquoted = message.split(['`', '"', '\'']).next().unwrap_or_default().trim_end();
    format!("{}: {unquoted}", error.line_in(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alice() -> UserName {
        "alice".parse().unwrap()
    }

    fn sample(key: &HostKey) -> Devices {
        let mut devices = Devices::none(&alice());
        let counter = Profile { moving_factor: MovingFactor::Counter(LookAhead::DEFAULT), ..Profile::PLAIN };
        for (name, profile) in [("phone", Profile::PLAIN), ("YubiKey (blue)", counter)] {
            let seed = Secret::random(20).unwrap();
            let now = Timestamp::from_unix_seconds(1_795_000_000);
            devices
                .list
                .push(Device::seal(key, &alice(), name.parse().unwrap(), profile, &seed, now).unwrap());
        }
        devices.recovery = Some(RecoverySet::decoy());
        devices
    }

    #[test]
    fn a_secret_file_is_read_back_as_it_was_written() {
        let devices = sample(&HostKey::generate().unwrap());
        let text = devices.to_toml().unwrap();
        assert_eq!(Devices::from_toml(&text, &alice()).unwrap(), devices, "{text}");
    }

    #[test]
    fn the_file_holds_no_seed() {
        let key = HostKey::generate().unwrap();
        let devices = sample(&key);
        let text = devices.to_toml().unwrap().to_uppercase();
        for device in &devices.list {
            let seed = device.open_seed(&key, &alice()).unwrap();
            assert!(!text.contains(seed.to_base32().as_str()));
        }
    }

    #[test]
    fn a_record_moved_to_another_account_or_edited_does_not_open() {
        let key = HostKey::generate().unwrap();
        let devices = sample(&key);
        let bob: UserName = "bob".parse().unwrap();
        assert!(Devices::from_toml(&devices.to_toml().unwrap(), &bob).is_err());
        let stolen = devices.to_toml().unwrap().replace("\"alice\"", "\"bob\"");
        let stolen = Devices::from_toml(&stolen, &bob).unwrap();
        assert!(matches!(stolen.list[0].open_seed(&key, &bob), Err(Error::SeedDoesNotOpen)));
        let edited = devices.to_toml().unwrap().replace("period = 30", "period = 60");
        let edited = Devices::from_toml(&edited, &alice()).unwrap();
        assert!(matches!(edited.list[0].open_seed(&key, &alice()), Err(Error::SeedDoesNotOpen)));
    }

    #[test]
    fn damaged_files_are_refused_without_quoting_them() {
        let text = sample(&HostKey::generate().unwrap()).to_toml().unwrap();
        for damaged in [
            String::new(),
            text.replace("format = 1", "format = 2"),
            text.replace("digits = 6", "digits = 5"),
            text.replace("kind = \"totp\"", "kind = \"ocra\""),
            text.replace("status = \"active\"", "status = \"sleeping\""),
            text.replace("user = \"alice\"", "user = \"alice\"\nsurplus = 1"),
            text.replace("period = 30", "period = 30\nsurplus = 1"),
            text.chars().take(text.len() / 2).collect(),
        ] {
            let why = Devices::from_toml(&damaged, &alice()).unwrap_err();
            assert!(!why.contains("ocra") && !why.contains("sleeping"), "{why}");
        }
    }

    #[test]
    fn two_devices_with_one_id_are_refused() {
        let mut devices = sample(&HostKey::generate().unwrap());
        devices.list[1] = devices.list[0].clone();
        assert!(Devices::from_toml(&devices.to_toml().unwrap(), &alice()).is_err());
    }

    #[test]
    fn device_names_are_printable() {
        assert_eq!(" phone ".parse::<DeviceName>().unwrap().as_str(), "phone");
        let long = "a".repeat(41);
        for bad in ["", "  ", "a\nb", "a\u{202e}b", "\u{1b}[31m", &long] {
            assert!(bad.parse::<DeviceName>().is_err(), "{bad:?}");
        }
    }
}
