//! Which files of a model are fetched: those that the engine reads, or those that patterns name.

use super::error::FetchError;
use super::hub::HubFile;
use super::names::{FilePath, ModelId};
use super::pattern::fits;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};

/// The small files that the engine reads beside the weights, where a model has them.
const SMALL: [&str; 7] = [
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
];
const SINGLE: &str = "model.safetensors";
pub(crate) const INDEX: &str = "model.safetensors.index.json";

/// A file that is fetched: its name is safe.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Chosen {
    pub(crate) path: FilePath,
    pub(crate) file: HubFile,
}

/// What the first look at the list gives.
#[derive(Debug)]
pub(crate) struct Selection {
    pub(crate) files: Vec<Chosen>,
    /// Whether the index is among them and says which further files there are.
    pub(crate) needs_index: bool,
}

/// Chooses by the names that the hub lists.
pub(crate) fn select(model: &ModelId, files: &[HubFile], patterns: &[String]) -> Result<Selection, FetchError> {
    if !patterns.is_empty() {
        for pattern in patterns {
            if !files.iter().any(|file| fits(pattern, &file.path)) {
                return Err(FetchError::NoMatch { model: model.to_string(), pattern: pattern.clone() });
            }
        }
        let named = files.iter().filter(|file| patterns.iter().any(|pattern| fits(pattern, &file.path)));
        return Ok(Selection { files: named.map(chosen).collect::<Result<_, _>>()?, needs_index: false });
    }
    let has = |name: &str| files.iter().any(|file| file.path == name);
    if has(SINGLE) || has(INDEX) {
        let weights = if has(SINGLE) { SINGLE } else { INDEX };
        let read = files.iter().filter(|file| SMALL.contains(&file.path.as_str()) || file.path == weights);
        let files = read.map(chosen).collect::<Result<_, _>>()?;
        return Ok(Selection { files, needs_index: weights == INDEX });
    }
    let gguf: Vec<&HubFile> = files.iter().filter(|file| file.path.to_ascii_lowercase().ends_with(".gguf")).collect();
    let models: BTreeSet<String> = gguf.iter().map(|file| whole_name(&file.path)).collect();
    match models.len() {
        0 => Err(FetchError::NoWeights { model: model.to_string() }),
        // The tokenizer is in the file.
        1 => {
            let files = gguf.into_iter().map(chosen).collect::<Result<_, _>>()?;
            Ok(Selection { files, needs_index: false })
        }
        _ => {
            let mut files: Vec<String> = models.iter().take(20).map(|name| shown(name)).collect();
            if models.len() > files.len() {
                files.push(format!("and {} more", models.len() - files.len()));
            }
            Err(FetchError::SeveralGguf { model: model.to_string(), files: files.join(", ") })
        }
    }
}

/// Returns the shards that an index names, each of which the hub must list.
pub(crate) fn shards(index: &[u8], files: &[HubFile]) -> Result<Vec<Chosen>, FetchError> {
    #[derive(Deserialize)]
    struct Index {
        weight_map: BTreeMap<String, String>,
    }
    let wrong = |reason: String| FetchError::Answer { url: INDEX.to_string(), reason };
    let index: Index = serde_json::from_slice(index).map_err(|error| wrong(format!("it is no index ({error})")))?;
    let names: BTreeSet<String> = index.weight_map.into_values().collect();
    let find = |name: &String| {
        let file = files.iter().find(|file| file.path == *name);
        file.ok_or_else(|| wrong(format!("it names {name:?}, which the model does not have")))
    };
    names.iter().map(|name| chosen(find(name)?)).collect()
}

fn chosen(file: &HubFile) -> Result<Chosen, FetchError> {
    match FilePath::parse(&file.path) {
        Some(path) => Ok(Chosen { path, file: file.clone() }),
        None => Err(FetchError::Answer {
            url: format!("{:?}", file.path),
            reason: "the hub lists a file of this name, which could leave the folder or is one of this program's own"
                .to_string(),
        }),
    }
}

/// Returns a name that a server gave, as it can stand in a message.
pub(crate) fn shown(name: &str) -> String {
    if FilePath::parse(name).is_some() { name.to_string() } else { format!("{name:?}") }
}

/// Returns the name that all parts of a split file share: `-00001-of-00003` is left out.
fn whole_name(path: &str) -> String {
    let digits = |text: &str| text.len() == 5 && text.bytes().all(|byte| byte.is_ascii_digit());
    let stem = &path[..path.len() - ".gguf".len()];
    let mut parts = stem.rsplitn(4, '-');
    match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some(all), Some("of"), Some(part), Some(name)) if digits(all) && digits(part) => format!("{name}.gguf"),
        _ => path.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::hash::Listed;
    use super::*;

    fn files(names: &[&str]) -> Vec<HubFile> {
        let file = |name: &&str| HubFile { path: name.to_string(), bytes: 1, digest: Listed::GitBlob("00".repeat(20)) };
        names.iter().map(file).collect()
    }

    fn check(names: &[&str], patterns: &[&str], expected: Result<&[&str], &str>) {
        let patterns: Vec<String> = patterns.iter().map(|pattern| pattern.to_string()).collect();
        let found = select(&ModelId::parse("a/b").unwrap(), &files(names), &patterns);
        match (found, expected) {
            (Ok(found), Ok(expected)) => {
                let found: Vec<&str> = found.files.iter().map(|chosen| chosen.path.as_str()).collect();
                assert_eq!(found, expected);
            }
            (Err(error), Err(words)) => assert!(error.to_string().contains(words), "{error}"),
            (found, _) => panic!("{names:?}: {found:?}"),
        }
    }

    #[test]
    fn what_the_engine_reads_is_chosen() {
        let page =
            ["README.md", "config.json", "model.safetensors", "pytorch_model.bin", "tokenizer.json", "vocab.json"];
        check(&page, &[], Ok(&["config.json", "model.safetensors", "tokenizer.json"]));
        let sharded = ["a.gguf", "config.json", "model-00001-of-00002.safetensors", "model.safetensors.index.json"];
        check(&sharded, &[], Ok(&["config.json", "model.safetensors.index.json"]));
        check(&["README.md", "x.gguf"], &[], Ok(&["x.gguf"]));
        check(
            &["q/x-00001-of-00002.gguf", "q/x-00002-of-00002.gguf"],
            &[],
            Ok(&["q/x-00001-of-00002.gguf", "q/x-00002-of-00002.gguf"]),
        );
        check(&["x-Q4.gguf", "x-Q8.gguf"], &[], Err("several GGUF files (x-Q4.gguf, x-Q8.gguf)"));
        check(&["x-Q4.gguf", "x-Q8.gguf"], &["*Q8*"], Ok(&["x-Q8.gguf"]));
        check(&["x.bin"], &[], Err("has no model.safetensors"));
        check(&["x.bin"], &["*.bin", "*.y"], Err("no file of a/b fits \"*.y\""));
        check(&["../x.gguf"], &[], Err("could leave the folder"));
        check(&["../x.gguf", "y.gguf"], &["y*"], Ok(&["y.gguf"]));
        check(&["\u{1b}[2Jx.gguf", "y.gguf"], &[], Err(r#""\u{1b}[2Jx.gguf", y.gguf"#));
    }

    #[test]
    fn an_index_names_shards_that_the_hub_lists() {
        let there = files(&["model-00001-of-00001.safetensors", "../../x"]);
        let read = |name: &str| shards(format!(r#"{{"weight_map":{{"w":"{name}"}}}}"#).as_bytes(), &there);
        assert_eq!(read("model-00001-of-00001.safetensors").unwrap().len(), 1);
        assert!(read("other").unwrap_err().to_string().contains("which the model does not have"));
        assert!(read("../../x").unwrap_err().to_string().contains("could leave the folder"));
        assert!(shards(b"<html>", &there).unwrap_err().to_string().contains("it is no index"));
    }
}
