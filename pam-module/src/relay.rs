//! Asking `mfad`, for a program that runs as the user, such as a screen locker.

use std::path::{Path, PathBuf};
use std::time::Duration;

use mfa_core::{Refusal, Request, Response, Verdict};
use mfa_wire::{Denial, Envelope, SOCKET, ask};

use crate::options::Options;
use crate::outcome::Reason;

/// How long a reply may take: an account may be locked for ten seconds, and a person waits no longer than this.
const PATIENCE: Duration = Duration::from_secs(15);

/// Where `mfad` listens that has the same store.
pub(crate) struct Relay(PathBuf);

impl Relay {
    /// None: the store is another one than the host's, and nobody said who else has it open.
    pub(crate) fn of(options: &Options) -> Option<Self> {
        match (&options.socket, &options.store) {
            (Some(socket), _) => Some(Self(socket.clone())),
            (None, None) => Some(Self(Path::new(SOCKET).to_owned())),
            (None, Some(_)) => None,
        }
    }

    /// Sends `request`; `denied` says why it could not be answered here.
    pub(crate) fn ask(&self, request: Request, denied: &str) -> Result<Response, Reason> {
        let failed =
            |why: &dyn std::fmt::Display| Reason::UnavailableBecause(format!("{denied}; by mfad: {why}"));
        match ask(&self.0, &Envelope::bare(request), PATIENCE) {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(Denial::NotEnrolled)) => Ok(Response::Verdict(Verdict::Refuse(Refusal::NotEnrolled))),
            Ok(Err(denial)) => Err(failed(&denial)),
            Err(error) => Err(failed(&error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::CString;

    use super::*;

    fn relay(words: &[&str]) -> Option<PathBuf> {
        let words: Vec<CString> = words.iter().map(|word| CString::new(*word).unwrap()).collect();
        let options = Options::parse(&words.iter().map(CString::as_c_str).collect::<Vec<_>>()).unwrap();
        Relay::of(&options).map(|Relay(path)| path)
    }

    #[test]
    fn the_daemon_of_the_host_is_asked_about_the_store_of_the_host_alone() {
        assert_eq!(relay(&[]).unwrap(), Path::new(SOCKET));
        assert_eq!(relay(&["store=/s"]), None);
        assert_eq!(relay(&["store=/s", "socket=/r"]).unwrap(), Path::new("/r"));
        assert_eq!(relay(&["socket=/r"]).unwrap(), Path::new("/r"));
    }
}
