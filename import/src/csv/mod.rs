//! Token files with a line for each token and commas between the columns.

pub mod entra;
pub mod oath;

use csv_core::{ReadRecordResult, Reader};
use zeroize::Zeroizing;

use crate::token::{Place, Problem};

/// The largest file that is read: 100,000 tokens need about 10 MB.
pub const MAX_FILE_BYTES: usize = 64_000_000;

/// The longest line, in bytes.
const MAX_LINE_BYTES: usize = 4096;

/// The most columns of a line.
const MAX_COLUMNS: usize = 32;

/// One line that is not empty, split at its commas; blanks around a field are gone.
pub(crate) struct Row<'r> {
    pub(crate) line: u64,
    pub(crate) fields: Vec<&'r str>,
}

impl Row<'_> {
    pub(crate) fn place(&self) -> Place {
        Place::Line(self.line)
    }

    pub(crate) fn problem(&self, text: impl Into<String>) -> Problem {
        Problem::new(self.place(), text)
    }
}

/// Hands each line to `each`, or what is wrong with it. Empty lines, and lines of nothing but commas, are passed over.
///
/// A quoted field may hold commas and doubled quotes but no line break: no honest file has one, and so a lost quote spoils one line only.
///
/// # Errors
/// The file as a whole is no text file that can be split.
pub(crate) fn for_each_row(
    bytes: &[u8],
    mut each: impl FnMut(Result<Row<'_>, Problem>),
) -> Result<(), Problem> {
    let text = without_byte_order_mark(bytes)?;
    let mut buffer = Zeroizing::new([0; MAX_LINE_BYTES]);
    let mut reader = Reader::new();
    for (line, number) in text.split(|byte| *byte == b'\n').zip(1..) {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        match split(line, &mut reader, &mut *buffer) {
            Ok(fields) if fields.iter().all(|field| field.is_empty()) => {}
            Ok(fields) => each(Ok(Row { line: number, fields })),
            Err(why) => each(Err(Problem::new(Place::Line(number), why))),
        }
    }
    Ok(())
}

fn without_byte_order_mark(bytes: &[u8]) -> Result<&[u8], Problem> {
    if bytes.len() > MAX_FILE_BYTES {
        return Err(Problem::of_file(format!("it has more than {MAX_FILE_BYTES} bytes: split it")));
    }
    if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
        return Err(Problem::of_file(
            "it is UTF-16: save it as \"CSV UTF-8\", or convert it (iconv -f UTF-16 -t UTF-8)",
        ));
    }
    Ok(bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes))
}

fn split<'b>(line: &[u8], reader: &mut Reader, buffer: &'b mut [u8]) -> Result<Vec<&'b str>, &'static str> {
    if line.len() >= MAX_LINE_BYTES {
        return Err("the line is too long");
    }
    let parts_between_quotes = line.split(|byte| *byte == b'"').count();
    if parts_between_quotes.is_multiple_of(2) {
        return Err("a quote is not closed");
    }
    if line.contains(&b'\r') {
        return Err("there is a carriage return inside the line");
    }
    reader.reset();
    let mut ends = [0; MAX_COLUMNS];
    let (_, _, written, first_columns) = reader.read_record(line, buffer, &mut ends);
    // An empty input says that the line has ended; the result is then the record.
    let rest = buffer.get_mut(written..).unwrap_or_default();
    let open_ends = ends.get_mut(first_columns..).unwrap_or_default();
    let (result, _, _, last_columns) = reader.read_record(&[], rest, open_ends);
    match result {
        ReadRecordResult::End => return Ok(Vec::new()),
        ReadRecordResult::Record => {}
        ReadRecordResult::OutputFull | ReadRecordResult::OutputEndsFull | ReadRecordResult::InputEmpty => {
            return Err("the line has too many columns");
        }
    }
    let columns = first_columns.saturating_add(last_columns);
    let mut fields = Vec::with_capacity(columns);
    let mut start = 0;
    for &end in ends.get(..columns).unwrap_or_default() {
        let field = buffer.get(start..end).unwrap_or_default();
        fields.push(std::str::from_utf8(field).map_err(|_| "the line is not UTF-8")?.trim());
        start = end;
    }
    Ok(fields)
}

/// Why the first line shows that this is another kind of file, if it does.
pub(crate) fn foreign_format(fields: &[&str]) -> Option<&'static str> {
    let first = fields.first()?.to_ascii_lowercase();
    if ["yubico otp", "oath-hotp", "static password", "logging start"].contains(&first.as_str()) {
        return Some(
            "this is a log of the YubiKey Personalization Tool, which is not supported: let it write PSKC",
        );
    }
    if first.starts_with("otpauth://") || fields.get(1).is_some_and(|field| field.starts_with("otpauth://")) {
        return Some("this is a list of otpauth URIs, not a token file: use mfa-admin import");
    }
    if fields.len() == 1 && first.contains(';') {
        return Some("the columns are separated by semicolons: commas are needed");
    }
    if fields.len() == 1 && first.contains('\t') {
        return Some("the columns are separated by tabs: commas are needed");
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(text: &[u8]) -> Vec<String> {
        let mut rows = Vec::new();
        for_each_row(text, |row| {
            rows.push(match row {
                Ok(row) => format!("{}:{}", row.line, row.fields.join("|")),
                Err(problem) => problem.to_string(),
            });
        })
        .unwrap();
        rows
    }

    #[test]
    fn byte_order_mark_line_ends_quotes_blanks_and_empty_lines_do_not_matter() {
        let text = b"\xef\xbb\xbfa, b ,c\r\n\r\n,,\n\"x,y\",\"say \"\"hi\"\"\",\n\n \nlast,";
        assert_eq!(rows(text), ["1:a|b|c", "4:x,y|say \"hi\"|", "7:last|"]);
    }

    #[test]
    fn a_damaged_line_spoils_itself_only() {
        let text =
            format!("a,b\n\"lost,1\n{},x\n\u{ff}\n{}\nc,d\re,f\ng,h", "9".repeat(5000), ",z".repeat(40));
        let mut bytes = text.into_bytes();
        let position = bytes.iter().position(|byte| *byte == 0xc3).unwrap();
        bytes.splice(position..position + 2, [0xff]);
        assert_eq!(
            rows(&bytes),
            [
                "1:a|b",
                "line 2: a quote is not closed",
                "line 3: the line is too long",
                "line 4: the line is not UTF-8",
                "line 5: the line has too many columns",
                "line 6: there is a carriage return inside the line",
                "7:g|h"
            ]
        );
    }

    #[test]
    fn utf_16_is_refused_by_name() {
        let problem = for_each_row(b"\xff\xfea\0", |_| ()).unwrap_err();
        assert!(problem.to_string().starts_with("the file: it is UTF-16"), "{problem}");
    }
}
