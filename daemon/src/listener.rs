//! The socket: from systemd, or made here.

use std::fs::{self, DirBuilder, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt as _, FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use listenfd::ListenFd;
use mfa_cli::Failure;
use mfa_wire::SOCKET;

/// The listening socket that `path` names, or else the one that systemd hands over (sd_listen_fds(3)).
///
/// # Errors
/// There is none, or somebody else listens there.
pub(crate) fn listener(path: Option<&Path>) -> Result<UnixListener, Failure> {
    match path {
        Some(path) => bound(path),
        None => handed_over(),
    }
}

fn handed_over() -> Result<UnixListener, Failure> {
    match ListenFd::from_env().take_unix_listener(0) {
        Ok(Some(listener)) => Ok(listener),
        Ok(None) => Err(Failure::usage(
            "systemd has handed over no socket",
            format!("start it by: systemctl start mfad.socket; without systemd: mfad --listen {SOCKET}"),
        )),
        Err(error) => Err(Failure::refused(
            format!("what systemd has handed over is no socket to listen at: {error}"),
            "see ListenStream in mfad.socket",
        )),
    }
}

/// A socket that everybody may connect to; who it is, the kernel says.
fn bound(path: &Path) -> Result<UnixListener, Failure> {
    let failed = |error: std::io::Error| {
        Failure::refused(
            format!("can't listen at {}: {error}", path.display()),
            "it must be in a folder that this user may write to",
        )
    };
    if path == Path::new(SOCKET)
        && let Some(folder) = path.parent()
    {
        // Gone with each reboot. It stays root's: logins keep states below it while the store can't be written.
        match DirBuilder::new().mode(0o755).create(folder) {
            Ok(()) => fs::set_permissions(folder, Permissions::from_mode(0o755)).map_err(failed)?,
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(failed(error)),
        }
    }
    remove_left_over(path)?;
    let listener = UnixListener::bind(path).map_err(failed)?;
    fs::set_permissions(path, Permissions::from_mode(0o666)).map_err(failed)?;
    Ok(listener)
}

/// Removes the socket of a daemon that has ended. Nothing else is removed.
fn remove_left_over(path: &Path) -> Result<(), Failure> {
    let Ok(status) = path.symlink_metadata() else { return Ok(()) };
    let is_dead = status.file_type().is_socket()
        && UnixStream::connect(path).is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused);
    if !is_dead {
        let what = if status.file_type().is_socket() { "somebody listens there" } else { "there is a file" };
        return Err(Failure::refused(
            format!("can't listen at {}: {what} already", path.display()),
            "stop the other mfad first, or choose another path",
        ));
    }
    fs::remove_file(path).map_err(|error| {
        Failure::refused(format!("can't remove {}: {error}", path.display()), "remove it by hand")
    })
}
