//! The kinds of token files, by name and by what they look like.

use std::fmt;
use std::str::FromStr;

/// A kind of token file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// RFC 6030.
    Pskc,
    /// The CSV of Microsoft Entra, with headings.
    EntraCsv,
    /// The CSV of privacyIDEA and LinOTP, without headings.
    OathCsv,
}

impl Format {
    /// What the beginning of a file shows, if it shows anything. The readers check the rest.
    pub fn of(bytes: &[u8]) -> Option<Self> {
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        if bytes.trim_ascii_start().starts_with(b"<") {
            return Some(Self::Pskc);
        }
        let mut format = None;
        for line in bytes.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty()).take(100)
        {
            let line = String::from_utf8_lossy(line.get(..1000).unwrap_or(line)).to_ascii_lowercase();
            if line.starts_with('#') {
                continue;
            }
            let words: Vec<String> = line
                .split(',')
                .map(|field| crate::csv::entra::heading_word(field.trim().trim_matches('"')))
                .collect();
            if words.iter().any(|word| word == "serialnumber") && words.iter().any(|word| word == "secretkey")
            {
                format = Some(Self::EntraCsv);
            } else if words.get(2).is_some_and(|word| word == "totp" || word == "hotp") {
                format = Some(Self::OathCsv);
            }
            break;
        }
        format
    }
}

impl FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(name: &str) -> Result<Self, UnknownFormat> {
        match name {
            "pskc" => Ok(Self::Pskc),
            "entra-csv" => Ok(Self::EntraCsv),
            "oath-csv" => Ok(Self::OathCsv),
            _ => Err(UnknownFormat),
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pskc => "pskc",
            Self::EntraCsv => "entra-csv",
            Self::OathCsv => "oath-csv",
        })
    }
}

/// A name that is no [`Format`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownFormat;

impl fmt::Display for UnknownFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a format is pskc, entra-csv or oath-csv")
    }
}

impl std::error::Error for UnknownFormat {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_known_by_its_beginning() {
        for (file, format) in [
            (&include_bytes!("../tests/fixtures/pskc/rfc6030-figure-6.xml")[..], Some(Format::Pskc)),
            (include_bytes!("../tests/fixtures/entra/with-upn.csv"), Some(Format::EntraCsv)),
            (include_bytes!("../tests/fixtures/entra/byte-order-mark-crlf.csv"), Some(Format::EntraCsv)),
            (include_bytes!("../tests/fixtures/entra/other-order.csv"), Some(Format::EntraCsv)),
            (include_bytes!("../tests/fixtures/oath/tokens.csv"), Some(Format::OathCsv)),
            (b"\xef\xbb\xbf\n <a/>", Some(Format::Pskc)),
            (b"", None),
            (b"a,b,c", None),
            (b"\xff\xfe<\0", None),
        ] {
            assert_eq!(Format::of(file), format);
        }
    }

    #[test]
    fn names_are_read_as_they_are_written() {
        for format in [Format::Pskc, Format::EntraCsv, Format::OathCsv] {
            assert_eq!(format.to_string().parse(), Ok(format));
        }
        assert_eq!("csv".parse::<Format>(), Err(UnknownFormat));
    }
}
