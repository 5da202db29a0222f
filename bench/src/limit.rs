//! What the disk and the processor allow: the least a durable login can cost.

use std::cell::Cell;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use mfa_core::Secret;
use mfa_core::otp::{Generator, Profile};

use crate::clock::SEED;
use crate::statistics::Series;

const BLOCK: usize = 4096;

/// A file of two blocks that hold written data, overwritten in turn.
pub(crate) struct Limit {
    file: File,
    turn: Cell<u64>,
}

impl Limit {
    pub(crate) fn new(folder: &Path) -> Self {
        let file = File::create(folder.join("limit")).expect("a file to measure with");
        file.write_all_at(&[0; 2 * BLOCK], 0).and_then(|()| file.sync_all()).expect("a file of two blocks");
        Self { file, turn: Cell::new(0) }
    }

    /// One block in place, and fdatasync(2).
    pub(crate) fn write_once(&self, series: &mut Series) {
        let turn = self.turn.replace(self.turn.get() + 1);
        let block = [u8::try_from(turn % 251).expect("less than 256"); BLOCK];
        let begun = Instant::now();
        self.file
            .write_all_at(&block, turn % 2 * u64::try_from(BLOCK).expect("a small number"))
            .and_then(|()| self.file.sync_data())
            .expect("the disk takes one block");
        series.add(begun.elapsed());
    }
}

/// The type of the file system of a folder, as stat(1) names it.
pub(crate) fn file_system(folder: &Path) -> String {
    let output = Command::new("stat").args(["--file-system", "--format=%T"]).arg(folder).output();
    output.map_or_else(|_| "?".to_owned(), |output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// What the processor allows: the microseconds of one HMAC-SHA-1 (one code of one step), and no login can do with fewer.
pub(crate) fn one_hmac() -> f64 {
    const TIMES: u32 = 10_000;
    let Profile { algorithm, digits, .. } = Profile::PLAIN;
    let generator = Generator::new(&Secret::new(SEED.to_vec()), algorithm, digits);
    let begun = Instant::now();
    for step in 0..TIMES {
        std::hint::black_box(generator.code_at(u64::from(step)));
    }
    begun.elapsed().as_secs_f64() * 1e6 / f64::from(TIMES)
}
