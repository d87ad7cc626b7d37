//! The field names of an options struct, as serde knows them: what `[search]` may hold is what `SearchOptions` declares.

use serde::de::{Deserialize, Deserializer, Error, Visitor};
use serde::forward_to_deserialize_any;

/// The names of `T`'s fields; empty when `T` is not a struct.
pub(super) fn field_names<'de, T: Deserialize<'de>>() -> &'static [&'static str] {
    match T::deserialize(Probe) {
        Err(Names(names)) => names,
        Ok(_) => &[],
    }
}

/// A deserializer that answers every question with the field names it was asked for, as an error.
struct Probe;

#[derive(Debug, thiserror::Error)]
#[error("the probe found {} field names", .0.len())]
struct Names(&'static [&'static str]);

impl Error for Names {
    fn custom<M: std::fmt::Display>(_: M) -> Self {
        Self(&[])
    }
}

impl<'de> Deserializer<'de> for Probe {
    type Error = Names;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Names> {
        Err(Names(&[]))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Names> {
        Err(Names(fields))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::EngineOptions;
    use crate::reward::RewardOptions;

    #[test]
    fn the_names_are_those_of_the_struct() {
        assert_eq!(field_names::<RewardOptions>(), ["local", "lookahead", "global", "lookahead_depth"]);
        // Also fields that serde leaves out when it writes the defaults.
        assert!(field_names::<EngineOptions>().contains(&"threads"));
        assert!(field_names::<usize>().is_empty());
    }
}
