//! A person's first login, by whatever client: the dialogue that leads to a device.

use mfa_test_screen::{Picture, Theme};

use crate::device::Device;
use crate::host::{Host, Login, PASSWORD, SSH_OPTIONS};
use crate::terminal::{Ended, Terminal};

/// What people log in with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Client {
    /// `ssh`.
    OpenSsh,
    /// `plink`, which is PuTTY on a terminal.
    Plink,
    /// A script on paramiko.
    Paramiko,
}

/// What letters the client's terminal has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Locale {
    /// All.
    Utf8,
    /// Those of ASCII.
    C,
}

impl Client {
    /// The command line of this client for `user`. Once in, it says so and leaves.
    pub fn command(self, locale: Locale, user: &str) -> String {
        let locale = match locale {
            Locale::Utf8 => "C.UTF-8",
            Locale::C => "C",
        };
        let client = match self {
            Self::OpenSsh => format!("ssh {SSH_OPTIONS} {user}@127.0.0.1"),
            Self::Plink => format!(
                "plink -ssh -hostkey \"$(ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub | cut -d \" \" -f 2)\" \
                 {user}@127.0.0.1"
            ),
            Self::Paramiko => format!("paramiko-client {user}"),
        };
        // Debian's plink and paramiko look for settings in the home folder.
        format!(
            "export LC_ALL={locale} HOME=/home/visitor; stty columns 80 rows 24; {client} 'echo in as $(id -un)'"
        )
    }
}

/// Somebody who has typed the password, and has no device.
#[derive(Debug)]
pub struct FirstLogin<'a> {
    host: &'a Host,
    user: String,
    terminal: Terminal,
    /// Whether the client wants one more Enter when everything is said.
    holds_at_the_end: bool,
}

impl Host {
    /// A first login by the client named, up to the key and the menu.
    pub fn first_login(&self, client: Client, locale: Locale, user: &str) -> FirstLogin<'_> {
        let terminal = self.terminal("visitor", &client.command(locale, user));
        terminal.wait_for("Password: ");
        let login = self.first_login_at(terminal, user);
        FirstLogin { holds_at_the_end: client == Client::Plink, ..login }
    }

    /// The same at a program of any kind that asks for the password now.
    pub fn first_login_at(&self, terminal: Terminal, user: &str) -> FirstLogin<'_> {
        terminal.type_line(PASSWORD);
        let login = FirstLogin { host: self, user: user.to_owned(), terminal, holds_at_the_end: false };
        login.wait_for_the_menu();
        let key = login.key();
        self.never_to_be_logged(&key);
        let groups: Vec<String> =
            key.as_bytes().chunks(4).map(|group| String::from_utf8_lossy(group).into_owned()).collect();
        self.never_to_be_logged(&groups.join(" "));
        login
    }
}

impl FirstLogin<'_> {
    /// Where it all happens.
    pub fn terminal(&self) -> &Terminal {
        &self.terminal
    }

    /// The key that the menu shows last, without blanks.
    pub fn key(&self) -> String {
        self.terminal.key()
    }

    /// Chooses a picture in the menu by this letter, and reads it from a terminal of 80 columns and this many rows: what the QR code says.
    pub fn scan(&self, letter: &str, rows: u16, theme: Theme) -> String {
        self.terminal.type_line(letter);
        self.terminal.wait_for("Enter: back): ");
        let screen = self.terminal.screen_of(80, rows);
        Picture::of_screen(&screen, theme)
            .decoded()
            .unwrap_or_else(|| panic!("no QR code can be read:\n{}", screen.contents()))
    }

    /// Goes back to the menu.
    pub fn back(&self) {
        self.terminal.type_line("");
        self.wait_for_the_menu();
    }

    /// An app with the key of the URI in the QR code.
    pub fn app(&self, uri: &str) -> Device {
        let secret = uri.split_once("secret=").and_then(|(_, rest)| rest.split('&').next());
        self.host.device_with_key(secret.unwrap_or_else(|| panic!("no key in {uri}")))
    }

    /// An app into which the key on the screen was typed.
    pub fn app_by_hand(&self) -> Device {
        self.host.device_with_key(&self.key())
    }

    /// Types two codes of the app, and reads the recovery codes.
    pub fn prove(&self, app: &Device) -> Vec<String> {
        self.prove_by(&app.proof())
    }

    /// Types these two codes, and reads the recovery codes.
    pub fn prove_by(&self, [first, second]: &[String; 2]) -> Vec<String> {
        self.type_first(first);
        self.host.type_code(&self.terminal, second);
        self.read_recovery_codes()
    }

    /// Types a first code, up to the question for the second.
    pub fn type_first(&self, code: &str) {
        self.host.type_code(&self.terminal, code);
        self.terminal.wait_for("The next code (Enter: back): ");
    }

    /// Waits for the recovery codes.
    pub fn read_recovery_codes(&self) -> Vec<String> {
        self.terminal.wait_for("Write them down, then press Enter: ");
        let text = self.terminal.text();
        let is_code = |word: &&str| {
            word.len() == 19
                && word.split('-').count() == 4
                && word.chars().all(|c| c == '-' || c.is_ascii_alphanumeric())
        };
        let codes: Vec<String> = text.split_whitespace().filter(is_code).map(str::to_owned).collect();
        assert_eq!(codes.len(), 10, "ten recovery codes:\n{text}");
        for code in &codes {
            self.host.never_to_be_logged(code);
        }
        codes
    }

    /// Presses Enter below the recovery codes and says how the login ended.
    pub fn finish(self) -> Login {
        self.terminal.type_line("");
        if self.holds_at_the_end {
            // A server can't fake that its questions are over.
            self.terminal.wait_for("Press Return to begin session.");
            self.terminal.type_line("");
        }
        self.outcome()
    }

    /// Says how the login ended.
    pub fn outcome(self) -> Login {
        self.host.outcome(self.terminal, &self.user)
    }

    /// Waits for the end of the client.
    pub fn end(self) -> Ended {
        self.terminal.end()
    }

    /// Leaves, whatever is asked.
    pub fn leave(self) {
        let ended = self.terminal.interrupt();
        assert!(!ended.screen.contains(&format!("in as {}", self.user)), "{}", ended.screen);
    }

    fn wait_for_the_menu(&self) {
        self.terminal.wait_for("Put this key into an authenticator app");
        self.terminal.wait_for("q      quit");
        self.terminal.wait_for("> ");
    }
}
