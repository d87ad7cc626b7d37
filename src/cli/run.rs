//! `maspo run`: a team on new rows that nobody has labelled.

use super::device::DeviceArgs;
use super::output::{self, has_moving_lines, print_json, print_message, unwritable};
use super::progress::Progress;
use super::settings::{ExperimentArgs, bill_line, chat_error};
use super::team::{Chosen, choose};
use super::{CliError, Exit};
use crate::base::CancelToken;
use crate::engine::Date;
use crate::remote::BaseUrl;
use crate::report::counted;
use crate::run::{Observer, RowFile, RowsError, TeamRun};
use crate::task::{LoadError, Queries, Query};
use futures::channel::mpsc;
use futures::executor::block_on;
use futures::future::poll_fn;
use futures::{StreamExt, stream};
use serde_json::{Map, Value, json};
use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The most bad rows that are listed one by one.
const LISTED: usize = 20;

/// Have a team answer new rows, one JSON line a row.
#[derive(clap::Args, Debug)]
pub(super) struct Args {
    /// The experiment file, a bundle, or the folder of a finished run or of releases.
    team: PathBuf,
    /// The prompts to use with an experiment file: a `prompts.json`, a bundle or the folder of a
    /// finished run. Default is its seed prompts.
    #[arg(long, value_name = "FILE")]
    prompts: Option<PathBuf>,
    /// The rows, a JSONL file; `-` is standard input.
    #[arg(long, value_name = "FILE")]
    input: PathBuf,
    /// Where the answers go; `-`, the default, is standard output. A second run with the same file
    /// goes on after its last whole line.
    #[arg(long, value_name = "FILE", default_value = "-")]
    output: PathBuf,
    /// Begin the output anew, whatever it holds.
    #[arg(long)]
    force: bool,
    /// A field of a row that is part of the question; may be repeated. Default is that of the
    /// experiment's pool.
    #[arg(long, value_name = "FIELD")]
    question: Vec<String>,
    /// The field with a row's id. Default is that of the experiment's pool, or else the field `id`,
    /// or else the line number.
    #[arg(long, value_name = "FIELD")]
    id: Option<String>,
    /// The model of a bundle, if it is elsewhere now: a Hugging Face model folder, a .gguf file, or
    /// `embedded:triage`.
    #[arg(long)]
    model: Option<String>,
    /// Refuse a model that is not exactly the one that the bundle's evidence was measured on.
    #[arg(long)]
    same_model: bool,
    /// The most rows that are under way at once (`rollout.max_in_flight`).
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=65536))]
    in_flight: Option<u32>,
    /// Change one setting of an experiment file, e.g. `--set model.dtype="q8_0"`; may be repeated.
    #[arg(long = "set", value_name = "KEY.PATH=VALUE")]
    set: Vec<String>,
    #[command(flatten)]
    device: DeviceArgs,
    /// Do not keep quantized weights on disk.
    #[arg(long)]
    no_weight_cache: bool,
    /// The date that chat templates see, as YYYY-MM-DD; default is today, or the one on which the
    /// output was begun.
    #[arg(long)]
    date: Option<Date>,
    /// Leave malformed rows out (they are counted) instead of stopping.
    #[arg(long)]
    skip_bad_rows: bool,
    /// Print one versioned JSON object about the run on stdout. It needs an --output.
    #[arg(long)]
    json: bool,
}

impl Args {
    /// Returns the URLs of servers that an experiment file names. A bundle names none.
    pub(super) fn endpoints(&self) -> Vec<BaseUrl> {
        self.experiment().endpoints()
    }

    fn experiment(&self) -> ExperimentArgs {
        ExperimentArgs {
            config: self.team.clone(),
            set: self.set.clone(),
            device: self.device.clone(),
            no_weight_cache: self.no_weight_cache,
            date: self.date,
            skip_bad_rows: self.skip_bad_rows,
            unsafe_exec: false,
            json: self.json,
        }
    }
}

pub(super) fn run(args: Args) -> Result<Exit, CliError> {
    let to_stdout = args.output == Path::new("-");
    if args.json && to_stdout {
        return Err(CliError::bad_input("--json needs --output FILE: standard output has the answers"));
    }
    let mut progress = Progress::new()?;
    let mut chosen = choose(&args.experiment(), args.prompts.as_deref(), args.model.as_deref())?;
    if let Some(in_flight) = args.in_flight {
        chosen.settings.options.rollout.max_in_flight = in_flight as usize;
    }
    if !args.question.is_empty() {
        chosen.settings.rows.question = args.question.clone();
    }
    chosen.settings.rows.id = args.id.clone().or(chosen.settings.rows.id.take());
    if !to_stdout && same_file(&args.input, &args.output) {
        return Err(CliError::bad_input(format!("{} is the input: give another --output", args.output.display())));
    }
    let rows = Rows { args: &args, chosen: &chosen };
    let total = rows.check()?;
    let mut queries = rows.queries()?;
    let team = chosen.team();
    let digest = team.digest();
    let mut sink = match to_stdout {
        true => Sink::Stdout(Box::new(output::stdout())),
        false => Sink::File(RowFile::open(&args.output, digest, args.force).map_err(|error| rows_error(&error))?),
    };
    let (mut earlier, mut date) = (0, args.date);
    if let Sink::File(file) = &mut sink {
        earlier = file.pass_over(&mut queries).map_err(|error| rows_error(&error))?;
        if let Some(begun) = file.begun() {
            if args.date.is_some_and(|date| date != begun.date) {
                let message = format!("{} was begun with the date {}", args.output.display(), begun.date);
                return Err(CliError::bad_input(message));
            }
            date = Some(begun.date);
        }
    }
    let date = date.unwrap_or_else(Date::today);
    let mut told = Told { earlier, answered: 0, no_answer: 0, left_out: 0, interrupted: false };
    if total.is_some_and(|total| total == earlier) && earlier > 0 {
        print_message(format_args!("all {earlier} rows are answered already in {}", args.output.display()));
        return rows.tell(&told, None).map(|()| Exit::Ok);
    }
    let run = TeamRun::open(&team, date, &mut progress)?;
    chosen.check_model(run.identity(), args.same_model)?;
    if let Sink::File(file) = &mut sink {
        file.begin(digest, run.identity().digest, date).map_err(|error| rows_error(&error))?;
    }
    let result = rows.answer(&run, queries, &mut sink, &progress.cancel(), &mut told);
    if let Sink::File(file) = &mut sink {
        file.finish().map_err(|error| unwritable(&args.output.display().to_string(), &error))?;
    }
    result?;
    rows.tell(&told, Some(&run))?;
    Ok(if told.interrupted { Exit::Interrupted } else { Exit::Ok })
}

/// What is told of a run at its end.
struct Told {
    /// Rows of the output that were there before.
    earlier: usize,
    answered: usize,
    no_answer: usize,
    left_out: usize,
    interrupted: bool,
}

/// Where answers go.
enum Sink {
    Stdout(Box<dyn Write>),
    File(RowFile),
}

impl Sink {
    fn line(&mut self, line: &str) -> io::Result<()> {
        match self {
            Self::Stdout(stdout) => writeln!(stdout, "{line}").and_then(|()| stdout.flush()),
            Self::File(file) => file.line(line),
        }
    }
}

/// The rows of the input.
struct Rows<'a> {
    args: &'a Args,
    chosen: &'a Chosen,
}

type AnyQueries = Queries<BufReader<Box<dyn Read + Send>>>;

impl Rows<'_> {
    fn queries(&self) -> Result<AnyQueries, CliError> {
        let input = &self.args.input;
        let (name, reader): (PathBuf, Box<dyn Read + Send>) = match input == Path::new("-") {
            true => ("<stdin>".into(), Box::new(io::stdin())),
            false => {
                let unreadable =
                    |reason: String| CliError::bad_input(format!("cannot read {}: {reason}", input.display()));
                if input.is_dir() {
                    return Err(unreadable("it is a folder".to_string()));
                }
                let file = File::open(input).map_err(|error| match error.kind() {
                    io::ErrorKind::NotFound => unreadable("no such file".to_string()),
                    _ => unreadable(error.to_string()),
                })?;
                (input.clone(), Box::new(file))
            }
        };
        Ok(Queries::new(BufReader::with_capacity(1 << 16, reader), name, self.chosen.settings.rows.clone()))
    }

    /// Reads a file once, so that its faults are known before the first row is answered, and
    /// returns the number of its rows. A pipe is read once only; its faults are met on the way.
    fn check(&self) -> Result<Option<usize>, CliError> {
        if self.args.input == Path::new("-") {
            return Ok(None);
        }
        // A pipe with a name, or a terminal, would be empty afterwards.
        if !self.args.input.metadata().is_ok_and(|metadata| metadata.is_file()) {
            return self.queries().map(|_| None);
        }
        let (mut good, mut bad, mut listed) = (0, 0, Vec::new());
        for query in self.queries()? {
            match query {
                Ok(_) => good += 1,
                Err(error) if self.args.skip_bad_rows && error.is_bad_row() => {}
                Err(error) => {
                    bad += 1;
                    if listed.len() < LISTED {
                        listed.push(self.shown(error).to_string());
                    }
                }
            }
        }
        if bad > listed.len() {
            listed.push(format!("{} more rows of {} are wrong", bad - listed.len(), self.args.input.display()));
        }
        match bad {
            0 => Ok(Some(good)),
            _ => Err(CliError::bad_inputs(listed)),
        }
    }

    /// Returns a fault as it may be printed: without words of private data.
    fn shown(&self, error: LoadError) -> LoadError {
        if self.chosen.settings.private { error.without_text() } else { error }
    }

    /// Answers the rows, a bounded number at once, and writes the answers in the order of the
    /// input.
    fn answer(
        &self,
        run: &TeamRun,
        queries: AnyQueries,
        sink: &mut Sink,
        cancel: &CancelToken,
        told: &mut Told,
    ) -> Result<(), CliError> {
        let window = self.chosen.settings.options.rollout.max_in_flight.max(1);
        let answers = reading(queries, window, cancel.clone()).map(|query| async move {
            let query = match query {
                Ok(query) => query,
                Err(error) => return Err(error),
            };
            let answer = run.answer(query.question.clone()).await;
            Ok((query, answer))
        });
        let result = block_on(async {
            let mut answers = answers.buffered(window);
            while let Some(answered) = answers.next().await {
                let (query, answer) = match answered {
                    Ok(answered) => answered,
                    Err(error) if self.args.skip_bad_rows && error.is_bad_row() => {
                        told.left_out += 1;
                        if told.left_out <= LISTED {
                            print_message(format_args!("warning: left out: {}", self.shown(error)));
                        }
                        continue;
                    }
                    Err(error) => return Err(CliError::bad_input(self.shown(error))),
                };
                let answer = match answer {
                    Ok(answer) => answer,
                    Err(crate::chat::ChatError::Cancelled) => break,
                    Err(error) => return Err(chat_error(error).of(&format!("row {}", query.line))),
                };
                told.answered += 1;
                told.no_answer += usize::from(answer.answer.is_none());
                let mut line = Map::from_iter([("id".to_string(), Value::from(query.id))]);
                if let Ok(Value::Object(fields)) = serde_json::to_value(answer) {
                    line.extend(fields);
                }
                sink.line(&Value::Object(line).to_string()).map_err(|error| unwritable(&self.output(), &error))?;
                if has_moving_lines() && told.answered.is_multiple_of(1000) {
                    print_message(format_args!("{} rows answered", told.earlier + told.answered));
                }
            }
            Ok(())
        });
        told.interrupted = cancel.is_cancelled();
        result
    }

    fn output(&self) -> String {
        match self.args.output == Path::new("-") {
            true => "standard output".to_string(),
            false => self.args.output.display().to_string(),
        }
    }

    /// Says on stderr what was done, and with `--json` on stdout, too.
    fn tell(&self, told: &Told, run: Option<&TeamRun>) -> Result<(), CliError> {
        let Told { earlier, answered, no_answer, left_out, interrupted } = *told;
        if let Some(run) = run {
            let mut text = format!("answered {}", counted(answered, "row", "rows"));
            if earlier > 0 {
                text += &format!(", after {earlier} that were there");
            }
            if no_answer > 0 {
                text += &format!("; {} without an answer", counted(no_answer, "output", "outputs"));
            }
            if left_out > 0 {
                text += &format!("; {} left out", counted(left_out, "bad row", "bad rows"));
            }
            print_message(format_args!("{text}\nworker   {}", bill_line(&run.bill())));
            if interrupted {
                let rest = match self.args.output == Path::new("-") {
                    true => "rows that are not printed are not answered",
                    false => "the same command goes on after the last whole line",
                };
                print_message(format_args!("stopped: {rest}"));
            }
        }
        if self.args.json {
            print_json(&json!({
                "schema": 1,
                "command": "run",
                "name": self.chosen.settings.name,
                "output": self.args.output,
                "model": run.map(TeamRun::identity),
                "rows": earlier + answered,
                "answered": answered,
                "earlier": earlier,
                "without_answer": no_answer,
                "left_out": left_out,
                "interrupted": interrupted,
                "ledger": run.map(|run| json!({"worker": run.bill()})),
            }))?;
        }
        Ok(())
    }
}

/// Reads the queries on a thread of its own, so that a pipe that has nothing yet does not hold up
/// the answers to what it had. At most `window` queries wait; the stream ends early on ctrl-C.
fn reading(
    queries: AnyQueries,
    window: usize,
    cancel: CancelToken,
) -> impl stream::Stream<Item = Result<Query, LoadError>> {
    let (mut sender, receiver) = mpsc::channel(window);
    let mut closing = sender.clone();
    let stop = cancel.clone();
    std::thread::spawn(move || {
        while !stop.is_cancelled() && !closing.is_closed() {
            std::thread::sleep(Duration::from_millis(50));
        }
        closing.close_channel();
    });
    std::thread::spawn(move || {
        for query in queries {
            // The other end is gone when the run ends early.
            let ready = block_on(poll_fn(|context| sender.poll_ready(context)));
            if cancel.is_cancelled() || ready.is_err() || sender.start_send(query).is_err() {
                return;
            }
        }
        sender.close_channel();
    });
    receiver
}

fn same_file(input: &Path, output: &Path) -> bool {
    matches!((input.canonicalize(), output.canonicalize()), (Ok(one), Ok(other)) if one == other)
}

fn rows_error(error: &RowsError) -> CliError {
    CliError::new(if error.is_environment() { Exit::Environment } else { Exit::BadInput }, error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::RowFields;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    const ROW: &[u8] = b"{\"question\": \"rate: rapid\"}\n";

    /// A pipe that never ends, and counts what was read of it.
    struct Endless(Arc<AtomicUsize>);

    impl Read for Endless {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let length = buffer.len() / ROW.len() * ROW.len();
            buffer[..length].chunks_exact_mut(ROW.len()).for_each(|row| row.copy_from_slice(ROW));
            self.0.fetch_add(length, Ordering::SeqCst);
            Ok(length)
        }
    }

    #[test]
    fn a_pipe_is_read_only_as_far_as_its_rows_are_answered() {
        const ANSWERED: usize = 100_000;
        const WINDOW: usize = 8;
        let (read, cancel) = (Arc::new(AtomicUsize::new(0)), CancelToken::new());
        let pipe: Box<dyn Read + Send> = Box::new(Endless(read.clone()));
        let queries = Queries::new(BufReader::with_capacity(1 << 16, pipe), "<stdin>".into(), RowFields::default());
        let mut rows = Box::pin(reading(queries, WINDOW, cancel.clone()));
        let taken = block_on(async {
            let mut taken = 0;
            while taken < ANSWERED {
                let query = rows.next().await.expect("it never ends").unwrap();
                taken += 1;
                assert_eq!(query.line, taken);
            }
            taken
        });
        // What waits is bounded: the window with the two places that a channel adds for its
        // senders, a row in the reader's hand, and the reader's buffer.
        let most = (taken + WINDOW + 3) * ROW.len() + (1 << 16);
        assert!(read.load(Ordering::SeqCst) <= most, "{} bytes of {most}", read.load(Ordering::SeqCst));
        cancel.cancel();
        // After ctrl-C the stream ends although the pipe does not.
        assert!(block_on(rows.count()) <= WINDOW + 3);
    }
}
