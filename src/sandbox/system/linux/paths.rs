//! The paths that a confined process may open, as Landlock rules. A rule set is made for each
//! program, because each has a scratch folder of its own.

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, PathBeneath, PathFd, PathFdError, Ruleset, RulesetAttr,
    RulesetCreatedAttr, RulesetError, Scope,
};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

/// The newest version of Landlock that is used; an older kernel gets what it has.
const NEWEST: ABI = ABI::V6;

/// Files that can be read, opened once.
pub(super) struct Readable(Vec<(PathFd, BitFlags<AccessFs>)>);

impl Readable {
    /// Opens what an interpreter needs. Files that do not exist are left out.
    pub(super) fn new(programs: &[PathBuf], files: &[PathBuf], folders: &[PathBuf]) -> Self {
        let kinds = [
            (programs, AccessFs::ReadFile | AccessFs::Execute),
            (files, AccessFs::ReadFile.into()),
            (folders, AccessFs::ReadFile | AccessFs::ReadDir),
        ];
        let opened = kinds
            .into_iter()
            .flat_map(|(paths, access)| paths.iter().filter_map(move |path| Some((PathFd::new(path).ok()?, access))));
        Self(opened.collect())
    }

    /// Makes the rules: these files, and a scratch folder with files that may be written.
    pub(super) fn rules(&self, scratch: Option<&Path>) -> Result<Option<OwnedFd>, PathsError> {
        let mut rules = Ruleset::default()
            .handle_access(AccessFs::from_all(NEWEST))?
            .handle_access(AccessNet::from_all(NEWEST))?
            .scope(Scope::from_all(NEWEST))?
            .create()?;
        for (opened, access) in &self.0 {
            rules = rules.add_rule(PathBeneath::new(opened, *access))?;
        }
        if let Some(scratch) = scratch {
            let files = AccessFs::ReadFile | AccessFs::WriteFile | AccessFs::Truncate;
            let folder = AccessFs::ReadDir | AccessFs::MakeReg | AccessFs::RemoveFile;
            rules = rules.add_rule(PathBeneath::new(PathFd::new(scratch)?, files | folder))?;
        }
        Ok(rules.into())
    }
}

/// Why no rules could be made.
#[derive(Debug, thiserror::Error)]
pub(super) enum PathsError {
    #[error(transparent)]
    Rules(#[from] RulesetError),
    #[error(transparent)]
    Path(#[from] PathFdError),
}

/// Returns the version of Landlock that the kernel has; 0 if it has none or it is switched off.
pub(super) fn landlock_version() -> i64 {
    const VERSION: u32 = 1;
    // SAFETY: with a null pointer, length 0 and this flag, the call only returns a number.
    unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, std::ptr::null::<u8>(), 0_usize, VERSION) }.max(0)
}
