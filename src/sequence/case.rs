//! The leaves of the tree: testcases, tests of the cloud test runner, actions.

use super::reader::Reader;
use super::scope::{Form, short};
use super::tree::{Action, Argument, Case, Dependency, Labels, Marvin};
use super::xml::Element;
use crate::name::did_you_mean;
use crate::unit::parse_duration;
use std::time::Duration;

pub const TESTCASE: Form = Form {
    attributes: &[
        "id", "name", "group", "host", "guest", "prio", "ttype", "tc", "sku", "blocker", "depends", "timeout", "retries", "filter",
    ],
    children: Some(&["arg"]),
    text: false,
};
pub const MARVIN: Form = Form {
    attributes: &["path", "class", "tags", "tc", "sku", "name", "group", "prio", "ttype", "host", "guest", "blocker", "filter"],
    children: Some(&["arg"]),
    text: false,
};
const ACTION: Form = Form { attributes: &["action", "filter"], children: Some(&["arg"]), text: false };
const ARG: Form = Form { attributes: &[], children: Some(&[]), text: true };

impl Reader<'_> {
    /// `<testcase>`. One without an id is kept: what cannot be found later is better than what is lost.
    pub fn case(&mut self, element: &Element, around: &Labels) -> Case {
        let id = self.scope.required(element, "id").unwrap_or_default();
        Case {
            depends: self.depends(element),
            args: self.args(element),
            timeout: self.limit(element),
            retries: self.scope.number(element, "retries"),
            ..self.bare(element, id.trim().to_string(), around)
        }
    }

    /// `<marvintests>`.
    pub fn cloud_case(&mut self, element: &Element, around: &Labels) -> Case {
        let path = self.scope.required(element, "path").unwrap_or_default();
        let class = self.scope.required(element, "class").unwrap_or_default();
        let tags = self.scope.attribute(element, "tags").unwrap_or_default();
        let mut case = self.bare(element, class.clone(), around);
        // Not the inherited group: without one of its own it is grouped by its path.
        case.labels.group = self.scope.attribute(element, "group");
        case.args = self.args(element);
        case.marvin = Some(Marvin { path, class, tags });
        case
    }

    fn bare(&mut self, element: &Element, id: String, around: &Labels) -> Case {
        let mut labels = self.labels(element, around);
        labels.tc = labels.tc.or_else(|| around.tc.clone());
        Case {
            place: self.place(element),
            id,
            name: self.scope.attribute(element, "name"),
            labels,
            blocker: self.scope.blocker(element),
            depends: Vec::new(),
            args: Vec::new(),
            timeout: None,
            retries: None,
            marvin: None,
        }
    }

    /// The texts of `<arg>`, in order. Empty ones vanish.
    fn args(&mut self, element: &Element) -> Vec<Argument> {
        let mut args = Vec::new();
        for arg in element.children.iter().filter(|child| child.name == "arg") {
            if !self.spend(1, arg.at) {
                break;
            }
            self.scope.check(arg, &ARG);
            let text = self.scope.text(arg);
            if !text.is_empty() {
                args.push(Argument { place: arg.text_at.in_file(self.scope.source().file()), text });
            }
        }
        args
    }

    /// `group:name,group:name`; a name alone is one without a group.
    fn depends(&mut self, element: &Element) -> Vec<Dependency> {
        let Some(text) = self.scope.attribute(element, "depends") else { return Vec::new() };
        let at = element.place_of("depends");
        let mut depends = Vec::new();
        for part in text.split(',').map(str::trim) {
            let (group, name) = part.split_once(':').unwrap_or(("", part));
            if name.trim().is_empty() {
                let help = Some("write the group and name of each test, as depends=\"Install:debian,Install:win\"".to_string());
                self.scope.wrong("depends", at, format!("`depends`: `{}` names no test", short(part)), help);
                continue;
            }
            let place = at.in_file(self.scope.source().file());
            depends.push(Dependency { place, group: group.trim().to_string(), name: name.trim().to_string() });
        }
        depends
    }

    /// `timeout`. None at all is not the same as one that is over at once.
    pub fn limit(&mut self, element: &Element) -> Option<Duration> {
        let limit = self.scope.duration(element, "timeout")?;
        if limit.is_zero() {
            let help = Some("leave it out for no limit".to_string());
            self.scope.wrong("not-a-duration", element.place_of("timeout"), "`timeout`: nothing ends in no time", help);
            return None;
        }
        Some(limit)
    }

    /// `<action>`. What it would do cannot be guessed, so an unknown one is an error in both modes.
    pub fn action(&mut self, element: &Element) -> Option<Action> {
        self.scope.check(element, &ACTION);
        let place = self.place(element);
        let args = self.args(element);
        let name = self.scope.attribute(element, "action").unwrap_or_default();
        let at = element.place_of("action");
        match (name.as_str(), args.as_slice()) {
            ("prepare", []) => return Some(Action::Prepare { place }),
            ("prepare", [arg, ..]) => {
                self.scope.wrong("action", element.at, format!("`prepare` takes no argument, not `{}`", short(&arg.text)), None);
                return Some(Action::Prepare { place });
            }
            ("sleep", [arg]) => match parse_duration(&arg.text) {
                Ok(duration) => return Some(Action::Sleep { place, duration }),
                Err(error) => self.scope.fatal("action", element.at, format!("`sleep`: {}", error.what), error.help),
            },
            ("sleep", _) => {
                let help = Some("write <action action=\"sleep\"><arg>10</arg></action>".to_string());
                self.scope.fatal("action", element.at, "`sleep` takes one argument: how long", help);
            }
            (name, _) => {
                let help = did_you_mean(name, ["prepare", "sleep"]);
                self.scope.fatal("action", at, format!("there is no action `{}`", short(name)), help);
            }
        }
        None
    }
}
