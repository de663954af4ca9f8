//! Tables for people.

use comfy_table::{ContentArrangement, Table, presets};

/// A table without frames, its last column wrapped to the width.
pub fn plain(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>, width: Option<usize>) -> String {
    let mut table = empty(width);
    table.set_header(header);
    filled(table, rows)
}

/// A table without a header either.
pub fn rows(rows: impl IntoIterator<Item = Vec<String>>, width: Option<usize>) -> String {
    filled(empty(width), rows)
}

fn empty(width: Option<usize>) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    // Without a terminal nothing is wrapped: lines are for grep.
    table.set_width(u16::try_from(width.unwrap_or(10_000)).unwrap_or(u16::MAX));
    table
}

fn filled(mut table: Table, rows: impl IntoIterator<Item = Vec<String>>) -> String {
    for row in rows {
        table.add_row(row);
    }
    let lines: Vec<String> = table.lines().map(|line| line.trim_end().strip_prefix(' ').unwrap_or_default().to_string()).collect();
    lines.join("\n") + "\n"
}
