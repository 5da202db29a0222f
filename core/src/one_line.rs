//! Free text that was written elsewhere and is shown on somebody's terminal.

use serde::{Deserialize, Deserializer};

/// The longest, in characters.
pub(crate) const MOST_CHARACTERS: usize = 200;

/// The text as one line that moves no cursor and hides nothing: what is not printable becomes `?`, and what is too long is cut.
pub(crate) fn one_line(text: &str, most_characters: usize) -> String {
    let shown = |c: char| if is_printable(c) { c } else { '?' };
    let cut: String = text.trim().chars().take(most_characters).map(shown).collect();
    cut.trim_end().to_owned()
}

/// For `#[serde(deserialize_with)]`: whoever wrote the file or the message, no reader's terminal does what the text says.
///
/// # Errors
/// It is not a text.
pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    String::deserialize(from).map(|text| one_line(&text, MOST_CHARACTERS))
}

/// Neither a control character nor one that reorders or hides text in a terminal or a log.
pub(crate) fn is_printable(character: char) -> bool {
    !character.is_control()
        && !matches!(character,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_stays_as_it_is_the_second_time() {
        let cut_at_a_space = format!("{} y", "x".repeat(4));
        for text in ["", " a ", "\u{1b}[31m\tb\u{202e}", "\u{2028}x\u{2028}y", &cut_at_a_space] {
            let once = one_line(text, 5);
            assert_eq!(one_line(&once, 5), once, "{text:?}");
        }
        assert_eq!(one_line(&cut_at_a_space, 5), "xxxx");
    }
}
