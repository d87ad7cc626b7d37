//! Reports on stderr how a model is opened: what is unusual about its files, a warning if its
//! weights have no room, what `auto` became, and the progress of a large model, as one moving line
//! on a terminal and one line per tenth elsewhere.

use super::output;
use crate::engine::qwen3::{Dtype, ResolvedDtype};
use crate::engine::{LoadNotice, LoadProgress};
use indicatif::{ProgressBar, ProgressStyle};

/// The number of weights from which on progress is shown; smaller models load at once.
const WORTH_SHOWING: u64 = 200_000_000;

/// The progress of loading one model.
pub(super) struct Loading {
    name: String,
    worth_showing: u64,
    bar: Option<ProgressBar>,
    /// The number of tenths that were reported.
    tenths: u64,
    resolved: Option<ResolvedDtype>,
    /// Whether a note said what the weights are kept in.
    repacked: bool,
}

impl Loading {
    /// Creates the progress of the model `name`.
    pub(super) fn new(name: String) -> Self {
        Self { name, worth_showing: WORTH_SHOWING, bar: None, tenths: 0, resolved: None, repacked: false }
    }

    /// Shows the progress.
    pub(super) fn show(&mut self, progress: LoadProgress) {
        match progress {
            LoadProgress::Noticed(notice) => {
                self.repacked |= matches!(notice, LoadNotice::Repacked { .. });
                output::print_message(notice_text(&self.name, &notice));
            }
            LoadProgress::Resolved(resolved) => {
                if let Some(warning) = warning(&self.name, resolved) {
                    output::print_message(warning);
                }
                self.resolved = Some(resolved);
            }
            LoadProgress::Loaded { done, all } if output::has_moving_lines() => self.show_bar(done, all),
            LoadProgress::Loaded { done, all } => {
                if let Some(line) = self.line(done, all) {
                    output::print_message(line);
                }
            }
        }
    }

    /// Reports what `auto` became, when the model is loaded.
    pub(super) fn finish(self) {
        if self.repacked {
            return;
        }
        if let Some(line) = self.resolved.and_then(resolution) {
            output::print_message(line);
        }
    }

    fn show_bar(&mut self, done: u64, all: u64) {
        if all < self.worth_showing {
            return;
        }
        let bar = self.bar.get_or_insert_with(|| {
            let style = ProgressStyle::with_template("loading {msg} {bar:24} {percent}%").expect("a valid template");
            ProgressBar::new(all).with_style(style).with_message(self.name.clone())
        });
        bar.set_position(done);
    }

    /// Returns the line for the next tenth, if it is reached.
    fn line(&mut self, done: u64, all: u64) -> Option<String> {
        if all < self.worth_showing || done * 10 / all < self.tenths {
            return None;
        }
        self.tenths = done * 10 / all + 1;
        Some(format!("loading {}: {} % of {:.1} billion weights", self.name, done * 100 / all, all as f64 / 1e9))
    }
}

impl Drop for Loading {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// Returns the message about something unusual in a model's files.
fn notice_text(name: &str, notice: &LoadNotice) -> String {
    match notice {
        LoadNotice::OwnHead => format!(
            "note: {name}: its weights hold an lm_head.weight that differs from the embedding; it is used, although \
             the configuration ties the two"
        ),
        LoadNotice::Adapter(file) => format!(
            "warning: {name}: the LoRA adapter beside the weights ({file}) is not applied; merge it into the \
             model to use it"
        ),
        LoadNotice::Repacked { formats, kept, memory_bytes } => {
            let names: Vec<&str> = formats.iter().map(|(format, _)| *format).collect();
            let kept: Vec<&str> = kept.iter().map(|format| format.name()).collect();
            let stored = size(formats.iter().map(|(_, bytes)| bytes).sum());
            format!(
                "note: {name}: no kernel reads {}: those weights ({stored} in the file) are kept as {}, all others as \
                 in the file; all weights take {}",
                names.join(", "),
                kept.join(" and "),
                size(*memory_bytes)
            )
        }
        LoadNotice::ZeroTensors(names) => {
            let first = names.first().map_or("", String::as_str);
            let which = match names.len() {
                0 | 1 => format!("the tensor {first} is entirely zero"),
                count => format!("{count} tensors are entirely zero ({first} and {} more)", count - 1),
            };
            format!("warning: {name}: {which}: are the weights damaged or unfinished?")
        }
    }
}

/// Returns the warning that is printed before anything is loaded.
fn warning(name: &str, resolved: ResolvedDtype) -> Option<String> {
    let ResolvedDtype { asked, dtype, bytes, free: Some(free), .. } = resolved else { return None };
    if resolved.fits() {
        return None;
    }
    let kept = if dtype == Dtype::Auto { "as in the file".to_string() } else { format!("in {dtype}") };
    let even = if asked == Dtype::Auto { "even " } else { "" };
    let (bytes, free) = (size(bytes), size(free));
    Some(format!(
        "warning: {name} may not fit: {even}{kept} its weights take {bytes}, and {free} of memory are free for them \
        and for keys and values"
    ))
}

/// Returns the message about what `auto` became.
fn resolution(resolved: ResolvedDtype) -> Option<String> {
    let ResolvedDtype { asked, dtype, bytes, stored_bytes, free } = resolved;
    match (asked, dtype) {
        (Dtype::Auto, Dtype::Auto) => {
            Some(format!("note: dtype auto: the weights are kept as in the file, {}", size(bytes)))
        }
        (Dtype::Auto, _) => {
            let free = free.map_or("unknown".to_string(), size);
            let (bytes, stored) = (size(bytes), size(stored_bytes));
            Some(format!(
                "note: dtype auto: the weights are kept in {dtype}, {bytes}; as in the file they would take \
                {stored}, and free memory is {free}"
            ))
        }
        _ => None,
    }
}

fn size(bytes: u64) -> String {
    if bytes < 1_000_000_000 {
        format!("{:.1} MB", bytes as f64 / 1e6)
    } else {
        format!("{:.1} GB", bytes as f64 / 1e9)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_auto_became_is_said_and_what_does_not_fit_before() {
        let resolved =
            |asked, dtype, bytes, free| ResolvedDtype { asked, dtype, bytes, stored_bytes: 16_000_000_000, free };
        let messages = |resolved| (warning("m", resolved), resolution(resolved));
        let (auto, q4, f32) = (Dtype::Auto, Dtype::Q4K, Dtype::F32);
        assert_eq!(messages(resolved(f32, f32, 5, Some(6))), (None, None));
        assert_eq!(
            messages(resolved(auto, auto, 7_400_000, Some(1_000_000_000))),
            (None, Some("note: dtype auto: the weights are kept as in the file, 7.4 MB".to_string()))
        );
        let (warned, reported) = messages(resolved(auto, q4, 5_000_000_000, Some(6_000_000_000)));
        assert_eq!(
            warned.unwrap(),
            "warning: m may not fit: even in q4_k its weights take 5.0 GB, and 6.0 GB of memory are free for them \
            and for keys and values"
        );
        assert_eq!(
            reported.unwrap(),
            "note: dtype auto: the weights are kept in q4_k, 5.0 GB; as in the file they would take 16.0 GB, and \
            free memory is 6.0 GB"
        );
        let (warned, reported) = messages(resolved(f32, f32, 5_000_000_000, Some(4_000_000_000)));
        assert!(
            warned.unwrap().starts_with("warning: m may not fit: in f32 its weights take 5.0 GB") && reported.is_none()
        );
    }

    #[test]
    fn unusual_files_are_named() {
        let said = |notice| notice_text("m", &notice);
        assert!(said(LoadNotice::OwnHead).starts_with("note: m: its weights hold an lm_head.weight"));
        assert_eq!(
            said(LoadNotice::Adapter("adapter_config.json")),
            "warning: m: the LoRA adapter beside the weights (adapter_config.json) is not applied; merge it \
             into the model to use it"
        );
        let zero = |names: &[&str]| said(LoadNotice::ZeroTensors(names.iter().map(|name| name.to_string()).collect()));
        assert_eq!(
            zero(&["a.weight"]),
            "warning: m: the tensor a.weight is entirely zero: are the weights damaged or unfinished?"
        );
        assert_eq!(
            zero(&["a.weight", "b.weight", "c.weight"]),
            "warning: m: 3 tensors are entirely zero (a.weight and 2 more): are the weights damaged or unfinished?"
        );
    }

    #[test]
    fn a_large_model_tells_every_tenth_once_and_a_small_one_nothing() {
        let lines_for = |worth_showing| -> Vec<String> {
            let mut loading = Loading::new("m".to_string());
            loading.worth_showing = worth_showing;
            (0..=40).filter_map(|step| loading.line(step * 25, 1000)).collect()
        };
        assert!(lines_for(1001).is_empty());
        let lines = lines_for(1000);
        assert_eq!((lines.len(), lines[0].as_str()), (11, "loading m: 0 % of 0.0 billion weights"));
        assert_eq!(lines[10], "loading m: 100 % of 0.0 billion weights");
    }
}
