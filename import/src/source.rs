//! Bytes from a file or a pipe: never more than a limit, and wiped when they are no longer needed.

use std::fmt;
use std::io::{self, Read};

use zeroize::Zeroizing;

/// Reads to the end, but never more than `limit` bytes.
///
/// # Errors
/// The reader's own, or more bytes than `limit`.
pub fn read_capped(mut reader: impl Read, limit: usize) -> Result<Zeroizing<Vec<u8>>, SourceError> {
    const FIRST_BYTES: usize = 64 * 1024;
    let mut bytes = Zeroizing::new(Vec::new());
    let mut used: usize = 0;
    loop {
        if used > limit {
            return Err(SourceError::TooLarge { limit });
        }
        if used == bytes.len() {
            // A growing `Vec` would leave the old copy of the secrets behind: copy by hand, and let the old one wipe itself.
            let length =
                bytes.len().saturating_mul(2).clamp(FIRST_BYTES, limit.saturating_add(1).max(FIRST_BYTES));
            let mut larger = Zeroizing::new(vec![0; length]);
            if let Some(start) = larger.get_mut(..used) {
                start.copy_from_slice(&bytes);
            }
            bytes = larger;
        }
        let room = bytes.get_mut(used..).unwrap_or_default();
        match reader.read(room) {
            Ok(0) => break,
            Ok(count) => used = used.saturating_add(count),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(SourceError::Io(error)),
        }
    }
    bytes.truncate(used);
    Ok(bytes)
}

/// Why bytes could not be read.
#[derive(Debug)]
pub enum SourceError {
    /// The operating system refused.
    Io(io::Error),
    /// There is more than any honest file of this kind holds.
    TooLarge {
        /// The most bytes that are read.
        limit: usize,
    },
}

impl fmt::Display for SourceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => error.fmt(f),
            Self::TooLarge { limit } => {
                write!(f, "it has more than {limit} bytes: split it into several files")
            }
        }
    }
}

impl std::error::Error for SourceError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(error) => Some(error),
            Self::TooLarge { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_up_to_the_limit_is_read_and_nothing_beyond() {
        for length in [0, 1, 65_535, 65_536, 65_537, 200_000] {
            let bytes = vec![7; length];
            assert_eq!(*read_capped(bytes.as_slice(), length).unwrap(), bytes);
            assert_eq!(*read_capped(bytes.as_slice(), length + 1).unwrap(), bytes);
            if length > 0 {
                let error = read_capped(bytes.as_slice(), length - 1).unwrap_err();
                assert!(matches!(error, SourceError::TooLarge { limit } if limit == length - 1));
            }
        }
    }

    #[test]
    fn an_endless_source_ends() {
        assert!(matches!(read_capped(io::repeat(1), 100_000), Err(SourceError::TooLarge { .. })));
    }
}
