//! The models that are part of the program. Knows only their bytes.

/// The files of an embedded model, by name.
pub(super) struct EmbeddedModel {
    /// What follows `embedded:`.
    pub(super) name: &'static str,
    files: &'static [(&'static str, &'static [u8])],
}

macro_rules! files {
    ($folder:literal: $($file:literal),+ $(,)?) => {
        &[$(($file, include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/", $folder, "/", $file)))),+]
    };
}

/// Every embedded model.
pub(super) const EMBEDDED: &[EmbeddedModel] = &[EmbeddedModel {
    name: "triage",
    files: files!["triage":
        "config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"],
}];

impl EmbeddedModel {
    /// Returns the model of that name.
    pub(super) fn named(name: &str) -> Option<&'static Self> {
        EMBEDDED.iter().find(|model| model.name == name)
    }

    /// Returns the bytes of one of its files.
    pub(super) fn file(&self, name: &str) -> Option<&'static [u8]> {
        self.files.iter().find(|(file, _)| *file == name).map(|(_, bytes)| *bytes)
    }
}
