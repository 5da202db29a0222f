//! QR codes as a phone would see them: a screen becomes a picture, `zbarimg` reads it.

#![forbid(unsafe_code)]
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::missing_panics_doc,
    clippy::arithmetic_side_effects,
    reason = "a panic of a test's helper is the failure report of the test"
)]

use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use vt100::Color;
pub use vt100::{Parser, Screen};

/// The colours of a terminal's theme.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Theme {
    /// Light text on a dark background.
    Dark,
    /// Dark text on a light background.
    Light,
}

/// The pixels of half a character cell, both ways.
const SIDE: usize = 8;

const BLACK: u8 = 0;
const WHITE: u8 = 255;

/// A picture in shades of grey.
pub struct Picture {
    width: usize,
    pixels: Vec<u8>,
}

impl Picture {
    /// A photograph of a screen: block characters, `#` as a full block, as it looks from afar, and the colours behind everything; other
    /// letters are not drawn.
    pub fn of_screen(screen: &Screen, theme: Theme) -> Self {
        let (rows, columns) = screen.size();
        let cell = |row: u16, column: u16| {
            let cell = screen.cell(row, column).expect("a cell of the screen");
            let ink = shade(cell.fgcolor(), theme, Part::Text);
            let paper = shade(cell.bgcolor(), theme, Part::Background);
            (cell.contents().chars().next().unwrap_or(' '), ink, paper)
        };
        Self::draw(rows.into(), columns.into(), |row, column| {
            cell(row.try_into().expect("a row"), column.try_into().expect("a column"))
        })
    }

    /// Lines of text in the colours of a theme.
    pub fn of_text(lines: &[&str], theme: Theme) -> Self {
        let columns = lines.iter().map(|line| line.chars().count()).max().unwrap_or(0);
        let (ink, paper) =
            (shade(Color::Default, theme, Part::Text), shade(Color::Default, theme, Part::Background));
        let cells: Vec<Vec<char>> = lines.iter().map(|line| line.chars().collect()).collect();
        Self::draw(lines.len(), columns, |row, column| {
            let character = cells.get(row).and_then(|line| line.get(column)).copied().unwrap_or(' ');
            (character, ink, paper)
        })
    }

    /// `cell` gives character, ink and paper.
    fn draw(rows: usize, columns: usize, cell: impl Fn(usize, usize) -> (char, u8, u8)) -> Self {
        let width = columns * SIDE;
        let mut pixels = Vec::with_capacity(width * rows * SIDE * 2);
        for half_row in 0..rows * 2 {
            let line: Vec<u8> = (0..columns)
                .flat_map(|column| {
                    let (character, ink, paper) = cell(half_row / 2, column);
                    let is_upper = half_row % 2 == 0;
                    let is_inked = match character {
                        '\u{2588}' | '#' => true,
                        '\u{2580}' => is_upper,
                        '\u{2584}' => !is_upper,
                        _ => false,
                    };
                    [if is_inked { ink } else { paper }; SIDE]
                })
                .collect();
            for _ in 0..SIDE {
                pixels.extend(&line);
            }
        }
        Self { width, pixels }
    }

    /// What `zbarimg` reads in it. None: nothing.
    pub fn decoded(&self) -> Option<String> {
        let mut file = tempfile::Builder::new()
            .suffix(".pgm")
            .tempfile()
            .expect("a file in the folder for temporary ones");
        write!(file, "P5\n{} {}\n255\n", self.width, self.pixels.len() / self.width)
            .and_then(|()| file.write_all(&self.pixels))
            .expect("a picture fits on the disk");
        decoded(file.path())
    }
}

/// What `zbarimg` reads in the picture in a file. None: nothing.
pub fn decoded(path: &Path) -> Option<String> {
    let output = Command::new("zbarimg")
        .args(["--quiet", "--raw", "-Sdisable", "-Sqrcode.enable"])
        .arg(path)
        .output()
        .unwrap_or_else(|error| panic!("zbarimg: {error}\nhint: apt-get install zbar-tools"));
    let text = String::from_utf8_lossy(&output.stdout).trim_end().to_owned();
    (!text.is_empty()).then_some(text)
}

/// Takes all whole letters out of what was read from a terminal; the beginning of one stays until the rest is there.
pub fn take_text(bytes: &mut Vec<u8>) -> String {
    let whole = match std::str::from_utf8(bytes) {
        Err(error) if error.error_len().is_none() => error.valid_up_to(),
        Ok(_) | Err(_) => bytes.len(),
    };
    let rest = bytes.split_off(whole);
    String::from_utf8_lossy(&std::mem::replace(bytes, rest)).into_owned()
}

#[derive(Clone, Copy)]
enum Part {
    Text,
    Background,
}

fn shade(colour: Color, theme: Theme, part: Part) -> u8 {
    match (colour, theme, part) {
        (Color::Idx(0 | 16), ..) | (Color::Default, Theme::Dark, Part::Background) => BLACK,
        (Color::Idx(15 | 231), ..) | (Color::Default, Theme::Light, Part::Background) => WHITE,
        (Color::Default, Theme::Dark, Part::Text) => 200,
        (Color::Default, Theme::Light, Part::Text) => 40,
        (Color::Idx(_) | Color::Rgb(..), ..) => panic!("a colour that nobody asked for: {colour:?}"),
    }
}
