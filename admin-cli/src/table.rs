//! Rows below titles, each column as wide as its widest cell.

use mfa_cli::{Failure, Output};

/// Prints the titles and then the rows.
pub(crate) fn print<const N: usize>(
    output: &Output,
    titles: [&str; N],
    rows: &[[String; N]],
) -> Result<(), Failure> {
    let titles = titles.map(str::to_owned);
    let mut widths = [0_usize; N];
    for row in std::iter::once(&titles).chain(rows) {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    for row in std::iter::once(&titles).chain(rows) {
        let cells: Vec<String> =
            row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        output.line(cells.join("  ").trim_end())?;
    }
    Ok(())
}
