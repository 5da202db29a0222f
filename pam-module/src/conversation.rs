//! What a login needs of the program it runs in: real PAM, or a fake one in a test.

use mfa_core::UserName;
use zeroize::Zeroizing;

use crate::enrollment::Mark;

/// An answer as bytes that wipe themselves.
pub(crate) type AnswerBytes = Zeroizing<Vec<u8>>;

/// The program around a login.
pub(crate) trait Host {
    /// PAM_USER, asked for by PAM itself if the program did not set it. The bytes are whatever a client sent.
    fn user(&mut self) -> Result<Vec<u8>, ConversationFailed>;

    /// PAM_USER, if it is set; never asks.
    fn known_user(&self) -> Option<Vec<u8>>;

    /// PAM_SERVICE.
    fn service(&self) -> Option<Vec<u8>>;

    /// PAM_RHOST.
    fn remote_host(&self) -> Option<Vec<u8>>;

    /// PAM_RUSER: who asks, where that is somebody else, as in su.
    fn asking_user(&self) -> Option<Vec<u8>>;

    /// PAM_TTY.
    fn terminal(&self) -> Option<Vec<u8>>;

    /// The methods that this ssh connection has completed, `publickey`, in order; nothing outside sshd.
    fn completed_ssh_methods(&self) -> Vec<String>;

    /// PAM_AUTHTOK: the password, if a module or the program has asked for it.
    fn first_pass(&self) -> Option<AnswerBytes>;

    /// Sets PAM_AUTHTOK for the modules that follow.
    fn set_password(&mut self, password: &[u8]) -> Result<(), ConversationFailed>;

    /// Shows a prompt and waits for the answer, as long as it takes.
    fn ask(&mut self, prompt: &str, echo: crate::options::Echo) -> Result<AnswerBytes, ConversationFailed>;

    /// Shows a sentence when the whole stack has succeeded: before that it would tell a thief of the code that it was right. If it can't
    /// be shown, that changes nothing.
    fn tell_after_success(&mut self, text: &str);

    /// The file that this module was loaded from.
    fn module_path(&self) -> Option<std::path::PathBuf>;

    /// What the system calls the account of `user` (getpwnam(3)): with some sources of accounts one has many names. None: there is no such
    /// account. May ask other hosts.
    fn account_name(&self, user: &UserName) -> Option<Vec<u8>>;

    /// Whether `user` is in `group`. May ask other hosts.
    fn is_member(&self, user: &UserName, group: &str) -> bool;

    /// Leaves a mark for the account phase of this login. If that fails the login must not go on.
    fn set_mark(&mut self, mark: Option<Mark>) -> Result<(), NotKept>;

    /// The mark that was left in this login, if any.
    fn mark(&self) -> Option<Mark>;

    /// Asks PAM to pause before the program learns of a refusal, by whichever module. Never sleeps.
    fn delay_after_refusal(&mut self, pause: std::time::Duration);

    /// Writes to the log. If it can't be written, that changes nothing.
    fn log(&mut self, priority: Priority, event: &mfa_core::audit::Event);
}

/// There was no answer: the person left, or the program can't ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ConversationFailed;

/// PAM had no room for a mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotKept;

/// syslog's priorities, as the module writer's guide assigns them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Priority {
    /// Damaged records or policy.
    Alert,
    /// Something is used up: memory, descriptors, the disk.
    Critical,
    /// The module can't do its work: a bad option, a missing store.
    Error,
    /// A refusal.
    Notice,
    /// An acceptance.
    Info,
    /// Only with the option `debug`.
    Debug,
}
