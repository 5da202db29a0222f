//! Asking `mfad`.

use std::fmt;
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, UnixAddr, connect, setsockopt, socket, sockopt::SendTimeout,
};
use nix::sys::time::TimeVal;

use crate::denial::Reply;
use crate::envelope::Envelope;
use crate::frame::{self, FrameError, time_left};

/// Where `mfad` listens.
pub const SOCKET: &str = "/run/pam-mfa/socket";

/// Why there is no reply.
#[derive(Debug)]
pub enum AskError {
    /// Nobody listens there.
    NotRunning {
        /// The socket.
        path: PathBuf,
    },
    /// No reply came in time. The request may have been done all the same.
    TimedOut,
    /// `mfad` has closed the connection without a reply: it was stopped, or it is too busy to listen.
    Closed,
    /// The reply can't be understood: client and daemon are of different versions.
    NotUnderstood,
    /// The request is too long to be sent.
    TooLong,
    /// The operating system refused.
    Io {
        /// The socket.
        path: PathBuf,
        /// What it answered.
        source: io::Error,
    },
}

impl fmt::Display for AskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotRunning { path } => {
                write!(f, "mfad is not running: nobody listens at {}", path.display())
            }
            Self::TimedOut => f.write_str("mfad does not answer"),
            Self::Closed => f.write_str("mfad has closed the connection without an answer"),
            Self::NotUnderstood => f.write_str("the answer of mfad can't be understood: versions differ"),
            Self::TooLong => f.write_str("the request is too long"),
            Self::Io { path, source } => write!(f, "{}: {source}", path.display()),
        }
    }
}

impl std::error::Error for AskError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        if let Self::Io { source, .. } = self { Some(source) } else { None }
    }
}

/// Sends one request to whoever listens at `path` and waits for the reply, `timeout` in all.
///
/// No descriptor is left open, no signal is raised, and nothing blocks for longer.
///
/// # Errors
/// There is no reply. [`AskError::NotRunning`] and [`AskError::TooLong`]: the request was not sent.
pub fn ask(path: &Path, envelope: &Envelope, timeout: Duration) -> Result<Reply, AskError> {
    let deadline = Instant::now().checked_add(timeout).ok_or(AskError::TimedOut)?;
    let failed = |error: FrameError| match error {
        FrameError::Closed => AskError::Closed,
        FrameError::TimedOut => AskError::TimedOut,
        FrameError::BadLength | FrameError::OtherVersion | FrameError::Malformed => AskError::NotUnderstood,
        FrameError::Io(source) => AskError::Io { path: path.to_owned(), source },
    };
    let stream = connected(path, deadline)?;
    match frame::send(&stream, envelope, deadline) {
        Ok(()) => {}
        Err(FrameError::BadLength) => return Err(AskError::TooLong),
        // A daemon that does not want to listen may have said why.
        Err(FrameError::Closed) => return frame::receive(&stream, deadline).map_err(|_| AskError::Closed),
        Err(error) => return Err(failed(error)),
    }
    frame::receive(&stream, deadline).map_err(failed)
}

/// Not by the standard library: it would wait without end for a daemon that does not accept.
fn connected(path: &Path, deadline: Instant) -> Result<UnixStream, AskError> {
    let failed = |errno: Errno| {
        let path = path.to_owned();
        if matches!(errno, Errno::ENOENT | Errno::ECONNREFUSED | Errno::ENOTDIR) {
            AskError::NotRunning { path }
        } else if errno == Errno::EAGAIN {
            AskError::TimedOut
        } else {
            AskError::Io { path, source: errno.into() }
        }
    };
    let address = UnixAddr::new(path).map_err(failed)?;
    let descriptor =
        socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC, None).map_err(failed)?;
    loop {
        let left = time_left(deadline).map_err(|_| AskError::TimedOut)?;
        let seconds = i64::try_from(left.as_secs()).unwrap_or(i64::MAX);
        let limit = TimeVal::new(seconds, i64::from(left.subsec_micros()));
        setsockopt(&descriptor, SendTimeout, &limit).map_err(failed)?;
        match connect(descriptor.as_raw_fd(), &address) {
            Ok(()) => return Ok(descriptor.into()),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(failed(errno)),
        }
    }
}
