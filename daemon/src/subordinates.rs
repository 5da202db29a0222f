//! Numbers that a user may take on in a user namespace besides the own one, as subuid(5) hands them out.
//!
//! Whoever has them could connect as thousands of users at once. They all have one share together.

use std::fs::File;
use std::io::Read as _;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const FILE: &str = "/etc/subuid";

/// So much of it is read.
const MOST_BYTES: u64 = 4 * 1024 * 1024;

/// It is read again after this.
const FRESH: Duration = Duration::from_secs(30);

/// The numbers that are handed out.
pub(crate) struct Subordinates {
    file: PathBuf,
    /// In order, none within another.
    ranges: Vec<RangeInclusive<u32>>,
    read: Option<Instant>,
}

impl Subordinates {
    /// Those of this host.
    pub(crate) fn of_the_host() -> Self {
        Self::of(Path::new(FILE))
    }

    fn of(file: &Path) -> Self {
        Self { file: file.to_owned(), ranges: Vec::new(), read: None }
    }

    /// Whose share `uid` takes from: the first number of a range that one user may take on, or itself.
    pub(crate) fn share_of(&mut self, uid: u32, now: Instant) -> u32 {
        if self.read.is_none_or(|read| now.saturating_duration_since(read) > FRESH) {
            self.read = Some(now);
            self.ranges = ranges(&text(&self.file));
        }
        let after = self.ranges.partition_point(|range| *range.start() <= uid);
        let range = after.checked_sub(1).and_then(|at| self.ranges.get(at));
        range.filter(|range| range.contains(&uid)).map_or(uid, |range| *range.start())
    }
}

/// What can be read of it; without it everybody has the own number alone.
fn text(file: &Path) -> String {
    let mut bytes = Vec::new();
    if let Ok(file) = File::open(file) {
        let _ = file.take(MOST_BYTES).read_to_end(&mut bytes);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// `owner:first:count`, a line each. Ranges that overlap become one.
fn ranges(text: &str) -> Vec<RangeInclusive<u32>> {
    let range = |line: &str| {
        let mut fields = line.split(':').skip(1);
        let (first, count) =
            (fields.next()?.trim().parse::<u32>().ok()?, fields.next()?.trim().parse::<u32>().ok()?);
        Some(first..=first.saturating_add(count.checked_sub(1)?))
    };
    let mut found: Vec<RangeInclusive<u32>> = text.lines().filter_map(range).collect();
    found.sort_unstable_by_key(|range| (*range.start(), *range.end()));
    found.dedup_by(|next, range| {
        let overlap = range.contains(next.start());
        if overlap {
            *range = *range.start()..=*range.end().max(next.end());
        }
        overlap
    });
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_numbers_that_a_user_may_take_on_have_one_share() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("subuid");
        std::fs::write(&file, "bob:165536:65536\nalice:100000:65536\n").unwrap();
        let mut subordinates = Subordinates::of(&file);
        let now = Instant::now();
        let mut share = |uid| subordinates.share_of(uid, now);
        assert_eq!([share(100_000), share(100_001), share(165_535)], [100_000; 3]);
        assert_eq!([share(165_536), share(231_071)], [165_536; 2]);
        for uid in [0, 1000, 99_999, 231_072, u32::MAX] {
            assert_eq!(share(uid), uid);
        }
    }

    #[test]
    fn a_range_that_is_handed_out_later_is_known_after_a_while() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("subuid");
        let mut subordinates = Subordinates::of(&file);
        let now = Instant::now();
        assert_eq!(subordinates.share_of(100_001, now), 100_001, "there is no file");
        std::fs::write(&file, "alice:100000:2\n").unwrap();
        assert_eq!(subordinates.share_of(100_001, now), 100_001);
        assert_eq!(subordinates.share_of(100_001, now + FRESH + Duration::from_secs(1)), 100_000);
    }

    #[test]
    fn what_is_no_range_is_none_and_what_overlaps_is_one() {
        let text = "# a comment\n\nalice:10\nalice:x:3\nalice:5:0\nbob:20:10\ncarol:25:10\ndave:26:1\neve:4294967295:9\n1000:50:1:x\n";
        assert_eq!(ranges(text), [20..=34, 50..=50, u32::MAX..=u32::MAX]);
    }
}
