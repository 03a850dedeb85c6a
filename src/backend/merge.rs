//! Walks buffered rows and stored rows as one ascending list.

use std::{
    cmp::Ordering,
    ops::{Bound, ControlFlow},
};

use crate::{BackendError, layer::LayerRow, store::StoredRows};

/// Sees key and value of a row; `Break` ends the walk.
pub type Visit<'a> = dyn FnMut(&[u8], &[u8]) -> ControlFlow<()> + 'a;

/// Visits the rows of `buffered` (which hide or replace stored ones) and `stored`.
pub(crate) fn visit<'a>(
    buffered: impl Iterator<Item = LayerRow<'a>>,
    mut stored: StoredRows,
    visit: &mut Visit<'_>,
) -> Result<(), BackendError> {
    let mut below = stored.next_row().map_err(BackendError::read)?;
    for (key, value) in buffered {
        while let Some(row) = &below {
            match row.key().cmp(key) {
                Ordering::Greater => break,
                Ordering::Less => {
                    if visit(row.key(), row.value()).is_break() {
                        return Ok(());
                    }
                }
                Ordering::Equal => {}
            }
            below = stored.next_row().map_err(BackendError::read)?;
        }
        if let Some(value) = value
            && visit(key, value).is_break()
        {
            return Ok(());
        }
    }
    while let Some(row) = below {
        if visit(row.key(), row.value()).is_break() {
            return Ok(());
        }
        below = stored.next_row().map_err(BackendError::read)?;
    }
    Ok(())
}

/// Whether no key can be between the bounds. (The maps below refuse such bounds.)
pub(crate) fn is_empty_range(from: Bound<&[u8]>, to: Bound<&[u8]>) -> bool {
    match (from, to) {
        (Bound::Included(from), Bound::Included(to)) => from > to,
        (Bound::Included(from) | Bound::Excluded(from), Bound::Excluded(to))
        | (Bound::Excluded(from), Bound::Included(to)) => from >= to,
        (Bound::Unbounded, Bound::Excluded(to)) => to.is_empty(),
        (_, Bound::Unbounded) | (Bound::Unbounded, Bound::Included(_)) => false,
    }
}
