//! Variables: named values in layers, each with who set it.
//!
//! Lookup takes the highest layer that has the name (design section 10: flag over environment over files over built-in).

use std::collections::BTreeMap;

/// Who set a variable, from the weakest to the strongest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Layer {
    BuiltIn,
    Environment,
    /// `-D NAME=value` on the command line.
    Flag,
}

impl Layer {
    pub fn word(self) -> &'static str {
        match self {
            Layer::BuiltIn => "built-in",
            Layer::Environment => "environment",
            Layer::Flag => "command line",
        }
    }
}

#[derive(Clone, Debug, Default)]
pub struct Variables(BTreeMap<String, BTreeMap<Layer, String>>);

impl Variables {
    pub fn set(&mut self, layer: Layer, name: &str, value: impl Into<String>) {
        self.0.entry(name.to_string()).or_default().insert(layer, value.into());
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        self.origin(name).map(|(_, value)| value)
    }

    /// The value and the layer that it comes from.
    pub fn origin(&self, name: &str) -> Option<(Layer, &str)> {
        let (layer, value) = self.0.get(name)?.last_key_value()?;
        Some((*layer, value))
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_strongest_layer_wins_whatever_the_order() {
        let mut vars = Variables::default();
        vars.set(Layer::Flag, "A", "flag");
        vars.set(Layer::BuiltIn, "A", "built-in");
        assert_eq!(vars.origin("A"), Some((Layer::Flag, "flag")));
        assert_eq!((vars.get("B"), vars.names().collect::<Vec<_>>()), (None, vec!["A"]));
    }
}
