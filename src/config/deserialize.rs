//! A [`serde::Deserializer`] over the nodes of an experiment file. Its errors are facts (what was
//! needed, and which node is something else), which [`section`](super::section) puts into words.

use super::tree::{Entry, Mark, Node, Value};
use serde::de::value::StrDeserializer;
use serde::de::{DeserializeSeed, Deserializer, EnumAccess, Error, MapAccess, SeqAccess, Unexpected, VariantAccess};
use serde::de::{Expected, IntoDeserializer, Visitor};
use serde::forward_to_deserialize_any;
use std::fmt;

/// Why a node cannot be what a setting takes.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
#[error("{problem:?}")]
pub(super) struct ValueError {
    pub(super) problem: Problem,
    /// The innermost node that is wrong: where it comes from and what it is.
    pub(super) node: Option<(Mark, String)>,
    /// The outermost key that leads to it, where a whole table was read.
    pub(super) key: Option<String>,
}

/// What is wrong with a node.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Problem {
    /// The node is of another kind than the setting.
    Needed(Kind),
    /// The node is a text, but not one of these.
    NotOneOf(&'static [&'static str], String),
    /// The node has a key that is not one of these.
    UnknownKey(&'static [&'static str]),
    /// The node is something that no setting takes.
    Odd,
    /// The type of the setting refuses it with these words.
    Refused(String),
}

/// What a setting takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Whole,
    Real,
    Text,
    Truth,
    List,
    Table,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Whole => "a whole number of 0 or more",
            Self::Real => "a number",
            Self::Text => "text",
            Self::Truth => "true or false",
            Self::List => "a list",
            Self::Table => "a table",
        })
    }
}

impl ValueError {
    fn new(problem: Problem) -> Self {
        Self { problem, node: None, key: None }
    }

    /// Returns the error with `node` as its cause, unless a node inside it already is.
    fn at(mut self, node: &Node) -> Self {
        self.node.get_or_insert_with(|| (node.mark, node.value.describe()));
        self
    }

    fn below(mut self, key: &str) -> Self {
        self.key = Some(key.to_string());
        self
    }
}

impl Error for ValueError {
    fn custom<M: fmt::Display>(message: M) -> Self {
        Self::new(Problem::Refused(message.to_string()))
    }

    fn invalid_value(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::new(Problem::Refused(format!("{expected} is needed")))
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        Self::new(Problem::NotOneOf(expected, variant.to_string()))
    }

    fn unknown_field(key: &str, expected: &'static [&'static str]) -> Self {
        Self::new(Problem::UnknownKey(expected)).below(key)
    }
}

impl<'de> Node {
    fn needed(&self, kind: Kind) -> ValueError {
        let problem = if matches!(self.value, Value::Odd(_)) { Problem::Odd } else { Problem::Needed(kind) };
        ValueError::new(problem).at(self)
    }

    fn whole<V: Visitor<'de>>(&self, visitor: V) -> Result<V::Value, ValueError> {
        match self.value {
            Value::Integer(number) => match u64::try_from(number) {
                Ok(number) => visitor.visit_u64(number).map_err(|error: ValueError| error.at(self)),
                Err(_) => Err(self.needed(Kind::Whole)),
            },
            _ => Err(self.needed(Kind::Whole)),
        }
    }

    fn text<V: Visitor<'de>>(&self, visitor: V) -> Result<V::Value, ValueError> {
        match &self.value {
            Value::Text(text) => visitor.visit_str(text).map_err(|error: ValueError| error.at(self)),
            _ => Err(self.needed(Kind::Text)),
        }
    }
}

/// Hands several methods of a deserializer to one of its own.
macro_rules! deserialize {
    ($($method:ident)* => $own:ident) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ValueError> {
            self.$own(visitor)
        })*
    };
}

impl<'de> Deserializer<'de> for &'de Node {
    type Error = ValueError;

    deserialize!(deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 => whole);
    deserialize!(deserialize_str deserialize_string deserialize_char => text);
    deserialize!(deserialize_f32 => deserialize_f64);

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ValueError> {
        match &self.value {
            Value::Text(_) => self.text(visitor),
            Value::Integer(number) => visitor.visit_i64(*number).map_err(|error: ValueError| error.at(self)),
            Value::Float(_) => self.deserialize_f64(visitor),
            Value::Truth(_) => self.deserialize_bool(visitor),
            Value::List(_) => self.deserialize_seq(visitor),
            Value::Table(_) => self.deserialize_map(visitor),
            Value::Odd(_) => Err(ValueError::new(Problem::Odd).at(self)),
        }
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ValueError> {
        match self.value {
            Value::Integer(number) => visitor.visit_f64(number as f64),
            Value::Float(number) => visitor.visit_f64(number),
            _ => Err(self.needed(Kind::Real)),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ValueError> {
        match self.value {
            Value::Truth(truth) => visitor.visit_bool(truth),
            _ => Err(self.needed(Kind::Truth)),
        }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ValueError> {
        match &self.value {
            Value::List(items) => visitor.visit_seq(Items(items.iter())).map_err(|error| error.at(self)),
            _ => Err(self.needed(Kind::List)),
        }
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ValueError> {
        match &self.value {
            Value::Table(table) => visitor.visit_map(Entries::new(table.0.iter())).map_err(|error| error.at(self)),
            _ => Err(self.needed(Kind::Table)),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ValueError> {
        self.deserialize_map(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ValueError> {
        match &self.value {
            Value::Text(text) => visitor.visit_enum(Name(text)).map_err(|error| error.at(self)),
            _ => Err(self.needed(Kind::Text)),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ValueError> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, ValueError> {
        visitor.visit_newtype_struct(self)
    }

    forward_to_deserialize_any! {
        i8 i16 i32 i64 i128 u128 bytes byte_buf unit unit_struct tuple tuple_struct identifier ignored_any
    }
}

/// The items of a list.
struct Items<'de>(std::slice::Iter<'de, Node>);

impl<'de> SeqAccess<'de> for Items<'de> {
    type Error = ValueError;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, ValueError> {
        self.0.next().map(|node| seed.deserialize(node)).transpose()
    }
}

/// The entries of a table, or some of them.
pub(super) struct Entries<'de, I> {
    entries: I,
    open: Option<&'de Entry>,
}

impl<'de, I: Iterator<Item = &'de Entry>> Entries<'de, I> {
    pub(super) fn new(entries: I) -> Self {
        Self { entries, open: None }
    }
}

impl<'de, I: Iterator<Item = &'de Entry>> MapAccess<'de> for Entries<'de, I> {
    type Error = ValueError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, ValueError> {
        self.open = self.entries.next();
        let Some(entry) = self.open else { return Ok(None) };
        seed.deserialize(StrDeserializer::<ValueError>::new(&entry.key)).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, ValueError> {
        let entry = self.open.take().expect("a key comes before its value");
        seed.deserialize(&entry.node).map_err(|error| error.below(&entry.key))
    }
}

/// The name of a choice.
struct Name<'de>(&'de str);

impl<'de> EnumAccess<'de> for Name<'de> {
    type Error = ValueError;
    type Variant = Unit;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Unit), ValueError> {
        let name: StrDeserializer<'_, ValueError> = self.0.into_deserializer();
        Ok((seed.deserialize(name)?, Unit))
    }
}

/// What follows the name of a choice, which is nothing.
struct Unit;

impl<'de> VariantAccess<'de> for Unit {
    type Error = ValueError;

    fn unit_variant(self) -> Result<(), ValueError> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, _: T) -> Result<T::Value, ValueError> {
        Err(ValueError::new(Problem::Needed(Kind::Table)))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, _: V) -> Result<V::Value, ValueError> {
        Err(ValueError::new(Problem::Needed(Kind::List)))
    }

    fn struct_variant<V: Visitor<'de>>(self, _: &'static [&'static str], _: V) -> Result<V::Value, ValueError> {
        Err(ValueError::new(Problem::Needed(Kind::Table)))
    }
}
