//! Settings in files: elements whose names are those of variables.

use super::scope::{Form, Scope};
use super::xml::Element;
use crate::diagnostic::At;
use crate::vars::{Layer, meant};

const TREE: Form = Form { attributes: &[], children: None, text: false };
const VALUE: Form = Form { attributes: &[], children: Some(&[]), text: true };

impl Scope<'_> {
    /// Sets a variable for each element in this one; an element in an element makes a path. One without text sets nothing.
    pub fn set_variables(&mut self, element: &Element, layer: Layer) {
        self.check(element, &TREE);
        for child in &element.children {
            self.set_below(child, &child.name, layer);
        }
    }

    fn set_below(&mut self, element: &Element, path: &str, layer: Layer) {
        if !element.children.is_empty() {
            self.check(element, &TREE);
            for child in &element.children {
                self.set_below(child, &format!("{path}/{}", child.name), layer);
            }
            return;
        }
        self.check(element, &VALUE);
        if !element.text.is_empty() {
            self.set_variable(path, &element.text, layer, element.at);
        }
    }

    /// Sets a variable from this place of the file.
    pub fn set_variable(&mut self, path: &str, value: &str, layer: Layer, at: At) {
        if let Some(near) = meant(path) {
            let help = Some(format!("did you mean `{near}`?"));
            self.warn("unknown-variable", at, format!("nothing reads `{path}`"), help);
        }
        let origin = format!("{}:{}", self.source().file(), at.line);
        if let Err(error) = self.variables.set_from(layer, path, value, origin) {
            self.wrong("bad-variable", at, error.what, error.help);
        }
    }
}
