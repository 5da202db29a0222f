//! Who is at the other end of a connection: the kernel says so.

use std::os::unix::net::UnixStream;

use mfa_core::UserName;
use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use nix::unistd::{Uid, User};

/// What the kernel shows for a user of another user namespace that has no number in this one (`/proc/sys/kernel/overflowuid`).
const OVERFLOW_UID: u32 = 65_534;

/// The user that has connected, as of SO_PEERCRED in unix(7): the effective user at connect(2). None: the kernel does not say.
pub(crate) fn uid_of(client: &UnixStream) -> Option<u32> {
    getsockopt(client, PeerCredentials).ok().map(|credentials| credentials.uid())
}

/// The account of that number: the name that getpwuid(3) gives first. None: there is none, or it can't be anybody's.
pub(crate) fn account_of(uid: u32) -> Option<UserName> {
    if uid == OVERFLOW_UID {
        return None;
    }
    User::from_uid(Uid::from_raw(uid)).ok().flatten()?.name.parse().ok()
}
