//! The metadata of a GGUF file: which values there are and where, and typed questions to them.
//! Texts and arrays stay in the file until somebody asks.

use super::reader::{Fault, Reader};
use crate::weights::WeightsError;
use std::collections::HashMap;
use std::ops::Range;

/// Arrays in arrays, at most.
const MAX_NESTING: usize = 4;
/// What llama.cpp allows a text.
const MAX_TEXT_BYTES: usize = 1 << 30;

/// A type of values, by its number in the file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Type {
    /// Little-endian, of so many bytes.
    Unsigned(usize),
    Signed(usize),
    Float(usize),
    Bool,
    Text,
    Array,
}

impl Type {
    fn from_id(id: u32) -> Result<Self, Fault> {
        Ok(match id {
            0 => Self::Unsigned(1),
            1 => Self::Signed(1),
            2 => Self::Unsigned(2),
            3 => Self::Signed(2),
            4 => Self::Unsigned(4),
            5 => Self::Signed(4),
            6 => Self::Float(4),
            7 => Self::Bool,
            8 => Self::Text,
            9 => Self::Array,
            10 => Self::Unsigned(8),
            11 => Self::Signed(8),
            12 => Self::Float(8),
            _ => return Err(format!("a value of the unknown type {id}")),
        })
    }

    /// The least that a value takes; for numbers also the most.
    fn bytes(self) -> usize {
        match self {
            Self::Unsigned(bytes) | Self::Signed(bytes) | Self::Float(bytes) => bytes,
            Self::Bool => 1,
            Self::Text => 8,
            Self::Array => 12,
        }
    }

    fn describe(self) -> &'static str {
        match self {
            Self::Unsigned(_) | Self::Signed(_) => "a whole number",
            Self::Float(_) => "a number with a fraction",
            Self::Bool => "a truth value",
            Self::Text => "a text",
            Self::Array => "an array",
        }
    }
}

/// A value and where it is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Value {
    Number(Number),
    Text(Range<usize>),
    /// What it is of, how many, and the bytes of all of them.
    Array(ArrayOf, usize, Range<usize>),
}

/// A number or truth value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Number(Type, Range<usize>);

/// What an array is of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct ArrayOf(Type);

/// Reads the type of a value and passes over the value, which is checked.
pub(super) fn read_value(reader: &mut Reader<'_>) -> Result<Value, Fault> {
    let kind = Type::from_id(reader.u32()?)?;
    read_typed(reader, kind, 0)
}

fn read_typed(reader: &mut Reader<'_>, kind: Type, depth: usize) -> Result<Value, Fault> {
    match kind {
        Type::Text => Ok(Value::Text(reader.text(MAX_TEXT_BYTES)?)),
        Type::Array if depth == MAX_NESTING => Err(format!("arrays in arrays, more than {MAX_NESTING} deep")),
        Type::Array => {
            let of = Type::from_id(reader.u32()?)?;
            let count = reader.u64()?;
            if count > (reader.left() / of.bytes()) as u64 {
                return Err(format!("an array of {count} values, with {} bytes left in the file", reader.left()));
            }
            let start = reader.at();
            if matches!(of, Type::Text | Type::Array) {
                for _ in 0..count {
                    read_typed(reader, of, depth + 1)?;
                }
            } else {
                reader.skip(count * of.bytes() as u64)?;
            }
            Ok(Value::Array(ArrayOf(of), count as usize, start..reader.at()))
        }
        _ => Ok(Value::Number(Number(kind, reader.skip(kind.bytes() as u64)?))),
    }
}

/// The metadata of a file that is open.
#[derive(Clone, Copy)]
pub struct Metadata<'a> {
    pub(super) file: &'a str,
    pub(super) bytes: &'a [u8],
    pub(super) values: &'a HashMap<String, Value>,
}

impl<'a> Metadata<'a> {
    /// The file's name for messages.
    pub fn file(&self) -> &'a str {
        self.file
    }

    /// A whole number, or `None` where there is no such key.
    ///
    /// # Errors
    /// A value of another type, or a negative one; as with all questions here, the message names
    /// the key.
    pub fn whole(&self, key: &str) -> Result<Option<u64>, WeightsError> {
        let Some(value) = self.values.get(key) else { return Ok(None) };
        let whole = match value {
            Value::Number(Number(kind, place)) => whole(*kind, &self.bytes[place.clone()]),
            _ => None,
        };
        whole.map(Some).ok_or_else(|| self.other(key, value, "a whole number"))
    }

    /// A number. One in 32 bits is taken as the shortest decimal fraction that it is nearest to:
    /// 0.000001, not 0.000000999999997.
    ///
    /// # Errors
    /// A value of another type.
    pub fn number(&self, key: &str) -> Result<Option<f64>, WeightsError> {
        match self.values.get(key) {
            Some(Value::Number(Number(Type::Float(4), place))) => {
                let bytes = &self.bytes[place.clone()];
                let number = f32::from_le_bytes(std::array::from_fn(|i| bytes[i]));
                Ok(Some(number.to_string().parse().unwrap_or(f64::from(number))))
            }
            Some(Value::Number(Number(Type::Float(_), place))) => {
                let bytes = &self.bytes[place.clone()];
                Ok(Some(f64::from_le_bytes(std::array::from_fn(|i| bytes[i]))))
            }
            _ => Ok(self.whole(key)?.map(|whole| whole as f64)),
        }
    }

    /// A truth value.
    ///
    /// # Errors
    /// A value of another type.
    pub fn flag(&self, key: &str) -> Result<Option<bool>, WeightsError> {
        match self.values.get(key) {
            None => Ok(None),
            Some(Value::Number(Number(Type::Bool, place))) if self.bytes[place.start] <= 1 => {
                Ok(Some(self.bytes[place.start] == 1))
            }
            Some(value) => Err(self.other(key, value, "a truth value")),
        }
    }

    /// A text.
    ///
    /// # Errors
    /// A value of another type.
    pub fn text(&self, key: &str) -> Result<Option<&'a str>, WeightsError> {
        match self.values.get(key) {
            None => Ok(None),
            Some(Value::Text(place)) => Ok(std::str::from_utf8(&self.bytes[place.clone()]).ok()),
            Some(value) => Err(self.other(key, value, "a text")),
        }
    }

    /// A list of texts.
    ///
    /// # Errors
    /// A value of another type.
    pub fn texts(&self, key: &str) -> Result<Option<Vec<&'a str>>, WeightsError> {
        match self.values.get(key) {
            None => Ok(None),
            Some(Value::Array(ArrayOf(Type::Text), count, place)) => {
                let mut reader = Reader::new(&self.bytes[place.clone()]);
                let texts: Result<Vec<&str>, Fault> =
                    (0..*count).map(|_| reader.text(MAX_TEXT_BYTES).map(|place| reader.at_place(place))).collect();
                texts.map(Some).map_err(|fault| self.wrong(key, &fault))
            }
            Some(value) => Err(self.other(key, value, "an array of texts")),
        }
    }

    /// A list of whole numbers.
    ///
    /// # Errors
    /// A value of another type, or with a negative number in it.
    pub fn wholes(&self, key: &str) -> Result<Option<Vec<u64>>, WeightsError> {
        let Some(value) = self.values.get(key) else { return Ok(None) };
        let wholes = match value {
            Value::Array(ArrayOf(kind @ (Type::Unsigned(_) | Type::Signed(_))), _, place) => {
                self.bytes[place.clone()].chunks_exact(kind.bytes()).map(|bytes| whole(*kind, bytes)).collect()
            }
            _ => None,
        };
        wholes.map(Some).ok_or_else(|| self.other(key, value, "an array of whole numbers"))
    }

    /// The answer to a question above, where there must be one.
    ///
    /// # Errors
    /// None.
    pub fn required<T>(&self, key: &str, answer: Option<T>) -> Result<T, WeightsError> {
        answer.ok_or_else(|| self.corrupt(format!("the key `{key}` is missing")))
    }

    fn other(&self, key: &str, value: &Value, wanted: &str) -> WeightsError {
        let found = match value {
            Value::Number(Number(kind, _)) => kind.describe(),
            Value::Text(_) => Type::Text.describe(),
            Value::Array(..) => Type::Array.describe(),
        };
        let wrong =
            if found == wanted { "this one is negative or malformed".to_string() } else { format!("there is {found}") };
        self.wrong(key, &format!("{wanted} is called for, and {wrong}"))
    }

    /// The error of a key whose value cannot be.
    pub fn wrong(&self, key: &str, reason: &str) -> WeightsError {
        self.corrupt(format!("the key `{key}`: {reason}"))
    }

    fn corrupt(&self, reason: String) -> WeightsError {
        WeightsError::Corrupt { file: self.file.to_string(), reason }
    }
}

/// A whole number of some type that is not negative.
fn whole(kind: Type, bytes: &[u8]) -> Option<u64> {
    let mut wide = [0; 8];
    wide[..bytes.len()].copy_from_slice(bytes);
    let number = u64::from_le_bytes(wide);
    match kind {
        Type::Unsigned(_) => Some(number),
        Type::Signed(bytes) if number >> (8 * bytes - 1) == 0 => Some(number),
        _ => None,
    }
}
