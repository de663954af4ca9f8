//! An XML file as a tree of elements, each part with its place.

use crate::diagnostic::{At, Diagnostic};

/// An element with everything in it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Element {
    pub name: String,
    pub at: At,
    pub attributes: Vec<Attribute>,
    pub children: Vec<Element>,
    /// All text directly in it, trimmed.
    pub text: String,
    pub text_at: At,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Attribute {
    pub name: String,
    pub value: String,
    /// Of the value's first character.
    pub at: At,
}

/// Reads a whole file.
///
/// # Errors
/// What is wrong with it as XML, or that it is too large or too deep.
pub fn read(_file: &str, _text: &str) -> Result<Element, Box<Diagnostic>> {
    Ok(Element::default())
}
