//! The write buffer: changed rows in key order, newest value only.

use std::{cmp::Ordering, collections::BTreeMap, iter::Peekable, ops::Bound};

use bytes::Bytes;

use crate::{Bucket, batch::Change};

/// What a row costs in memory besides its bytes.
const ROW_OVERHEAD_BYTES: usize = 96;

/// Changed rows of all buckets. A value of `None` hides the row below.
#[derive(Debug, Default)]
pub(crate) struct Layer {
    buckets: [BucketLayer; Bucket::COUNT],
    rows: usize,
    bytes: usize,
}

/// The changed rows of one bucket. A key is in `run` or in `others`, never in both.
#[derive(Debug, Default)]
pub(crate) struct BucketLayer {
    /// Rows that came in ascending order, as new revisions do: a push each.
    run: Vec<(Bytes, Option<Bytes>)>,
    /// Rows that came below the end of `run`.
    others: BTreeMap<Bytes, Option<Bytes>>,
}

impl Layer {
    /// Takes over a change; the newest of a row counts.
    pub(crate) fn apply(&mut self, change: Change) {
        let Change { bucket, key, value } = change;
        let key_bytes = key.len();
        self.bytes += value.as_ref().map_or(0, Bytes::len);
        if let Some(replaced) = self.buckets[bucket.position()].set(key, value) {
            self.bytes -= replaced.map_or(0, |value| value.len());
        } else {
            self.rows += 1;
            self.bytes += key_bytes + ROW_OVERHEAD_BYTES;
        }
    }

    /// Changed rows.
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// Memory held, nearly.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn bucket(&self, bucket: Bucket) -> &BucketLayer {
        &self.buckets[bucket.position()]
    }
}

impl BucketLayer {
    /// Sets a row; returns what this layer held for it.
    fn set(&mut self, key: Bytes, value: Option<Bytes>) -> Option<Option<Bytes>> {
        // Above the run's end nothing is held: `others` got only keys below it, and it only rises.
        if self.run.last().is_none_or(|(last, _)| *last < key) {
            self.run.push((key, value));
            return None;
        }
        match self.run.binary_search_by(|(held, _)| held.cmp(&key)) {
            Ok(at) => Some(std::mem::replace(&mut self.run[at].1, value)),
            Err(_) => self.others.insert(key, value),
        }
    }

    /// What this layer knows of a row: nothing, that it is deleted, or its value.
    pub(crate) fn get(&self, key: &[u8]) -> Option<Option<&Bytes>> {
        if let Ok(at) = self.run.binary_search_by(|(held, _)| held.as_ref().cmp(key)) {
            return Some(self.run[at].1.as_ref());
        }
        if self.others.is_empty() {
            return None;
        }
        self.others.get(key).map(Option::as_ref)
    }

    /// The changed rows between two bounds (which must not cross), ascending.
    pub(crate) fn range<'a>(
        &'a self,
        from: Bound<&[u8]>,
        to: Bound<&[u8]>,
    ) -> impl Iterator<Item = LayerRow<'a>> + use<'a> {
        let start = self.run.partition_point(|(key, _)| is_below(key, from));
        let end = self.run.partition_point(|(key, _)| !is_above(key, to)).max(start);
        let run = self.run[start..end].iter().map(|(key, value)| (key, value.as_ref()));
        let others =
            self.others.range::<[u8], _>((from, to)).map(|(key, value)| (key, value.as_ref()));
        newest(run, others)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.run.is_empty() && self.others.is_empty()
    }
}

/// A changed row: its key, and its value unless deleted.
pub(crate) type LayerRow<'a> = (&'a Bytes, Option<&'a Bytes>);

fn is_below(key: &[u8], from: Bound<&[u8]>) -> bool {
    match from {
        Bound::Included(from) => key < from,
        Bound::Excluded(from) => key <= from,
        Bound::Unbounded => false,
    }
}

fn is_above(key: &[u8], to: Bound<&[u8]>) -> bool {
    match to {
        Bound::Included(to) => key > to,
        Bound::Excluded(to) => key >= to,
        Bound::Unbounded => false,
    }
}

/// Merges two ascending lists; where both have a key, the first list's row counts.
pub(crate) fn newest<'a>(
    newer: impl Iterator<Item = LayerRow<'a>>,
    older: impl Iterator<Item = LayerRow<'a>>,
) -> impl Iterator<Item = LayerRow<'a>> {
    Newest { newer: newer.peekable(), older: older.peekable() }
}

struct Newest<N: Iterator, O: Iterator> {
    newer: Peekable<N>,
    older: Peekable<O>,
}

impl<'a, N, O> Iterator for Newest<N, O>
where
    N: Iterator<Item = LayerRow<'a>>,
    O: Iterator<Item = LayerRow<'a>>,
{
    type Item = LayerRow<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        let (Some((newer, _)), Some((older, _))) = (self.newer.peek(), self.older.peek()) else {
            return self.newer.next().or_else(|| self.older.next());
        };
        match newer.cmp(older) {
            Ordering::Less => self.newer.next(),
            Ordering::Greater => self.older.next(),
            Ordering::Equal => {
                self.older.next();
                self.newer.next()
            }
        }
    }
}
