//! QR codes: on the screen, as PNG and as SVG.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use mfa_cli::{Failure, shell_word};
use mfa_qr::SCREEN_MARGIN;
pub(crate) use mfa_qr::{Drawing, Paint};
use qrcode::render::svg;

use crate::cli::PictureFormat;

/// The light modules around a code in a picture.
const PICTURE_MARGIN: usize = 4;

/// The pixels of a module in a picture.
const PICTURE_SCALE: usize = 8;

/// The code for one text.
pub(crate) struct Qr(mfa_qr::Qr);

impl Qr {
    /// The smallest code that holds `text`.
    pub(crate) fn of(text: &str) -> Result<Self, Failure> {
        mfa_qr::Qr::of(text)
            .map(Self)
            .map_err(|error| Failure::refused(format!("no QR code: {error}"), "use --qr none"))
    }

    /// One character for two modules, one above the other.
    pub(crate) fn half_blocks(&self, paint: Paint) -> Drawing {
        self.0.half_blocks(paint, SCREEN_MARGIN)
    }

    /// Two characters for a module.
    pub(crate) fn ascii(&self, paint: Paint) -> Drawing {
        self.0.ascii(paint, SCREEN_MARGIN)
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
                let picture = self.0.code().render::<svg::Color<'_>>().module_dimensions(side, side).build();
                Ok(picture.into_bytes())
            }
        }
    }

    fn png(&self) -> Result<Vec<u8>, png::EncodingError> {
        let side = self.0.width(PICTURE_MARGIN).saturating_mul(PICTURE_SCALE);
        let pixel = |x: usize, y: usize| {
            let module = |pixels: usize| pixels.checked_div(PICTURE_SCALE).unwrap_or(0);
            if self.0.is_dark(module(x), module(y), PICTURE_MARGIN) { 0 } else { 0xff }
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
