//! Keys and values as text: escaped or in hexadecimal digits, both ways.
//!
//! Keys and values are any bytes. Escaped, what is printable UTF-8 stands for itself, and a backslash
//! begins the rest: `\\`, `\t`, `\n`, `\r` and `\xNN` for any byte. What is shown can be given back.

use std::ffi::OsStr;
use std::fmt::Write;

use crate::exit::Failure;

/// How bytes are written as text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Notation {
    Escaped,
    Hex,
}

impl Notation {
    /// The bytes as text.
    pub(crate) fn show(self, bytes: &[u8]) -> String {
        let mut text = String::with_capacity(bytes.len());
        self.append(&mut text, bytes);
        text
    }

    pub(crate) fn append(self, text: &mut String, bytes: &[u8]) {
        match self {
            Notation::Escaped => escape(text, bytes),
            Notation::Hex => {
                for byte in bytes {
                    push_hex(text, *byte);
                }
            }
        }
    }

    /// The bytes that `text` stands for, or what is wrong with it.
    pub(crate) fn read(self, text: &[u8]) -> Result<Vec<u8>, String> {
        match self {
            Notation::Escaped => unescape(text),
            Notation::Hex => from_hex(text),
        }
    }

    /// An argument of the command line, which on Unix may be any bytes.
    pub(crate) fn argument(self, text: &OsStr) -> Result<Vec<u8>, Failure> {
        self.read(text.as_encoded_bytes()).map_err(|what| {
            let shown = Notation::Escaped.show(text.as_encoded_bytes());
            let next = match self {
                Notation::Escaped => r"write a backslash as \\ and any other byte as \xNN",
                Notation::Hex => "with --hex keys and values are given in hexadecimal digits, two a byte",
            };
            Failure::usage(format!("`{shown}`: {what}")).next(next)
        })
    }
}

/// A name from an input, in quotes and escaped, short enough for a message whatever the input holds.
pub(crate) fn quoted(name: &str) -> String {
    const CHARS_MAX: usize = 40;
    let end = name.char_indices().nth(CHARS_MAX).map_or(name.len(), |(end, _)| end);
    let more = if end < name.len() { "…" } else { "" };
    format!("{:?}{more}", &name[..end])
}

fn escape(text: &mut String, bytes: &[u8]) {
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\\' => text.push_str(r"\\"),
                '\t' => text.push_str(r"\t"),
                '\n' => text.push_str(r"\n"),
                '\r' => text.push_str(r"\r"),
                c if is_printable(c) => text.push(c),
                c => push_escapes(text, c.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        push_escapes(text, chunk.invalid());
    }
}

fn push_escapes(text: &mut String, bytes: &[u8]) {
    for byte in bytes {
        text.push_str(r"\x");
        push_hex(text, *byte);
    }
}

fn push_hex(text: &mut String, byte: u8) {
    write!(text, "{byte:02x}").expect("because writing to a string does not fail");
}

/// Neither a control character nor one of the invisible ones that change how a line is shown:
/// marks of direction, line and paragraph separators, the byte order mark and their like.
fn is_printable(c: char) -> bool {
    !c.is_control()
        && !matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}')
}

fn unescape(text: &[u8]) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.iter().position(|byte| *byte == b'\\') {
        bytes.extend_from_slice(&rest[..at]);
        let (byte, used) = match rest.get(at + 1) {
            Some(b'\\') => (b'\\', 2),
            Some(b't') => (b'\t', 2),
            Some(b'n') => (b'\n', 2),
            Some(b'r') => (b'\r', 2),
            Some(b'x') => {
                let digits = rest.get(at + 2..at + 4).ok_or(r"\x without two hexadecimal digits")?;
                (hex_byte(digits).ok_or(r"\x without two hexadecimal digits")?, 4)
            }
            Some(other) => return Err(format!(r"\{} is no escape", other.escape_ascii())),
            None => return Err("a backslash at the end".to_owned()),
        };
        bytes.push(byte);
        rest = &rest[at + used..];
    }
    bytes.extend_from_slice(rest);
    Ok(bytes)
}

fn from_hex(text: &[u8]) -> Result<Vec<u8>, String> {
    if !text.len().is_multiple_of(2) {
        return Err(format!("{} hexadecimal digits, where a byte has two", text.len()));
    }
    text.chunks(2)
        .map(|digits| {
            hex_byte(digits).ok_or_else(|| format!("{} is not hexadecimal", Notation::Escaped.show(digits)))
        })
        .collect()
}

fn hex_byte(digits: &[u8]) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let &[high, low] = digits else { return None };
    Some((digit(high)? * 16 + digit(low)?) as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_stands_for_itself_and_the_rest_is_escaped() {
        for (bytes, text) in [
            (&b"DE/Berlin/2950159"[..], "DE/Berlin/2950159"),
            ("Łódź 東京 👩‍🚀".as_bytes(), "Łódź 東京 👩\\xe2\\x80\\x8d🚀"),
            (b"a\tb\nc\rd\\e", r"a\tb\nc\rd\\e"),
            (b"\x00\x1b[31m\x7f", r"\x00\x1b[31m\x7f"),
            (b"\xff\xfeok\xc3", r"\xff\xfeok\xc3"),
            ("\u{202e}\u{feff}\u{85}".as_bytes(), r"\xe2\x80\xae\xef\xbb\xbf\xc2\x85"),
            (b"", ""),
        ] {
            assert_eq!(Notation::Escaped.show(bytes), text);
            assert_eq!(Notation::Escaped.read(text.as_bytes()).unwrap(), bytes);
        }
    }

    #[test]
    fn every_byte_and_every_pair_returns() {
        for first in 0..=255_u8 {
            for second in 0..=255_u8 {
                for notation in [Notation::Escaped, Notation::Hex] {
                    let text = notation.show(&[first, second]);
                    assert!(text.chars().all(is_printable), "{text:?}");
                    assert_eq!(notation.read(text.as_bytes()).unwrap(), [first, second]);
                }
            }
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        let escaped = |text: &str| Notation::Escaped.read(text.as_bytes()).unwrap_err();
        assert_eq!(escaped(r"C:\dir"), r"\d is no escape");
        assert_eq!(escaped(r"end\"), "a backslash at the end");
        assert_eq!(escaped(r"\x4"), r"\x without two hexadecimal digits");
        assert_eq!(escaped(r"\x+1"), r"\x without two hexadecimal digits");
        let hex = |text: &str| Notation::Hex.read(text.as_bytes()).unwrap_err();
        assert_eq!(hex("abc"), "3 hexadecimal digits, where a byte has two");
        assert_eq!(hex("zz"), "zz is not hexadecimal");
        assert_eq!(Notation::Hex.read(b"00fF").unwrap(), [0, 255]);
    }
}
