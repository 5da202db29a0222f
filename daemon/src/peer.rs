//! Who is at the other end of a connection: the kernel says so.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixStream};

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

/// What a socket is called: its path, or `@` and its name in the abstract namespace. None: it has no name.
pub(crate) fn name_of(address: &SocketAddr) -> Option<OsString> {
    use std::os::linux::net::SocketAddrExt as _;
    let abstract_name = || {
        let name = address.as_abstract_name().filter(|name| !name.is_empty())?;
        let mut text = OsString::from("@");
        text.push(OsStr::from_bytes(name));
        Some(text)
    };
    address.as_pathname().map(|path| path.as_os_str().to_owned()).or_else(abstract_name)
}

/// Whether somebody has connected to the socket called `socket` and is at the other end of `client`.
///
/// For a connection that was made *from* here, the kernel names whoever listens there: that is root for many a socket on a host, and proves
/// nothing. Such a connection goes to a socket with a name, while who connects has none; and its own end has none, while a client's end here
/// has the name of the socket that it was accepted from.
pub(crate) fn has_connected_to(client: &UnixStream, socket: &OsStr) -> bool {
    let is_accepted =
        client.local_addr().ok().and_then(|address| name_of(&address)).as_deref() == Some(socket);
    is_accepted && client.peer_addr().is_ok_and(|address| address.is_unnamed())
}
