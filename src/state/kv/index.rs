//! The key index: every key that a readable revision knows, with its [`History`]. Held in memory.

use std::{
    collections::BTreeMap,
    ops::{Bound, ControlFlow},
};

use super::{
    history::{Found, History},
    revision::Rev,
};

/// Keys in byte order. Keys are copied into boxes of their own size: a receive buffer is never kept.
#[derive(Debug, Default)]
pub(crate) struct Index {
    keys: BTreeMap<Box<[u8]>, History>,
}

/// Where a walk over the keys begins and ends.
pub(crate) type Bounds<'a> = (Bound<&'a [u8]>, Bound<&'a [u8]>);

/// An asked range, with etcd's reading of its end.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Span<'a> {
    /// One key.
    Point(&'a [u8]),
    /// `[from, to)`.
    Interval(&'a [u8], &'a [u8]),
    /// All keys from one on (range end `\0`).
    From(&'a [u8]),
}

impl<'a> Span<'a> {
    pub(crate) fn new(key: &'a [u8], range_end: &'a [u8]) -> Self {
        match range_end {
            [] => Self::Point(key),
            [0] => Self::From(key),
            _ => Self::Interval(key, range_end),
        }
    }

    /// Bounds for a walk; none where nothing can lie between.
    fn bounds(self) -> Option<Bounds<'a>> {
        match self {
            Self::Point(key) => Some((Bound::Included(key), Bound::Included(key))),
            Self::From(key) => Some((Bound::Included(key), Bound::Unbounded)),
            Self::Interval(from, to) => {
                (from < to).then_some((Bound::Included(from), Bound::Excluded(to)))
            }
        }
    }

    /// What remains after a key of the span was seen.
    pub(crate) fn bounds_after<'k>(self, seen: Option<&'k [u8]>) -> Option<Bounds<'k>>
    where
        'a: 'k,
    {
        let (from, to) = self.bounds()?;
        match seen {
            None => Some((from, to)),
            Some(_) if matches!(self, Self::Point(_)) => None,
            Some(seen) => Some((Bound::Excluded(seen), to)),
        }
    }
}

impl Index {
    pub(crate) fn get(&self, key: &[u8], at: i64) -> Option<Found> {
        self.keys.get(key)?.get(at)
    }

    pub(crate) fn put(&mut self, key: &[u8], rev: Rev) -> Found {
        if let Some(history) = self.keys.get_mut(key) {
            return history.put(rev);
        }
        let found = Found { modified: rev, created: rev.main, version: 1 };
        self.keys.insert(Box::from(key), History::new(found));
        found
    }

    /// False if the key does not exist.
    pub(crate) fn tombstone(&mut self, key: &[u8], rev: Rev) -> bool {
        self.keys.get_mut(key).is_some_and(|history| history.tombstone(rev))
    }

    /// Takes a row of the store in, in revision order. `found` is what the row itself says.
    pub(crate) fn restore(&mut self, key: &[u8], found: Found) {
        if let Some(history) = self.keys.get_mut(key) {
            history.put(found.modified);
        } else {
            self.keys.insert(Box::from(key), History::new(found));
        }
    }

    /// As [`Index::restore`], for a tombstone.
    pub(crate) fn restore_tombstone(&mut self, key: &[u8], rev: Rev) {
        if let Some(history) = self.keys.get_mut(key) {
            history.tombstone(rev);
        } else {
            self.keys.insert(Box::from(key), History::new_tombstone(rev));
        }
    }

    /// Calls `visit` for each key between the bounds that exists at `at`, in key order, passing
    /// over at most `steps` entries. Returns the last entry passed if the walk is not over.
    pub(crate) fn walk<'i>(
        &'i self,
        bounds: Bounds<'_>,
        at: i64,
        steps: usize,
        visit: &mut dyn FnMut(&'i [u8], Found) -> ControlFlow<()>,
    ) -> Option<&'i [u8]> {
        let mut range = self.keys.range::<[u8], _>(bounds);
        for passed in 1..=steps {
            let (key, history) = range.next()?;
            if let Some(found) = history.get(at)
                && visit(key, found).is_break()
            {
                return None;
            }
            if passed == steps {
                return Some(key);
            }
        }
        None
    }

    /// Prunes up to `steps` histories after the key `after` for a compaction at `at`. Returns the
    /// last key passed if there are more.
    pub(crate) fn compact(
        &mut self,
        at: i64,
        after: Option<&[u8]>,
        steps: usize,
        keep: &mut Vec<Rev>,
    ) -> Option<Box<[u8]>> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut gone: Vec<Box<[u8]>> = Vec::new();
        let mut last = None;
        for (passed, (key, history)) in
            self.keys.range_mut::<[u8], _>((from, Bound::Unbounded)).enumerate()
        {
            if history.compact(at, keep) {
                gone.push(key.clone());
            }
            if passed + 1 == steps {
                last = Some(key.clone());
                break;
            }
        }
        for key in gone {
            self.keys.remove(&key);
        }
        last
    }

    /// Calls `visit` with each row that a compaction at `at` would keep, as hashes count them, for
    /// up to `steps` histories after the key `after`. Returns the last key passed if there are more.
    pub(crate) fn kept(
        &self,
        at: i64,
        after: Option<&[u8]>,
        steps: usize,
        visit: &mut dyn FnMut(Rev),
    ) -> Option<Box<[u8]>> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut range = self.keys.range::<[u8], _>((from, Bound::Unbounded));
        for (passed, (key, history)) in range.by_ref().enumerate() {
            if let Some(rev) = history.kept(at) {
                visit(rev);
            }
            if passed + 1 == steps {
                return Some(key.clone());
            }
        }
        None
    }

    /// Keys, with those whose deletion is not compacted yet.
    pub(crate) fn len(&self) -> usize {
        self.keys.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(keys: &[&str]) -> Index {
        let mut index = Index::default();
        for (main, key) in (2..).zip(keys) {
            index.put(key.as_bytes(), Rev::new(main, 0));
        }
        index
    }

    fn listed(index: &Index, key: &str, end: &str, at: i64) -> Vec<String> {
        let mut names = Vec::new();
        let span = Span::new(key.as_bytes(), end.as_bytes());
        let mut seen: Option<Vec<u8>> = None;
        while let Some(bounds) = span.bounds_after(seen.as_deref()) {
            let last = index.walk(bounds, at, 2, &mut |key, _| {
                names.push(String::from_utf8(key.to_vec()).unwrap());
                ControlFlow::Continue(())
            });
            match last {
                Some(key) => seen = Some(key.to_vec()),
                None => break,
            }
        }
        names
    }

    #[test]
    fn range_ends_are_read_as_etcd_does() {
        let index = filled(&["a", "b", "c", "d", "e"]);
        assert_eq!(listed(&index, "b", "", 9), ["b"]);
        assert_eq!(listed(&index, "b", "d", 9), ["b", "c"]);
        assert_eq!(listed(&index, "b", "\0", 9), ["b", "c", "d", "e"]);
        assert_eq!(listed(&index, "\0", "\0", 9).len(), 5);
        assert!(listed(&index, "d", "b", 9).is_empty());
        assert!(listed(&index, "b", "b", 9).is_empty());
        assert_eq!(listed(&index, "a", "\0", 3), ["a", "b"]);
    }

    #[test]
    fn compaction_in_steps_prunes_every_key_once() {
        let mut index = filled(&["a", "b", "c", "d", "e"]);
        assert!(index.tombstone(b"b", Rev::new(7, 0)) && index.tombstone(b"c", Rev::new(8, 0)));
        index.put(b"d", Rev::new(9, 0));
        let mut keep = Vec::new();
        let mut last: Option<Box<[u8]>> = None;
        loop {
            last = index.compact(9, last.as_deref(), 2, &mut keep);
            if last.is_none() {
                break;
            }
        }
        keep.sort_unstable();
        assert_eq!(keep, [2, 6, 9].map(|main| Rev::new(main, 0)));
        assert_eq!(index.len(), 3);
    }
}
