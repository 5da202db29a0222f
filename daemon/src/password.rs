//! The worker's side of a password check: hands the client to the monitor, and the password to whom the monitor starts for it.

use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use mfa_core::UserName;
use mfa_wire::{Password, frame};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};
use serde::{Deserialize, Serialize};

/// How long a check may take: PAM pauses for about two seconds after a wrong password, and may have to ask a directory.
pub(crate) const PATIENCE: Duration = Duration::from_secs(25);

/// A password to be checked.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Check {
    /// Whose it should be. It must be the client's own account.
    pub(crate) user: UserName,
    /// The password.
    pub(crate) password: Password,
}

/// What PAM says of a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Finding {
    /// It is the account's, and the account is open.
    Right,
    /// It is not.
    Wrong,
    /// It is, but the account is closed: it, or its password, has expired.
    Closed,
    /// PAM can't say. The log of the checker has the reason.
    Unknown,
}

/// Asks whether this is the password of `user`, who is at the other end of `client`.
///
/// None: nobody checks passwords now, or it took too long.
pub(crate) fn check(
    monitor: BorrowedFd<'_>,
    client: &UnixStream,
    user: &UserName,
    password: &Password,
) -> Option<Finding> {
    let deadline = Instant::now().checked_add(PATIENCE)?;
    let (mine, theirs) = UnixStream::pair().ok()?;
    ask_for_a_checker(monitor, &theirs, client).ok()?;
    // Ours alone now: a checker that ends is noticed at once.
    drop(theirs);
    let check = Check { user: user.clone(), password: password.clone() };
    frame::send(&mine, &check, deadline).ok()?;
    frame::receive(&mine, deadline).ok()
}

fn ask_for_a_checker(
    monitor: BorrowedFd<'_>,
    way: &UnixStream,
    client: &UnixStream,
) -> rustix::io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
    let mut descriptors = SendAncillaryBuffer::new(&mut space);
    let both = [way.as_fd(), client.as_fd()];
    descriptors.push(SendAncillaryMessage::ScmRights(&both));
    // A message needs a byte. Not waiting: a monitor that does not keep up starts no checker.
    let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
    sendmsg(monitor, &[IoSlice::new(b"p")], &mut descriptors, flags).map(|_| ())
}

/// What the worker sends to the monitor.
pub(crate) enum Wanted {
    /// A checker, for the worker at the other end of the first and the client at the other end of the second.
    Checker(OwnedFd, OwnedFd),
    /// Nothing that makes sense.
    Nonsense,
    /// Nothing any more: the worker has ended.
    Nothing,
}

/// The monitor's side: waits for what the worker wants.
pub(crate) fn wanted(worker: impl AsFd) -> rustix::io::Result<Wanted> {
    let mut byte = [0; 1];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
    let mut received = RecvAncillaryBuffer::new(&mut space);
    let message =
        recvmsg(worker, &mut [std::io::IoSliceMut::new(&mut byte)], &mut received, RecvFlags::CMSG_CLOEXEC)?;
    let mut descriptors = Vec::new();
    for message in received.drain() {
        // Credentials were not asked for.
        if let RecvAncillaryMessage::ScmRights(more) = message {
            descriptors.extend(more);
        }
    }
    let mut descriptors = descriptors.into_iter();
    if message.bytes == 0 {
        return Ok(Wanted::Nothing);
    }
    Ok(match (descriptors.next(), descriptors.next(), descriptors.next()) {
        (Some(way), Some(client), None) => Wanted::Checker(way, client),
        _ => Wanted::Nonsense,
    })
}
