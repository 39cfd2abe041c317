//! The table of settings as the README shows it.

use core::fmt;

use super::settings::{TABLE, sections};

/// The README's table of settings, in Markdown, a line feed after each row.
#[must_use]
pub fn markdown_table() -> String {
    MarkdownTable.to_string()
}

struct MarkdownTable;

impl fmt::Display for MarkdownTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| setting | default | allowed | applies | what it is |")?;
        writeln!(f, "|---|---|---|---|---|")?;
        for setting in TABLE {
            let (key, default) = (setting.key, setting.default_value());
            let (kind, applies, help) = (setting.kind, setting.applies, setting.help());
            writeln!(f, "| `{key}` | `{default}` | {kind} | {applies} | {help} |")?;
        }
        for [key, allowed, default, help] in sections() {
            writeln!(f, "| `{key}` | `{default}` | {allowed} | at restart | {help} |")?;
        }
        Ok(())
    }
}
