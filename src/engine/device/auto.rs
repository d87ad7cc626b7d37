//! What the backend `auto` means on a GPU: our own kernels if they pass the device check there, or
//! else candle. What passed once is not checked again with the same driver and the same program.

use super::OpenError;
use super::check::DeviceCheck;
use super::placement::Placement;
use crate::base::{Digest, Hasher};
use crate::executor::DeviceError;
use crate::token_engine::EngineOptions;
use std::path::{Path, PathBuf};

/// Opens a device in place of another, for the reason given.
type OpensInstead<'a> = dyn Fn(String) -> Result<Box<dyn Placement>, OpenError> + 'a;

/// The three things that `auto` asks for.
pub(super) struct Candidates<'a> {
    /// Opens the GPU for our own kernels.
    pub(super) native: &'a dyn Fn() -> Result<Box<dyn Placement>, OpenError>,
    /// Checks them there.
    pub(super) check: &'a dyn Fn(Box<dyn Placement>) -> Result<DeviceCheck, OpenError>,
    /// Opens the same GPU for candle, and says why; `None` in a build without candle for it.
    pub(super) candle: Option<&'a OpensInstead<'a>>,
}

impl Candidates<'_> {
    /// Chooses. `passed` is the folder that keeps what passed, and `driver` the driver's version.
    ///
    /// # Errors
    /// The device is missing or does not work, or our own kernels fail the check where there are no
    /// others.
    pub(super) fn choose(&self, passed: Option<&Path>, driver: &str) -> Result<Box<dyn Placement>, OpenError> {
        let placement = (self.native)()?;
        let name = placement.name();
        let record = passed.map(|folder| folder.join(key(&*placement, driver).to_string()));
        if record.as_ref().is_some_and(|record| record.exists()) {
            return Ok(placement);
        }
        let check = (self.check)(placement)?;
        if check.ok {
            if let Some(record) = record {
                remember(&record);
            }
            return (self.native)();
        }
        let error =
            check.largest_error.map_or(String::new(), |error| format!("{error:.1e} of the largest logit off, "));
        let problem = check.problem.unwrap_or_default();
        let reason = format!("our own kernels failed the device check: {error}{problem}");
        match self.candle {
            Some(candle) => candle(reason),
            None => Err(DeviceError(format!(
                "{reason}; this build has no candle for {name} to take their place: choose `--device cpu`"
            ))
            .into()),
        }
    }
}

/// Returns the folder that keeps what passed, below the user's cache folder.
#[cfg(gpu)]
pub(super) fn passed_folder() -> Option<PathBuf> {
    let weights = crate::weights::CachedWeights::default_root()?;
    Some(weights.parent()?.join("checks"))
}

/// Returns the digest of everything that the outcome depends on: device, kernels, driver and this
/// very program.
fn key(placement: &dyn Placement, driver: &str) -> Digest {
    let mut hasher = Hasher::new("maspo device check 1");
    hasher.field(placement.name().as_bytes()).field(driver.as_bytes()).field(env!("CARGO_PKG_VERSION").as_bytes());
    placement.identify(&EngineOptions::default(), &mut hasher);
    let program = std::env::current_exe().and_then(std::fs::metadata);
    let changed = program.as_ref().ok().and_then(|facts| facts.modified().ok());
    let changed = changed.and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok());
    hasher.field(&changed.map_or(0, |time| time.as_nanos()).to_le_bytes());
    hasher.field(&program.map_or(0, |facts| facts.len()).to_le_bytes());
    hasher.finish()
}

/// Records that the check was passed. If the folder cannot be written, the check is repeated next
/// time.
fn remember(record: &PathBuf) {
    if let Some(folder) = record.parent() {
        let _ = std::fs::create_dir_all(folder);
    }
    let _ = std::fs::write(record, "passed\n");
}

#[cfg(test)]
mod tests {
    use super::super::placement::open;
    use super::*;
    use crate::executor::{Backend, DeviceChoice};
    use crate::qwen3::Dtype;
    use std::cell::Cell;

    /// The CPU stands for a GPU whose check ends as it is told to.
    fn of(backend: Backend) -> Result<Box<dyn Placement>, OpenError> {
        open(&EngineOptions { backend, device: DeviceChoice::Cpu, threads: Some(1), ..EngineOptions::default() }, None)
    }

    fn outcome(ok: bool) -> DeviceCheck {
        DeviceCheck {
            backend: Backend::Native,
            device: "cuda:0".to_string(),
            widths: "Qwen3-0.6B",
            dtype: Dtype::Bf16,
            largest_error: Some(if ok { 0.01 } else { 0.4 }),
            allowed_error: 0.03,
            ok,
            problem: (!ok).then(|| "its logits are wrong".to_string()),
        }
    }

    #[test]
    fn what_passes_is_ours_and_is_not_checked_again_until_something_changes() {
        let folder = tempfile::tempdir().unwrap();
        let checks = Cell::new(0);
        let check = |_| {
            checks.set(checks.get() + 1);
            Ok(outcome(true))
        };
        let candidates = Candidates { native: &|| of(Backend::Native), check: &check, candle: None };
        for (driver, expected) in [("13.0", 1), ("13.0", 1), ("13.1", 2)] {
            let chosen = candidates.choose(Some(&folder.path().join("checks")), driver).unwrap();
            assert_eq!((chosen.backend(), checks.get()), (Backend::Native, expected));
        }
        candidates.choose(None, "13.0").unwrap();
        assert_eq!(checks.get(), 3, "nothing is remembered without a folder");
    }

    #[test]
    fn what_fails_is_candles_or_refused_and_is_checked_again() {
        let folder = tempfile::tempdir().unwrap();
        let reason = Cell::new(String::new());
        let candle = |why: String| {
            reason.set(why);
            of(Backend::Candle)
        };
        let check = |_| Ok(outcome(false));
        let candidates = Candidates { native: &|| of(Backend::Native), check: &check, candle: Some(&candle) };
        for _ in 0..2 {
            assert_eq!(candidates.choose(Some(folder.path()), "13.0").unwrap().backend(), Backend::Candle);
            let expected =
                "our own kernels failed the device check: 4.0e-1 of the largest logit off, its logits are wrong";
            assert_eq!(reason.take(), expected);
        }
        let alone = Candidates { candle: None, ..candidates };
        let error = alone.choose(None, "13.0").err().unwrap();
        assert!(matches!(error, OpenError::Device(_)));
        assert!(error.to_string().ends_with("no candle for cpu to take their place: choose `--device cpu`"), "{error}");
    }
}
