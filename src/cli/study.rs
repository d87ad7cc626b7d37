//! `maspo study`: Run a matrix of experiments, methods, option values and seeds, and write its
//! tables and plots.

use super::excerpt::with_excerpt;
use super::output::{print, print_json, print_message};
use super::progress::Progress;
use super::{CliError, Exit, lock};
use crate::base::Stopwatch;
use crate::config;
use crate::remote::BaseUrl;
use crate::study::{Step, Study, StudyError, StudyFile, StudyReport, cells, read_all, write_report};
use serde_json::json;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Run a study, or write the report of one: experiments, methods, option values and seeds.
#[derive(clap::Args, Debug)]
pub(super) struct Args {
    /// The study file.
    study: PathBuf,
    /// The study's folder; default `runs/<study name>`. Runs that it holds are not made again.
    #[arg(long)]
    out: Option<PathBuf>,
    /// Other seeds than the file's for every experiment, as `1..20` or one seed.
    #[arg(long)]
    seeds: Option<String>,
    /// Only this experiment of the study, by its name; may be repeated.
    #[arg(long, value_name = "EXPERIMENT")]
    only: Vec<String>,
    /// Change one setting of every run, e.g. `--set search.rounds=1`; may be repeated.
    #[arg(long = "set", value_name = "KEY.PATH=VALUE")]
    set: Vec<String>,
    /// Make no run; write the report of those that the folder holds.
    #[arg(long)]
    report: bool,
    /// Run model-written programs although this machine cannot confine them. They can then do what
    /// you can do.
    #[arg(long)]
    unsafe_exec: bool,
    /// Print the report as one versioned JSON object on stdout.
    #[arg(long)]
    json: bool,
}

impl Args {
    /// Returns the URLs of servers that the study's experiments name. Faults of the files are left
    /// to [`run`].
    pub(super) fn endpoints(&self) -> Vec<BaseUrl> {
        let Ok(file) = StudyFile::read(&self.study) else { return Vec::new() };
        if self.report {
            return Vec::new();
        }
        let base = self.study.parent().unwrap_or(Path::new(""));
        let (mut seen, mut urls) = (BTreeSet::new(), BTreeSet::new());
        for cell in cells(&file) {
            let is_seed = |flag: &&String| flag.starts_with("seed=");
            let sets: Vec<String> = cell.sets.iter().filter(|flag| !is_seed(flag)).chain(&self.set).cloned().collect();
            let config = base.join(&cell.config);
            if seen.insert((config.clone(), sets.clone())) {
                urls.extend(config::endpoints(&config, &sets));
            }
        }
        urls.into_iter().collect()
    }
}

pub(super) fn run(args: Args) -> Result<Exit, CliError> {
    let mut file = StudyFile::read(&args.study).map_err(fault)?;
    if let Some(seeds) = &args.seeds {
        file.use_seeds(seeds).map_err(|problem| CliError::bad_input(format!("--seeds: {problem}")))?;
    }
    if !args.only.is_empty() {
        file.keep_only(&args.only).map_err(|problem| CliError::bad_input(format!("--only: {problem}")))?;
    }
    let out = args.out.clone().unwrap_or_else(|| Path::new("runs").join(&file.name));
    if !args.report {
        let arguments: Vec<String> =
            std::env::args_os().skip(1).map(|argument| argument.to_string_lossy().into_owned()).collect();
        let base = args.study.parent().unwrap_or(Path::new(""));
        let study = Study {
            file: &file,
            base,
            out: &out,
            sets: &args.set,
            arguments: &arguments,
            unsafe_exec: args.unsafe_exec,
            egress_lock: lock::read_back,
        };
        let (watch, mut made) = (Stopwatch::start(), 0);
        let ran = study.run(&mut Progress::new()?, |step| print_message(line(&step, &watch, &mut made)));
        match ran {
            Ok(()) => {}
            Err(error) if error.is_cancelled() => {
                print_message("stopped; finished runs are kept, and the same command goes on");
                return Ok(Exit::Interrupted);
            }
            Err(error) => return Err(fault(error)),
        }
    }
    let records = read_all(&out).map_err(fault)?;
    let report = StudyReport::new(&file, &records).map_err(fault)?;
    let files = write_report(&report, &records, &out).map_err(fault)?;
    if args.json {
        print_json(&json!(report))?;
    } else {
        let shown: String = files.iter().map(|file| format!("{}\n", file.display())).collect();
        print(shown)?;
    }
    Ok(Exit::Ok)
}

/// Says how far the study is, and about how long it takes from here.
fn line(step: &Step<'_>, watch: &Stopwatch, made: &mut usize) -> String {
    match step {
        Step::Planned { finished, all, .. } if finished == all => format!("all {all} runs are finished"),
        Step::Planned { finished, all, calls } => {
            format!("{finished} of {all} runs are finished; the others take {calls} model calls at most")
        }
        Step::Finished { finished, all, record } => {
            *made += 1;
            let left = watch.seconds() / *made as f64 * (all - finished) as f64;
            format!(
                "{finished}/{all} {}, {}, seed {}: {:.3} (seed prompts {:.3}); about {:.0} min left",
                record.experiment,
                record.arm,
                record.seed,
                record.accuracy(),
                record.seed_accuracy(),
                left / 60.0
            )
        }
    }
}

fn fault(error: StudyError) -> CliError {
    match error {
        StudyError::Config(faults) => CliError::bad_inputs(faults.iter().map(with_excerpt)),
        StudyError::Files { .. } | StudyError::Sandbox(_) => CliError::new(Exit::Environment, error),
        StudyError::Run { label, error } => CliError::from(*error).of(&label),
        other => CliError::bad_input(other),
    }
}
