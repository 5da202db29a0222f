//! The words after `pam_mfa.so` in a PAM file.

use std::ffi::{CStr, OsStr};
use std::fmt;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

/// What the administrator asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Options {
    /// Another store than the host's own.
    pub(crate) store: Option<PathBuf>,
    /// The policy file.
    pub(crate) policy: PathBuf,
    /// Another socket of mfad than the host's own.
    pub(crate) socket: Option<PathBuf>,
    /// Another folder of PAM files than the system's.
    pub(crate) pam_dir: Option<PathBuf>,
    /// The prompt; none: the default, which differs where the password is asked for too.
    pub(crate) prompt: Option<String>,
    pub(crate) echo: Echo,
    pub(crate) debug: Debug,
    pub(crate) first_pass: FirstPass,
    pub(crate) forward_pass: ForwardPass,
    pub(crate) delay: Delay,
}

/// Whether the code is shown while it is typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Echo {
    /// The default: sshd's `password` method would answer a hidden prompt with the password.
    On,
    Off,
}

/// Whether the log says how a decision came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Debug {
    Off,
    On,
}

/// What to do with a password that an earlier module or the program has already got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FirstPass {
    /// Leave it alone and ask.
    Ask,
    /// Look for a code at its end, ask if there is none or it is refused.
    Try,
    /// Look for a code at its end, never ask.
    Use,
}

/// Whether what stands before the code is handed to the next module as the password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ForwardPass {
    No,
    Yes,
}

/// Whether a refusal asks PAM for a pause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Delay {
    OnRefusal,
    None,
}

/// Refuses every login: an option that is not understood was meant to do something, and a typing error must not weaken a login.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum BadOption {
    Unknown(Vec<u8>),
    Repeated(&'static str),
    Malformed { option: &'static str, must: &'static str },
    Contradiction,
}

impl fmt::Display for BadOption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(option) => write!(f, "unknown option {}", String::from_utf8_lossy(option)),
            Self::Repeated(option) => write!(f, "option {option} stands twice"),
            Self::Malformed { option, must } => write!(f, "option {option} must {must}"),
            Self::Contradiction => f.write_str("try_first_pass and use_first_pass exclude each other"),
        }
    }
}

/// The longest prompt in bytes: PAM_MAX_MSG_SIZE of Linux-PAM with its final zero.
const MAX_PROMPT_BYTES: usize = 511;

impl Options {
    pub(crate) fn parse(arguments: &[&CStr]) -> Result<Self, BadOption> {
        let mut found = Found::default();
        for argument in arguments {
            found.take(argument.to_bytes())?;
        }
        Ok(Self {
            store: found.store,
            policy: found.policy.unwrap_or_else(|| Path::new("/etc/pam-mfa/policy.toml").to_owned()),
            socket: found.socket,
            pam_dir: found.pam_dir,
            prompt: found.prompt,
            echo: found.echo.unwrap_or(Echo::On),
            debug: found.debug.unwrap_or(Debug::Off),
            first_pass: found.first_pass.unwrap_or(FirstPass::Ask),
            forward_pass: found.forward_pass.unwrap_or(ForwardPass::No),
            delay: found.delay.unwrap_or(Delay::OnRefusal),
        })
    }
}

/// What was read so far; every option may stand once.
#[derive(Default)]
struct Found {
    store: Option<PathBuf>,
    policy: Option<PathBuf>,
    socket: Option<PathBuf>,
    pam_dir: Option<PathBuf>,
    prompt: Option<String>,
    echo: Option<Echo>,
    debug: Option<Debug>,
    first_pass: Option<FirstPass>,
    forward_pass: Option<ForwardPass>,
    delay: Option<Delay>,
}

impl Found {
    fn take(&mut self, argument: &[u8]) -> Result<(), BadOption> {
        let (name, value) = match argument.iter().position(|byte| *byte == b'=') {
            Some(at) => (argument.get(..at).unwrap_or_default(), argument.get(at.saturating_add(1)..)),
            None => (argument, None),
        };
        match (name, value) {
            (b"store", Some(path)) => once(&mut self.store, absolute("store=", path)?, "store="),
            (b"policy", Some(path)) => once(&mut self.policy, absolute("policy=", path)?, "policy="),
            (b"socket", Some(path)) => once(&mut self.socket, absolute("socket=", path)?, "socket="),
            (b"pam_dir", Some(path)) => once(&mut self.pam_dir, absolute("pam_dir=", path)?, "pam_dir="),
            (b"prompt", Some(text)) => once(&mut self.prompt, prompt(text)?, "prompt="),
            (b"echo", Some(b"on")) => once(&mut self.echo, Echo::On, "echo="),
            (b"echo", Some(b"off")) => once(&mut self.echo, Echo::Off, "echo="),
            (b"echo", _) => Err(BadOption::Malformed { option: "echo=", must: "be on or off" }),
            (b"debug", None) => once(&mut self.debug, Debug::On, "debug"),
            (b"try_first_pass", None) => self.take_first_pass(FirstPass::Try, "try_first_pass"),
            (b"use_first_pass", None) => self.take_first_pass(FirstPass::Use, "use_first_pass"),
            (b"forward_pass", None) => once(&mut self.forward_pass, ForwardPass::Yes, "forward_pass"),
            (b"nodelay", None) => once(&mut self.delay, Delay::None, "nodelay"),
            #[cfg(feature = "panic-for-tests")]
            #[expect(clippy::panic, reason = "this is what the feature is for")]
            (b"panic_for_tests", None) => panic!("panic_for_tests"),
            _ => Err(BadOption::Unknown(argument.to_owned())),
        }
    }

    fn take_first_pass(&mut self, first_pass: FirstPass, name: &'static str) -> Result<(), BadOption> {
        if self.first_pass.is_some_and(|other| other != first_pass) {
            return Err(BadOption::Contradiction);
        }
        once(&mut self.first_pass, first_pass, name)
    }
}

fn once<T>(place: &mut Option<T>, value: T, name: &'static str) -> Result<(), BadOption> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(BadOption::Repeated(name)),
    }
}

fn absolute(option: &'static str, path: &[u8]) -> Result<PathBuf, BadOption> {
    let path = Path::new(OsStr::from_bytes(path));
    if path.is_absolute() {
        Ok(path.to_owned())
    } else {
        Err(BadOption::Malformed { option, must: "be an absolute path" })
    }
}

fn prompt(text: &[u8]) -> Result<String, BadOption> {
    let malformed = |must| BadOption::Malformed { option: "prompt=", must };
    let text = std::str::from_utf8(text).map_err(|_| malformed("be UTF-8"))?;
    if text.is_empty() || text.len() > MAX_PROMPT_BYTES {
        return Err(malformed("have 1 to 511 bytes"));
    }
    if text.chars().any(char::is_control) {
        return Err(malformed("hold no control characters"));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use std::ffi::CString;

    use super::*;

    fn parse(words: &[&str]) -> Result<Options, BadOption> {
        let words: Vec<CString> = words.iter().map(|word| CString::new(*word).unwrap()).collect();
        Options::parse(&words.iter().map(CString::as_c_str).collect::<Vec<_>>())
    }

    #[test]
    fn no_options_are_the_defaults() {
        let options = parse(&[]).unwrap();
        assert_eq!(options.policy, Path::new("/etc/pam-mfa/policy.toml"));
        assert_eq!(
            (
                options.store,
                options.socket,
                options.pam_dir,
                options.prompt,
                options.echo,
                options.debug,
                options.first_pass,
                options.forward_pass,
                options.delay
            ),
            (None, None, None, None, Echo::On, Debug::Off, FirstPass::Ask, ForwardPass::No, Delay::OnRefusal)
        );
    }

    #[test]
    fn every_option_is_understood() {
        let options = parse(&[
            "store=/s",
            "policy=/p",
            "socket=/r",
            "pam_dir=/d",
            "prompt=Code for a=b: ",
            "echo=off",
            "debug",
            "try_first_pass",
            "forward_pass",
            "nodelay",
        ])
        .unwrap();
        let expected = Options {
            store: Some("/s".into()),
            policy: "/p".into(),
            socket: Some("/r".into()),
            pam_dir: Some("/d".into()),
            prompt: Some("Code for a=b: ".into()),
            echo: Echo::Off,
            debug: Debug::On,
            first_pass: FirstPass::Try,
            forward_pass: ForwardPass::Yes,
            delay: Delay::None,
        };
        assert_eq!(options, expected);
        assert_eq!(parse(&["use_first_pass"]).unwrap().first_pass, FirstPass::Use);
        assert_eq!(parse(&["echo=on"]).unwrap().echo, Echo::On);
        assert!(parse(&[&format!("prompt={}", "x".repeat(511))]).is_ok());
    }

    #[test]
    fn every_option_is_in_the_manual_page_and_in_the_readme() {
        let page = include_str!("../../packaging/man/pam_mfa.8");
        let readme = include_str!("../../README.md");
        for option in [
            "store",
            "policy",
            "socket",
            "pam_dir",
            "prompt",
            "echo",
            "try_first_pass",
            "use_first_pass",
            "forward_pass",
            "nodelay",
            "debug",
        ] {
            assert!(page.contains(&format!(".It Cm {option}")), "{option} in the manual page");
            assert!(readme.contains(&format!("| `{option}")), "{option} in the README");
        }
        assert_eq!(page.matches(".It Cm ").count(), 11, "and nothing that the module does not know");
    }

    #[test]
    fn anything_else_refuses_every_login() {
        let long = format!("prompt={}", "x".repeat(512));
        for words in [
            &["nullok"][..],
            &["Debug"],
            &["debug=1"],
            &["echo"],
            &["echo="],
            &["echo=maybe"],
            &["store"],
            &["store="],
            &["store=relative"],
            &["policy=relative"],
            &["socket=relative"],
            &["socket"],
            &["pam_dir="],
            &["pam_dir=/a", "pam_dir=/b"],
            &["prompt="],
            &["prompt=a\x1b[0m"],
            &[&long],
            &["debug", "debug"],
            &["echo=on", "echo=off"],
            &["try_first_pass", "use_first_pass"],
            &["use_first_pass", "try_first_pass"],
            &["nodelay="],
            &[""],
            &["="],
            &["panic_for_tests"],
        ] {
            if cfg!(feature = "panic-for-tests") && words == ["panic_for_tests"] {
                continue;
            }
            assert!(parse(words).is_err(), "{words:?}");
        }
    }

    #[test]
    fn what_is_wrong_with_an_option_is_said() {
        let wrong = |words: &[&str]| parse(words).unwrap_err();
        assert!(matches!(wrong(&["echo=maybe"]), BadOption::Malformed { option: "echo=", .. }));
        assert!(matches!(wrong(&["try_first_pass", "use_first_pass"]), BadOption::Contradiction));
        assert!(matches!(
            wrong(&["try_first_pass", "try_first_pass"]),
            BadOption::Repeated("try_first_pass")
        ));
        assert!(matches!(wrong(&["nullok"]), BadOption::Unknown(_)));
    }
}
