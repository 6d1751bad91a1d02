//! NDJSON: a JSON object a line.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;
use std::io::BufRead;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::lines::Lines;
use super::{Columns, ReadError, Record, ValueColumn};
use crate::bytes::{Notation, quoted};

pub(super) const KEY: &str = "key";
pub(super) const KEY_HEX: &str = "key_hex";
pub(super) const VALUE: &str = "value";
pub(super) const VALUE_HEX: &str = "value_hex";

/// Reads records of a file.
pub(crate) struct Reader {
    lines: Lines,
    key: Option<String>,
    value: ValueColumn,
}

impl Reader {
    pub(super) fn new(reader: Box<dyn BufRead>, columns: &Columns) -> Reader {
        Reader { lines: Lines::new(reader), key: columns.key.clone(), value: columns.value.clone() }
    }

    pub(super) fn next(&mut self, record: &mut Record) -> Result<Option<u64>, ReadError> {
        let Some((line, text)) = self.lines.next()? else { return Ok(None) };
        let mut parse = || {
            let text = std::str::from_utf8(text)
                .map_err(|e| format!("not UTF-8 from byte {}", e.valid_up_to() + 1))?;
            Members::parse(text)?.into_record(self.key.as_deref(), &self.value, record)
        };
        parse().map_err(|what| ReadError::Bad { line, what })?;
        Ok(Some(line))
    }
}

/// Appends `{"key":…,"value":…}`, or with `_hex` names where `hex` asks for it or the bytes are no text.
pub(crate) fn write_pair(line: &mut Vec<u8>, key: &[u8], value: Option<&[u8]>, hex: bool) {
    line.push(b'{');
    write_bytes_member(line, [KEY, KEY_HEX], key, hex);
    if let Some(value) = value {
        line.push(b',');
        write_bytes_member(line, [VALUE, VALUE_HEX], value, hex);
    }
    line.push(b'}');
}

/// Appends `{"key":…, … }` with the members of a value that is a JSON object. False, and nothing
/// appended, where reading that would not give back the very bytes of the value.
pub(super) fn write_expanded(line: &mut Vec<u8>, key: &[u8], value: &[u8]) -> bool {
    let Some(members) = std::str::from_utf8(value).ok().and_then(|text| Members::parse(text).ok()) else {
        return false;
    };
    let mut again = Vec::with_capacity(value.len());
    members.write(&mut again);
    let is_pair = members.pair_value().is_some();
    let holds_key = members.0.iter().any(|(name, _)| name == KEY || name == KEY_HEX);
    // Line breaks may stand between the tokens of a member, and would end the line.
    if again != value || is_pair || holds_key || value.contains(&b'\n') {
        return false;
    }
    line.push(b'{');
    write_bytes_member(line, [KEY, KEY_HEX], key, false);
    if !members.0.is_empty() {
        line.push(b',');
        line.extend_from_slice(&value[1..value.len() - 1]);
    }
    line.push(b'}');
    true
}

fn write_bytes_member(line: &mut Vec<u8>, [name, hex_name]: [&str; 2], bytes: &[u8], hex: bool) {
    match std::str::from_utf8(bytes) {
        Ok(text) if !hex => {
            write_string(line, name);
            line.push(b':');
            write_string(line, text);
        }
        _ => {
            write_string(line, hex_name);
            line.push(b':');
            write_string(line, &Notation::Hex.show(bytes));
        }
    }
}

/// Appends a JSON string.
pub(super) fn write_string(line: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(line, text).expect("because text always has a JSON form, and memory takes it");
}

/// The members of an object in their order, values as they were written.
pub(super) struct Members<'a>(pub(super) Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'a> Members<'a> {
    pub(super) fn parse(text: &'a str) -> Result<Members<'a>, String> {
        let members: Members<'_> = serde_json::from_str(text).map_err(|e| {
            // The parser sees one line only, and the number it gives would mislead.
            let message = e.to_string();
            let message = message.split(" at line ").next().unwrap_or_default();
            format!("no JSON object: {message} (column {})", e.column())
        })?;
        let mut names = BTreeSet::new();
        match members.0.iter().find(|(name, _)| !names.insert(&**name)) {
            Some((name, _)) => Err(format!("the member {} is there twice", quoted(name))),
            None => Ok(members),
        }
    }

    fn into_record(
        mut self,
        key: Option<&str>,
        value: &ValueColumn,
        record: &mut Record,
    ) -> Result<(), String> {
        let (key, raw) = match key {
            Some(key) => self.take(key).ok_or_else(|| format!("no member {key:?} for the key"))?,
            None => match (self.take(KEY), self.take(KEY_HEX)) {
                (Some(key), None) | (None, Some(key)) => key,
                (Some(_), Some(_)) => return Err(format!("both {KEY:?} and {KEY_HEX:?}")),
                (None, None) => return Err(format!("no member {KEY:?}; --key names another")),
            },
        };
        if !raw.get().starts_with(|c: char| c == '"' || c == '-' || c.is_ascii_digit()) {
            return Err(format!("the member {key:?} is neither a string nor a number, and can't be a key"));
        }
        record.key = bytes_of(&key, raw)?;
        match (value, self.pair_value()) {
            (ValueColumn::Named(name), _) => {
                let (name, raw) =
                    self.take(name).ok_or_else(|| format!("no member {name:?} for the value"))?;
                record.value = bytes_of(&name, raw)?;
            }
            (ValueColumn::Auto, Some((name, raw))) => record.value = bytes_of(name, raw)?,
            (ValueColumn::Auto | ValueColumn::Rest, _) => self.write(&mut record.value),
        }
        Ok(())
    }

    fn take(&mut self, name: &str) -> Option<(Cow<'a, str>, &'a RawValue)> {
        let at = self.0.iter().position(|(known, _)| known == name)?;
        Some(self.0.remove(at))
    }

    /// The value of a pair, where these are the members of one without its key.
    fn pair_value(&self) -> Option<(&str, &'a RawValue)> {
        match &self.0[..] {
            [(name, raw)] if name == VALUE || name == VALUE_HEX => Some((name, raw)),
            _ => None,
        }
    }

    /// Appends the object, compact but for what stands inside a member.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.push(b'{');
        for (i, (name, raw)) in self.0.iter().enumerate() {
            if i > 0 {
                out.push(b',');
            }
            write_string(out, name);
            out.push(b':');
            out.extend_from_slice(raw.get().as_bytes());
        }
        out.push(b'}');
    }
}

/// A string stands for its text, or the bytes its digits give; anything else for its JSON.
fn bytes_of(name: &str, raw: &RawValue) -> Result<Vec<u8>, String> {
    let wants_hex = name == KEY_HEX || name == VALUE_HEX;
    if !raw.get().starts_with('"') {
        return match wants_hex {
            true => Err(format!("the member {name:?} is not a string of hexadecimal digits")),
            false => Ok(raw.get().as_bytes().to_vec()),
        };
    }
    let text: String = serde_json::from_str(raw.get()).map_err(|e| format!("the member {name:?}: {e}"))?;
    match wants_hex {
        true => Notation::Hex.read(text.as_bytes()).map_err(|what| format!("the member {name:?}: {what}")),
        false => Ok(text.into_bytes()),
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Members<'a>, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Vec<(Cow<'de, str>, &'de RawValue)>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some((Name(name), raw)) = map.next_entry()? {
                    members.push((name, raw));
                }
                Ok(members)
            }
        }
        deserializer.deserialize_map(InOrder).map(Members)
    }
}

/// A name that is borrowed where it holds no escapes.
struct Name<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Name<'de>, D::Error> {
        struct Borrowing;
        impl<'de> Visitor<'de> for Borrowing {
            type Value = Name<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Name<'de>, E> {
                Ok(Name(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Name<'de>, E> {
                Ok(Name(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(Borrowing)
    }
}
