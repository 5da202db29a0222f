//! Files that an administrator names on the command line.

use std::fs::File;
use std::io;
use std::path::Path;

use mfa_cli::Failure;
use mfa_import::source::{SourceError, read_capped};
use zeroize::Zeroizing;

/// All bytes of a file, or of standard input for `-`, in memory that wipes itself.
pub(crate) fn read(path: &Path, limit: usize) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let bytes = if path == Path::new("-") {
        read_capped(io::stdin().lock(), limit)
    } else {
        File::open(path).map_err(SourceError::Io).and_then(|file| read_capped(file, limit))
    };
    bytes.map_err(|error| Failure::Refused {
        sentence: format!("can't read {}: {error}", shown(path)),
        hint: None,
    })
}

/// The text of a small file, without the newline at its end.
pub(crate) fn read_line(path: &Path) -> Result<Zeroizing<String>, Failure> {
    const LONGEST: usize = 4096;
    let bytes = read(path, LONGEST)?;
    let line = bytes.split(|byte| matches!(byte, b'\n' | b'\r')).next().unwrap_or_default();
    std::str::from_utf8(line)
        .map(|text| Zeroizing::new(text.to_owned()))
        .map_err(|_| Failure::Refused { sentence: format!("{} is not UTF-8", shown(path)), hint: None })
}

/// What to call a file in a sentence.
pub(crate) fn shown(path: &Path) -> String {
    if path == Path::new("-") { "standard input".to_owned() } else { path.display().to_string() }
}
