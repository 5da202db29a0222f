//! The host program, reached through libpam: pam-bindings where it goes, and the few calls that it lacks.

use std::cell::Cell;
use std::ffi::{CStr, CString, OsStr, c_char, c_int, c_uint, c_void};
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;
use std::time::Duration;

use mfa_core::UserName;
use mfa_core::audit::Event;
use pam::constants::{PAM_PROMPT_ECHO_OFF, PAM_PROMPT_ECHO_ON, PAM_SILENT, PAM_TEXT_INFO, PamFlag};
use pam::conv::Conv;
use pam::items::{AuthTok, RHost, RUser, Service, Tty, User};
use pam::module::PamHandle;
use zeroize::{Zeroize as _, Zeroizing};

use crate::conversation::{AnswerBytes, ConversationFailed, Host, NotKept, Priority};
use crate::enrollment::Mark;
use crate::journal::{self, Phase};
use crate::options::Echo;

/// PAM_AUTHTOK of `security/_pam_types.h`; pam-bindings can read this item but not set it.
const PAM_AUTHTOK: c_int = 6;
const PAM_SUCCESS: c_int = 0;

// pam_getenv(3), pam_fail_delay(3), pam_set_item(3), pam_syslog(3); security/pam_modutil.h.
#[link(name = "pam")]
unsafe extern "C" {
    fn pam_getenv(handle: *mut PamHandle, name: *const c_char) -> *const c_char;
    fn pam_fail_delay(handle: *mut PamHandle, microseconds: c_uint) -> c_int;
    fn pam_set_item(handle: *mut PamHandle, item: c_int, value: *const c_void) -> c_int;
    fn pam_syslog(handle: *const PamHandle, priority: c_int, format: *const c_char, ...);
    fn pam_modutil_getpwnam(handle: *mut PamHandle, user: *const c_char) -> *const libc::passwd;
    fn pam_modutil_user_in_group_nam_nam(
        handle: *mut PamHandle,
        user: *const c_char,
        group: *const c_char,
    ) -> c_int;
}

/// The names of this module's data in PAM.
const WAITING: &str = "pam_mfa_waiting";
static MARK: &str = "pam_mfa_enroll";

/// A sentence that waits for the whole stack to succeed.
struct Waiting(Cell<Option<String>>);

/// One call of PAM to this module.
pub(crate) struct Pam<'a> {
    handle: &'a mut PamHandle,
    phase: Phase,
    flags: PamFlag,
}

impl<'a> Pam<'a> {
    pub(crate) fn new(handle: &'a mut PamHandle, phase: Phase, flags: PamFlag) -> Self {
        Self { handle, phase, flags }
    }

    fn environment(&self, name: &CStr) -> Option<Vec<u8>> {
        // SAFETY: the handle is PAM's own for the time of this call and is only read; the name ends with a zero. The result points into
        // PAM's environment, which nobody changes before it is copied here.
        unsafe {
            let handle: *const PamHandle = self.handle;
            let value = pam_getenv(handle.cast_mut(), name.as_ptr());
            (!value.is_null()).then(|| CStr::from_ptr(value).to_bytes().to_vec())
        }
    }

    /// Shows what a login left to be told, once, where the program wants to show anything (PAM_SILENT).
    pub(crate) fn tell_what_waited(&self) {
        // SAFETY: this name is set in one place, `tell_after_success`, and with this type.
        let waiting = unsafe { self.handle.get_data::<Waiting>(WAITING) };
        if let Ok(Some(text)) = waiting.map(|Waiting(text)| text.take())
            && self.flags & PAM_SILENT == 0
        {
            let _ = self.send(PAM_TEXT_INFO, &text);
        }
    }

    fn send(&self, style: c_int, text: &str) -> Result<Option<AnswerBytes>, ConversationFailed> {
        let conversation = self.handle.get_item::<Conv<'_>>().ok().flatten().ok_or(ConversationFailed)?;
        let answer = conversation.send(style, text).map_err(|_| ConversationFailed)?;
        Ok(answer.map(|answer| Zeroizing::new(answer.as_bytes().to_vec())))
    }
}

impl Host for Pam<'_> {
    fn user(&mut self) -> Result<Vec<u8>, ConversationFailed> {
        // pam-bindings refuses a name that is not UTF-8 after PAM has got it; the item has it all the same.
        let _ = self.handle.get_user(None);
        self.known_user().ok_or(ConversationFailed)
    }

    fn known_user(&self) -> Option<Vec<u8>> {
        let user = self.handle.get_item::<User<'_>>().ok().flatten()?;
        Some(user.to_bytes().to_vec()).filter(|user| !user.is_empty())
    }

    fn service(&self) -> Option<Vec<u8>> {
        self.handle.get_item::<Service<'_>>().ok().flatten().map(|item| item.to_bytes().to_vec())
    }

    fn remote_host(&self) -> Option<Vec<u8>> {
        self.handle.get_item::<RHost<'_>>().ok().flatten().map(|item| item.to_bytes().to_vec())
    }

    fn asking_user(&self) -> Option<Vec<u8>> {
        self.handle.get_item::<RUser<'_>>().ok().flatten().map(|item| item.to_bytes().to_vec())
    }

    fn terminal(&self) -> Option<Vec<u8>> {
        self.handle.get_item::<Tty<'_>>().ok().flatten().map(|item| item.to_bytes().to_vec())
    }

    /// `SSH_AUTH_INFO_0` has a line for each completed method, `publickey ssh-ed25519 AAAA..` (sshd_config(5), ExposeAuthInfo).
    fn completed_ssh_methods(&self) -> Vec<String> {
        if self.service().as_deref() != Some(b"sshd") {
            return Vec::new();
        }
        let lines = self.environment(c"SSH_AUTH_INFO_0").unwrap_or_default();
        String::from_utf8_lossy(&lines)
            .lines()
            .filter_map(|line| line.split(' ').next())
            .map(str::to_owned)
            .collect()
    }

    fn first_pass(&self) -> Option<AnswerBytes> {
        let password = self.handle.get_item::<AuthTok<'_>>().ok().flatten()?;
        Some(Zeroizing::new(password.as_bytes().to_vec())).filter(|password| !password.is_empty())
    }

    fn set_password(&mut self, password: &[u8]) -> Result<(), ConversationFailed> {
        let mut text = CString::new(password).map_err(|_| ConversationFailed)?.into_bytes_with_nul();
        // SAFETY: the handle is PAM's own for the time of this call; the value ends with a zero, and PAM copies it.
        let result = unsafe { pam_set_item(self.handle, PAM_AUTHTOK, text.as_ptr().cast()) };
        text.zeroize();
        if result == PAM_SUCCESS { Ok(()) } else { Err(ConversationFailed) }
    }

    fn ask(&mut self, prompt: &str, echo: Echo) -> Result<AnswerBytes, ConversationFailed> {
        let style = match echo {
            Echo::On => PAM_PROMPT_ECHO_ON,
            Echo::Off => PAM_PROMPT_ECHO_OFF,
        };
        self.send(style, prompt)?.ok_or(ConversationFailed)
    }

    fn tell_after_success(&mut self, text: &str) {
        let waiting = Box::new(Waiting(Cell::new(Some(text.to_owned()))));
        // If PAM has no memory for it, the sentence is lost and nothing else.
        let _ = self.handle.set_data(WAITING, waiting);
    }

    fn module_path(&self) -> Option<PathBuf> {
        // SAFETY: all zeros is a valid Dl_info; dladdr(3) reads its first argument as a number and fills the second; the name it gives
        // belongs to the loader and stays as long as this code is loaded.
        unsafe {
            let mut found: libc::Dl_info = std::mem::zeroed();
            if libc::dladdr((&raw const MARK).cast(), &raw mut found) == 0 || found.dli_fname.is_null() {
                return None;
            }
            Some(OsStr::from_bytes(CStr::from_ptr(found.dli_fname).to_bytes()).into())
        }
    }

    fn account_name(&self, user: &UserName) -> Option<Vec<u8>> {
        let user = CString::new(user.as_str()).ok()?;
        let handle: *const PamHandle = self.handle;
        // SAFETY: the handle is PAM's own for the time of this call; the name ends with a zero and is only read. What is found belongs to
        // the handle and is copied here. Thread-safe, unlike getpwnam(3).
        unsafe {
            let entry = pam_modutil_getpwnam(handle.cast_mut(), user.as_ptr()).as_ref()?;
            (!entry.pw_name.is_null()).then(|| CStr::from_ptr(entry.pw_name).to_bytes().to_vec())
        }
    }

    fn is_member(&self, user: &UserName, group: &str) -> bool {
        let (Ok(user), Ok(group)) = (CString::new(user.as_str()), CString::new(group)) else { return false };
        let handle: *const PamHandle = self.handle;
        // SAFETY: the handle is PAM's own for the time of this call; both names end with a zero and are only read.
        // Thread-safe, unlike getgrnam(3): what it finds belongs to the handle.
        unsafe { pam_modutil_user_in_group_nam_nam(handle.cast_mut(), user.as_ptr(), group.as_ptr()) == 1 }
    }

    fn set_mark(&mut self, mark: Option<Mark>) -> Result<(), NotKept> {
        self.handle.set_data(MARK, Box::new(mark)).map_err(|_| NotKept)
    }

    fn mark(&self) -> Option<Mark> {
        // SAFETY: this name is set in one place, `set_mark`, and with this type.
        unsafe { self.handle.get_data::<Option<Mark>>(MARK) }.ok().cloned().flatten()
    }

    fn delay_after_refusal(&mut self, pause: Duration) {
        let microseconds = c_uint::try_from(pause.as_micros()).unwrap_or(c_uint::MAX);
        // SAFETY: the handle is PAM's own for the time of this call. Whether PAM takes the request changes nothing here.
        unsafe {
            pam_fail_delay(self.handle, microseconds);
        }
    }

    fn log(&mut self, priority: Priority, event: &Event) {
        let service = self.service().unwrap_or_default();
        if journal::send(priority, &service, self.phase, event).is_ok() {
            return;
        }
        let Ok(line) = CString::new(event.line()) else { return };
        // SAFETY: the handle is PAM's own for the time of this call; the format takes one string, which ends with a zero.
        // pam_syslog adds `pam_mfa(sshd:auth): ` and the facility AUTHPRIV, and leaves the program's own openlog alone.
        unsafe {
            pam_syslog(self.handle, journal::syslog_priority(priority), c"%s".as_ptr(), line.as_ptr());
        }
    }
}
