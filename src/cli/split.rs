//! The flag `--split`: which labelled cases a command looks at.

/// Labelled cases by name.
#[derive(clap::ValueEnum, Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum Split {
    /// `data.train`.
    Train,
    /// `data.test`, held out.
    #[default]
    Test,
}

impl Split {
    /// The name on the command line and in the experiment file.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Test => "test",
        }
    }
}
