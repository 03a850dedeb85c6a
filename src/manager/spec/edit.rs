//! Edits of a spec's text that keep its comments and layout: a node more, a node less, other values for one. The text
//! that comes out is a spec by the loader's own rules, and says the same of every other node.

mod layout;

use std::{collections::BTreeSet, path::Path};

use toml_edit::{Array, ArrayOfTables, DocumentMut, Item, Table, TableLike, Value, value};

use super::{Loaded, NodeSpec, SpecErrors, load};

/// What to change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Edit {
    /// A new `[[node]]` after the others.
    Add {
        /// Its name.
        name: String,
        /// Its other keys.
        keys: Vec<(&'static str, Setting)>,
    },
    /// The `[[node]]` of this name goes.
    Remove {
        /// Its name.
        name: String,
    },
    /// Other values for keys of the `[[node]]` of this name.
    Set {
        /// Its name.
        name: String,
        /// The keys.
        keys: Vec<(&'static str, Setting)>,
    },
}

/// A value for a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Setting {
    /// A string.
    Text(String),
    /// An integer.
    Number(i64),
    /// An array of strings.
    List(Vec<String>),
}

/// Why a spec cannot be edited so. Nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum EditError {
    /// The result would be no good spec: correct the command.
    #[error("{0}")]
    Spec(#[from] SpecErrors),
    /// The node is not there, or is there already: correct the name.
    #[error("{0}")]
    Name(String),
    /// Only an editor can do it: edit the file by hand.
    #[error("{0}; edit the file by hand and apply it")]
    ByHand(String),
}

/// Edits the text of the spec that lies at `source`. Returns the new spec with its text.
///
/// # Errors
/// [`EditError`]; then the text stays as it is.
pub fn edit(source: &Path, text: &str, edit: &Edit) -> Result<Loaded, EditError> {
    let before = load::parse(source, text)?;
    let bare = text.trim_start_matches('\u{feff}');
    let mut document: DocumentMut = bare
        .parse()
        .map_err(|error| EditError::ByHand(format!("it is not understood: {error}")))?;
    carry_out(&mut document, edit)?;
    let mut after = document.to_string();
    if layout::has_windows_lines(text) {
        after = after.replace("\r\n", "\n").replace('\n', "\r\n");
    }
    if bare.len() < text.len() {
        after.insert(0, '\u{feff}');
    }
    let after = load::parse(source, &after)?;
    let name = edit.name();
    let others = |loaded: &Loaded| -> Vec<NodeSpec> {
        loaded.spec.nodes.iter().filter(|node| node.name != name).cloned().collect()
    };
    if others(&before) != others(&after) {
        return Err(EditError::ByHand("the edit would change other nodes".to_owned()));
    }
    Ok(after)
}

/// The keys that a node of the spec gives itself; empty if there is no such node.
#[must_use]
pub fn keys_of(text: &str, name: &str) -> BTreeSet<String> {
    let Ok(document) = text.trim_start_matches('\u{feff}').parse::<DocumentMut>() else {
        return BTreeSet::new();
    };
    let is_it = |node: &dyn TableLike| node.get("name").and_then(Item::as_str) == Some(name);
    let keys = |node: &dyn TableLike| node.iter().map(|(key, _)| key.to_owned()).collect();
    match document.get("node") {
        Some(Item::ArrayOfTables(nodes)) => {
            nodes.iter().find(|node| is_it(*node)).map(|node| keys(node)).unwrap_or_default()
        }
        Some(Item::Value(Value::Array(nodes))) => {
            let mut tables = nodes.iter().filter_map(Value::as_inline_table);
            tables.find(|node| is_it(*node)).map(|node| keys(node)).unwrap_or_default()
        }
        _ => BTreeSet::new(),
    }
}

impl Edit {
    fn name(&self) -> &str {
        let (Self::Add { name, .. } | Self::Remove { name } | Self::Set { name, .. }) = self;
        name
    }
}

fn carry_out(document: &mut DocumentMut, edit: &Edit) -> Result<(), EditError> {
    let names = names(document)?;
    let place = names.iter().position(|name| name == edit.name());
    match (edit, place) {
        (Edit::Add { name, .. }, Some(_)) => {
            Err(EditError::Name(format!("there is a node {name:?} already")))
        }
        (Edit::Remove { name } | Edit::Set { name, .. }, None) => Err(EditError::Name(format!(
            "there is no node {name:?}; there are {}",
            names.join(", ")
        ))),
        (Edit::Add { name, keys }, None) => add(document, name, keys),
        (Edit::Remove { name }, Some(at)) => remove(document, name, at),
        (Edit::Set { keys, .. }, Some(at)) => set_at(document, at, keys),
    }
}

fn names(document: &DocumentMut) -> Result<Vec<String>, EditError> {
    let name = |node: &dyn TableLike| {
        node.get("name").and_then(Item::as_str).map(ToOwned::to_owned).unwrap_or_default()
    };
    match document.get("node") {
        Some(Item::ArrayOfTables(nodes)) => Ok(nodes.iter().map(|node| name(node)).collect()),
        Some(Item::Value(Value::Array(nodes))) => {
            Ok(nodes.iter().filter_map(Value::as_inline_table).map(|node| name(node)).collect())
        }
        _ => Err(EditError::ByHand("its nodes are not [[node]] tables".to_owned())),
    }
}

fn add(
    document: &mut DocumentMut,
    name: &str,
    keys: &[(&'static str, Setting)],
) -> Result<(), EditError> {
    let mut table = Table::new();
    table.insert("name", value(name));
    for (key, setting) in keys {
        table.insert(key, Item::Value(setting.written()));
    }
    match document.get_mut("node") {
        Some(Item::ArrayOfTables(nodes)) => {
            table.decor_mut().set_prefix("\n");
            nodes.push(table);
        }
        Some(Item::Value(Value::Array(nodes))) => layout::push(nodes, table.into_inline_table()),
        _ => return Err(EditError::ByHand("its nodes are not [[node]] tables".to_owned())),
    }
    Ok(())
}

fn remove(document: &mut DocumentMut, name: &str, at: usize) -> Result<(), EditError> {
    match document.get_mut("node") {
        Some(Item::ArrayOfTables(nodes)) => {
            let gone = nodes.remove(at);
            let kept = layout::kept_comments(layout::prefix(&gone), name, at == 0);
            layout::give_to_next(document, gone.position(), &kept);
        }
        Some(Item::Value(Value::Array(nodes))) => layout::take(nodes, at),
        _ => return Err(EditError::ByHand("its nodes are not [[node]] tables".to_owned())),
    }
    Ok(())
}

fn set_at(
    document: &mut DocumentMut,
    at: usize,
    keys: &[(&'static str, Setting)],
) -> Result<(), EditError> {
    let node: Option<&mut dyn TableLike> = match document.get_mut("node") {
        Some(Item::ArrayOfTables(nodes)) => table_at(nodes, at),
        Some(Item::Value(Value::Array(nodes))) => nodes
            .get_mut(at)
            .and_then(Value::as_inline_table_mut)
            .map(|node| -> &mut dyn TableLike { node }),
        _ => None,
    };
    let Some(node) = node else {
        return Err(EditError::ByHand("its nodes are not [[node]] tables".to_owned()));
    };
    for (key, setting) in keys {
        match node.get_mut(key) {
            Some(Item::Value(old)) => {
                let decor = old.decor().clone();
                *old = setting.written();
                *old.decor_mut() = decor;
            }
            _ => drop(node.insert(key, Item::Value(setting.written()))),
        }
    }
    Ok(())
}

fn table_at(nodes: &mut ArrayOfTables, at: usize) -> Option<&mut dyn TableLike> {
    nodes.get_mut(at).map(|node| -> &mut dyn TableLike { node })
}

impl Setting {
    fn written(&self) -> Value {
        match self {
            Self::Text(text) => text.as_str().into(),
            Self::Number(number) => (*number).into(),
            Self::List(items) if items.len() == 1 => items[0].as_str().into(),
            Self::List(items) => Value::Array(items.iter().map(String::as_str).collect::<Array>()),
        }
    }
}

#[cfg(test)]
mod tests;
