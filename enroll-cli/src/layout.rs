//! Text in columns.

use zeroize::Zeroizing;

/// Lines with others to their right; `columns` is the width of those on the left.
pub(crate) fn beside(
    left: &[Zeroizing<String>],
    columns: usize,
    right: &[Zeroizing<String>],
) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(16 * 1024));
    let rows = left.len().max(right.len());
    for row in 0..rows {
        match left.get(row) {
            Some(line) => text.push_str(line),
            None => text.extend(std::iter::repeat_n(' ', columns)),
        }
        if let Some(line) = right.get(row).filter(|line| !line.is_empty()) {
            text.push_str("  ");
            text.push_str(line);
        }
        text.push('\n');
    }
    text
}

/// A key in groups of four, for typing; so many groups a line.
pub(crate) fn grouped(key: &str, groups_per_line: usize) -> Vec<Zeroizing<String>> {
    let letters_per_line = groups_per_line.saturating_mul(4).max(4);
    let mut lines: Vec<Zeroizing<String>> = Vec::new();
    for (position, letter) in key.chars().enumerate() {
        if position.is_multiple_of(letters_per_line) {
            lines.push(Zeroizing::new(String::with_capacity(letters_per_line.saturating_mul(2))));
        }
        let Some(line) = lines.last_mut() else { continue };
        if position.is_multiple_of(4) && !line.is_empty() {
            line.push(' ');
        }
        line.push(letter);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_grouped_for_typing() {
        let lines = grouped("ABCDEFGHIJKLMNOPQRST", 4);
        let lines: Vec<&str> = lines.iter().map(|line| line.as_str()).collect();
        assert_eq!(lines, ["ABCD EFGH IJKL MNOP", "QRST"]);
    }

    #[test]
    fn columns_stand_side_by_side() {
        let left = ["##", "##"].map(|line| Zeroizing::new(line.to_owned()));
        let right = ["a", "", "b"].map(|line| Zeroizing::new(line.to_owned()));
        assert_eq!(beside(&left, 2, &right).as_str(), "##  a\n##\n    b\n");
    }
}
