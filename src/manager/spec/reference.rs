//! The tables of docs/spec.md, made from the tables that the reader works by; a test says when the page is stale.

use super::{flags::PRODUCT_DEFAULTS, keys::Table};

/// Every key and every default flag, as Markdown.
#[must_use]
pub fn reference() -> String {
    let mut page = String::new();
    page += &tables(&Table::ALL);
    page += "### Flags that are set unless you set them\n\n| flag | value | why |\n|---|---|---|\n";
    for (flag, value, why) in PRODUCT_DEFAULTS {
        page += &format!("| `{flag}` | `{value}` | {why} |\n");
    }
    page
}

/// Every key of `agent.toml`, as Markdown.
#[must_use]
pub fn agent_reference() -> String {
    tables(&Table::OF_AGENT)
}

fn tables(tables: &[Table]) -> String {
    let mut page = String::new();
    for table in tables {
        if table.keys().next().is_none() {
            continue;
        }
        page += &format!("### `{}`\n\n", table.header());
        page += "| key | type, unit | default | meaning |\n|---|---|---|---|\n";
        for key in table.keys() {
            let kind = key.kind.describe();
            page += &format!("| `{}` | {kind} | {} | {} |\n", key.name, key.default, key.meaning);
        }
        page.push('\n');
    }
    page
}
