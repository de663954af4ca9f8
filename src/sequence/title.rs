//! What a sequence is about, for lists: the first line of the comment at its head.

use super::load::File;
use super::xml::MOST_BYTES;
use crate::error::Result;

impl File {
    /// What it is about, as its author says in the first line of the comment before everything else; empty where there is none.
    ///
    /// # Errors
    /// As [`File::read`].
    pub fn title(&self) -> Result<String> {
        Ok(title(&self.read(MOST_BYTES)?).to_string())
    }
}

fn title(text: &str) -> &str {
    let text = text.trim_start_matches('\u{feff}').trim_start();
    let text = match text.strip_prefix("<?xml").and_then(|rest| rest.split_once("?>")) {
        Some((_, rest)) => rest.trim_start(),
        None => text,
    };
    let comment = text.strip_prefix("<!--").and_then(|rest| rest.split_once("-->")).map(|(comment, _)| comment);
    comment.and_then(|comment| comment.lines().map(str::trim).find(|line| !line.is_empty())).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::title;

    #[test]
    fn the_first_line_of_the_first_comment_is_the_title() {
        for (text, expected) in [
            ("<!-- One\n more --><xenrt/>", "One"),
            ("\u{feff}<?xml version=\"1.0\"?>\n<!--\n\n  Two  \n--><xenrt/>", "Two"),
            ("<xenrt><!-- of something inside --></xenrt>", ""),
            ("<!-- never closed", ""),
            ("<!----><xenrt/>", ""),
            ("", ""),
        ] {
            assert_eq!(title(text), expected, "{text}");
        }
    }
}
