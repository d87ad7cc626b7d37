//! Reads `[templates]`: which template set the requests to optimizer, judge and summarizer are made
//! of, from the program or from a folder, and with which task preset.

use super::models::ModelSpec;
use super::section::{Section, hint};
use super::settings::TemplateNames;
use crate::templates::{BuiltIn, MAX_FILE_BYTES, TemplateFault, Templates};
use std::io::{ErrorKind, Read};
use std::path::Path;
use std::sync::Arc;

/// Reads the template set. Without `set`, each request is of the set for the model that it is made
/// of.
pub(super) fn read(root: &Section<'_>, models: Option<&[ModelSpec; 3]>) -> Option<(Arc<Templates>, TemplateNames)> {
    let section = root.section("templates");
    if section.is_none() && root.entry("templates").is_some() {
        return None;
    }
    let set: Option<String> = section.as_ref().and_then(|section| section.get("set"));
    let task: Option<String> = section.as_ref().and_then(|section| section.get("task"));
    if let Some(section) = &section {
        section.finish();
        let unread = |key, value: &Option<String>| section.has(key) && value.is_none();
        if unread("set", &set) || unread("task", &task) || !is_plain(section, task.as_deref()) {
            return None;
        }
    }
    let one_set = |set: &str| {
        let set = set.to_string();
        TemplateNames { optimizer: set.clone(), judge: set.clone(), summary: set, task: task.clone() }
    };
    let named = |name: &str| BuiltIn::ALL.into_iter().find(|built_in| built_in.name == name);
    match (&section, set) {
        (Some(section), Some(set)) => match named(&set) {
            Some(built_in) => {
                has_task(section, built_in, task.as_deref())?;
                let templates = whole(section, "set", Path::new(""), built_in.read(task.as_deref()))?;
                Some((templates, one_set(built_in.name)))
            }
            None => {
                let templates = folder(section, &set, task.as_deref())?;
                Some((templates, one_set(&section.resolve("set", &set).display().to_string())))
            }
        },
        _ => {
            let names =
                models.map_or([const { String::new() }; 3], |models| models.each_ref().map(|model| model.name()));
            let names = names.each_ref().map(String::as_str);
            if let Some(section) = &section {
                for name in &names[1..] {
                    has_task(section, BuiltIn::of_model(name), task.as_deref())?;
                }
            }
            let templates = Templates::of_models(names, task.as_deref());
            let [summary, optimizer, judge] = names.map(|name| BuiltIn::of_model(name).name.to_string());
            let names = TemplateNames { optimizer, judge, summary, task };
            Some((Arc::new(templates.expect("the sets have the task")), names))
        }
    }
}

/// Checks that the name of a task preset is no path.
fn is_plain(section: &Section<'_>, task: Option<&str>) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
    let is_plain = task.is_none_or(|task| !task.is_empty() && task.chars().all(plain));
    if !is_plain {
        section.fault(
            "task",
            &format!("is {:?}; letters, digits, `-` and `_` name a task preset", task.unwrap_or_default()),
        );
    }
    is_plain
}

fn has_task(section: &Section<'_>, set: BuiltIn, task: Option<&str>) -> Option<()> {
    let Some(task) = task else { return Some(()) };
    let tasks = set.tasks();
    if tasks.contains(task) {
        return Some(());
    }
    let hint = hint(task, tasks.into_iter());
    section.fault("task", &format!("is {task:?}, but the set `{}` has no such task preset; {hint}", set.name));
    None
}

/// Reads a set of the user's from its folder.
fn folder(section: &Section<'_>, set: &str, task: Option<&str>) -> Option<Arc<Templates>> {
    let folder = section.resolve("set", set);
    if !folder.is_dir() {
        let hint = hint(set, BuiltIn::ALL.iter().map(|built_in| built_in.name));
        section.fault("set", &format!("names no template set and no folder: {}; {hint}", folder.display()));
        return None;
    }
    let read = |name: &str| bytes(&folder.join(name));
    whole(section, "set", &folder, Templates::read(&read, task))
}

/// Reads a file, and of one that is too long enough to see that it is; `None` if there is none.
fn bytes(path: &Path) -> Result<Option<Vec<u8>>, String> {
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(format!("cannot be read: {}", super::load::reason(&error))),
    };
    let mut bytes = Vec::new();
    let read = file.take(MAX_FILE_BYTES as u64 + 1).read_to_end(&mut bytes);
    read.map_err(|error| format!("cannot be read: {}", super::load::reason(&error)))?;
    Ok(Some(bytes))
}

/// Returns the set, or reports everything that is wrong with its files.
fn whole(
    section: &Section<'_>,
    key: &str,
    folder: &Path,
    templates: Result<Templates, Vec<TemplateFault>>,
) -> Option<Arc<Templates>> {
    let faults = match templates {
        Ok(templates) => return Some(Arc::new(templates)),
        Err(faults) => faults,
    };
    for TemplateFault { file, line, problem } in faults {
        let file = folder.join(file);
        let line = line.map_or(String::new(), |line| format!(":{line}"));
        section.fault(key, &format!("cannot be used: {}{line}: {problem}", file.display()));
    }
    None
}
