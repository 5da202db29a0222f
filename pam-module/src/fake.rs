//! A program around a login, for tests: answers from a list and remembers what it was shown.

use std::collections::VecDeque;
use std::time::Duration;

use mfa_core::audit::Event;
use mfa_core::otp::{Generator, Profile};
use mfa_core::{Secret, Timestamp, UserName};
use zeroize::Zeroizing;

use crate::conversation::{AnswerBytes, ConversationFailed, Host, NotKept, Priority};
use crate::enrollment::Mark;
use crate::options::Echo;

/// What the person does at a prompt.
#[derive(Clone, Debug)]
pub(crate) enum Says {
    Text(Vec<u8>),
    /// Types the code that an app with the key that was shown last shows so many steps from now.
    Code(i64),
    /// Does something behind the login's back first.
    #[cfg(test)]
    After(fn(&Fake), Box<Self>),
}

/// What the system calls an account.
#[derive(Clone, Copy, Debug, Default)]
#[cfg_attr(
    not(test),
    expect(dead_code, reason = "the fuzz targets have accounts that are called as they are typed")
)]
pub(crate) enum Called {
    #[default]
    AsTyped,
    Otherwise(&'static str),
    /// It has no such account.
    Nothing,
}

#[derive(Default)]
pub(crate) struct Fake {
    pub(crate) user: Vec<u8>,
    pub(crate) service: Option<&'static str>,
    pub(crate) answers: VecDeque<Says>,
    pub(crate) remote_host: Vec<u8>,
    /// PAM_TTY.
    pub(crate) terminal: Option<&'static str>,
    pub(crate) password: Option<Vec<u8>>,
    pub(crate) prompts: Vec<(String, Echo)>,
    /// What was said to them.
    pub(crate) said: Vec<Vec<u8>>,
    pub(crate) told: Vec<String>,
    pub(crate) groups: Vec<&'static str>,
    pub(crate) called: Called,
    /// Who runs the program, as in su.
    pub(crate) asking: Option<&'static str>,
    pub(crate) mark: Option<Mark>,
    /// PAM has no room for marks.
    pub(crate) is_full: bool,
    pub(crate) pauses: usize,
    pub(crate) lines: Vec<String>,
    /// The time step in which everything happens, however long it takes.
    pub(crate) step: u64,
    /// A folder for what [`Says::After`] does.
    #[cfg(test)]
    pub(crate) folder: std::path::PathBuf,
}

impl Fake {
    pub(crate) fn user(name: impl AsRef<[u8]>) -> Self {
        let step = Timestamp::now().unix_seconds() / 30;
        let remote_host = b"192.0.2.1".to_vec();
        Self { user: name.as_ref().to_owned(), remote_host, step, ..Self::default() }
    }

    pub(crate) fn answering(self, answer: impl AsRef<[u8]>) -> Self {
        self.saying(Says::Text(answer.as_ref().to_owned()))
    }

    pub(crate) fn saying(mut self, says: Says) -> Self {
        self.answers.push_back(says);
        self
    }

    pub(crate) fn with_password(mut self, password: impl AsRef<[u8]>) -> Self {
        self.password = Some(password.as_ref().to_owned());
        self
    }

    /// The key in groups of four that a prompt showed last.
    pub(crate) fn key_shown(&self) -> Option<String> {
        let is_key = |line: &&str| {
            let groups: Vec<&str> = line.split(' ').collect();
            groups.len() == 8 && groups.iter().all(|group| group.len() == 4)
        };
        let prompts = self.prompts.iter().rev();
        prompts
            .flat_map(|(prompt, _)| prompt.lines())
            .map(str::trim)
            .find(is_key)
            .map(|key| key.replace(' ', ""))
    }

    /// The code that an app with that key shows so many steps from now; a guess, if no key was shown.
    pub(crate) fn code(&self, offset: i64) -> String {
        let shown = || {
            let seed = Secret::from_base32(&self.key_shown()?)?;
            let app = Generator::new(&seed, Profile::PLAIN.algorithm, Profile::PLAIN.digits);
            Some(app.code_at(self.step.checked_add_signed(offset)?).expose_text().to_string())
        };
        shown().unwrap_or_else(|| "000000".to_owned())
    }

    fn says(&self, says: Says) -> Vec<u8> {
        match says {
            Says::Text(text) => text,
            Says::Code(offset) => self.code(offset).into_bytes(),
            #[cfg(test)]
            Says::After(act, then) => {
                act(self);
                self.says(*then)
            }
        }
    }
}

impl Host for Fake {
    fn user(&mut self) -> Result<Vec<u8>, ConversationFailed> {
        Ok(self.user.clone())
    }
    fn known_user(&self) -> Option<Vec<u8>> {
        Some(self.user.clone())
    }
    fn service(&self) -> Option<Vec<u8>> {
        Some(self.service.unwrap_or("test").into())
    }
    fn remote_host(&self) -> Option<Vec<u8>> {
        Some(self.remote_host.clone())
    }
    fn asking_user(&self) -> Option<Vec<u8>> {
        self.asking.map(Into::into)
    }
    fn terminal(&self) -> Option<Vec<u8>> {
        self.terminal.map(Into::into)
    }
    fn completed_ssh_methods(&self) -> Vec<String> {
        Vec::new()
    }
    fn first_pass(&self) -> Option<AnswerBytes> {
        self.password.clone().map(Zeroizing::new)
    }
    fn set_password(&mut self, password: &[u8]) -> Result<(), ConversationFailed> {
        self.password = Some(password.to_owned());
        Ok(())
    }
    fn ask(&mut self, prompt: &str, echo: Echo) -> Result<AnswerBytes, ConversationFailed> {
        self.prompts.push((prompt.to_owned(), echo));
        let says = self.answers.pop_front().ok_or(ConversationFailed)?;
        let said = self.says(says);
        self.said.push(said.clone());
        Ok(Zeroizing::new(said))
    }
    fn tell_after_success(&mut self, text: &str) {
        self.told.push(text.to_owned());
    }
    fn module_path(&self) -> Option<std::path::PathBuf> {
        Some("/lib/security/pam_mfa.so".into())
    }
    fn account_name(&self, user: &UserName) -> Option<Vec<u8>> {
        match self.called {
            Called::AsTyped => Some(user.as_str().into()),
            Called::Otherwise(name) => Some(name.into()),
            Called::Nothing => None,
        }
    }
    fn is_member(&self, _: &UserName, group: &str) -> bool {
        self.groups.contains(&group)
    }
    fn set_mark(&mut self, mark: Option<Mark>) -> Result<(), NotKept> {
        if self.is_full {
            return Err(NotKept);
        }
        self.mark = mark;
        Ok(())
    }
    fn mark(&self) -> Option<Mark> {
        self.mark.clone()
    }
    fn delay_after_refusal(&mut self, _: Duration) {
        self.pauses = self.pauses.saturating_add(1);
    }
    fn log(&mut self, _: Priority, event: &Event) {
        self.lines.push(event.line());
    }
}
