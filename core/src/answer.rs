//! What a person typed at the prompt, recognised by its shape alone.

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::otp::Code;
use crate::recovery::RecoveryCode;
use crate::verify::Typed;

/// The longest answer that is looked at, in bytes (PAM_MAX_RESP_SIZE of Linux-PAM).
pub const MAX_ANSWER_BYTES: usize = 512;

/// An answer that is shaped like something this program gives out.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Answer {
    /// 6 to 8 digits.
    Code(Code),
    /// A recovery code.
    Recovery(RecoveryCode),
    /// A password with a code behind it, for clients that ask once: what the last 6 to 8 bytes may be.
    Tails(Typed),
}

impl Answer {
    /// Reads `123456`, `123 456`, `123-456`, `１２３４５６`, `ABCD-EFGH-JKMN-PQRS`, with blanks around.
    ///
    /// None for anything else, which may be somebody's password: it must not be stored, logged or echoed.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        if bytes.len() > MAX_ANSWER_BYTES {
            return None;
        }
        let text = std::str::from_utf8(bytes).ok()?.trim();
        let mut plain = Zeroizing::new(String::with_capacity(MAX_ANSWER_BYTES));
        for character in text.chars() {
            match character {
                ' ' | '-' | '\u{a0}' | '\u{3000}' => {}
                '\u{ff10}'..='\u{ff19}' => plain.push(ascii_digit(character)?),
                _ => plain.push(character),
            }
        }
        if let Some(code) = Code::from_digits(plain.as_bytes()) {
            return Some(Self::Code(code));
        }
        RecoveryCode::parse(&plain).map(Self::Recovery)
    }
}

/// The ASCII digit for a full-width one (U+FF10 to U+FF19), as some input methods type them.
fn ascii_digit(full_width: char) -> Option<char> {
    char::from_digit(u32::from(full_width).checked_sub(0xff10)?, 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(text: &str) -> Option<Code> {
        match Answer::parse(text.as_bytes())? {
            Answer::Code(code) => Some(code),
            Answer::Recovery(_) | Answer::Tails(_) => None,
        }
    }

    #[test]
    fn a_code_is_read_however_people_space_it() {
        let plain = Code::from_digits(b"123456").unwrap();
        for typed in [
            "123456",
            " 123456 ",
            "123 456",
            "123-456",
            "\u{ff11}\u{ff12}\u{ff13}\u{ff14}\u{ff15}\u{ff16}",
            "123456\r",
        ] {
            assert!(code(typed).unwrap().same_as(&plain), "{typed:?}");
        }
        assert_eq!(code("1234 5678").unwrap().digits(), 8);
    }

    #[test]
    fn a_recovery_code_is_read_in_any_case() {
        for typed in ["ABCD-EFGH-IJKL-MNOP", "abcdefghijklmnop", "abcd efgh ijkl mnop"] {
            assert!(matches!(Answer::parse(typed.as_bytes()), Some(Answer::Recovery(_))), "{typed}");
        }
    }

    #[test]
    fn anything_else_is_no_answer() {
        let long = "1".repeat(513);
        for typed in [
            "",
            "   ",
            "12345",
            "123456789",
            "+23456",
            "12345a",
            "hunter2",
            "\u{661}\u{662}\u{663}\u{664}\u{665}\u{666}",
            "123.456",
            &long,
        ] {
            assert!(Answer::parse(typed.as_bytes()).is_none(), "{typed:?}");
        }
        assert!(Answer::parse(b"\xff\xfe123456").is_none());
        assert!(Answer::parse(b"\x08\n\r\x7fIN").is_none());
        let padded = format!("{}123456", " ".repeat(506));
        assert!(code(&padded).is_some(), "512 bytes are fine");
    }
}
