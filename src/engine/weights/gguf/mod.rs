//! GGUF files (versions 2 and 3, little-endian), read and checked here from the first byte on:
//! candle's own reader panics on an alignment of 0 and takes shapes whose product overflows. Knows
//! the tensor names of dense decoders and the order of Llama's rows, and nothing else of a model.

mod blocks;
mod dequantize;
mod file;
mod header;
mod kind;
mod metadata;
mod names;
mod order;
mod parts;
mod reader;

pub use file::GgufFile;
pub use metadata::Metadata;
pub(crate) use parts::first_of_parts;
