//! What surrounds the nodes of a spec: comments, blank lines, commas. Kept where they are, or handed on.

use toml_edit::{Array, DocumentMut, InlineTable, Item, Table, Value};

/// Whether each line ends as on Windows.
pub(super) fn has_windows_lines(text: &str) -> bool {
    text.contains('\n') && text.matches('\n').count() == text.matches("\r\n").count()
}

/// Comments and blank lines above a table's header.
pub(super) fn prefix(table: &Table) -> &str {
    table.decor().prefix().and_then(|prefix| prefix.as_str()).unwrap_or_default()
}

/// Of the comments above a header that goes, those that stay. The paragraph right above it speaks of it; but what stands
/// above the first node may speak of all of them, unless it names this one.
pub(super) fn kept_comments(prefix: &str, name: &str, is_first: bool) -> String {
    let lines: Vec<&str> = prefix.split_inclusive('\n').collect();
    let blank = lines.iter().rposition(|line| line.trim().is_empty());
    let own = blank.map_or(0, |at| at + 1);
    let (above, paragraph) = lines.split_at(own);
    let names_it = paragraph.iter().any(|line| {
        line.split(|letter: char| !(letter.is_alphanumeric() || "_-.".contains(letter)))
            .any(|word| word.trim_end_matches('.') == name)
    });
    if is_first && !names_it {
        return prefix.to_owned();
    }
    let kept = above.concat();
    if kept.trim().is_empty() { String::new() } else { kept }
}

/// Puts comments of a table that went before what follows it in the file.
pub(super) fn give_to_next(document: &mut DocumentMut, position: Option<isize>, kept: &str) {
    if kept.is_empty() {
        return;
    }
    let Some(position) = position else { return };
    let mut next: Option<&mut Table> = None;
    follow(document.as_table_mut(), position, &mut next);
    if let Some(table) = next {
        let own = prefix(table).trim_start_matches(['\r', '\n']).to_owned();
        let gap = if own.is_empty() || ends_blank(kept) { "" } else { "\n" };
        table.decor_mut().set_prefix(format!("{kept}{gap}{own}"));
        return;
    }
    let rest = document.trailing().as_str().unwrap_or_default().to_owned();
    document.set_trailing(format!("{kept}{rest}"));
}

fn ends_blank(comments: &str) -> bool {
    comments.lines().last().is_none_or(|line| line.trim().is_empty())
}

/// The table with the least position beyond this one.
fn follow<'a>(table: &'a mut Table, after: isize, next: &mut Option<&'a mut Table>) {
    let consider = |table: &'a mut Table, next: &mut Option<&'a mut Table>| {
        let own = table.position().filter(|own| *own > after && !table.is_implicit());
        let best = next.as_ref().and_then(|best| best.position());
        if own.is_some_and(|own| best.is_none_or(|best| own < best)) {
            *next = Some(table);
        } else {
            follow(table, after, next);
        }
    };
    for (_, item) in table.iter_mut() {
        match item {
            Item::Table(child) => consider(child, next),
            Item::ArrayOfTables(children) => {
                for child in children.iter_mut() {
                    consider(child, next);
                }
            }
            Item::None | Item::Value(_) => {}
        }
    }
}

/// A further element, laid out as the last one.
pub(super) fn push(nodes: &mut Array, mut node: InlineTable) {
    let last = nodes.iter().last().and_then(|last| last.decor().prefix()?.as_str());
    let indent =
        last.and_then(|prefix| prefix.rfind('\n').map(|at| prefix.split_at(at).1.to_owned()));
    let mut prefix = indent.unwrap_or_else(|| " ".to_owned());
    // A comment behind the last element stays behind it.
    let rest = nodes.trailing().as_str().unwrap_or_default().to_owned();
    if rest.contains('#') {
        prefix = format!("{}{prefix}", rest.trim_end());
        nodes.set_trailing("\n");
    }
    node.fmt();
    let mut element = Value::InlineTable(node);
    element.decor_mut().set_prefix(prefix);
    nodes.push_formatted(element);
}

/// Takes an element out; the first keeps no blank in front.
pub(super) fn take(nodes: &mut Array, at: usize) {
    let gone = nodes.remove(at);
    if at == 0
        && let Some(first) = nodes.get_mut(0)
    {
        *first.decor_mut() = gone.decor().clone();
    }
}
