//! What happened to an account's devices: every bind, change and removal, with its time and origin. Nothing is ever taken out.
//!
//! The changes of the last update stand in the secret file itself, so that they are there exactly if what they tell of is. The next
//! update first moves them to the file `history`, one line each, which only grows.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::devices::{Device, DeviceId};
use crate::hex::Hex;
use crate::one_line::{self, one_line};

/// The longest origin, in characters.
const MAX_ORIGIN_CHARACTERS: usize = 120;

/// Where a request came from, as people read it: `root (sudo by carol)`, `alice by mfad`, `sshd from 192.0.2.7`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct Origin(String);

impl Origin {
    /// Takes any text; what would break a line or hide in it becomes `?`, and what is too long is cut.
    pub fn new(text: &str) -> Self {
        Self(one_line(text, MAX_ORIGIN_CHARACTERS))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<String> for Origin {
    fn from(text: String) -> Self {
        Self::new(&text)
    }
}

impl From<Origin> for String {
    fn from(origin: Origin) -> Self {
        origin.0
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One thing that happened to a device, or to the account's codes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// Counts the changes of an account from 1.
    pub number: u64,
    /// When, in seconds since 1970.
    pub at: u64,
    /// What.
    pub what: What,
    /// To which device. None: to the account.
    pub device: Option<DeviceId>,
    /// What the device was called then (after a renaming: from then on), or a note on a bypass code.
    #[serde(deserialize_with = "one_line::deserialize")]
    pub name: String,
    /// Who did it, from where.
    pub by: Origin,
}

/// What can happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum What {
    /// A device was bound by two of its codes.
    Enrolled,
    /// Root assigned a hardware token, which waits for two codes.
    Assigned,
    /// A device was taken over from elsewhere, without new codes.
    Migrated,
    /// A device got another name.
    Renamed,
    /// A device was put aside.
    Suspended,
    /// A device counts again.
    Resumed,
    /// A device's clock or counter was followed.
    Resynced,
    /// A device was forgotten.
    Removed,
    /// A device was forgotten because another one took its place.
    Replaced,
    /// New recovery codes were made.
    RecoveryCodes,
    /// Scratch codes were taken over from elsewhere.
    ScratchCodes,
    /// Root issued a bypass code.
    BypassIssued,
    /// Root took a bypass code back.
    BypassCancelled,
    /// Root forgot all failures.
    Unlocked,
    /// Root made a new state.
    Repaired,
}

impl What {
    const ALL: [Self; 15] = [
        Self::Enrolled,
        Self::Assigned,
        Self::Migrated,
        Self::Renamed,
        Self::Suspended,
        Self::Resumed,
        Self::Resynced,
        Self::Removed,
        Self::Replaced,
        Self::RecoveryCodes,
        Self::ScratchCodes,
        Self::BypassIssued,
        Self::BypassCancelled,
        Self::Unlocked,
        Self::Repaired,
    ];

    /// The word in the file and in the log.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Enrolled => "enrolled",
            Self::Assigned => "assigned",
            Self::Migrated => "migrated",
            Self::Renamed => "renamed",
            Self::Suspended => "suspended",
            Self::Resumed => "resumed",
            Self::Resynced => "resynced",
            Self::Removed => "removed",
            Self::Replaced => "replaced",
            Self::RecoveryCodes => "recovery-codes",
            Self::ScratchCodes => "scratch-codes",
            Self::BypassIssued => "bypass-issued",
            Self::BypassCancelled => "bypass-cancelled",
            Self::Unlocked => "unlocked",
            Self::Repaired => "repaired",
        }
    }
}

impl Change {
    /// Something that happens now to a device. The store gives it its number.
    pub(crate) fn of_device(what: What, device: &Device, now: Timestamp, by: &Origin) -> Self {
        let name = device.name.as_str().to_owned();
        Self { number: 0, at: now.unix_seconds(), what, device: Some(device.id), name, by: by.clone() }
    }

    /// Something that happens now to the account; `text` must be free of control characters.
    pub(crate) fn of_account(what: What, text: &str, now: Timestamp, by: &Origin) -> Self {
        let name = text.to_owned();
        Self { number: 0, at: now.unix_seconds(), what, device: None, name, by: by.clone() }
    }

    /// The moment.
    pub const fn moment(&self) -> Timestamp {
        Timestamp::from_unix_seconds(self.at)
    }

    /// The line in `history`: number, seconds since 1970, what, device, name, origin, between tabs.
    pub(crate) fn line(&self) -> String {
        let device = self.device.map_or_else(|| "-".to_owned(), |id| id.to_string());
        let Self { number, at, what, name, by, .. } = self;
        // No field can hold a tab or a newline: names, notes and origins have no control characters.
        format!("{number}\t{at}\t{}\t{device}\t{name}\t{by}\n", what.word())
    }

    /// Reads a line without its newline.
    pub(crate) fn from_line(line: &str) -> Option<Self> {
        let mut fields = line.split('\t');
        let mut next = || fields.next();
        let change = Self {
            number: next()?.parse().ok()?,
            at: next()?.parse().ok()?,
            what: {
                let word = next()?;
                What::ALL.into_iter().find(|what| what.word() == word)?
            },
            device: match next()? {
                "-" => None,
                id => Some(id.parse::<Hex<8>>().ok()?),
            },
            name: one_line(next()?, one_line::MOST_CHARACTERS),
            by: Origin::new(next()?),
        };
        next().is_none().then_some(change)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_one_line_and_read_back() {
        for what in What::ALL {
            let change = Change {
                number: 7,
                at: 1_800_000_000,
                what,
                device: (what != What::Unlocked).then_some(Hex([7; 8])),
                name: "YubiKey (blue)".to_owned(),
                by: Origin::new("root (sudo by carol)"),
            };
            let line = change.line();
            assert_eq!(line.matches('\n').count(), 1);
            assert_eq!(Change::from_line(line.trim_end_matches('\n')), Some(change));
        }
    }

    #[test]
    fn an_origin_can_not_break_the_line() {
        let origin = Origin::new(" sshd\tfrom\n\u{1b}[31m\u{202e}evil ");
        assert_eq!(origin.as_str(), "sshd?from??[31m?evil");
        assert_eq!(Origin::new(&"x".repeat(500)).as_str().len(), 120);
    }

    #[test]
    fn a_name_that_somebody_wrote_into_the_file_moves_no_cursor() {
        let evil = "x\u{1b}[2Jy\u{202e}z";
        let line = Change::from_line(&format!("1\t2\tenrolled\t-\t{evil}\tby")).unwrap();
        let text = "number = 1\nat = 2\nwhat = \"enrolled\"\nname = \"x\\u001b[2Jy\u{202e}z\"\nby = \"by\"\n";
        let table: Change = toml::from_str(text).unwrap();
        assert_eq!((line.name.as_str(), table.name.as_str()), ("x?[2Jy?z", "x?[2Jy?z"));
    }

    #[test]
    fn a_damaged_line_is_none() {
        for line in
            ["", "x", "1\t2\tenrolled\t-\tname", "1\t2\tsung\t-\tname\tby", "1\t2\tenrolled\t-\tn\tb\tc"]
        {
            assert_eq!(Change::from_line(line), None, "{line}");
        }
    }
}
