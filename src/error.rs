//! What can go wrong, whose fault it is, and how the process then ends.
//!
//! A small closed [`Kind`] that callers branch on, plus text, help and cause for people. A new feature uses these; it does not
//! add to them. Whose fault an error is ([`Blame`]) decides between *failed* (the product) and *errored* (everyone else).

use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The sort of thing that went wrong, as far as any caller has to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// What was named does not exist.
    NotFound,
    /// It did not happen within its limit.
    Timeout,
    /// The machine does not answer, or the connection to it was lost.
    Unreachable,
    /// This place cannot do that.
    Unsupported,
    /// The other side said no: a login, a command's exit status, a permission.
    Refused,
    /// Input that cannot be read.
    Malformed,
    /// A check in a testcase did not hold.
    Assertion,
    /// A person or a limit stopped it.
    Cancelled,
    /// A fault of ours.
    Internal,
}

impl Kind {
    pub const ALL: [Kind; 9] = [
        Kind::NotFound,
        Kind::Timeout,
        Kind::Unreachable,
        Kind::Unsupported,
        Kind::Refused,
        Kind::Malformed,
        Kind::Assertion,
        Kind::Cancelled,
        Kind::Internal,
    ];

    /// The word that scripts and reports see.
    pub fn word(self) -> &'static str {
        match self {
            Kind::NotFound => "not_found",
            Kind::Timeout => "timeout",
            Kind::Unreachable => "unreachable",
            Kind::Unsupported => "unsupported",
            Kind::Refused => "refused",
            Kind::Malformed => "malformed",
            Kind::Assertion => "assertion",
            Kind::Cancelled => "cancelled",
            Kind::Internal => "internal",
        }
    }

    pub fn from_word(word: &str) -> Option<Kind> {
        Kind::ALL.into_iter().find(|k| k.word() == word)
    }

    /// Who is blamed when nobody says otherwise.
    pub fn usual_blame(self) -> Blame {
        match self {
            Kind::Assertion | Kind::Timeout | Kind::Refused => Blame::Product,
            Kind::Unreachable => Blame::Lab,
            Kind::NotFound | Kind::Unsupported | Kind::Malformed => Blame::Author,
            Kind::Cancelled => Blame::User,
            Kind::Internal => Blame::Us,
        }
    }
}

/// Whose fault it is. Only the product can *fail*; every other blame is an *error*.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Blame {
    Product,
    Lab,
    Author,
    User,
    Us,
}

impl Blame {
    pub const ALL: [Blame; 5] = [Blame::Product, Blame::Lab, Blame::Author, Blame::User, Blame::Us];

    pub fn word(self) -> &'static str {
        match self {
            Blame::Product => "product",
            Blame::Lab => "lab",
            Blame::Author => "author",
            Blame::User => "user",
            Blame::Us => "us",
        }
    }

    pub fn from_word(word: &str) -> Option<Blame> {
        Blame::ALL.into_iter().find(|b| b.word() == word)
    }
}

/// An error with what a person needs: what, whose fault, the next step, and the cause.
#[derive(Clone)]
pub struct Error {
    pub kind: Kind,
    pub blame: Blame,
    /// A lower-case fragment with the thing in backticks and where: "no guest `winguest` on `h1`".
    pub what: String,
    /// The next step a person can take.
    pub help: Option<String>,
    /// Further facts that scripts may ask for and failure cards show.
    pub details: Option<Box<Details>>,
    pub source: Option<Arc<dyn std::error::Error + Send + Sync>>,
}

/// What a failed command leaves behind for scripts and failure cards.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Details {
    pub machine: String,
    pub command: String,
    /// Exit status of the command, where it had one.
    pub code: Option<i64>,
    /// Name of the signal that ended it ("KILL").
    pub signal: Option<String>,
    /// The ends of its two streams, bounded.
    pub stdout: String,
    pub stderr: String,
}

impl Error {
    pub fn new(kind: Kind, what: impl Into<String>) -> Error {
        Error { kind, blame: kind.usual_blame(), what: what.into(), help: None, details: None, source: None }
    }

    #[must_use]
    pub fn blame(mut self, blame: Blame) -> Error {
        self.blame = blame;
        self
    }

    #[must_use]
    pub fn with_kind(mut self, kind: Kind) -> Error {
        self.kind = kind;
        self
    }

    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Error {
        self.help = Some(help.into());
        self
    }

    #[must_use]
    pub fn details(mut self, details: Details) -> Error {
        self.details = Some(Box::new(details));
        self
    }

    #[must_use]
    pub fn because(mut self, source: impl std::error::Error + Send + Sync + 'static) -> Error {
        self.source = Some(Arc::new(source));
        self
    }

    /// The texts of the causes, outermost first, for the edge that shows them once.
    pub fn causes(&self) -> Vec<String> {
        let mut found = Vec::new();
        let mut next: Option<&dyn std::error::Error> = self.source.as_deref().map(|e| e as &dyn std::error::Error);
        while let Some(cause) = next {
            found.push(cause.to_string());
            next = cause.source();
        }
        found
    }

    /// What, causes and help on lines of their own, as the command line shows it.
    pub fn report(&self) -> String {
        let mut text = self.what.clone();
        for cause in self.causes() {
            text.push_str("\n  because: ");
            text.push_str(&cause);
        }
        if let Some(help) = &self.help {
            text.push_str("\n  help: ");
            text.push_str(help);
        }
        text
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind.word(), self.report())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|e| e as &(dyn std::error::Error + 'static))
    }
}

/// Names the file (or other thing) that an operating system error was about.
pub trait Whereabouts<T> {
    /// # Errors
    /// The same error as ours: `NotFound`, `Refused` or `Internal`, blamed on the user's side.
    fn at(self, doing: impl fmt::Display) -> Result<T>;
}

impl<T> Whereabouts<T> for std::io::Result<T> {
    fn at(self, doing: impl fmt::Display) -> Result<T> {
        self.map_err(|e| {
            let kind = match e.kind() {
                std::io::ErrorKind::NotFound => Kind::NotFound,
                // A full disk, a file where a directory should be: whatever it is, it is not a fault of ours.
                _ => Kind::Refused,
            };
            Error::new(kind, format!("cannot {doing}: {e}")).blame(Blame::User)
        })
    }
}

/// How the process ends. This table is what `xrt help exit-codes` prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    Passed = 0,
    Failed = 1,
    Usage = 2,
    Errored = 3,
    NothingRan = 4,
    Stopped = 5,
    Us = 70,
}

impl Exit {
    pub const TABLE: [(Exit, &'static str); 7] = [
        (Exit::Passed, "everything that was planned ran and passed"),
        (Exit::Failed, "a testcase failed: the product is at fault"),
        (Exit::Usage, "wrong usage, or input that cannot be read; nothing ran"),
        (Exit::Errored, "a testcase errored: the lab, its author or the preparation is at fault; or the run is incomplete"),
        (Exit::NothingRan, "nothing was selected, or everything was skipped"),
        (Exit::Stopped, "stopped by a person before the end"),
        (Exit::Us, "a fault of the harness itself"),
    ];

    pub fn code(self) -> u8 {
        self as u8
    }

    /// The status for an error that reaches the command line before or outside a run.
    pub fn of(error: &Error) -> Exit {
        match (error.blame, error.kind) {
            (Blame::Us, _) | (_, Kind::Internal) => Exit::Us,
            (_, Kind::Cancelled) => Exit::Stopped,
            (Blame::Lab | Blame::Product, _) => Exit::Errored,
            _ => Exit::Usage,
        }
    }
}
