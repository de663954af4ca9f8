//! Who sets variables, from the weakest to the strongest.

use serde::{Deserialize, Serialize};

/// Who set a variable, from the weakest to the strongest.
///
/// # Source
/// Design section 10: flag over environment over job over sequence over files over built-in; `<default>` is the weakest of all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Layer {
    /// `<default>` of a sequence.
    Default,
    BuiltIn,
    /// The site's configuration file.
    Site,
    /// The project's configuration file.
    Project,
    /// `-c FILE`.
    Config,
    /// `<variables>` of a sequence.
    Sequence,
    /// The job server.
    Job,
    Environment,
    /// `-D NAME=value` on the command line, and other options.
    Flag,
    /// Set while the run was going on.
    Live,
}

impl Layer {
    /// All of them, the weakest first.
    pub const ALL: [Layer; 10] = [
        Layer::Default,
        Layer::BuiltIn,
        Layer::Site,
        Layer::Project,
        Layer::Config,
        Layer::Sequence,
        Layer::Job,
        Layer::Environment,
        Layer::Flag,
        Layer::Live,
    ];

    pub fn word(self) -> &'static str {
        match self {
            Layer::Default => "default",
            Layer::BuiltIn => "built-in",
            Layer::Site => "site",
            Layer::Project => "project",
            Layer::Config => "config",
            Layer::Sequence => "sequence",
            Layer::Job => "job",
            Layer::Environment => "environment",
            Layer::Flag => "command line",
            Layer::Live => "live",
        }
    }
}
