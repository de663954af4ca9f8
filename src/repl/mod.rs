//! The prompt: the engine and the objects of a testcase, one input at a time.
//!
//! Never true here: that the engine's side ([`Session`] and what it uses) knows a terminal or a line editor (a prompt may sit at the
//! other end of a connection), that Ctrl-C ends more than the statement that runs, that an input is lost or a clean-up forgotten.
//!
//! To add something the prompt itself understands: an arm in [`input`]. To show a sort of value: [`value`]. To show a sort of event:
//! [`happenings`].

mod complete;
mod feed;
mod happenings;
mod help;
mod highlight;
mod input;
mod interrupts;
mod objects;
mod prompt;
mod scan;
mod screen;
mod session;
mod terminal;
mod value;

pub use complete::Candidate;
pub use feed::{feed, once};
pub use happenings::Happenings;
pub use highlight::{Paint, Stretch, highlight};
pub use input::{Order, is_incomplete};
pub use interrupts::Interrupts;
pub use prompt::{Talker, talk};
pub use screen::{Screen, Table, Tone};
pub use session::{Answer, Session};
pub use terminal::Keyboard;
pub use value::{Limits, Value};
