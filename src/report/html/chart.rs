//! Measurements: as tables with bars, as a line where one name has many values, and one name across testcases.

use super::super::text::printable;
use super::anchor;
use crate::report::{Case, Metric, Summary};
use crate::unit::show_number;
use maud::{Markup, html};
use std::collections::BTreeMap;
use std::fmt::Write;

/// How many points a line has; of more, each stands for the mean of its neighbours.
const POINTS: usize = 200;
/// How many charts across testcases there are, and how many testcases in one.
const CHARTS: usize = 30;
const CASES: usize = 60;

/// All values of one name.
struct Series<'a> {
    name: &'a str,
    unit: &'a str,
    values: Vec<f64>,
}

/// The values of one testcase.
pub(super) fn of_case(metrics: &[Metric]) -> Markup {
    let all = series(metrics);
    // A bar says something only beside others of its unit.
    let mut largest: BTreeMap<&str, f64> = BTreeMap::new();
    for series in &all {
        let most = largest.entry(series.unit).or_insert(0.0);
        *most = most.max(series.mean());
    }
    html! {
        div.scroll { table.values {
            @for series in &all {
                tr {
                    td { (printable(series.name)) }
                    td {
                        @if series.values.len() > 1 { (line(&series.values)) }
                        @else { (bar(series.mean(), largest.get(series.unit).copied().unwrap_or(0.0))) }
                    }
                    td.num { (shown(series)) }
                    td { (printable(series.unit)) }
                }
            }
        } }
    }
}

/// Names that several testcases measured: a bar each.
pub(super) fn across(summary: &Summary) -> Markup {
    let mut names: BTreeMap<(&str, &str), Vec<(&Case, f64)>> = BTreeMap::new();
    for case in summary.cases() {
        for series in series(&case.notes().metrics) {
            names.entry((series.name, series.unit)).or_default().push((case, series.mean()));
        }
    }
    names.retain(|_, values| values.len() > 1);
    html! {
        @if !names.is_empty() {
            h2 { "Values across testcases" small { (names.len()) } }
            @for ((name, unit), values) in names.iter().take(CHARTS) {
                @let most = values.iter().map(|(_, v)| *v).fold(0.0, f64::max);
                section.chart {
                    h3 { (printable(name)) @if !unit.is_empty() { " " small { "in " (printable(unit)) } } }
                    div.scroll { table.values {
                        @for (case, value) in values.iter().take(CASES) {
                            tr {
                                td { a href={ "#" (anchor(case)) } { (printable(case.id.as_str())) } }
                                td { (bar(*value, most)) }
                                td.num { (show_number(*value)) }
                            }
                        }
                    } }
                    @if values.len() > CASES { p.soft { "and " (values.len() - CASES) " more" } }
                }
            }
            @if names.len() > CHARTS { p.soft { "and " (names.len() - CHARTS) " more names" } }
        }
    }
}

fn series(metrics: &[Metric]) -> Vec<Series<'_>> {
    let mut all: Vec<Series> = Vec::new();
    let mut index = std::collections::HashMap::new();
    for metric in metrics {
        let position = *index.entry((&*metric.name, &*metric.unit)).or_insert(all.len());
        if position == all.len() {
            all.push(Series { name: &metric.name, unit: &metric.unit, values: Vec::new() });
        }
        all[position].values.push(if metric.value.is_finite() { metric.value } else { 0.0 });
    }
    all
}

impl Series<'_> {
    fn mean(&self) -> f64 {
        self.values.iter().sum::<f64>() / self.values.len().max(1) as f64
    }
}

/// "412.5", or of many "11.8 – 12.4, mean 12.1".
fn shown(series: &Series) -> String {
    let mean = show_number(series.mean());
    if series.values.len() < 2 {
        return mean;
    }
    let least = series.values.iter().copied().fold(f64::INFINITY, f64::min);
    let most = series.values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    format!("{} – {}, mean {mean} of {}", show_number(least), show_number(most), series.values.len())
}

fn bar(value: f64, most: f64) -> Markup {
    let share = if most > 0.0 { (value / most * 100.0).clamp(0.0, 100.0) } else { 0.0 };
    html! { span.bar style={ "--w:" (format!("{share:.1}")) "%" } {} }
}

/// The values from left to right, as high as they are between the least and the most.
fn line(values: &[f64]) -> Markup {
    let step = values.len().div_ceil(POINTS);
    let points: Vec<f64> = values.chunks(step).map(|c| c.iter().sum::<f64>() / c.len() as f64).collect();
    let least = points.iter().copied().fold(f64::INFINITY, f64::min);
    let most = points.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let height = |value: f64| if most > least { 28.0 - (value - least) / (most - least) * 26.0 } else { 15.0 };
    let width = |at: usize| at as f64 / (points.len() - 1).max(1) as f64 * 100.0;
    let mut path = String::new();
    for (at, value) in points.iter().enumerate() {
        let _ = write!(path, "{}{:.1} {:.1}", if at == 0 { "M" } else { "L" }, width(at), height(*value));
    }
    html! {
        svg.line viewBox="0 0 100 30" preserveAspectRatio="none" role="img" aria-label={ "course of " (values.len()) " values" } {
            path.area d={ (path) "L100 30L0 30Z" } {}
            path d=(path) {}
        }
    }
}
