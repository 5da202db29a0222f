//! Showing a key: the QR code, the letters, and what to do with them.

use std::path::{Path, PathBuf};

use mfa_cli::{Charset, Failure, Output, profile_text, wrapped};
use mfa_core::devices::DeviceName;
use mfa_core::otp::{MovingFactor, Profile};
use mfa_core::otpauth;
use mfa_core::request::PendingEnrollment;
use zeroize::Zeroizing;

use crate::account::Account;
use crate::cli::{PictureFormat, QrChoice};
use crate::layout::{beside, grouped};
use crate::qr::{Drawing, Paint, PictureFile, Qr};

/// The columns that the instructions need beside a QR code.
const INSTRUCTION_COLUMNS: usize = 36;

/// The rows below a QR code: the seconds left, and the prompt.
const PROMPT_ROWS: usize = 2;

/// What to do where there is no picture.
const TYPE_KEY: &str = "Type this key into an authenticator app:";

/// How a person gets to see the key.
pub(crate) struct Showing {
    qr: ShownQr,
    key: KeyText,
}

enum ShownQr {
    /// In half blocks or ASCII, if the terminal is large enough.
    IfItFits(Charset),
    /// In half blocks or ASCII.
    Drawn(Charset),
    /// Not at all: the URI instead.
    Uri,
    /// In a file.
    File(PictureFormat, PathBuf),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum KeyText {
    Shown,
    /// Standard output goes to a file or a log, and nobody asked for the key there.
    Hidden,
}

impl Showing {
    /// What the terminal can do, or what was asked for.
    ///
    /// # Errors
    /// The key would end up in a file or a log without anybody having asked for it.
    pub(crate) fn choose(output: &Output, choice: Option<&QrChoice>) -> Result<Self, Failure> {
        let key = if output.is_terminal() { KeyText::Shown } else { KeyText::Hidden };
        match choice {
            Some(QrChoice::File(format, path)) => Ok(Self { qr: ShownQr::File(*format, path.clone()), key }),
            Some(QrChoice::Utf8) => Ok(Self { qr: ShownQr::Drawn(Charset::Utf8), key: KeyText::Shown }),
            Some(QrChoice::Ascii) => Ok(Self { qr: ShownQr::Drawn(Charset::Ascii), key: KeyText::Shown }),
            Some(QrChoice::None) => Ok(Self { qr: ShownQr::Uri, key: KeyText::Shown }),
            Some(QrChoice::Auto) => Ok(Self::as_agreed(output)),
            None if output.is_terminal() => Ok(Self::as_agreed(output)),
            None => Err(Failure::usage(
                "standard output is no terminal: the key would end up in a file or a log",
                "for a program: add --json; to have it shown all the same: --qr utf8, ascii, none or png:FILE",
            )),
        }
    }

    /// What the terminal can do; where there is none, somebody has agreed to it.
    pub(crate) fn as_agreed(output: &Output) -> Self {
        Self { qr: ShownQr::IfItFits(output.charset()), key: KeyText::Shown }
    }

    /// A new file for the picture, if there is to be one.
    pub(crate) fn picture_file(&self) -> Result<Option<PictureFile>, Failure> {
        match &self.qr {
            ShownQr::File(format, path) => PictureFile::create(path, *format).map(Some),
            ShownQr::IfItFits(_) | ShownQr::Drawn(_) | ShownQr::Uri => Ok(None),
        }
    }

    /// Where the picture is, if there is one.
    pub(crate) fn picture_path(&self) -> Option<&Path> {
        match &self.qr {
            ShownQr::File(_, path) => Some(path),
            ShownQr::IfItFits(_) | ShownQr::Drawn(_) | ShownQr::Uri => None,
        }
    }

    /// Whether secrets may be printed.
    pub(crate) fn shows_secrets(&self) -> bool {
        self.key == KeyText::Shown
    }

    /// Shows key and QR code, and what to do with them.
    pub(crate) fn show(
        &self,
        account: &Account,
        output: &Output,
        pending: &PendingEnrollment,
        replaces: Option<&DeviceName>,
        issuer: &str,
        picture_file: Option<&PictureFile>,
    ) -> Result<(), Failure> {
        let uri = otpauth::uri(issuer, &account.user, pending.profile, &pending.seed);
        let qr = Qr::of(&uri)?;
        let title = title(account, &pending.name, replaces);
        let instructions = |how: &str, columns| instructions(&title, pending, how, self.key, columns);
        let drawing = match &self.qr {
            ShownQr::Drawn(charset) => drawn(&qr, *charset, output),
            ShownQr::IfItFits(charset) => {
                let drawing = drawn(&qr, *charset, output);
                match output.size().filter(|size| !fits(&drawing, *size)) {
                    None => drawing,
                    Some(size) => {
                        print(output, &instructions(TYPE_KEY, output.columns()))?;
                        return too_small(account, output, &drawing, size);
                    }
                }
            }
            ShownQr::Uri => {
                print(output, &instructions(TYPE_KEY, output.columns()))?;
                output.part("The same as a link: ")?;
                output.line(&uri)?;
                return output.line("");
            }
            ShownQr::File(_, path) => {
                if let Some(file) = picture_file {
                    file.draw(&qr)?;
                }
                let or_type = if self.shows_secrets() { ", or type this key into it:" } else { "." };
                let how = format!("Scan {} with an authenticator app{or_type}", path.display());
                return print(output, &instructions(&how, output.columns()));
            }
        };
        let how = "Scan this with an authenticator app, or type this key into it:";
        let room = output.columns().saturating_sub(drawing.columns.saturating_add(2));
        if output.is_terminal() && room >= INSTRUCTION_COLUMNS {
            let instructions: Vec<_> =
                instructions(how, room).iter().map(|line| output.printable(line)).collect();
            return output.as_is(&beside(&drawing.lines, drawing.columns, &instructions));
        }
        print(output, &instructions(how, output.columns()))?;
        output.as_is(&beside(&drawing.lines, drawing.columns, &[]))
    }
}

fn drawn(qr: &Qr, charset: Charset, output: &Output) -> Drawing {
    let paint = if output.has_colours() { Paint::Colours } else { Paint::OnDark };
    match charset {
        Charset::Utf8 => qr.half_blocks(paint),
        Charset::Ascii => qr.ascii(paint),
    }
}

/// `A new device for alice on server42: phone`
fn title(account: &Account, name: &DeviceName, replaces: Option<&DeviceName>) -> String {
    let new = format!("A new device for {}: {name}", account.on_host());
    match replaces {
        None => new,
        Some(old) if old == name => format!("{new}. The old one works until this one is proven."),
        Some(old) => format!("{new}, in place of {old}, which works until this one is proven."),
    }
}

/// What to do, in lines of at most `columns` columns.
fn instructions(
    title: &str,
    pending: &PendingEnrollment,
    how: &str,
    key: KeyText,
    columns: usize,
) -> Vec<Zeroizing<String>> {
    let mut lines = Vec::new();
    let mut paragraph = |text: &str| {
        lines.extend(wrapped(text, columns).into_iter().map(Zeroizing::new));
        lines.push(Zeroizing::default());
    };
    paragraph(title);
    if pending.profile != Profile::PLAIN {
        paragraph(&format!(
            "It makes codes by {}. Some apps take no notice of that; the codes will tell.",
            profile_text(pending.profile)
        ));
    }
    paragraph(&format!("1. {how}"));
    if key == KeyText::Shown {
        let groups_per_line = if columns < 60 { 4 } else { 8 };
        for group in grouped(&pending.seed.to_base32(), groups_per_line) {
            let mut line = Zeroizing::new(String::with_capacity(64));
            line.push_str("   ");
            line.push_str(&group);
            lines.push(line);
        }
        lines.push(Zeroizing::default());
    }
    let next = match pending.profile.moving_factor {
        MovingFactor::Time(_) => "2. Type the code that the app shows, and then the code that follows it.",
        MovingFactor::Counter(_) => "2. Let the app make a code and type it, and then the next one.",
    };
    lines.extend(wrapped(next, columns).into_iter().map(Zeroizing::new));
    lines.push(Zeroizing::default());
    lines
}

fn print(output: &Output, lines: &[Zeroizing<String>]) -> Result<(), Failure> {
    lines.iter().try_for_each(|line| output.line(line))
}

fn fits(drawing: &Drawing, (columns, rows): (usize, usize)) -> bool {
    drawing.columns <= columns && drawing.lines.len().saturating_add(PROMPT_ROWS) <= rows
}

fn too_small(
    account: &Account,
    output: &Output,
    drawing: &Drawing,
    (columns, rows): (usize, usize),
) -> Result<(), Failure> {
    output.paragraph(&format!(
        "A QR code needs a window of {} columns and {} rows; this one has {columns} and {rows}. Make it larger \
         and begin again, the key stays the same.",
        drawing.columns,
        drawing.lines.len().saturating_add(PROMPT_ROWS),
    ))?;
    if output.charset() == Charset::Ascii {
        output.line("If it can show more than ASCII, a smaller code fits it:")?;
        output.line(&format!("  {}", account.command("add --qr utf8")))?;
    }
    output.line("As a picture:")?;
    output.line(&format!("  {}\n", account.command("add --qr png:FILE")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fits_leaves_room_for_the_prompt() {
        let drawing = Drawing { lines: vec![Zeroizing::default(); 21], columns: 41 };
        assert!(fits(&drawing, (80, 24)));
        assert!(fits(&drawing, (41, 23)));
        assert!(!fits(&drawing, (40, 24)));
        assert!(!fits(&drawing, (80, 22)));
    }
}
