//! A large XML file as a row of small trees: one child of the root at a time, so that memory follows the child and not the file.
//!
//! There is no document type, hence no entity but the five of XML itself, and nothing outside the file is ever looked at. Depth, number
//! of elements and length of text are capped for each child.

use std::fmt;

use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::{BytesStart, Event};
use quick_xml::name::{Namespace as Uri, ResolveResult};
use quick_xml::{NsReader, XmlVersion};
use zeroize::Zeroizing;

/// How deep elements may stand in each other, the root not counted.
const MAX_DEPTH: usize = 16;

/// How many elements a child of the root may have, itself counted.
const MAX_ELEMENTS: usize = 256;

/// How many attributes an element may have.
const MAX_ATTRIBUTES: usize = 32;

/// How many bytes of text and attributes a child of the root may have.
const MAX_TEXT_BYTES: usize = 64 * 1024;

/// The vocabulary that an element belongs to, whatever prefix the file gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Namespace {
    /// RFC 6030.
    Pskc,
    /// XML Encryption.
    Encryption,
    /// XML Encryption 1.1.
    Encryption11,
    /// XML Signature.
    Signature,
    /// PKCS #5 v2.
    Pkcs5,
    /// No namespace at all.
    None,
    /// Anything else.
    Other,
}

impl Namespace {
    fn of(uri: &str) -> Self {
        match uri {
            "urn:ietf:params:xml:ns:keyprov:pskc" => Self::Pskc,
            "http://www.w3.org/2001/04/xmlenc#" => Self::Encryption,
            "http://www.w3.org/2009/xmlenc11#" => Self::Encryption11,
            "http://www.w3.org/2000/09/xmldsig#" => Self::Signature,
            "http://www.rsasecurity.com/rsalabs/pkcs/schemas/pkcs-5v2-0#" => Self::Pkcs5,
            "" => Self::None,
            _ => Self::Other,
        }
    }
}

/// One element with all that is in it.
pub(crate) struct Element {
    pub(crate) namespace: Namespace,
    /// The name without its prefix.
    pub(crate) name: String,
    /// Names as written, prefix included; declarations of namespaces are not here.
    pub(crate) attributes: Vec<(String, String)>,
    /// All its own text, white space included. May be a secret.
    pub(crate) text: Zeroizing<String>,
    pub(crate) children: Vec<Element>,
    /// The line of its start tag.
    pub(crate) line: u64,
}

impl Element {
    pub(crate) fn is(&self, namespace: Namespace, name: &str) -> bool {
        self.namespace == namespace && self.name == name
    }

    pub(crate) fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// A fault at the line of this element.
    pub(crate) fn fault(&self, text: impl Into<String>) -> Fault {
        Fault { line: self.line, text: text.into() }
    }
}

/// What is wrong, and in which line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) line: u64,
    pub(crate) text: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.text)
    }
}

pub(crate) type Parsed<T> = Result<T, Fault>;

/// A file whose root element has been read and whose children can be asked for, one after the other.
pub(crate) struct Document<'a> {
    reader: NsReader<&'a [u8]>,
    lines: Lines<'a>,
    root: Element,
    root_is_closed: bool,
}

impl<'a> Document<'a> {
    pub(crate) fn open(text: &'a str) -> Parsed<Self> {
        let mut reader = NsReader::from_str(text);
        let config = reader.config_mut();
        config.expand_empty_elements = true;
        config.check_comments = true;
        let mut lines = Lines { bytes: text.as_bytes(), counted: 0, line: 1 };
        let root = loop {
            let (namespace, event, line) = next_event(&mut reader, &mut lines)?;
            match event {
                Event::Start(tag) => break element(namespace, &tag, line, &mut 0)?,
                Event::Text(text) if is_blank(&text) => {}
                Event::Decl(_) | Event::Comment(_) | Event::PI(_) => {}
                Event::DocType(_) => return Err(document_type(line)),
                Event::Eof
                | Event::End(_)
                | Event::Empty(_)
                | Event::Text(_)
                | Event::CData(_)
                | Event::GeneralRef(_) => return Err(Fault { line, text: NOT_XML.to_owned() }),
            }
        };
        Ok(Self { reader, lines, root, root_is_closed: false })
    }

    /// The root element, without its children.
    pub(crate) fn root(&self) -> &Element {
        &self.root
    }

    /// The next child of the root with all that is in it; none when the root has ended and nothing follows it.
    pub(crate) fn next_child(&mut self) -> Parsed<Option<Element>> {
        let mut open: Vec<Element> = Vec::new();
        let mut elements: usize = 0;
        let mut text_bytes: usize = 0;
        loop {
            let (namespace, event, line) = next_event(&mut self.reader, &mut self.lines)?;
            let fault = |text: &str| Fault { line, text: text.to_owned() };
            match event {
                Event::Start(_) if self.root_is_closed => return Err(fault(NOT_XML)),
                Event::Start(tag) => {
                    elements = elements.saturating_add(1);
                    if open.len() >= MAX_DEPTH || elements > MAX_ELEMENTS {
                        return Err(fault("too many elements in one another or in one package"));
                    }
                    open.push(element(namespace, &tag, line, &mut text_bytes)?);
                }
                Event::End(_) => match (open.pop(), open.last_mut()) {
                    (Some(child), Some(parent)) => parent.children.push(child),
                    (Some(child), None) => return Ok(Some(child)),
                    (None, _) => self.root_is_closed = true,
                },
                Event::Text(text) => {
                    add_text(open.last_mut(), &text.xml10_content(), &mut text_bytes, line)?;
                }
                Event::CData(text) => {
                    add_text(open.last_mut(), &text.xml10_content(), &mut text_bytes, line)?;
                }
                Event::GeneralRef(reference) => {
                    let character = reference.resolve_char_ref().map_err(|_| fault(NOT_XML))?;
                    let mut buffer = [0; 4];
                    let text = match character {
                        Some(character) => &*character.encode_utf8(&mut buffer),
                        None => resolve_predefined_entity(&reference).ok_or_else(|| fault(NOT_XML))?,
                    };
                    add_text(open.last_mut(), text, &mut text_bytes, line)?;
                }
                Event::Comment(_) | Event::PI(_) => {}
                Event::DocType(_) => return Err(document_type(line)),
                Event::Eof if self.root_is_closed => return Ok(None),
                Event::Eof | Event::Decl(_) | Event::Empty(_) => return Err(fault(NOT_XML)),
            }
        }
    }
}

const NOT_XML: &str = "this is not well-formed XML";

fn document_type(line: u64) -> Fault {
    let text = "the file has a document type (DOCTYPE), which no token file needs: it is not read";
    Fault { line, text: text.to_owned() }
}

/// The next event, the namespace of its element, and the line it starts in.
fn next_event<'a>(
    reader: &mut NsReader<&'a [u8]>,
    lines: &mut Lines<'a>,
) -> Parsed<(Namespace, Event<'a>, u64)> {
    let line = lines.at(reader.buffer_position());
    // The reader's own words may repeat the file's: only the line is told.
    let (namespace, event) =
        reader.read_resolved_event().map_err(|_| Fault { line, text: NOT_XML.to_owned() })?;
    let namespace = match namespace {
        ResolveResult::Bound(Uri(uri)) => Namespace::of(uri),
        ResolveResult::Unbound => Namespace::None,
        ResolveResult::Unknown(_) => {
            return Err(Fault { line, text: "an element has a prefix that is not declared".to_owned() });
        }
    };
    Ok((namespace, event, line))
}

fn element(namespace: Namespace, tag: &BytesStart, line: u64, text_bytes: &mut usize) -> Parsed<Element> {
    let fault = |text: &str| Fault { line, text: text.to_owned() };
    let mut attributes = Vec::new();
    for attribute in tag.attributes() {
        let attribute = attribute.map_err(|_| fault(NOT_XML))?;
        let value = attribute.normalized_value(XmlVersion::Implicit1_0).map_err(|_| fault(NOT_XML))?;
        count(text_bytes, value.len(), line)?;
        if attributes.len() >= MAX_ATTRIBUTES {
            return Err(fault("an element has too many attributes"));
        }
        if attribute.key.as_namespace_binding().is_none() {
            attributes.push((attribute.key.0.to_owned(), value.into_owned()));
        }
    }
    let name = tag.local_name().into_inner().to_owned();
    Ok(Element { namespace, name, attributes, text: Zeroizing::default(), children: Vec::new(), line })
}

/// Adds to the text of the innermost open element; outside of all of them only blanks may stand.
fn add_text(to: Option<&mut Element>, text: &str, text_bytes: &mut usize, line: u64) -> Parsed<()> {
    if is_blank(text) && to.as_ref().is_none_or(|element| element.text.is_empty()) {
        return Ok(());
    }
    // Each piece costs a copy of what is there already: many small ones count as larger ones.
    count(text_bytes, text.len().max(64), line)?;
    let Some(element) = to else {
        return Err(Fault { line, text: "there is text between the elements".to_owned() });
    };
    // A growing `String` would leave the old copy of a secret behind.
    let mut longer = Zeroizing::new(String::with_capacity(element.text.len().saturating_add(text.len())));
    longer.push_str(&element.text);
    longer.push_str(text);
    element.text = longer;
    Ok(())
}

fn count(text_bytes: &mut usize, more: usize, line: u64) -> Parsed<()> {
    *text_bytes = text_bytes.saturating_add(more);
    if *text_bytes > MAX_TEXT_BYTES {
        return Err(Fault { line, text: "too much text in one package".to_owned() });
    }
    Ok(())
}

fn is_blank(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_whitespace())
}

/// Turns positions into line numbers; the positions must not go back.
struct Lines<'a> {
    bytes: &'a [u8],
    counted: usize,
    line: u64,
}

impl Lines<'_> {
    fn at(&mut self, position: u64) -> u64 {
        let position = usize::try_from(position).unwrap_or(usize::MAX).min(self.bytes.len());
        let between = self.bytes.get(self.counted..position).unwrap_or_default();
        let breaks = between.split(|byte| *byte == b'\n').count().saturating_sub(1);
        self.line = self.line.saturating_add(u64::try_from(breaks).unwrap_or(u64::MAX));
        self.counted = position;
        self.line
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    /// Everything in the file as one line, or the fault.
    fn outline(text: &str) -> String {
        fn draw(element: &Element, out: &mut String) {
            write!(out, "{:?}:{}@{}", element.namespace, element.name, element.line).unwrap();
            for (key, value) in &element.attributes {
                write!(out, " {key}={value}").unwrap();
            }
            if !element.text.trim().is_empty() {
                write!(out, " '{}'", element.text.trim()).unwrap();
            }
            for child in &element.children {
                out.push_str(" (");
                draw(child, out);
                out.push(')');
            }
        }
        let read = || {
            let mut document = Document::open(text)?;
            let mut out = String::new();
            draw(document.root(), &mut out);
            while let Some(child) = document.next_child()? {
                out.push_str(" / ");
                draw(&child, &mut out);
            }
            Ok(out)
        };
        read().unwrap_or_else(|fault: Fault| format!("fault in {fault}"))
    }

    #[test]
    fn namespaces_count_and_prefixes_do_not() {
        let text = r#"<?xml version="1.0" encoding="UTF-8"?>
<!-- a comment -->
<odd:KeyContainer xmlns:odd="urn:ietf:params:xml:ns:keyprov:pskc" Version="1.0">
  <KeyPackage/>
  <odd:KeyPackage A='&lt;1&#x2c;2'><x xmlns="http://www.w3.org/2001/04/xmlenc#"> a &amp; <![CDATA[<b>]]> &#99;
</x></odd:KeyPackage>
</odd:KeyContainer>
"#;
        assert_eq!(
            outline(text),
            "Pskc:KeyContainer@3 Version=1.0 / None:KeyPackage@4 / \
             Pskc:KeyPackage@5 A=<1,2 (Encryption:x@5 'a & <b> c')"
        );
    }

    #[test]
    fn a_document_type_is_refused_wherever_it_stands() {
        let bomb = r#"<?xml version="1.0"?>
<!DOCTYPE lolz [<!ENTITY lol "lol"><!ENTITY lol2 "&lol;&lol;&lol;">]>
<a>&lol2;</a>"#;
        assert!(
            outline(bomb).starts_with("fault in line 1: the file has a document type")
                || outline(bomb).starts_with("fault in line 2: the file has a document type")
        );
        for text in
            [r#"<!DOCTYPE a SYSTEM "file:///etc/passwd"><a/>"#, "<a><!DOCTYPE b><b/></a>", "<a/><!DOCTYPE b>"]
        {
            assert!(
                outline(text).contains("document type") || outline(text).contains("well-formed"),
                "{text}"
            );
        }
        assert_eq!(outline("<a><b>&xxe;</b></a>"), "fault in line 1: this is not well-formed XML");
    }

    #[test]
    fn depth_elements_attributes_and_text_are_capped() {
        let deep = format!("<r>{}{}</r>", "<a>".repeat(17), "</a>".repeat(17));
        assert!(outline(&deep).contains("too many elements"));
        let allowed = format!("<r>{}{}</r>", "<a>".repeat(16), "</a>".repeat(16));
        assert!(outline(&allowed).starts_with("None:r@1"));
        assert!(outline(&format!("<r><a>{}</a></r>", "<b/>".repeat(256))).contains("too many elements"));
        assert!(outline(&format!("<r><a>{}</a></r>", "x".repeat(70_000))).contains("too much text"));
        let attributes: String =
            (0..33).flat_map(|n| [" a".to_owned(), n.to_string(), "=''".to_owned()]).collect();
        assert!(outline(&format!("<r><a{attributes}/></r>")).contains("too many attributes"));
        assert!(outline(&format!("<r{attributes}/>")).contains("too many attributes"));
    }

    #[test]
    fn what_is_not_well_formed_is_refused() {
        for text in [
            "",
            " ",
            "x",
            "<a>",
            "<a></b>",
            "<a",
            "</a>",
            "<a/><b/>",
            "<a/>x",
            "x<a/>",
            "<a b='1' b='2'/>",
            "<a>x</a>",
            "<p:a/>",
            "<a><p:b/></a>",
            "<a><b c='&d;'/></a>",
            "<a>&#0;</a>",
            "<a><b>&#xd800;</b></a>",
            "<a><!-- -- --></a>",
            "<a><b></a></b>",
            "<a><b>&</b></a>",
            "<a b=1/>",
        ] {
            assert!(outline(text).starts_with("fault"), "{text}: {}", outline(text));
        }
    }
}
