//! What must have passed before what.

use super::found::Found;
use crate::event::{Order, Place, Role};
use crate::name::did_you_mean;
use crate::run::{Group, Plan};
use crate::sequence::{Case, Dependency};
use std::collections::{BTreeMap, HashMap};

/// Among how many names the nearest is looked for.
const MOST_NAMES: usize = 2000;

/// The testcases by name, and what they wait for.
#[derive(Default)]
pub struct Dependencies {
    /// The places of the testcases with a group and a name.
    known: BTreeMap<(String, String), Vec<usize>>,
    /// Where the first of a name stands.
    first: HashMap<(String, String), Place>,
    wanted: Vec<(usize, Dependency)>,
    /// The groups around, from the root.
    around: Vec<u32>,
    /// Each group with the one around it, and its order.
    groups: HashMap<u32, (Option<u32>, Order)>,
}

/// Why a dependency can never hold.
struct Unmet {
    rule: &'static str,
    what: &'static str,
    help: Option<String>,
}

impl Dependencies {
    pub fn enter(&mut self, group: &Group) {
        self.groups.insert(group.number, (self.around.last().copied(), group.order));
        self.around.push(group.number);
    }

    pub fn leave(&mut self) {
        self.around.pop();
    }

    /// Remembers a case. A second testcase of a name is told.
    pub fn add(&mut self, place: usize, (group, name): (&str, &str), case: &Case, role: Role, found: &mut Found<'_>) {
        self.wanted.extend(case.depends.iter().map(|d| (place, d.clone())));
        if role != Role::Testcase {
            return;
        }
        let key = (group.to_string(), name.to_string());
        if let Some(first) = self.first.get(&key) {
            let shown = if group.is_empty() { name.to_string() } else { format!("{group}/{name}") };
            let (what, help) = if *first == case.place {
                (format!("`{shown}` is planned more than once"), "put the variable of the loop into its `name` or its group")
            } else {
                (format!("`{shown}` is planned a second time; the first is at {first}"), "give one of them a `name`")
            };
            found.wrong("duplicate-name", &case.place, what, Some(help.into()));
        } else {
            self.first.insert(key.clone(), case.place.clone());
        }
        self.known.entry(key).or_default().push(place);
    }

    /// Gives each case the places of what must have passed before it. What can never hold is told, and skips the case.
    pub fn settle(self, plan: &mut Plan, found: &mut Found<'_>) {
        for (place, dependency) in &self.wanted {
            match self.needed(*place, dependency, plan, !found.is_full()) {
                Ok(needed) => plan.cases[*place].depends.push(needed),
                Err(Unmet { rule, what, help }) => {
                    let shown = shown(dependency);
                    found.wrong(rule, &dependency.place, format!("`depends` names `{shown}`, {what}"), help);
                    plan.cases[*place].skip.get_or_insert_with(|| format!("depends on {shown}, {what}").into());
                }
            }
        }
    }

    /// The testcase that a dependency names: of several with that name the last before the case at this place, as in a loop each round
    /// means its own.
    fn needed(&self, place: usize, wanted: &Dependency, plan: &Plan, helps: bool) -> Result<usize, Unmet> {
        let Some(all) = self.known.get(&(wanted.group.clone(), wanted.name.clone())) else {
            let names: Vec<String> =
                self.known.keys().take(if helps { MOST_NAMES } else { 0 }).map(|(group, name)| format!("{group}:{name}")).collect();
            let help = did_you_mean(&shown(wanted), names.iter().map(String::as_str));
            return Err(Unmet { rule: "unknown-dependency", what: "which is not in this sequence", help });
        };
        let late = |what, help: &str| Err(Unmet { rule: "late-dependency", what, help: Some(help.to_string()) });
        let before = all.partition_point(|other| *other < place);
        let Some(needed) = before.checked_sub(1).map(|last| all[last]) else {
            return late("which does not come before it", "put it after what it depends on");
        };
        // Clean-ups come after everything that they clean up.
        let is_cleanup = plan.cases[place].role == Role::Cleanup;
        if !is_cleanup && self.is_beside(plan.cases[needed].parent, plan.cases[place].parent) {
            return late("which runs side by side with it", "put both into one serial, in order");
        }
        Ok(needed)
    }

    /// Whether two things run side by side: the innermost group around both is a parallel.
    fn is_beside(&self, one: u32, other: u32) -> bool {
        let around = |group: u32| std::iter::successors(Some(group), |g| self.groups.get(g).and_then(|(parent, _)| *parent));
        let both = around(one).find(|group| around(other).any(|g| g == *group));
        both.and_then(|group| self.groups.get(&group)).is_some_and(|(_, order)| *order == Order::Parallel)
    }
}

fn shown(dependency: &Dependency) -> String {
    format!("{}:{}", dependency.group, dependency.name)
}
