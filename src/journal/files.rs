//! Files beside the database, written completely or not at all.

use super::JournalError;
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::path::Path;

/// Writes `text` to a temporary file and renames it to `path`, so that a kill or a full disk leaves
/// either the old file or the new one. The file is durable when this returns.
///
/// # Errors
/// The folder cannot be written, or the disk is full.
pub fn write_file(path: &Path, text: &str) -> Result<(), JournalError> {
    let fault = |error: std::io::Error| JournalError::File { path: path.to_path_buf(), reason: error.to_string() };
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".part");
    let part = path.with_file_name(name);
    let mut file = File::create(&part).map_err(fault)?;
    let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
    if let Err(error) = written.and_then(|()| std::fs::rename(&part, path)) {
        // The reason for the failure matters more than whether the temporary file could be removed.
        let _left_behind = std::fs::remove_file(&part);
        return Err(fault(error));
    }
    match path.parent() {
        Some(dir) if cfg!(unix) && !dir.as_os_str().is_empty() => {
            File::open(dir).and_then(|dir| dir.sync_all()).map_err(fault)
        }
        _ => Ok(()),
    }
}

/// Reads a text file of at most `max_bytes` bytes.
///
/// # Errors
/// Returns, as a fragment, why it cannot be read.
pub fn read_text(path: &Path, max_bytes: u64) -> Result<String, String> {
    let file = File::open(path).map_err(|error| match error.kind() {
        ErrorKind::NotFound => "no such file".to_string(),
        _ => error.to_string(),
    })?;
    let mut bytes = Vec::new();
    file.take(max_bytes + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if bytes.len() as u64 > max_bytes {
        return Err(format!("it has more than {max_bytes} bytes, the most that are read"));
    }
    String::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_string())
}
