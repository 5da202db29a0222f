//! One message on a stream: length, version, postcard. Bounded in bytes and in time, and wiped.

use std::io::{self, ErrorKind, Read as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};
use std::{error, fmt};

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, send as send_some};
use serde::Serialize;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

/// The longest message, with its version byte, in bytes.
pub const MAX_BYTES: usize = 16 * 1024;

/// The version of the messages. It changes with every change of a type that is sent.
pub const VERSION: u8 = 1;

const LENGTH_BYTES: usize = 4;

/// Why a message did not arrive, or was not sent.
#[derive(Debug)]
pub enum FrameError {
    /// The other side has closed the connection before a whole message was through.
    Closed,
    /// It took too long.
    TimedOut,
    /// The message is longer than [`MAX_BYTES`], or empty.
    BadLength,
    /// The message is of another version.
    OtherVersion,
    /// The bytes are no message.
    Malformed,
    /// The operating system refused.
    Io(io::Error),
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("the connection was closed"),
            Self::TimedOut => f.write_str("it took too long"),
            Self::BadLength => write!(f, "a message must have 1 to {MAX_BYTES} bytes"),
            Self::OtherVersion => f.write_str("the message is of another version"),
            Self::Malformed => f.write_str("the message can't be understood"),
            Self::Io(error) => error.fmt(f),
        }
    }
}

impl error::Error for FrameError {}

impl From<io::Error> for FrameError {
    fn from(error: io::Error) -> Self {
        let kind = error.kind();
        if matches!(kind, ErrorKind::WouldBlock | ErrorKind::TimedOut) {
            Self::TimedOut
        } else if matches!(
            kind,
            ErrorKind::UnexpectedEof | ErrorKind::BrokenPipe | ErrorKind::ConnectionReset
        ) {
            Self::Closed
        } else {
            Self::Io(error)
        }
    }
}

/// The bytes of a message, its length before it.
///
/// # Errors
/// [`FrameError::BadLength`] if it is too long.
pub fn encode<T: Serialize>(message: &T) -> Result<Zeroizing<Vec<u8>>, FrameError> {
    // All of it at once: growing would leave copies of secrets behind.
    let mut frame = Zeroizing::new(vec![0; LENGTH_BYTES.saturating_add(MAX_BYTES)]);
    let body = frame.get_mut(LENGTH_BYTES.saturating_add(1)..).ok_or(FrameError::BadLength)?;
    let length =
        postcard::to_slice(message, body).map_err(|_| FrameError::BadLength)?.len().saturating_add(1);
    let prefix = u32::try_from(length).map_err(|_| FrameError::BadLength)?.to_be_bytes();
    for (byte, value) in frame.iter_mut().zip(prefix.into_iter().chain([VERSION])) {
        *byte = value;
    }
    frame.truncate(LENGTH_BYTES.saturating_add(length));
    Ok(frame)
}

/// Reads a message from its bytes without the length.
///
/// # Errors
/// [`FrameError::OtherVersion`] or [`FrameError::Malformed`]; bytes behind the message are malformed too.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, FrameError> {
    let (&version, body) = bytes.split_first().ok_or(FrameError::BadLength)?;
    if version != VERSION {
        return Err(FrameError::OtherVersion);
    }
    match postcard::take_from_bytes(body) {
        Ok((message, [])) => Ok(message),
        Ok(_) | Err(_) => Err(FrameError::Malformed),
    }
}

/// Sends a message; all of it must be taken by `deadline`.
///
/// # Errors
/// It is too long, took too long, or was not taken.
pub fn send<T: Serialize>(stream: &UnixStream, message: &T, deadline: Instant) -> Result<(), FrameError> {
    let frame = encode(message)?;
    let mut rest = frame.as_slice();
    while !rest.is_empty() {
        stream.set_write_timeout(Some(time_left(deadline)?))?;
        // Not `write`: the host program of a login must not be killed by SIGPIPE.
        match send_some(stream.as_raw_fd(), rest, MsgFlags::MSG_NOSIGNAL) {
            Ok(sent) => rest = rest.get(sent..).unwrap_or_default(),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(io::Error::from(errno).into()),
        }
    }
    Ok(())
}

/// Receives a message; all of it must be there by `deadline`.
///
/// # Errors
/// It is too long (nothing of it is read then), took too long, or can't be understood.
pub fn receive<T: DeserializeOwned>(stream: &UnixStream, deadline: Instant) -> Result<T, FrameError> {
    let mut prefix = [0; LENGTH_BYTES];
    read_exact(stream, &mut prefix, deadline)?;
    let length = usize::try_from(u32::from_be_bytes(prefix)).unwrap_or(usize::MAX);
    if !(1..=MAX_BYTES).contains(&length) {
        return Err(FrameError::BadLength);
    }
    let mut bytes = Zeroizing::new(vec![0; length]);
    read_exact(stream, &mut bytes, deadline)?;
    decode(&bytes)
}

fn read_exact(mut stream: &UnixStream, mut buffer: &mut [u8], deadline: Instant) -> Result<(), FrameError> {
    while !buffer.is_empty() {
        stream.set_read_timeout(Some(time_left(deadline)?))?;
        match stream.read(buffer) {
            Ok(0) => return Err(FrameError::Closed),
            Ok(read) => buffer = buffer.get_mut(read..).unwrap_or_default(),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// What is left until `deadline`; never zero, which a socket would take for ever.
pub(crate) fn time_left(deadline: Instant) -> Result<Duration, FrameError> {
    match deadline.saturating_duration_since(Instant::now()) {
        Duration::ZERO => Err(FrameError::TimedOut),
        left => Ok(left.max(Duration::from_millis(1))),
    }
}
