//! Where records live, and the one way to change them.

mod files;
mod history;
mod marks;
mod slots;
mod stock;
mod trusted;

pub use files::FileStore;
pub use stock::{Clash, SaveStock, Stock, StockToken};
pub use trusted::read_text as read_trusted_text;

use crate::devices::{Device, Devices};
use crate::error::Result;
use crate::hex::Hex;
use crate::history::{Change, Origin};
use crate::seal::HostKey;
use crate::state::State;
use crate::user_name::UserName;
use crate::verify::Durability;

/// Keeps the records of all accounts.
///
/// A store that compares and swaps (read with a version, commit if unchanged, else run again) fits as well as one that locks: the
/// closure given to [`Store::update`] may run more than once and must have no effect but on its record.
pub trait Store {
    /// The key that seals this store's seeds.
    fn key(&self) -> Result<&HostKey>;

    /// Creates what an empty store needs: folders, the key, the decoy account. Does nothing where they are.
    fn prepare(&self) -> Result<()>;

    /// Reads an account's record, lets `decide` change it, and makes the change durable, all before anybody else can read it.
    ///
    /// When it returns, what `decide` did is on disk. If `decide` fails nothing has changed; if the disk fails, floors may have risen
    /// but nothing else is different, and the same update may be tried again.
    ///
    /// # Errors
    /// [`crate::Error::NotEnrolled`] from [`Access::Login`] to an account without a device, before `decide` runs, and for whatever fails
    /// with a decoy alone, which must not show who has no device; what `decide` returns; whatever kept the record from being read or
    /// written.
    fn update<T>(
        &self,
        account: Account<'_>,
        access: Access,
        decide: impl FnMut(&mut Record) -> Result<T>,
    ) -> Result<T>;

    /// The names of all accounts that have a record, in order.
    fn accounts(&self) -> Result<Vec<UserName>>;

    /// Every change that was recorded of an account, oldest first.
    ///
    /// # Errors
    /// Whatever kept it from being read.
    fn history(&self, user: &UserName) -> Result<Vec<Change>>;

    /// Runs `work` while nobody else binds or removes a device: what it finds out about marks stays true until it is done.
    ///
    /// # Errors
    /// What `work` returns; whatever kept the table from being read or written.
    fn with_marks<T>(&self, work: impl FnOnce(&dyn MarkTable) -> Result<T>) -> Result<T>;
}

/// A keyed hash of a seed or of a serial number.
pub type Mark = Hex<16>;

/// Which account has which seed and serial number. It may name an account that has it no more; it names every account that has one.
pub trait MarkTable {
    /// The account that claimed a mark last.
    fn owner(&self, mark: Mark) -> Result<Option<UserName>>;

    /// Notes that `user` is about to have it.
    fn claim(&self, mark: Mark, user: &UserName) -> Result<()>;

    /// Forgets whose it is.
    fn free(&self, mark: Mark) -> Result<()>;
}

/// Whose record.
#[derive(Clone, Copy, Debug)]
pub enum Account<'a> {
    /// A person's.
    User(&'a UserName),
    /// Nobody's: what a login of an account without devices is checked against, so that it takes the same work. There are several;
    /// the name that was tried chooses one, so that many names at once do not queue up where accounts of their own would not.
    Decoy(Shard),
    /// A person's, or a decoy where that person has no device or where nobody can have that name: for [`Access::Login`].
    OrDecoy(Option<&'a UserName>, Shard),
}

/// What an update may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Changes the state alone, in place; creates nothing.
    Login,
    /// Changes anything; creates the account if need be.
    Change,
    /// As [`Access::Change`], and takes a missing or damaged state for an empty one.
    Repair,
}

/// Which of the decoy accounts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard(u8);

impl Shard {
    /// How many there are.
    pub const COUNT: u8 = 16;

    /// All of them.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..Self::COUNT).map(Self)
    }

    /// The one for a name, chosen by a keyed hash so that a stranger can't know which names share one.
    pub fn of(tag: [u8; 8]) -> Self {
        let [first, ..] = tag;
        Self(first % Self::COUNT)
    }

    /// Its folder's name.
    pub(crate) fn name(self) -> String {
        format!("{:x}", self.0)
    }
}

/// A key that waits for its two codes.
#[derive(Clone, Debug, PartialEq)]
pub struct Pending {
    /// The device that it is to become.
    pub device: Device,
    /// Who was shown the key, and where. None: the record does not say.
    pub shown_to: Option<Origin>,
}

/// All that is kept of one account.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// Devices and recovery codes.
    pub devices: Devices,
    /// What is used up.
    pub state: State,
    /// An enrollment that waits for its two codes. Read for [`Access::Change`] only.
    pub pending: Option<Pending>,
    /// Whether a change of the state will outlive a reboot.
    pub durability: Durability,
    /// What this update does, for the history.
    pub notes: Vec<Change>,
    /// Whether it is nobody's.
    pub is_decoy: bool,
}

impl Record {
    /// Records what this update does; it is on disk exactly if what it tells of is.
    pub(crate) fn note(&mut self, change: Change) {
        self.notes.push(change);
    }
}
