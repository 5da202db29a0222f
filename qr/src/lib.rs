//! QR codes in the characters of a terminal: half blocks, or ASCII.
//!
//! What a code says may be a secret, so lines wipe themselves.

#![forbid(unsafe_code)]

use std::fmt;

use qrcode::{Color, EcLevel, QrCode};
use zeroize::Zeroizing;

/// The light modules around a code on a screen. ISO/IEC 18004 wants 4; apps read 2, and a code of 41 columns fits a small terminal.
pub const SCREEN_MARGIN: usize = 2;

/// The code for one text.
pub struct Qr {
    code: QrCode,
    modules: Vec<Color>,
}

/// A code as the lines of a screen.
pub struct Drawing {
    /// The lines, each of `columns` columns.
    pub lines: Vec<Zeroizing<String>>,
    /// How wide it is.
    pub columns: usize,
}

/// How the two colours of a code are told apart on a screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paint {
    /// Black on white, whatever the terminal's own colours are, by escape sequences.
    Colours,
    /// No colours: what is light is drawn, as it must be where the background is dark, and most are.
    OnDark,
    /// No colours: what is dark is drawn, for a light background.
    OnLight,
}

/// The text does not fit into the largest code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLong;

impl fmt::Display for TooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the text is too long for a QR code")
    }
}

impl std::error::Error for TooLong {}

impl Qr {
    /// The smallest code that holds `text`; error correction L, as screens have no scratches.
    ///
    /// # Errors
    /// No code holds it: 2953 bytes are the limit.
    pub fn of(text: &str) -> Result<Self, TooLong> {
        let code = QrCode::with_error_correction_level(text, EcLevel::L).map_err(|_| TooLong)?;
        Ok(Self { modules: code.to_colors(), code })
    }

    /// One character for two modules, one above the other; `margin` light modules around them.
    pub fn half_blocks(&self, paint: Paint, margin: usize) -> Drawing {
        // Black (16) on white (231) of the 256 colours, which no theme changes; before them the same of 8, for old terminals.
        let (begin, end) = match paint {
            Paint::Colours => ("\x1b[30;47m\x1b[38;5;16m\x1b[48;5;231m", "\x1b[0m"),
            Paint::OnDark | Paint::OnLight => ("", ""),
        };
        let columns = self.width(margin);
        let line = |row: usize| {
            let mut line = empty_line(columns);
            line.push_str(begin);
            for column in 0..columns {
                let upper = paint.is_drawn(self.module(column, row, margin));
                // Below an odd number of rows there is nothing: light, as all around.
                let lower = paint.is_drawn(self.module(column, row.saturating_add(1), margin));
                line.push(match (upper, lower) {
                    (true, true) => '\u{2588}',
                    (true, false) => '\u{2580}',
                    (false, true) => '\u{2584}',
                    (false, false) => ' ',
                });
            }
            line.push_str(end);
            line
        };
        Drawing { lines: (0..columns).step_by(2).map(line).collect(), columns }
    }

    /// Two characters for a module; `margin` light modules around them.
    pub fn ascii(&self, paint: Paint, margin: usize) -> Drawing {
        let modules = self.width(margin);
        let line = |row: usize| {
            let mut line = empty_line(modules);
            let mut previous = None;
            for column in 0..modules {
                let colour = self.module(column, row, margin);
                match paint {
                    Paint::OnDark | Paint::OnLight if paint.is_drawn(colour) => line.push_str("##"),
                    Paint::OnDark | Paint::OnLight => line.push_str("  "),
                    Paint::Colours => {
                        if previous != Some(colour) {
                            line.push_str(match colour {
                                Color::Light => "\x1b[47m\x1b[48;5;231m",
                                Color::Dark => "\x1b[40m\x1b[48;5;16m",
                            });
                        }
                        line.push_str("  ");
                    }
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

    /// The code without a margin, for other ways to draw it.
    pub fn code(&self) -> &QrCode {
        &self.code
    }

    /// How wide and high the code is with its margin, in modules.
    pub fn width(&self, margin: usize) -> usize {
        self.code.width().saturating_add(margin.saturating_mul(2))
    }

    /// Whether the module at this place of the code with its margin is dark.
    pub fn is_dark(&self, column: usize, row: usize, margin: usize) -> bool {
        self.module(column, row, margin) == Color::Dark
    }

    fn module(&self, column: usize, row: usize, margin: usize) -> Color {
        let width = self.code.width();
        let inside = |place: usize| place.checked_sub(margin).filter(|place| *place < width);
        let (Some(column), Some(row)) = (inside(column), inside(row)) else { return Color::Light };
        let position = row.saturating_mul(width).saturating_add(column);
        self.modules.get(position).copied().unwrap_or(Color::Light)
    }
}

impl Paint {
    fn is_drawn(self, colour: Color) -> bool {
        match self {
            Self::Colours | Self::OnLight => colour == Color::Dark,
            Self::OnDark => colour == Color::Light,
        }
    }
}

/// Room for a line that need not grow, which would leave copies behind: at most a colour and three bytes for each module.
fn empty_line(modules: usize) -> Zeroizing<String> {
    Zeroizing::new(String::with_capacity(modules.saturating_mul(24).saturating_add(64)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const URI: &str = "otpauth://totp/server42:alice?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=server42";

    fn text(drawing: &Drawing) -> String {
        drawing.lines.iter().map(|line| line.as_str()).collect()
    }

    #[test]
    fn the_usual_code_fits_a_small_terminal() {
        let drawing = Qr::of(URI).unwrap().half_blocks(Paint::OnDark, SCREEN_MARGIN);
        assert!(drawing.columns <= 41, "{}", drawing.columns);
        assert!(drawing.lines.len() <= 21, "{}", drawing.lines.len());
        assert!(drawing.lines.iter().all(|line| line.chars().count() == drawing.columns));
    }

    #[test]
    fn the_longest_uri_of_106_bytes_fits_too() {
        let qr = Qr::of(&format!("otpauth://totp/{}", "x".repeat(91))).unwrap();
        let drawing = qr.half_blocks(Paint::OnDark, SCREEN_MARGIN);
        assert_eq!((drawing.columns, drawing.lines.len()), (41, 21));
        let drawing = qr.ascii(Paint::OnDark, 1);
        assert_eq!((drawing.columns, drawing.lines.len()), (78, 39), "80 columns are enough");
    }

    #[test]
    fn without_colours_the_light_modules_are_drawn_on_dark_and_the_dark_ones_on_light() {
        let qr = Qr::of(URI).unwrap();
        let width = qr.width(SCREEN_MARGIN);
        let first =
            |paint| text(&Drawing { lines: vec![qr.half_blocks(paint, 2).lines.remove(0)], columns: 0 });
        assert_eq!(first(Paint::OnDark), "\u{2588}".repeat(width));
        assert_eq!(first(Paint::OnLight), " ".repeat(width));
        for paint in [Paint::OnDark, Paint::OnLight] {
            assert!(text(&qr.ascii(paint, SCREEN_MARGIN)).is_ascii());
        }
    }

    #[test]
    fn with_colours_every_line_says_black_on_white_itself() {
        let qr = Qr::of(URI).unwrap();
        for drawing in [qr.half_blocks(Paint::Colours, 2), qr.ascii(Paint::Colours, 2)] {
            for line in &drawing.lines {
                assert!(line.contains("\x1b[48;5;231m") && line.ends_with("\x1b[0m"), "{line:?}");
                assert!(line.len() <= line.capacity() && line.capacity() <= 24 * 41 + 64, "it never grew");
            }
        }
    }

    #[test]
    fn a_text_that_no_code_holds_is_refused() {
        assert!(Qr::of(&"x".repeat(2953)).is_ok());
        assert!(matches!(Qr::of(&"x".repeat(2954)), Err(TooLong)));
    }
}
