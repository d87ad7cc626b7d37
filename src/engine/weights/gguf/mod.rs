//! GGUF files (versions 2 and 3, little-endian), read and checked here from the first byte on:
//! candle's own reader panics on an alignment of 0 and takes shapes whose product overflows. Knows
//! the tensor names of `qwen3` and nothing else of a model.

mod blocks;
mod file;
mod header;
mod kind;
mod metadata;
mod names;
mod reader;

pub use file::GgufFile;
pub use metadata::Metadata;
