//! Which account has which seed and serial number, as files: `marks/<first two digits>/<mark>`, with the account's name inside.

use std::ffi::OsStr;
use std::fs::File;
use std::path::PathBuf;

use super::trusted::{Mutability, Owners, check_private, open_file, open_folder, text};
use super::{Mark, MarkTable};
use crate::error::Result;
use crate::store::files::{Locked, ensure_folder, remove, replace_file};
use crate::user_name::UserName;

/// The longest content: a name and a newline.
const MAX_FILE_BYTES: u64 = 256;

/// The table as files. Whoever has one has the lock on all of it.
pub(super) struct Marks<'a> {
    root: PathBuf,
    owners: &'a Owners,
    locked: Locked,
}

/// Where a mark is.
struct Place {
    shard: String,
    name: String,
    folder: PathBuf,
    path: PathBuf,
}

impl<'a> Marks<'a> {
    pub(super) const fn new(root: PathBuf, owners: &'a Owners, locked: Locked) -> Self {
        Self { root, owners, locked }
    }

    fn place(&self, mark: Mark) -> Place {
        let name = mark.to_string();
        let shard = name.get(..2).unwrap_or("00").to_owned();
        let folder = self.root.join(&shard);
        Place { path: folder.join(&name), folder, shard, name }
    }

    fn open(&self, place: &Place) -> Result<Option<File>> {
        open_folder(&self.locked.folder, OsStr::new(&place.shard), &place.folder, self.owners)
    }

    fn read(&self, place: &Place) -> Result<Option<UserName>> {
        let Some(folder) = self.open(place)? else { return Ok(None) };
        let name = OsStr::new(&place.name);
        let opened = open_file(&folder, name, &place.path, Mutability::ReadOnly, self.owners)?;
        let Some((file, status)) = opened else { return Ok(None) };
        check_private(&status, &place.path)?;
        let text = text(&file, &status, &place.path, MAX_FILE_BYTES)?;
        // A mark that was cut short by a power cut names nobody, and then nobody is asked whether it is still true.
        Ok(text.strip_suffix('\n').and_then(|name| name.parse().ok()))
    }
}

impl MarkTable for Marks<'_> {
    fn owner(&self, mark: Mark) -> Result<Option<UserName>> {
        self.read(&self.place(mark))
    }

    fn claim(&self, mark: Mark, user: &UserName) -> Result<()> {
        let place = self.place(mark);
        if self.read(&place)?.as_ref() == Some(user) {
            return Ok(());
        }
        let shard = OsStr::new(&place.shard);
        let folder = ensure_folder(&self.locked.folder, shard, &place.folder, 0o700, self.owners)?;
        replace_file(&folder, &place.name, format!("{user}\n").as_bytes(), &place.path, self.owners)
    }

    fn free(&self, mark: Mark) -> Result<()> {
        let place = self.place(mark);
        match self.open(&place)? {
            Some(folder) => remove(&folder, OsStr::new(&place.name), &place.path),
            None => Ok(()),
        }
    }
}

impl std::fmt::Debug for Marks<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Marks").field("root", &self.root).finish_non_exhaustive()
    }
}
