//! Variables: named values in layers, each with who set it.
//!
//! Lookup takes the highest layer that has the name. A name may be a path, `CLIOPTIONS/PAUSE_ON_FAIL/TCReboot`.

use std::collections::BTreeMap;

/// Who set a variable, from the weakest to the strongest.
///
/// # Source
/// Design section 10: flag over environment over job over sequence over files over built-in; `<default>` is the weakest of all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
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

#[derive(Clone, Debug, Default)]
pub struct Variables(BTreeMap<String, BTreeMap<Layer, Setting>>);

/// A value and who set it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    pub value: String,
    /// Where exactly, as shown to people: "-D", "x.seq:4". Empty when the layer says it all.
    pub origin: String,
}

impl Variables {
    pub fn set(&mut self, layer: Layer, name: &str, value: impl Into<String>) {
        self.set_from(layer, name, value, "");
    }

    /// Sets a variable and says where it was set.
    pub fn set_from(&mut self, layer: Layer, name: &str, value: impl Into<String>, origin: impl Into<String>) {
        let setting = Setting { value: value.into(), origin: origin.into() };
        self.0.entry(name.to_string()).or_default().insert(layer, setting);
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        self.origin(name).map(|(_, setting)| setting.value.as_str())
    }

    /// The value that counts, and the layer that it comes from.
    pub fn origin(&self, name: &str) -> Option<(Layer, &Setting)> {
        let (layer, setting) = self.0.get(name)?.last_key_value()?;
        Some((*layer, setting))
    }

    /// Everyone who set a variable, the strongest last.
    pub fn history(&self, name: &str) -> impl Iterator<Item = (Layer, &Setting)> {
        self.0.get(name).into_iter().flatten().map(|(layer, setting)| (*layer, setting))
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
        assert_eq!(vars.origin("A").map(|(layer, s)| (layer, s.value.as_str())), Some((Layer::Flag, "flag")));
        assert_eq!((vars.get("B"), vars.names().collect::<Vec<_>>()), (None, vec!["A"]));
    }
}
