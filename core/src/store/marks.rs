//! Which account has which seed and serial number, as files: `marks/<first two digits>/<mark>`, with the account's name inside.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::trusted::{Mutability, Owners, check_private, open_file, open_folder_at_path, text};
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
    _locked: Locked,
}

impl<'a> Marks<'a> {
    pub(super) const fn new(root: PathBuf, owners: &'a Owners, locked: Locked) -> Self {
        Self { root, owners, _locked: locked }
    }

    fn folder(&self, mark: Mark) -> (PathBuf, String) {
        let name = mark.to_string();
        let shard = name.get(..2).unwrap_or("00");
        (self.root.join(shard), name)
    }

    fn read(&self, folder: &Path, name: &str) -> Result<Option<UserName>> {
        let path = folder.join(name);
        let Some(opened) = open_folder_at_path(folder, self.owners)? else { return Ok(None) };
        let Some((file, status)) =
            open_file(&opened, OsStr::new(name), &path, Mutability::ReadOnly, self.owners)?
        else {
            return Ok(None);
        };
        check_private(&status, &path)?;
        let text = text(&file, &status, &path, MAX_FILE_BYTES)?;
        // A mark that was cut short by a power cut names nobody, and then nobody is asked whether it is still true.
        Ok(text.strip_suffix('\n').and_then(|name| name.parse().ok()))
    }
}

impl MarkTable for Marks<'_> {
    fn owner(&self, mark: Mark) -> Result<Option<UserName>> {
        let (folder, name) = self.folder(mark);
        self.read(&folder, &name)
    }

    fn claim(&self, mark: Mark, user: &UserName) -> Result<()> {
        let (folder, name) = self.folder(mark);
        if self.read(&folder, &name)?.as_ref() == Some(user) {
            return Ok(());
        }
        let opened = ensure_folder(&folder, 0o700, self.owners)?;
        replace_file(&opened, &name, format!("{user}\n").as_bytes(), &folder.join(&name), self.owners)
    }

    fn free(&self, mark: Mark) -> Result<()> {
        let (folder, name) = self.folder(mark);
        match open_folder_at_path(&folder, self.owners)? {
            Some(opened) => remove(&opened, OsStr::new(&name), &folder.join(&name)),
            None => Ok(()),
        }
    }
}

impl std::fmt::Debug for Marks<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Marks").field("root", &self.root).finish_non_exhaustive()
    }
}
