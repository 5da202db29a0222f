//! libpam from an application's side: the only unsafe code of `mfad`.
//!
//! `pam-bindings` is made for modules and has no pam_start(3).

#![allow(unsafe_code, reason = "libpam is a C library")]

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::ptr::{null, null_mut};

use zeroize::Zeroizing;

// security/_pam_types.h
pub(crate) const SUCCESS: c_int = 0;
pub(crate) const PERM_DENIED: c_int = 6;
pub(crate) const AUTH_ERR: c_int = 7;
pub(crate) const USER_UNKNOWN: c_int = 10;
pub(crate) const MAXTRIES: c_int = 11;
const SYSTEM_ERR: c_int = 4;
const BUF_ERR: c_int = 5;
const CONV_ERR: c_int = 19;
const PROMPT_ECHO_OFF: c_int = 1;
const ERROR_MSG: c_int = 3;
const TEXT_INFO: c_int = 4;
const MAX_NUM_MSG: c_int = 32;
const ITEM_USER: c_int = 2;
const SILENT: c_int = 0x8000;
const DISALLOW_NULL_AUTHTOK: c_int = 0x0001;

/// Answers every prompt for something hidden with the password, and no other one.
pub(crate) struct PasswordOnly {
    password: Zeroizing<Vec<u8>>,
    has_asked: bool,
}

impl PasswordOnly {
    /// With this password, which holds no zero.
    pub(crate) fn new(password: &[u8]) -> Self {
        Self { password: Zeroizing::new(password.to_vec()), has_asked: false }
    }
}

/// A transaction of libpam, from pam_start(3) to pam_end(3).
pub(crate) struct Handle {
    raw: *mut c_void,
    last: c_int,
    /// libpam has a pointer to it until pam_end.
    conversation: *mut PasswordOnly,
}

impl Handle {
    /// Begins with the files in `folder`, or with the system's.
    ///
    /// # Errors
    /// libpam's number: see [`text`].
    pub(crate) fn start(
        folder: Option<&Path>,
        service: &CStr,
        user: &str,
        conversation: PasswordOnly,
    ) -> Result<Self, c_int> {
        let user = CString::new(user).map_err(|_| SYSTEM_ERR)?;
        let folder = folder.map(|folder| CString::new(folder.as_os_str().as_bytes()));
        let folder = folder.transpose().map_err(|_| SYSTEM_ERR)?;
        let conversation = Box::into_raw(Box::new(conversation));
        let pam_conv = PamConv { conv: converse, appdata_ptr: conversation.cast() };
        let mut raw = null_mut();
        // SAFETY: all pointers are valid for the call; libpam copies the strings and `pam_conv`. What `appdata_ptr` points to is freed
        // by `drop`, after pam_end. A NULL folder is the same as pam_start(3).
        let code = unsafe {
            let folder = folder.as_ref().map_or(null(), |folder| folder.as_ptr());
            pam_start_confdir(service.as_ptr(), user.as_ptr(), &raw const pam_conv, folder, &raw mut raw)
        };
        if code != SUCCESS {
            // SAFETY: it came from Box::into_raw above, and libpam gave out no handle that could use it.
            drop(unsafe { Box::from_raw(conversation) });
            return Err(code);
        }
        Ok(Self { raw, last: SUCCESS, conversation })
    }

    /// pam_authenticate(3); an empty password is none.
    pub(crate) fn authenticate(&mut self) -> c_int {
        // SAFETY: `raw` is a live handle.
        self.last = unsafe { pam_authenticate(self.raw, SILENT | DISALLOW_NULL_AUTHTOK) };
        self.last
    }

    /// pam_acct_mgmt(3).
    pub(crate) fn account(&mut self) -> c_int {
        // SAFETY: `raw` is a live handle.
        self.last = unsafe { pam_acct_mgmt(self.raw, SILENT | DISALLOW_NULL_AUTHTOK) };
        self.last
    }

    /// Whether the password was asked for.
    pub(crate) fn has_asked(&self) -> bool {
        // SAFETY: it came from Box::into_raw, is freed by `drop` alone, and libpam uses it inside of its functions only.
        unsafe { (*self.conversation).has_asked }
    }

    /// The user as libpam has it now.
    pub(crate) fn user(&self) -> Option<Vec<u8>> {
        let mut item = null();
        // SAFETY: `raw` is a live handle; PAM_USER is a string of libpam's own, which is copied before anything can change it.
        unsafe {
            let code = pam_get_item(self.raw, ITEM_USER, &raw mut item);
            (code == SUCCESS && !item.is_null()).then(|| CStr::from_ptr(item.cast()).to_bytes().to_vec())
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: `raw` came from pam_start_confdir and is ended once, here; nothing uses the conversation after that.
        unsafe {
            pam_end(self.raw, self.last);
            drop(Box::from_raw(self.conversation));
        }
    }
}

/// What a number of libpam's means, pam_strerror(3).
pub(crate) fn text(code: c_int) -> String {
    // SAFETY: pam_strerror takes any number, does not use the handle, and returns a static string.
    unsafe { CStr::from_ptr(pam_strerror(null_mut(), code)).to_string_lossy().into_owned() }
}

/// What libpam calls with the messages of a module: pam_conv(3).
unsafe extern "C" fn converse(
    number: c_int,
    messages: *mut *const PamMessage,
    responses: *mut *mut PamResponse,
    appdata: *mut c_void,
) -> c_int {
    let Ok(count) = usize::try_from(number) else { return CONV_ERR };
    if count == 0 || number > MAX_NUM_MSG || messages.is_null() || responses.is_null() || appdata.is_null() {
        return CONV_ERR;
    }
    // SAFETY: `appdata` is the box of `start`, used by nothing else while libpam is called; `messages` points to `count` pointers to
    // messages (Linux-PAM's layout); the responses are allocated by malloc(3), as libpam frees them.
    unsafe {
        let conversation = &mut *appdata.cast::<PasswordOnly>();
        let answers = libc::calloc(count, size_of::<PamResponse>()).cast::<PamResponse>();
        if answers.is_null() {
            return BUF_ERR;
        }
        for at in 0..count {
            let style = (**messages.add(at)).style;
            match style {
                PROMPT_ECHO_OFF => {
                    let copy = copied(&conversation.password);
                    if copy.is_null() {
                        forget(answers, count);
                        return BUF_ERR;
                    }
                    conversation.has_asked = true;
                    (*answers.add(at)).text = copy;
                }
                ERROR_MSG | TEXT_INFO => {}
                // Nobody is there to type anything else.
                _ => {
                    forget(answers, count);
                    return CONV_ERR;
                }
            }
        }
        *responses = answers;
    }
    SUCCESS
}

/// A C string of these bytes, by malloc(3). NULL: no memory.
fn copied(bytes: &[u8]) -> *mut c_char {
    // SAFETY: the new memory has room for the bytes and a zero, which calloc(3) has put there.
    unsafe {
        let copy = libc::calloc(bytes.len().saturating_add(1), 1).cast::<u8>();
        if !copy.is_null() {
            copy.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
        }
        copy.cast()
    }
}

/// Wipes and frees responses that are not handed over.
///
/// # Safety
/// `answers` are `count` responses, each with NULL or a string, all by malloc(3) and used by nobody else.
unsafe fn forget(answers: *mut PamResponse, count: usize) {
    // SAFETY: as the caller has promised.
    unsafe {
        for at in 0..count {
            let text = (*answers.add(at)).text;
            if !text.is_null() {
                libc::explicit_bzero(text.cast(), libc::strlen(text));
                libc::free(text.cast());
            }
        }
        libc::free(answers.cast());
    }
}

#[repr(C)]
struct PamMessage {
    style: c_int,
    text: *const c_char,
}

#[repr(C)]
struct PamResponse {
    text: *mut c_char,
    unused: c_int,
}

#[repr(C)]
struct PamConv {
    conv: unsafe extern "C" fn(c_int, *mut *const PamMessage, *mut *mut PamResponse, *mut c_void) -> c_int,
    appdata_ptr: *mut c_void,
}

#[link(name = "pam")]
unsafe extern "C" {
    fn pam_start_confdir(
        service: *const c_char,
        user: *const c_char,
        conversation: *const PamConv,
        folder: *const c_char,
        handle: *mut *mut c_void,
    ) -> c_int;
    fn pam_end(handle: *mut c_void, status: c_int) -> c_int;
    fn pam_authenticate(handle: *mut c_void, flags: c_int) -> c_int;
    fn pam_acct_mgmt(handle: *mut c_void, flags: c_int) -> c_int;
    fn pam_get_item(handle: *const c_void, item: c_int, value: *mut *const c_void) -> c_int;
    fn pam_strerror(handle: *mut c_void, code: c_int) -> *const c_char;
}
