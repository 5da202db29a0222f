//! From the text of a TOML file to our types. The parser is the toml crate's; the way from its tree to the types is ours, the shortest there is.
//!
//! The crate's own way knows dates, fractions and more that no file of ours has, and is made anew by the compiler for each type: it was a tenth
//! of the login module, and a part of it was touched by each login.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use serde::Deserialize;
use serde::de::value::StringDeserializer;
use serde::de::{DeserializeSeed, Deserializer, IntoDeserializer as _, MapAccess, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;
use toml::Spanned;
use toml::de::{DeInteger, DeTable, DeValue};

/// Reads a file into `T`.
///
/// # Errors
/// It is no TOML, or not what `T` wants.
pub(crate) fn read<'de, T: Deserialize<'de>>(text: &'de str) -> Result<T, Unreadable> {
    let table = DeTable::parse(text)
        .map_err(|error| Unreadable { why: error.message().to_owned(), span: error.span() })?;
    let span = table.span();
    T::deserialize(Node { value: DeValue::Table(table.into_inner()), span })
}

/// What is wrong, and where.
#[derive(Debug)]
pub(crate) struct Unreadable {
    why: String,
    span: Option<Range<usize>>,
}

impl Unreadable {
    /// What is wrong; it may quote the file.
    pub(crate) fn message(&self) -> &str {
        &self.why
    }

    /// `line 3`, for an error in `text`.
    pub(crate) fn line_in(&self, text: &str) -> String {
        let before = self.span.as_ref().and_then(|span| text.get(..span.start)).unwrap_or_default();
        format!("line {}", before.matches('\n').count().saturating_add(1))
    }

    /// The innermost place is the one to name.
    fn at(self, span: Range<usize>) -> Self {
        Self { span: self.span.or(Some(span)), ..self }
    }
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)
    }
}

impl std::error::Error for Unreadable {}

impl serde::de::Error for Unreadable {
    fn custom<T: fmt::Display>(why: T) -> Self {
        Self { why: why.to_string(), span: None }
    }
}

/// A value of the file and where it stands.
struct Node<'de> {
    value: DeValue<'de>,
    span: Range<usize>,
}

impl<'de> From<Spanned<DeValue<'de>>> for Node<'de> {
    fn from(value: Spanned<DeValue<'de>>) -> Self {
        Self { span: value.span(), value: value.into_inner() }
    }
}

impl<'de> Deserializer<'de> for Node<'de> {
    type Error = Unreadable;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unreadable> {
        let read = match self.value {
            DeValue::String(Cow::Borrowed(text)) => visitor.visit_borrowed_str(text),
            DeValue::String(Cow::Owned(text)) => visitor.visit_string(text),
            DeValue::Integer(number) => match (signed(&number), unsigned(&number)) {
                (Some(number), _) => visitor.visit_i64(number),
                (None, Some(number)) => visitor.visit_u64(number),
                (None, None) => Err(unfit("the number is too large")),
            },
            DeValue::Boolean(truth) => visitor.visit_bool(truth),
            DeValue::Array(array) => visitor.visit_seq(Items(array.into_iter())),
            DeValue::Table(table) => visitor.visit_map(Entries { rest: table.into_iter(), value: None }),
            DeValue::Float(_) | DeValue::Datetime(_) => {
                Err(unfit("neither a fraction nor a date belongs here"))
            }
        };
        read.map_err(|error| error.at(self.span))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unreadable> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Unreadable> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Unreadable> {
        let DeValue::String(word) = self.value else {
            return Err(unfit("a word belongs here").at(self.span));
        };
        let word: StringDeserializer<Unreadable> = word.into_owned().into_deserializer();
        visitor.visit_enum(word).map_err(|error| error.at(self.span))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple tuple_struct
        map struct identifier ignored_any
    }
}

fn signed(number: &DeInteger<'_>) -> Option<i64> {
    i64::from_str_radix(number.as_str(), number.radix()).ok()
}

fn unsigned(number: &DeInteger<'_>) -> Option<u64> {
    u64::from_str_radix(number.as_str(), number.radix()).ok()
}

fn unfit(why: &str) -> Unreadable {
    Unreadable { why: why.to_owned(), span: None }
}

struct Items<I>(I);

impl<'de, I: Iterator<Item = Spanned<DeValue<'de>>>> SeqAccess<'de> for Items<I> {
    type Error = Unreadable;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Unreadable> {
        self.0.next().map(|value| seed.deserialize(Node::from(value))).transpose()
    }
}

struct Entries<'de, I> {
    rest: I,
    /// Of the key that was read last.
    value: Option<Spanned<DeValue<'de>>>,
}

impl<'de, I> MapAccess<'de> for Entries<'de, I>
where
    I: Iterator<Item = (Spanned<Cow<'de, str>>, Spanned<DeValue<'de>>)>,
{
    type Error = Unreadable;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Unreadable> {
        let Some((key, value)) = self.rest.next() else { return Ok(None) };
        self.value = Some(value);
        let span = key.span();
        let key = Node { value: DeValue::String(key.into_inner()), span };
        seed.deserialize(key).map(Some)
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, Unreadable> {
        let value = self.value.take().ok_or_else(|| unfit("a key has no value"))?;
        seed.deserialize(Node::from(value))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct File {
        number: u64,
        small: Option<i8>,
        word: Option<Word>,
        #[serde(default)]
        part: Vec<BTreeMap<String, Vec<bool>>>,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Word {
        One,
    }

    #[test]
    fn what_our_files_hold_is_read() {
        let text = "number = 18_446_744_073_709_551_615\nsmall = -127\nword = 'one'\n[[part]]\na = [true, false]\n[[part]]\n";
        let part = vec![BTreeMap::from([("a".to_owned(), vec![true, false])]), BTreeMap::new()];
        let expected = File { number: u64::MAX, small: Some(-127), word: Some(Word::One), part };
        assert_eq!(read::<File>(text).unwrap(), expected);
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        for (line, text) in [
            (1, "other = 1"),
            (1, "number = -1"),
            (1, "number = 1.5"),
            (1, "number = 1979-05-27"),
            (1, "number = 18446744073709551616"),
            (1, "number = \"1\""),
            (2, "number = 1\nsmall = 128"),
            (2, "number = 1\nword = \"two\""),
            (2, "number = 1\nword = 1"),
            (3, "number = 1\n[[part]]\na = [1]"),
            (2, "number = 1\nnumber = 1"),
            (2, "number = 1\nnumber"),
        ] {
            let error = read::<File>(text).unwrap_err();
            assert_eq!(error.line_in(text), format!("line {line}"), "{text}: {error}");
            assert!(!error.message().is_empty());
        }
    }

    #[test]
    fn a_missing_key_is_an_error() {
        assert!(read::<File>("small = 1").unwrap_err().message().contains("number"));
    }
}
