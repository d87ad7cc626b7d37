//! Requests as JSON lines in, answers as JSON lines out, in the order of the input. Every line is
//! checked before the first one runs, a bounded number of requests is in progress, and neither
//! input nor output has to fit into memory.

use super::output::{self, print_message};
use super::{CliError, Exit};
use crate::base::CancelToken;
use futures::executor::block_on;
use futures::{StreamExt, stream};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Cursor, Read, Write};
use std::path::{Path, PathBuf};

/// The most bytes of a line.
const MAX_LINE_BYTES: u64 = 64 << 20;
/// The most bytes of standard input, which is kept in memory because it is read twice.
const MAX_STDIN_BYTES: u64 = 1 << 30;
/// The most faulty lines that are listed.
const MAX_FAULTS: usize = 20;

/// A file of requests, or standard input.
pub(super) struct Input {
    name: String,
    place: Place,
}

enum Place {
    File(PathBuf),
    Memory(Vec<u8>),
}

impl Input {
    /// Opens `path`; `-` is standard input.
    pub(super) fn open(path: &Path) -> Result<Self, CliError> {
        let unreadable = |error: io::Error| CliError::bad_input(format!("{} cannot be read: {error}", path.display()));
        if path != Path::new("-") {
            if File::open(path).and_then(|file| file.metadata()).map_err(unreadable)?.is_dir() {
                return Err(unreadable(io::Error::other("it is a folder")));
            }
            return Ok(Self { name: path.display().to_string(), place: Place::File(path.to_path_buf()) });
        }
        let mut bytes = Vec::new();
        io::stdin().take(MAX_STDIN_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
        if bytes.len() as u64 > MAX_STDIN_BYTES {
            return Err(CliError::bad_input("standard input is longer than 1 GiB: give a file"));
        }
        Ok(Self { name: "<stdin>".to_string(), place: Place::Memory(bytes) })
    }

    /// Returns what `read` makes of every line. The faults of all lines go to `faults`.
    ///
    /// # Errors
    /// The file cannot be opened.
    pub(super) fn read_all<T>(
        &self,
        read: impl Fn(&str) -> Result<T, String>,
        faults: &mut Vec<String>,
    ) -> Result<Vec<T>, CliError> {
        let mut all = Vec::new();
        for (line, text) in self.lines()? {
            match text.and_then(|text| read(&text)) {
                Ok(value) => all.push(value),
                Err(fault) => faults.push(format!("{}: {fault}", self.at(line))),
            }
        }
        Ok(all)
    }

    /// Returns whether `output` is the same file.
    pub(super) fn is(&self, output: &Path) -> bool {
        match &self.place {
            Place::File(path) => matches!((path.canonicalize(), output.canonicalize()), (Ok(a), Ok(b)) if a == b),
            Place::Memory(_) => false,
        }
    }

    /// Returns `FILE:LINE`.
    fn at(&self, line: usize) -> String {
        format!("{}:{line}", self.name)
    }

    /// Returns the lines that are not blank, numbered from 1.
    fn lines(&self) -> Result<Lines<'_>, CliError> {
        let reader: Box<dyn BufRead + '_> = match &self.place {
            Place::Memory(bytes) => Box::new(Cursor::new(bytes)),
            Place::File(path) => Box::new(BufReader::new(
                File::open(path).map_err(|e| CliError::bad_input(format!("{} cannot be read: {e}", self.name)))?,
            )),
        };
        Ok(Lines { reader, line: 0, ended: false })
    }
}

/// Why a line could not be read.
#[derive(Debug, thiserror::Error)]
enum LineError {
    /// Reading failed; there is no next line.
    #[error("cannot be read: {0}")]
    Unreadable(#[from] io::Error),
    /// The line is too long, so where the next one begins is not known.
    #[error("the line is longer than 64 MiB")]
    TooLong,
    /// The line is not UTF-8; the next one may be right.
    #[error("not UTF-8: byte {byte} of the line is wrong")]
    NotUtf8 {
        /// Counted from 1.
        byte: usize,
    },
}

struct Lines<'a> {
    reader: Box<dyn BufRead + 'a>,
    line: usize,
    ended: bool,
}

impl Lines<'_> {
    /// Returns the next line as text; `None` at the end.
    fn read(&mut self) -> Option<Result<String, LineError>> {
        let mut bytes = Vec::new();
        match self.reader.by_ref().take(MAX_LINE_BYTES).read_until(b'\n', &mut bytes) {
            Err(error) => Some(Err(error.into())),
            Ok(0) => None,
            Ok(read) if read as u64 == MAX_LINE_BYTES => Some(Err(LineError::TooLong)),
            Ok(_) => Some(
                String::from_utf8(bytes)
                    .map_err(|error| LineError::NotUtf8 { byte: error.utf8_error().valid_up_to() + 1 }),
            ),
        }
    }
}

impl Iterator for Lines<'_> {
    type Item = (usize, Result<String, String>);

    fn next(&mut self) -> Option<Self::Item> {
        while !self.ended {
            self.line += 1;
            let text = self.read()?.map(|text| match (self.line, text.strip_prefix('\u{feff}')) {
                // Some editors put a byte-order mark first.
                (1, Some(rest)) => rest.to_string(),
                _ => text,
            });
            match text {
                Ok(text) if text.trim().is_empty() => {}
                Ok(text) => return Some((self.line, Ok(text))),
                Err(error) => {
                    self.ended = !matches!(error, LineError::NotUtf8 { .. });
                    return Some((self.line, Err(error.to_string())));
                }
            }
        }
        None
    }
}

/// Parses a line as a request. The fault names the column, since a request is one line.
pub(super) fn parse<T: DeserializeOwned>(line: &str) -> Result<T, String> {
    if !line.trim_start().starts_with('{') {
        return Err("a JSON object is called for".to_string());
    }
    serde_json::from_str(line.trim_end()).map_err(|error| {
        let text = error.to_string();
        match text.split_once(" at line ") {
            Some((fault, _)) => format!("{fault} (column {})", error.column()),
            None => text,
        }
    })
}

/// Where answers go: lines to a file or to standard output. With `--json` it is one object on
/// standard output, which holds the answers too unless they go to a file.
pub(super) struct Output {
    lines: Option<Box<dyn Write>>,
    object: Option<(Box<dyn Write>, bool)>,
}

impl Output {
    /// Opens the output at `path`. It is compared with `input`, so that no file is read and
    /// overwritten at once.
    pub(super) fn open(path: Option<&Path>, json: bool, input: &Input) -> Result<Self, CliError> {
        let lines: Option<Box<dyn Write>> = match path {
            Some(path) if input.is(path) => {
                return Err(CliError::bad_input(format!("{} is the input: give another --output", path.display())));
            }
            Some(path) => {
                let file = File::create(path).map_err(|error| {
                    CliError::new(Exit::Environment, format!("{} cannot be written: {error}", path.display()))
                })?;
                Some(Box::new(BufWriter::new(file)))
            }
            None if json => None,
            None => Some(Box::new(BufWriter::new(output::stdout()))),
        };
        let object: Option<(Box<dyn Write>, bool)> =
            json.then(|| (Box::new(BufWriter::new(output::stdout())) as Box<dyn Write>, path.is_none()));
        Ok(Self { lines, object })
    }

    /// Begins the object with `head`'s fields.
    fn begin(&mut self, head: &Map<String, Value>) -> io::Result<()> {
        self.begin_list(head, "results")
    }

    /// Does what [`begin`](Self::begin) does, and gives the list of answers another name.
    pub(super) fn begin_list(&mut self, head: &Map<String, Value>, list: &str) -> io::Result<()> {
        if let Some((object, with_results)) = &mut self.object {
            let text = Value::Object(head.clone()).to_string();
            write!(object, "{}", text.strip_suffix('}').unwrap_or(&text))?;
            if *with_results {
                write!(object, ",\"{list}\":[")?;
            }
        }
        Ok(())
    }

    /// Writes one answer.
    pub(super) fn answer(&mut self, answer: &Value, first: bool) -> io::Result<()> {
        if let Some(lines) = &mut self.lines {
            writeln!(lines, "{answer}")?;
            lines.flush()?;
        }
        if let Some((object, true)) = &mut self.object {
            write!(object, "{}{answer}", if first { "" } else { "," })?;
        }
        Ok(())
    }

    /// Ends the object with `tail`'s fields.
    pub(super) fn end(&mut self, tail: &Map<String, Value>) -> io::Result<()> {
        if let Some((object, with_results)) = &mut self.object {
            let text = Value::Object(tail.clone()).to_string();
            let tail = text.strip_prefix('{').unwrap_or(&text);
            writeln!(object, "{}{}{tail}", if *with_results { "]" } else { "" }, if tail == "}" { "" } else { "," })?;
            object.flush()?;
        }
        Ok(())
    }
}

/// Why a request is not answered.
pub(super) enum Fault {
    /// The request alone is refused; it is reported, and the others are answered.
    Refused(String),
    /// The run cannot go on.
    Fatal(String),
}

/// A request that is ready to run: its id, and what it takes to answer it.
pub(super) struct Prepared<T> {
    /// The request's id, which the answer repeats.
    pub(super) id: Value,
    /// What the engine gets.
    pub(super) request: T,
}

/// Runs `prepare` on every line and reports the faults of all, before anything is run.
pub(super) fn check_all<T>(
    input: &Input,
    prepare: &impl Fn(&str) -> Result<Prepared<T>, String>,
) -> Result<(), CliError> {
    let mut faults = Vec::new();
    let mut more = 0;
    for (line, text) in input.lines()? {
        if let Err(fault) = text.and_then(|text| prepare(&text)) {
            match faults.len() {
                MAX_FAULTS => more += 1,
                _ => faults.push(format!("{}: {fault}", input.at(line))),
            }
        }
    }
    if more > 0 {
        faults.push(format!("{more} more lines of {} are wrong", input.name));
    }
    if faults.is_empty() { Ok(()) } else { Err(CliError::bad_inputs(faults)) }
}

/// Answers every line, at most `in_flight` at once, and writes the answers in the order of the
/// lines. A refused request gives `{"id", "error"}` in its place, and exit code 2 at the end.
pub(super) fn answer_all<T, A>(
    input: &Input,
    output: &mut Output,
    head: Value,
    in_flight: usize,
    cancel: &CancelToken,
    prepare: &impl Fn(&str) -> Result<Prepared<T>, String>,
    answer: impl Fn(T) -> A,
) -> Result<Exit, CliError>
where
    A: Future<Output = Result<Map<String, Value>, Fault>>,
{
    let head = head.as_object().cloned().unwrap_or_default();
    output.begin(&head).map_err(unwritable)?;
    let started = input.lines()?.take_while(|_| !cancel.is_cancelled());
    let answers = started.map(|(line, text)| {
        // The line was right a moment ago: a fault now means that the file has changed.
        let prepared = text.and_then(|text| prepare(&text));
        let at = input.at(line);
        let answer = &answer;
        async move {
            match prepared {
                Ok(Prepared { id, request }) => (at, id, answer(request).await),
                Err(fault) => (at, Value::Null, Err(Fault::Fatal(format!("the file has changed: {fault}")))),
            }
        }
    });
    let mut refused = Vec::new();
    let mut written = 0usize;
    block_on(async {
        let mut answers = stream::iter(answers).buffered(in_flight);
        while let Some((at, id, result)) = answers.next().await {
            let mut fields = Map::from_iter([("id".to_string(), id)]);
            match result {
                Ok(answer) => fields.extend(answer),
                Err(Fault::Refused(fault)) => {
                    fields.insert("error".to_string(), json!(fault));
                    refused.push(format!("{at}: {fault}"));
                }
                Err(Fault::Fatal(fault)) => {
                    return Err(CliError::new(Exit::RunFailed, format!("{at}: {fault}")));
                }
            }
            output.answer(&Value::Object(fields), written == 0).map_err(unwritable)?;
            written += 1;
            if cancel.is_cancelled() {
                break;
            }
        }
        Ok(())
    })?;
    let tail =
        json!({ "answered": written - refused.len(), "refused": refused.len(), "interrupted": cancel.is_cancelled() });
    output.end(&tail.as_object().cloned().unwrap_or_default()).map_err(unwritable)?;
    if cancel.is_cancelled() {
        print_message(format_args!(
            "stopped: the answers to the first {written} requests are written; run the rest again to go on"
        ));
        return Ok(Exit::Interrupted);
    }
    if refused.is_empty() { Ok(Exit::Ok) } else { Err(CliError::bad_inputs(refused)) }
}

pub(super) fn unwritable(error: io::Error) -> CliError {
    output::unwritable("the output", &error)
}
