//! The rounds of a loop: its list of values as one value, or one for each name, a round.

/// A list of values as it was read, and what is wrong with it.
#[derive(Debug, Default, PartialEq)]
pub struct Rounds {
    /// The values of each round, as many as there are names.
    pub rounds: Vec<Vec<String>>,
    pub complaints: Vec<Complaint>,
}

#[derive(Debug, PartialEq)]
pub struct Complaint {
    pub rule: &'static str,
    pub message: String,
    pub help: Option<String>,
}

/// What the original gives a name that has neither a value nor a default.
const MISSING: &str = "XXX";

/// Reads `a,b,c`, or `(a,1),(b,2)` when there are several names. Nothing at all and `-` are no rounds.
///
/// # Source
/// The original makes one round with an empty value of an empty list, and fills up without a word.
pub fn read(values: &str, names: &[String], defaults: &[String]) -> Rounds {
    let mut read = Rounds::default();
    let values = values.trim();
    if values.is_empty() || values == "-" {
        return read;
    }
    if names.len() == 1 {
        read.list(values);
    } else {
        read.tuples(values, names, defaults);
    }
    read
}

impl Rounds {
    fn list(&mut self, values: &str) {
        for value in values.split(',').map(str::trim) {
            if value.is_empty() {
                self.complain("empty-value", "a value of the list is empty, and makes no round".into(), "take the comma away");
                continue;
            }
            self.rounds.push(vec![value.to_string()]);
        }
        if values.starts_with('(') && values.ends_with(')') {
            let help = "name as many in `iter`, with commas between them";
            self.complain("tuple", "values in parentheses are for loops with several names".into(), help);
        }
    }

    fn tuples(&mut self, values: &str, names: &[String], defaults: &[String]) {
        let mut rest = values;
        while !rest.is_empty() {
            let open = rest.find('(').unwrap_or(rest.len());
            let between = rest[..open].trim_matches(|c: char| c == ',' || c.is_whitespace());
            if !between.is_empty() {
                let example: Vec<&str> = names.iter().map(String::as_str).collect();
                let message = format!("`{}` stands outside of parentheses, and makes no round", super::scope::short(between));
                self.complain("tuple", message, &format!("write the values of each round as ({})", example.join(",")));
            }
            let Some(inside) = rest.get(open + 1..) else { break };
            let close = inside.find(')').unwrap_or_else(|| {
                self.complain("tuple", "a `(` is not closed".into(), "write `)` behind the last value of the round");
                inside.len()
            });
            self.tuple(&inside[..close], names, defaults);
            rest = inside.get(close + 1..).unwrap_or_default();
        }
    }

    fn tuple(&mut self, inside: &str, names: &[String], defaults: &[String]) {
        let mut values: Vec<String> = inside.split(',').map(|value| value.trim().to_string()).collect();
        if values.len() > names.len() {
            let message = format!("`({})` has {} values for {} names", super::scope::short(inside), values.len(), names.len());
            self.complain("long-tuple", message, "name them all in `iter`");
        }
        values.resize(names.len(), String::new());
        for (at, value) in values.iter_mut().enumerate().filter(|(_, value)| value.is_empty()) {
            // One default alone could be meant for any of the names, and the original does not take it.
            if let Some(default) = defaults.get(at).filter(|_| defaults.len() > 1) {
                value.clone_from(default);
                continue;
            }
            *value = MISSING.to_string();
            let message = format!("`({})` has no value for `{}`", super::scope::short(inside), names[at]);
            self.complain("short-tuple", message, "give it one, or give `defaults` with one for each name");
        }
        self.rounds.push(values);
    }

    fn complain(&mut self, rule: &'static str, message: String, help: &str) {
        // One is enough to find the place; a list of a hundred thousand values may have as many.
        if !self.complaints.iter().any(|c| c.rule == rule) {
            self.complaints.push(Complaint { rule, message, help: Some(help.to_string()) });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_rounds() {
        let words = |text: &str| -> Vec<String> { text.split(',').filter(|w| !w.is_empty()).map(ToString::to_string).collect() };
        for (values, names, defaults, expected, complaints) in [
            ("a,b", "A", "", "a b", ""),
            (" a , b ", "A", "", "a b", ""),
            ("", "A", "", "", ""),
            (" - ", "A,B", "", "", ""),
            ("a,,b,", "A", "", "a b", "empty-value"),
            ("(0,1),(1,2)", "A", "", "(0 1) (1 2)", "tuple"),
            ("(a,1),(b,2)", "A,B", "", "a+1 b+2", ""),
            (" ( a , 1 ) \n (b,2) ", "A,B", "", "a+1 b+2", ""),
            ("(a,b,c)", "A,B,C", "", "a+b+c", ""),
            ("(a),(b,2)", "A,B", "x,9", "a+9 b+2", ""),
            ("(,2)", "A,B", "x,9", "x+2", ""),
            ("(a)", "A,B", "9", "a+XXX", "short-tuple"),
            ("(a),(b)", "A,B", "", "a+XXX b+XXX", "short-tuple"),
            ("(a,1,z)", "A,B", "", "a+1", "long-tuple"),
            ("a,b", "A,B", "", "", "tuple"),
            ("(a,1", "A,B", "", "a+1", "tuple"),
            ("(a,1),b)", "A,B", "", "a+1", "tuple"),
            ("()", "A,B", "", "XXX+XXX", "short-tuple"),
        ] {
            let read = read(values, &words(names), &words(defaults));
            let rounds: Vec<String> = read.rounds.iter().map(|round| round.join("+")).collect();
            let rules: Vec<&str> = read.complaints.iter().map(|c| c.rule).collect();
            assert_eq!((rounds.join(" ").as_str(), rules.join(" ").as_str()), (expected, complaints), "{values} of {names}");
        }
    }
}
