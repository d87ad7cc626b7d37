//! The file that answered rows go to: one line a row, in the order of the input. A second run goes
//! on after the last whole line, if it is of the same team on the same model.

use crate::base::Digest;
use crate::engine::Date;
use crate::journal::{JournalError, write_file};
use crate::task::{LoadError, Query};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// The version of the state file.
const SCHEMA: u32 = 1;
/// The longest line of the output that is read again. An agent's outputs are bounded by its tokens;
/// a longer line is none that this program wrote.
const MAX_LINE_BYTES: u64 = 256 << 20;

/// Why an output file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RowsError {
    /// It cannot be read or written.
    #[error("{} cannot be used: {reason}", file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// The reason.
        reason: String,
    },
    /// It holds something, and nothing says that this program wrote it.
    #[error(
        "{} exists, and there is no {} that says of what team it is: name another --output, or give --force",
        file.display(), state.display()
    )]
    NotOurs {
        /// The output.
        file: PathBuf,
        /// Its state.
        state: PathBuf,
    },
    /// It was begun with something else.
    #[error("{} was begun with another {what}: name another --output, or give --force", file.display())]
    Other {
        /// The output.
        file: PathBuf,
        /// What differs.
        what: &'static str,
    },
    /// Its rows are not those of the input.
    #[error(
        "{}:{line} is the answer to row {found:?}, and the input has {expected}: its rows are not those of this input",
        file.display()
    )]
    OtherRows {
        /// The output.
        file: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// The id in the output.
        found: String,
        /// What the input has in its place.
        expected: String,
    },
    /// A row of the input cannot be used.
    #[error(transparent)]
    Row(#[from] LoadError),
}

impl RowsError {
    /// Whether the environment is at fault (exit code 3), and not the user's input (exit code 2).
    pub fn is_environment(&self) -> bool {
        matches!(self, Self::File { .. })
    }
}

/// What the rows of an output depend on beside the input.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RowsState {
    schema: u32,
    /// The digest of the team.
    pub team: Digest,
    /// The digest of the model.
    pub model: Digest,
    /// The date that chat templates see.
    pub date: Date,
}

/// An output file.
pub struct RowFile {
    path: PathBuf,
    writer: BufWriter<File>,
    begun: Option<RowsState>,
}

impl RowFile {
    /// Opens the output at `path`. With `force`, what it holds is dropped.
    ///
    /// # Errors
    /// It cannot be written, or holds something that this team did not write.
    pub fn open(path: &Path, team: Digest, force: bool) -> Result<Self, RowsError> {
        let fault = |error: io::Error| RowsError::File { file: path.to_path_buf(), reason: error.to_string() };
        let file = File::options().read(true).write(true).create(true).truncate(force).open(path).map_err(fault)?;
        let is_empty = file.metadata().map_err(fault)?.len() == 0;
        let state = state_path(path);
        let begun = match fs::read_to_string(&state) {
            _ if is_empty => None,
            Ok(text) => serde_json::from_str::<RowsState>(&text).ok().filter(|state| state.schema == SCHEMA),
            Err(_) => None,
        };
        match &begun {
            None if !is_empty => return Err(RowsError::NotOurs { file: path.to_path_buf(), state }),
            Some(begun) if begun.team != team => {
                return Err(RowsError::Other { file: path.to_path_buf(), what: "team or other prompts" });
            }
            _ => {}
        }
        Ok(Self { path: path.to_path_buf(), writer: BufWriter::new(file), begun })
    }

    /// The state that the output was begun in; `None` if it is empty.
    pub fn begun(&self) -> Option<&RowsState> {
        self.begun.as_ref()
    }

    /// Passes over the queries that are answered already, drops an unfinished last line, and
    /// returns how many there are.
    ///
    /// # Errors
    /// The output's rows are not those of the input, or a row of the input cannot be used.
    pub fn pass_over(
        &mut self,
        queries: &mut dyn Iterator<Item = Result<Query, LoadError>>,
    ) -> Result<usize, RowsError> {
        let fault = |error: io::Error| RowsError::File { file: self.path.clone(), reason: error.to_string() };
        let file = self.writer.get_mut();
        file.seek(SeekFrom::Start(0)).map_err(fault)?;
        let mut reader = BufReader::new(file);
        let (mut whole, mut done) = (0, 0);
        loop {
            let mut line = Vec::new();
            let read = (&mut reader).take(MAX_LINE_BYTES).read_until(b'\n', &mut line).map_err(fault)?;
            if read == 0 || line.last() != Some(&b'\n') {
                break;
            }
            let row: Option<Value> = serde_json::from_slice(&line).ok();
            let id = row.as_ref().and_then(|row| row.get("id")?.as_str());
            // A line that was cut by a full disk or a crash is written again, with all after it.
            let Some(id) = id else { break };
            let expected = queries.next().transpose()?;
            if expected.as_ref().is_none_or(|query| query.id != id) {
                return Err(RowsError::OtherRows {
                    file: self.path.clone(),
                    line: done + 1,
                    found: id.to_string(),
                    expected: expected.map_or("no more rows".to_string(), |query| format!("{:?}", query.id)),
                });
            }
            whole += read as u64;
            done += 1;
        }
        let file = self.writer.get_mut();
        file.set_len(whole).map_err(fault)?;
        file.seek(SeekFrom::Start(whole)).map_err(fault)?;
        Ok(done)
    }

    /// Records what the rows depend on, before the first of them is written.
    ///
    /// # Errors
    /// The output was begun on another model, or the state cannot be written.
    pub fn begin(&mut self, team: Digest, model: Digest, date: Date) -> Result<(), RowsError> {
        if let Some(begun) = &self.begun {
            return match begun.model == model {
                true => Ok(()),
                false => Err(RowsError::Other { file: self.path.clone(), what: "model" }),
            };
        }
        let state = RowsState { schema: SCHEMA, team, model, date };
        let text = serde_json::to_string_pretty(&state).expect("a state is plain data") + "\n";
        let file = state_path(&self.path);
        write_file(&file, &text).map_err(|error: JournalError| RowsError::File { file, reason: error.to_string() })
    }

    /// Writes one line.
    ///
    /// # Errors
    /// The disk is full, or the file cannot be written.
    pub fn line(&mut self, line: &str) -> io::Result<()> {
        self.writer.write_all(line.as_bytes())?;
        self.writer.write_all(b"\n")?;
        self.writer.flush()
    }

    /// Makes durable what was written.
    ///
    /// # Errors
    /// The disk is full, or the file cannot be written.
    pub fn finish(&mut self) -> io::Result<()> {
        self.writer.flush()?;
        self.writer.get_ref().sync_all()
    }
}

/// Returns where the state of an output is: beside it, with `.state.json` after its name.
pub fn state_path(output: &Path) -> PathBuf {
    let mut name: OsString = output.as_os_str().to_owned();
    name.push(".state.json");
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queries(ids: &[&str]) -> std::vec::IntoIter<Result<Query, LoadError>> {
        let query = |id: &&str| Ok(Query { id: id.to_string(), question: "q".into(), line: 1 });
        ids.iter().map(query).collect::<Vec<_>>().into_iter()
    }

    fn begun(path: &Path, text: &str) -> RowFile {
        let team = Digest::of(b"team");
        let mut file = RowFile::open(path, team, true).unwrap();
        file.begin(team, Digest::of(b"model"), "2026-11-29".parse().unwrap()).unwrap();
        drop(file);
        fs::write(path, text).unwrap();
        RowFile::open(path, team, false).unwrap()
    }

    #[test]
    fn a_second_run_goes_on_after_the_last_whole_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out.jsonl");
        let mut file = begun(&path, "{\"id\":\"1\"}\n{\"id\":\"2\"}\n{\"id\":\"3");
        let mut rows = queries(&["1", "2", "3", "4"]);
        assert_eq!(file.pass_over(&mut rows).unwrap(), 2);
        assert_eq!(rows.next().unwrap().unwrap().id, "3");
        file.line("{\"id\":\"3\"}").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "{\"id\":\"1\"}\n{\"id\":\"2\"}\n{\"id\":\"3\"}\n");
    }

    #[test]
    fn rows_of_another_input_or_team_are_not_mixed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out.jsonl");
        let mut file = begun(&path, "{\"id\":\"1\"}\n{\"id\":\"2\"}\n");
        let error = file.pass_over(&mut queries(&["1", "x"])).unwrap_err().to_string();
        assert!(error.contains("out.jsonl:2 is the answer to row \"2\", and the input has \"x\""), "{error}");
        let error = file.pass_over(&mut queries(&["1"])).unwrap_err().to_string();
        assert!(error.contains("no more rows"), "{error}");
        let model = file.begin(Digest::of(b"team"), Digest::of(b"other"), "2026-11-29".parse().unwrap());
        assert!(matches!(model, Err(RowsError::Other { what: "model", .. })));
        assert!(matches!(RowFile::open(&path, Digest::of(b"x"), false), Err(RowsError::Other { .. })));
        fs::remove_file(state_path(&path)).unwrap();
        assert!(matches!(RowFile::open(&path, Digest::of(b"team"), false), Err(RowsError::NotOurs { .. })));
        assert!(RowFile::open(&path, Digest::of(b"team"), true).is_ok());
        assert_eq!(fs::read(&path).unwrap().len(), 0);
    }
}
