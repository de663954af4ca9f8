//! Where reading stands: the variables that are known there, and what was found wrong.

use super::xml::{Attribute, Element};
use crate::diagnostic::{At, Diagnostic};
use crate::vars::Variables;
use std::collections::BTreeMap;
use std::sync::Arc;

/// How what is wrong with a file is taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Everything wrong is an error, and nothing runs.
    #[default]
    Strict,
    /// For old files: what can be passed over is a warning.
    Lenient,
}

/// Where reading stands.
pub struct Scope<'a> {
    pub mode: Mode,
    /// Name and text of the file that is read, for diagnostics.
    pub file: Arc<str>,
    pub text: Arc<str>,
    /// What `${NAME}` means here: defaults, loop variables, parameters of an include.
    pub params: BTreeMap<String, String>,
    /// What `%NAME%` means.
    pub variables: &'a mut Variables,
    pub found: &'a mut Vec<Diagnostic>,
}

impl Scope<'_> {
    /// A text with its `${X}` and `%X%` put in. What is unknown is told.
    pub fn expand(&mut self, text: &str, _at: At) -> String {
        text.to_string()
    }

    /// The value of an attribute, variables put in.
    pub fn attribute(&mut self, element: &Element, name: &str) -> Option<String> {
        let Attribute { value, at, .. } = element.attributes.iter().find(|a| a.name == name)?;
        Some(self.expand(value, *at))
    }

    /// Tells something that is wrong: an error in strict mode, a warning in lenient mode.
    pub fn wrong(&mut self, rule: &'static str, at: At, message: impl Into<String>, help: Option<String>) {
        let diagnostic = Diagnostic::error(rule, &self.file, &self.text, at, message).help(help);
        self.found.push(if self.mode == Mode::Lenient { diagnostic.warning() } else { diagnostic });
    }
}
