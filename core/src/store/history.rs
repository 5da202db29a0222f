//! The file `history` of an account: one line a change, only ever appended to.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};

use super::files::Locked;
use super::slots::{check_size_limit, create_file};
use super::trusted::{Mutability, Owners, check_private, failed_io, open_file};
use crate::error::Result;
use crate::history::Change;

pub(super) const HISTORY: &str = "history";

/// How much is read at the end to find the last change: more than the longest line.
const TAIL_BYTES: u64 = 4096;
/// The most that is shown, in bytes from the end.
const SHOWN_BYTES: u64 = 4 * 1024 * 1024;

/// The changes in the file, oldest first.
pub(super) fn read(locked: &Locked, owners: &Owners) -> Result<Vec<Change>> {
    match open(locked, Mutability::ReadOnly, owners)? {
        Some(file) => Ok(tail(&file, locked, SHOWN_BYTES)?.1),
        None => Ok(Vec::new()),
    }
}

/// The number of the last change in the file; 0 if there is none.
pub(super) fn last_number(locked: &Locked, owners: &Owners) -> Result<u64> {
    let file = open(locked, Mutability::ReadOnly, owners)?;
    let changes =
        file.map_or(Ok(Vec::new()), |file| tail(&file, locked, TAIL_BYTES).map(|(_, changes)| changes))?;
    Ok(changes.last().map_or(0, |change| change.number))
}

/// Appends what the file does not have yet, and waits until it is on disk.
pub(super) fn append(locked: &Locked, changes: &[Change], owners: &Owners) -> Result<()> {
    let path = locked.path.join(HISTORY);
    let (mut file, is_new) = match open(locked, Mutability::ReadWrite, owners)? {
        Some(file) => (file, false),
        None => (create_file(&locked.folder, OsStr::new(HISTORY), 0o600, &path, owners)?, true),
    };
    let (end, last) = if is_new {
        (0, 0)
    } else {
        let (end, there) = tail(&file, locked, TAIL_BYTES)?;
        (end, there.last().map_or(0, |change| change.number))
    };
    let lines: String = changes.iter().filter(|change| change.number > last).map(Change::line).collect();
    if lines.is_empty() {
        return Ok(());
    }
    let length = u64::try_from(lines.len()).unwrap_or(u64::MAX);
    check_size_limit(&path, end.saturating_add(length))?;
    // A line that a power cut has torn ends where the last whole one does.
    file.set_len(end).and_then(|()| file.seek(SeekFrom::Start(end)).map(|_| ())).map_err(failed_io(&path))?;
    file.write_all(lines.as_bytes()).and_then(|()| file.sync_all()).map_err(failed_io(&path))?;
    if is_new { locked.sync() } else { Ok(()) }
}

fn open(locked: &Locked, mutability: Mutability, owners: &Owners) -> Result<Option<File>> {
    let path = locked.path.join(HISTORY);
    let Some((file, status)) = open_file(&locked.folder, OsStr::new(HISTORY), &path, mutability, owners)?
    else {
        return Ok(None);
    };
    check_private(&status, &path)?;
    Ok(Some(file))
}

/// Where the last whole line ends, and the changes in the last `limit` bytes before it.
fn tail(mut file: &File, locked: &Locked, limit: u64) -> Result<(u64, Vec<Change>)> {
    let path = locked.path.join(HISTORY);
    let failed = failed_io(&path);
    let size = file.seek(SeekFrom::End(0)).map_err(&failed)?;
    let start = size.saturating_sub(limit);
    file.seek(SeekFrom::Start(start)).map_err(&failed)?;
    let mut bytes = Vec::new();
    file.take(limit).read_to_end(&mut bytes).map_err(&failed)?;
    let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at.saturating_add(1));
    bytes.truncate(whole);
    let end = start.saturating_add(u64::try_from(whole).unwrap_or(0));
    let text = String::from_utf8_lossy(&bytes);
    // The first line may be cut where reading began, and is no change then.
    Ok((end, text.lines().filter_map(Change::from_line).collect()))
}
