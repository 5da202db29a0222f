//! QR codes: in half blocks, in ASCII, as PNG and as SVG.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use mfa_cli::{Failure, shell_word};
use qrcode::render::svg;
use qrcode::{Color, EcLevel, QrCode};

use crate::cli::PictureFormat;

/// The light modules around a code on a screen. ISO/IEC 18004 wants 4; apps read 2, and a code of 41 columns fits a small terminal.
const SCREEN_QUIET_ZONE: usize = 2;

/// The light modules around a code in a picture.
const PICTURE_QUIET_ZONE: usize = 4;

/// The pixels of a module in a picture.
const PICTURE_SCALE: usize = 8;

/// The code for one text.
pub(crate) struct Qr {
    code: QrCode,
    modules: Vec<Color>,
}

/// A code as the lines of a screen.
pub(crate) struct Drawing {
    /// The lines, each of `columns` columns.
    pub(crate) lines: Vec<String>,
    /// How wide it is.
    pub(crate) columns: usize,
}

/// How the two colours of a code are told apart on a screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Paint {
    /// Black on white, whatever the terminal's own colours are.
    Colours,
    /// No colours: what is light is drawn, as it must be where the background is dark, and most are.
    Plain,
}

impl Qr {
    /// The smallest code that holds `text`; error correction L, as screens have no scratches.
    pub(crate) fn of(text: &str) -> Result<Self, Failure> {
        let code = QrCode::with_error_correction_level(text, EcLevel::L)
            .map_err(|error| Failure::refused(format!("no QR code: {error}"), "use --qr none"))?;
        Ok(Self { modules: code.to_colors(), code })
    }

    /// One character for two modules, one above the other.
    pub(crate) fn half_blocks(&self, paint: Paint) -> Drawing {
        // Black (16) on white (231) of the 256 colours, which no theme changes; before them the same of 8, for old terminals.
        let (begin, end, inked) = match paint {
            Paint::Colours => ("\x1b[30;47m\x1b[38;5;16m\x1b[48;5;231m", "\x1b[0m", Color::Dark),
            Paint::Plain => ("", "", Color::Light),
        };
        let columns = self.width(SCREEN_QUIET_ZONE);
        let line = |row: usize| {
            let character = |column: usize| {
                let upper = self.module(column, row, SCREEN_QUIET_ZONE) == inked;
                // Below an odd number of rows there is nothing: light, as all around.
                let lower = self.module(column, row.saturating_add(1), SCREEN_QUIET_ZONE) == inked;
                match (upper, lower) {
                    (true, true) => '\u{2588}',
                    (true, false) => '\u{2580}',
                    (false, true) => '\u{2584}',
                    (false, false) => ' ',
                }
            };
            let characters: String = (0..columns).map(character).collect();
            format!("{begin}{characters}{end}")
        };
        Drawing { lines: (0..columns).step_by(2).map(line).collect(), columns }
    }

    /// Two characters for a module.
    pub(crate) fn ascii(&self, paint: Paint) -> Drawing {
        let modules = self.width(SCREEN_QUIET_ZONE);
        let line = |row: usize| {
            let mut line = String::new();
            let mut previous = None;
            for column in 0..modules {
                let colour = self.module(column, row, SCREEN_QUIET_ZONE);
                match (paint, colour) {
                    (Paint::Plain, Color::Light) => line.push_str("##"),
                    (Paint::Plain, Color::Dark) => line.push_str("  "),
                    (Paint::Colours, _) if previous == Some(colour) => line.push_str("  "),
                    (Paint::Colours, Color::Light) => line.push_str("\x1b[47m\x1b[48;5;231m  "),
                    (Paint::Colours, Color::Dark) => line.push_str("\x1b[40m\x1b[48;5;16m  "),
                }
                previous = Some(colour);
            }
            if paint == Paint::Colours {
                line.push_str("\x1b[0m");
            }
            line
        };
        Drawing { lines: (0..modules).map(line).collect(), columns: modules.saturating_mul(2) }
    }

    /// The code as a picture.
    fn picture(&self, format: PictureFormat) -> Result<Vec<u8>, Failure> {
        match format {
            PictureFormat::Png => self.png().map_err(|error| Failure::Refused {
                sentence: format!("no picture of the QR code: {error}"),
                hint: Some("use svg:FILE, or --qr none".to_owned()),
            }),
            PictureFormat::Svg => {
                let side = u32::try_from(PICTURE_SCALE).unwrap_or(1);
                let picture = self.code.render::<svg::Color<'_>>().module_dimensions(side, side).build();
                Ok(picture.into_bytes())
            }
        }
    }

    fn png(&self) -> Result<Vec<u8>, png::EncodingError> {
        let side = self.width(PICTURE_QUIET_ZONE).saturating_mul(PICTURE_SCALE);
        let pixel = |x: usize, y: usize| {
            let module = |pixels: usize| pixels.checked_div(PICTURE_SCALE).unwrap_or(0);
            match self.module(module(x), module(y), PICTURE_QUIET_ZONE) {
                Color::Light => 0xff,
                Color::Dark => 0,
            }
        };
        let pixels: Vec<u8> = (0..side).flat_map(|y| (0..side).map(move |x| pixel(x, y))).collect();
        let mut picture = Vec::new();
        let length = u32::try_from(side).unwrap_or(u32::MAX);
        let mut encoder = png::Encoder::new(&mut picture, length, length);
        encoder.set_color(png::ColorType::Grayscale);
        encoder.set_depth(png::BitDepth::Eight);
        encoder.write_header()?.write_image_data(&pixels)?;
        Ok(picture)
    }

    /// How wide and high the code is with its quiet zone, in modules.
    fn width(&self, quiet_zone: usize) -> usize {
        self.code.width().saturating_add(quiet_zone.saturating_mul(2))
    }

    /// A module by its place in the code with its quiet zone.
    fn module(&self, column: usize, row: usize, quiet_zone: usize) -> Color {
        let width = self.code.width();
        let inside = |place: usize| place.checked_sub(quiet_zone).filter(|place| *place < width);
        let (Some(column), Some(row)) = (inside(column), inside(row)) else { return Color::Light };
        let position = row.saturating_mul(width).saturating_add(column);
        self.modules.get(position).copied().unwrap_or(Color::Light)
    }
}

/// A file for a picture of a code: new, for its owner's eyes alone, and gone again unless it is kept.
pub(crate) struct PictureFile {
    file: File,
    path: PathBuf,
    format: PictureFormat,
    kept: bool,
}

impl PictureFile {
    /// Creates it. A file that is there already is never touched.
    pub(crate) fn create(path: &Path, format: PictureFormat) -> Result<Self, Failure> {
        // O_EXCL: no file, no symbolic link, no device is opened in its place.
        match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
            Ok(file) => Ok(Self { file, path: path.to_owned(), format, kept: false }),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(Failure::refused(
                format!("{} exists already, and is not overwritten", path.display()),
                format!("name another file, or remove it: rm {}", shell_word(&path.to_string_lossy())),
            )),
            Err(error) => Err(failed(path, &error)),
        }
    }

    /// Draws the code into it.
    pub(crate) fn draw(&self, qr: &Qr) -> Result<(), Failure> {
        (&self.file)
            .write_all(&qr.picture(self.format)?)
            .and_then(|()| self.file.sync_all())
            .map_err(|error| failed(&self.path, &error))
    }

    /// Lets it be: the device is bound.
    pub(crate) fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for PictureFile {
    fn drop(&mut self) {
        if !self.kept {
            // What can't be removed holds the key of no device.
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn failed(path: &Path, error: &io::Error) -> Failure {
    Failure::refused(
        format!("can't write {}: {error}", path.display()),
        "nothing has changed: name a file that can be written",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const URI: &str = "otpauth://totp/server42:alice?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=server42";

    #[test]
    fn the_usual_code_fits_a_small_terminal() {
        let drawing = Qr::of(URI).unwrap().half_blocks(Paint::Plain);
        assert!(drawing.columns <= 41, "{}", drawing.columns);
        assert!(drawing.lines.len() <= 21, "{}", drawing.lines.len());
        assert!(drawing.lines.iter().all(|line| line.chars().count() == drawing.columns));
    }

    #[test]
    fn the_longest_uri_of_106_bytes_fits_too() {
        let drawing =
            Qr::of(&format!("otpauth://totp/{}", "x".repeat(91))).unwrap().half_blocks(Paint::Plain);
        assert_eq!((drawing.columns, drawing.lines.len()), (41, 21));
    }

    #[test]
    fn without_colours_the_light_modules_are_drawn() {
        let qr = Qr::of(URI).unwrap();
        let quiet_line: String = "\u{2588}".repeat(qr.width(SCREEN_QUIET_ZONE));
        assert_eq!(qr.half_blocks(Paint::Plain).lines.first(), Some(&quiet_line));
        assert!(qr.ascii(Paint::Plain).lines.concat().is_ascii());
    }

    #[test]
    fn with_colours_every_line_says_black_on_white_itself() {
        for drawing in
            [Qr::of(URI).unwrap().half_blocks(Paint::Colours), Qr::of(URI).unwrap().ascii(Paint::Colours)]
        {
            for line in &drawing.lines {
                assert!(line.contains("\x1b[48;5;231m") && line.ends_with("\x1b[0m"), "{line:?}");
            }
        }
    }
}
