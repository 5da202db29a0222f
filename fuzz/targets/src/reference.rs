//! What the targets compare with: codes, answers and states, written from the RFCs and docs/record-format.md, without core.

use std::collections::BTreeSet;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha1::Sha1;
use sha2::{Digest as _, Sha256, Sha512};

/// How a device makes codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hash {
    Sha1,
    Sha256,
    Sha512,
}

/// RFC 4226 5.3 and, with other hashes, RFC 6238 1.2: the code as text.
pub(crate) fn code(seed: &[u8], hash: Hash, digits: u32, counter: u64) -> String {
    fn digest<M: hmac::Mac + hmac::KeyInit>(seed: &[u8], counter: u64) -> Vec<u8> {
        let mut mac = <M as hmac::KeyInit>::new_from_slice(seed).expect("HMAC takes any key");
        mac.update(&counter.to_be_bytes());
        mac.finalize().into_bytes().to_vec()
    }
    let digest = match hash {
        Hash::Sha1 => digest::<Hmac<Sha1>>(seed, counter),
        Hash::Sha256 => digest::<Hmac<Sha256>>(seed, counter),
        Hash::Sha512 => digest::<Hmac<Sha512>>(seed, counter),
    };
    let at = usize::from(digest.last().expect("a hash has bytes") % 16);
    let number = digest[at..at + 4].iter().fold(0_u64, |number, byte| number * 256 + u64::from(*byte));
    let number = number % (1 << 31) % 10_u64.pow(digits);
    format!("{number:0width$}", width = usize::try_from(digits).expect("6 to 8"))
}

/// HMAC-SHA-256 under the host key, as in section 2 of the page.
pub(crate) fn tag(key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes any key");
    for part in parts {
        mac.update(&u32::try_from(part.len()).expect("short").to_be_bytes());
        mac.update(part);
    }
    mac.finalize().into_bytes().to_vec()
}

/// What an answer may stand for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Meaning {
    /// So many digits.
    Digits(String),
    /// Sixteen letters of base32, upper case.
    Letters(String),
}

/// An answer that is a code and nothing else (DESIGN section 5: blanks, dashes and full-width digits are fine).
pub(crate) fn alone(answer: &[u8]) -> Option<Meaning> {
    if answer.len() > 512 {
        return None;
    }
    let text = std::str::from_utf8(answer).ok()?.trim();
    let mut plain = String::new();
    for letter in text.chars() {
        if matches!(letter, ' ' | '-' | '\u{a0}' | '\u{3000}') {
            continue;
        }
        let full_width = u32::from(letter).wrapping_sub(0xff10);
        plain.push(char::from_digit(full_width.min(10), 10).unwrap_or(letter));
    }
    let is_digits = (6..=8).contains(&plain.len()) && plain.bytes().all(|byte| byte.is_ascii_digit());
    if is_digits {
        return Some(Meaning::Digits(plain));
    }
    let letters: String = plain
        .chars()
        .map(|letter| match letter.to_ascii_uppercase() {
            '0' => 'O',
            '1' => 'I',
            '8' => 'B',
            other => other,
        })
        .collect();
    let is_base32 = |letter: char| letter.is_ascii_uppercase() || ('2'..='7').contains(&letter);
    (letters.len() == 16 && letters.chars().all(is_base32)).then_some(Meaning::Letters(letters))
}

/// All that may stand at the end of a password.
pub(crate) fn at_the_end(answer: &[u8]) -> BTreeSet<Meaning> {
    let tail = |length: usize| answer.len().checked_sub(length).map(|at| &answer[at..]);
    let mut found = BTreeSet::new();
    for length in 6..=8 {
        if let Some(tail) = tail(length).filter(|tail| tail.iter().all(u8::is_ascii_digit)) {
            found.insert(Meaning::Digits(String::from_utf8_lossy(tail).into_owned()));
        }
    }
    if let Some(grouped) = tail(19).filter(|tail| [4, 9, 14].iter().all(|at| tail[*at] == b'-'))
        && let Some(letters @ Meaning::Letters(_)) = alone(grouped)
    {
        found.insert(letters);
    }
    found
}

/// The bytes of a slot that are its content.
pub(crate) const CONTENT_BYTES: usize = 1504;
/// The bytes of a slot.
pub(crate) const SLOT_BYTES: usize = 4096;

/// One device's entry of a state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) id: [u8; 8],
    pub(crate) floor: Option<u64>,
    pub(crate) is_disabled: bool,
    pub(crate) is_closed: bool,
    pub(crate) drift: i8,
    pub(crate) offset: i32,
    /// The last one's time, and how many.
    pub(crate) known_failures: (u64, u32),
    pub(crate) stranger_failures: (u64, u32),
}

/// A slot, so far as it is read here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) sequence: u64,
    pub(crate) revision: u64,
    pub(crate) entries: Vec<Entry>,
}

impl State {
    /// A state file with this in slot 0 and nothing in slot 1.
    pub(crate) fn file(&self, user: &str) -> Vec<u8> {
        let mut content = Vec::with_capacity(CONTENT_BYTES);
        content.extend_from_slice(b"pammfa-1");
        content.extend_from_slice(&self.sequence.to_le_bytes());
        content.extend_from_slice(&self.revision.to_le_bytes());
        content.push(u8::try_from(self.entries.len()).expect("at most 16"));
        content.resize(32, 0);
        for entry in &self.entries {
            content.extend_from_slice(&entry.id);
            content.extend_from_slice(&entry.floor.unwrap_or(0).to_le_bytes());
            content.extend_from_slice(&[u8::from(entry.floor.is_some()), u8::from(entry.is_disabled)]);
            content.extend_from_slice(&entry.drift.to_le_bytes());
            content.push(u8::from(entry.is_closed));
            content.extend_from_slice(&entry.offset.to_le_bytes());
            for (last, count) in [entry.known_failures, entry.stranger_failures] {
                content.extend_from_slice(&last.to_le_bytes());
                content.extend_from_slice(&count.to_le_bytes());
                content.extend_from_slice(&[0; 4]);
            }
        }
        content.resize(CONTENT_BYTES, 0);
        let mut file = slot(user, &content);
        file.resize(2 * SLOT_BYTES, 0);
        file
    }

    /// Reads slot `index` of a file.
    fn of_slot(file: &[u8], index: usize, user: &str) -> Option<Self> {
        let content = &file[index * SLOT_BYTES..][..CONTENT_BYTES];
        let sum = &file[index * SLOT_BYTES + CONTENT_BYTES..][..32];
        if checksum(user, content) != sum || !content.starts_with(b"pammfa-1") {
            return None;
        }
        let long = |at: usize| u64::from_le_bytes(content[at..at + 8].try_into().expect("8 bytes"));
        let failures =
            |at: usize| (long(at), u32::from_le_bytes(content[at + 8..at + 12].try_into().expect("4 bytes")));
        let entries = usize::from(content[24]);
        let rest = 32 + 56 * entries + 8 * usize::from(content[25]);
        // All the fields behind the entries must be there.
        if rest + 56 > CONTENT_BYTES {
            return None;
        }
        let entries: Vec<Entry> = (0..entries)
            .map(|number| 32 + 56 * number)
            .map(|at| Entry {
                id: content[at..at + 8].try_into().expect("8 bytes"),
                floor: (content[at + 16] == 1).then(|| long(at + 8)),
                is_disabled: content[at + 17] == 1,
                drift: i8::from_le_bytes([content[at + 18]]),
                is_closed: content[at + 19] == 1,
                offset: i32::from_le_bytes(content[at + 20..at + 24].try_into().expect("4 bytes")),
                known_failures: failures(at + 24),
                stranger_failures: failures(at + 40),
            })
            .collect();
        let ids: BTreeSet<[u8; 8]> = entries.iter().map(|entry| entry.id).collect();
        (ids.len() == entries.len()).then(|| Self { sequence: long(8), revision: long(16), entries })
    }

    /// What holds, of both slots.
    pub(crate) fn of_file(file: &[u8], user: &str) -> Option<Self> {
        if file.len() != 2 * SLOT_BYTES {
            return None;
        }
        (0..2)
            .filter_map(|index| Self::of_slot(file, index, user).map(|state| (index, state)))
            .filter(|(index, state)| state.sequence % 2 == u64::try_from(*index).expect("0 or 1"))
            .map(|(_, state)| state)
            .max_by_key(|state| state.sequence)
    }
}

/// A whole slot with this content and the checksum that belongs to it.
pub(crate) fn slot(user: &str, content: &[u8]) -> Vec<u8> {
    let mut slot = content.to_vec();
    slot.resize(CONTENT_BYTES, 0);
    let sum = checksum(user, &slot);
    slot.extend_from_slice(&sum);
    slot.resize(SLOT_BYTES, 0);
    slot
}

fn checksum(user: &str, content: &[u8]) -> [u8; 32] {
    Sha256::new().chain_update(user.as_bytes()).chain_update([0]).chain_update(content).finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_gives_the_values_of_the_rfcs() {
        assert_eq!(code(b"12345678901234567890", Hash::Sha1, 6, 3), "969429");
        assert_eq!(code(b"12345678901234567890", Hash::Sha1, 8, 1), "94287082");
        assert_eq!(code(b"12345678901234567890123456789012", Hash::Sha256, 8, 1), "46119246");
        let seed: Vec<u8> = b"1234567890".iter().copied().cycle().take(64).collect();
        assert_eq!(code(&seed, Hash::Sha512, 8, 1), "90693936");
    }

    #[test]
    fn a_state_is_read_as_it_was_written() {
        let entry =
            Entry { id: [7; 8], floor: Some(9), drift: -3, known_failures: (5, 6), ..Entry::default() };
        let state = State { sequence: 4, revision: 8, entries: vec![entry] };
        assert_eq!(State::of_file(&state.file("alice"), "alice"), Some(state.clone()));
        assert_eq!(State::of_file(&state.file("alice"), "bob"), None);
    }
}
