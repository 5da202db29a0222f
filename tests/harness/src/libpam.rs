//! The real libpam, from an application's side. With `wall_clock` and `system_log` the only unsafe code here.

use std::ffi::{CStr, CString, c_char, c_int, c_uint, c_void};
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr::{null, null_mut};

/// A session with libpam, from `pam_start_confdir(3)` to `pam_end(3)`.
pub struct Handle {
    raw: *mut PamHandle,
    last: PamCode,
    /// What libpam has a pointer to: it must not move while the handle lives.
    conversation: *mut Box<dyn Conversation>,
}

/// The application's half of the talk with a module.
pub trait Conversation {
    /// One message of a module, and what the application says to it.
    fn answer(&mut self, style: Style, text: &[u8]) -> Reply;

    /// What libpam asks the application to wait after a failure: nothing waits here. (It calls after a success too, which does not wait.)
    fn delay(&mut self, microseconds: u32);
}

/// What an application can do with a message.
#[derive(Clone, Debug)]
pub enum Reply {
    /// Hand over these bytes.
    Text(Vec<u8>),
    /// Say PAM_SUCCESS, but hand over NULL.
    Null,
    /// Say PAM_CONV_ERR.
    Fail,
}

/// The kinds of messages, `<security/_pam_types.h>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Style {
    /// PAM_PROMPT_ECHO_OFF: a password.
    PromptEchoOff,
    /// PAM_PROMPT_ECHO_ON: shown while it is typed.
    PromptEchoOn,
    /// PAM_ERROR_MSG.
    Error,
    /// PAM_TEXT_INFO.
    Info,
    /// A number of none of them.
    Other(i32),
}

/// The functions of a module that an application can reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[expect(missing_docs, reason = "named as in libpam")]
pub enum Call {
    Authenticate,
    SetCredentials,
    AccountManagement,
    OpenSession,
    CloseSession,
    ChangeToken,
}

/// What an application can say about the login, pam_set_item(3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[expect(missing_docs, reason = "named as in libpam")]
pub enum Item {
    RemoteHost,
    RemoteUser,
    Terminal,
}

/// PAM_SILENT: no messages to the person.
pub const SILENT: i32 = 0x8000;
/// PAM_DISALLOW_NULL_AUTHTOK.
pub const DISALLOW_NULL_AUTHTOK: i32 = 0x0001;
/// PAM_ESTABLISH_CRED, the usual flag of pam_setcred(3).
pub const ESTABLISH_CRED: i32 = 0x0002;

/// What a function of libpam returned.
#[derive(Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct PamCode(pub i32);

#[expect(missing_docs, reason = "named as in libpam")]
impl PamCode {
    pub const SUCCESS: Self = Self(0);
    pub const SERVICE_ERR: Self = Self(3);
    pub const SYSTEM_ERR: Self = Self(4);
    pub const PERM_DENIED: Self = Self(6);
    pub const AUTH_ERR: Self = Self(7);
    pub const AUTHINFO_UNAVAIL: Self = Self(9);
    pub const USER_UNKNOWN: Self = Self(10);
    pub const CRED_ERR: Self = Self(17);
    pub const CONV_ERR: Self = Self(19);
    pub const IGNORE: Self = Self(25);
    pub const ABORT: Self = Self(26);
    pub const AUTHTOK_ERR: Self = Self(20);
}

impl fmt::Debug for PamCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // SAFETY: pam_strerror takes any number, does not use the handle, and returns a static string.
        let text = unsafe { CStr::from_ptr(pam_strerror(null_mut(), self.0)) };
        write!(f, "{} ({})", self.0, text.to_string_lossy())
    }
}

impl Handle {
    /// `pam_start_confdir(3)`: the stacks are the files of `confdir`, whatever /etc/pam.d says.
    pub fn start(
        confdir: &Path,
        service: &str,
        user: Option<&[u8]>,
        conversation: Box<dyn Conversation>,
    ) -> Result<Self, PamCode> {
        let confdir = CString::new(confdir.as_os_str().as_bytes()).expect("a path holds no NUL");
        let service = CString::new(service).expect("a service name holds no NUL");
        let user = user.map(|name| CString::new(name).expect("an application can't pass a name with NUL"));
        let conversation = Box::into_raw(Box::new(conversation));
        let pam_conv = PamConv { conv: Some(converse), appdata_ptr: conversation.cast() };
        let mut raw = null_mut();
        // SAFETY: all pointers are valid for the call; libpam copies the strings and `pam_conv`; what
        // `appdata_ptr` points to is freed by our Drop, after pam_end.
        let code = PamCode(unsafe {
            let user = user.as_ref().map_or(null(), |name| name.as_ptr());
            pam_start_confdir(service.as_ptr(), user, &raw const pam_conv, confdir.as_ptr(), &raw mut raw)
        });
        if code != PamCode::SUCCESS {
            // SAFETY: it came from Box::into_raw above, and libpam gave us no handle that could use it.
            drop(unsafe { Box::from_raw(conversation) });
            return Err(code);
        }
        let handle = Self { raw, last: PamCode::SUCCESS, conversation };
        #[expect(clippy::as_conversions, reason = "the one way from a function to a pointer")]
        handle.set(PAM_FAIL_DELAY, (delayed as DelayFunction as *const ()).cast());
        Ok(handle)
    }

    /// Calls one of the six functions of the stack.
    pub fn call(&mut self, call: Call, flags: i32) -> PamCode {
        let function = match call {
            Call::Authenticate => pam_authenticate,
            Call::SetCredentials => pam_setcred,
            Call::AccountManagement => pam_acct_mgmt,
            Call::OpenSession => pam_open_session,
            Call::CloseSession => pam_close_session,
            Call::ChangeToken => pam_chauthtok,
        };
        // SAFETY: `raw` is a live handle, used by one thread at a time (`&mut self`).
        self.last = PamCode(unsafe { function(self.raw, flags) });
        self.last
    }

    /// `pam_set_item(3)` with a string.
    pub fn set_item(&mut self, item: Item, value: &[u8]) {
        let value = CString::new(value).expect("an item holds no NUL");
        let number = match item {
            Item::RemoteHost => PAM_RHOST,
            Item::RemoteUser => PAM_RUSER,
            Item::Terminal => PAM_TTY,
        };
        self.set(number, value.as_ptr().cast());
    }

    /// `pam_putenv(3)` with `NAME=value`.
    pub fn put_environment(&mut self, assignment: &[u8]) {
        let assignment = CString::new(assignment).expect("an environment entry holds no NUL");
        // SAFETY: a live handle and a string that libpam copies.
        let code = PamCode(unsafe { pam_putenv(self.raw, assignment.as_ptr()) });
        assert_eq!(code, PamCode::SUCCESS, "pam_putenv({assignment:?})");
    }

    fn set(&self, item: c_int, value: *const c_void) {
        // SAFETY: a live handle; the items that are strings are copied, PAM_FAIL_DELAY is a function of ours.
        let code = PamCode(unsafe { pam_set_item(self.raw, item, value) });
        assert_eq!(code, PamCode::SUCCESS, "pam_set_item({item})");
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: `raw` came from pam_start_confdir and is ended once, here; the conversation came from
        // Box::into_raw and nothing uses it after pam_end.
        unsafe {
            pam_end(self.raw, self.last.0);
            drop(Box::from_raw(self.conversation));
        }
    }
}

/// The name of the locale this process is in, as `setlocale(LC_ALL, NULL)` has it.
pub fn locale() -> String {
    // SAFETY: a query; the string is copied before anything could change it.
    unsafe {
        let name = libc::setlocale(libc::LC_ALL, null());
        CStr::from_ptr(name).to_string_lossy().into_owned()
    }
}

/// What libpam calls with the messages of a module.
extern "C" fn converse(
    count: c_int,
    messages: *mut *const PamMessage,
    responses: *mut *mut PamResponse,
    application: *mut c_void,
) -> c_int {
    let count = usize::try_from(count).expect("libpam counts from 0");
    // SAFETY: `application` is what we gave pam_start_confdir, alive until pam_end; `messages` holds
    // `count` pointers (Linux-PAM's form); what we hand back is from calloc and strdup, as the module frees it.
    unsafe {
        let conversation = &mut *application.cast::<Box<dyn Conversation>>();
        let array: *mut PamResponse = libc::calloc(count, size_of::<PamResponse>()).cast();
        assert!(!array.is_null(), "out of memory");
        for index in 0..count {
            let message = &**messages.add(index);
            let text = CStr::from_ptr(message.text).to_bytes();
            match conversation.answer(Style::from(message.style), text) {
                Reply::Text(mut bytes) => {
                    assert!(!bytes.contains(&0), "an answer holds no NUL");
                    // The one copy is the module's, which has to wipe it: none is left here.
                    let text: *mut u8 = libc::calloc(bytes.len() + 1, 1).cast();
                    assert!(!text.is_null(), "out of memory");
                    text.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
                    std::hint::black_box(&mut bytes).fill(0);
                    std::hint::black_box(&bytes);
                    (*array.add(index)).text = text.cast();
                }
                Reply::Null => {}
                Reply::Fail => {
                    for earlier in 0..index {
                        libc::free((*array.add(earlier)).text.cast());
                    }
                    libc::free(array.cast());
                    return PamCode::CONV_ERR.0;
                }
            }
        }
        *responses = array;
    }
    PamCode::SUCCESS.0
}

/// What libpam calls instead of sleeping after a failure.
extern "C" fn delayed(result: c_int, microseconds: c_uint, application: *mut c_void) {
    if PamCode(result) == PamCode::SUCCESS {
        return;
    }
    // SAFETY: as in `converse`.
    let conversation = unsafe { &mut *application.cast::<Box<dyn Conversation>>() };
    conversation.delay(microseconds);
}

impl From<c_int> for Style {
    fn from(number: c_int) -> Self {
        match number {
            1 => Self::PromptEchoOff,
            2 => Self::PromptEchoOn,
            3 => Self::Error,
            4 => Self::Info,
            other => Self::Other(other),
        }
    }
}

type DelayFunction = extern "C" fn(c_int, c_uint, *mut c_void);
type ConversationFunction =
    extern "C" fn(c_int, *mut *const PamMessage, *mut *mut PamResponse, *mut c_void) -> c_int;

const PAM_TTY: c_int = 3;
const PAM_RHOST: c_int = 4;
const PAM_RUSER: c_int = 8;
const PAM_FAIL_DELAY: c_int = 10;

#[repr(C)]
struct PamHandle {
    opaque: [u8; 0],
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
    conv: Option<ConversationFunction>,
    appdata_ptr: *mut c_void,
}

#[link(name = "pam")]
unsafe extern "C" {
    fn pam_start_confdir(
        service: *const c_char,
        user: *const c_char,
        conversation: *const PamConv,
        confdir: *const c_char,
        handle: *mut *mut PamHandle,
    ) -> c_int;
    fn pam_end(handle: *mut PamHandle, status: c_int) -> c_int;
    fn pam_authenticate(handle: *mut PamHandle, flags: c_int) -> c_int;
    fn pam_setcred(handle: *mut PamHandle, flags: c_int) -> c_int;
    fn pam_acct_mgmt(handle: *mut PamHandle, flags: c_int) -> c_int;
    fn pam_open_session(handle: *mut PamHandle, flags: c_int) -> c_int;
    fn pam_close_session(handle: *mut PamHandle, flags: c_int) -> c_int;
    fn pam_chauthtok(handle: *mut PamHandle, flags: c_int) -> c_int;
    fn pam_set_item(handle: *mut PamHandle, item: c_int, value: *const c_void) -> c_int;
    fn pam_putenv(handle: *mut PamHandle, assignment: *const c_char) -> c_int;
    fn pam_strerror(handle: *mut PamHandle, code: c_int) -> *const c_char;
}
