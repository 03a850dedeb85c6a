//! The revisions of one key, in generations: from a creation to its deletion. Semantics of etcd's key index.
//!
//! Most keys of a compacted store have one live revision; that case takes 24 bytes.

use std::num::NonZeroI64;

use super::revision::Rev;

/// Where a key stands at some revision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Found {
    /// Its last change up to there: the row to read.
    pub(crate) modified: Rev,
    /// Main revision of its creation.
    pub(crate) created: i64,
    /// Number of puts since its creation.
    pub(crate) version: i64,
}

/// All revisions known of a key, oldest first. Never without any.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum History {
    /// One live revision and no past.
    One { main: NonZeroI64, created: i64, sub: u32, version: u32 },
    /// Anything else. The last generation is empty if the key is deleted.
    #[expect(clippy::box_collection, reason = "a thin pointer keeps the common case small")]
    Many(Box<Vec<Generation>>),
}

/// A life of the key. All but the last end with a tombstone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Generation {
    created: i64,
    /// Number of changes, the tombstone included, also those compacted away.
    version: i64,
    revs: Vec<Rev>,
}

impl Generation {
    const EMPTY: Self = Self { created: 0, version: 0, revs: Vec::new() };
}

impl History {
    /// A key whose oldest known revision is a put.
    pub(crate) fn new(found: Found) -> Self {
        let Found { modified, created, version } = found;
        let narrow =
            (NonZeroI64::new(modified.main), u32::try_from(modified.sub), u32::try_from(version));
        if let (Some(main), Ok(sub), Ok(version)) = narrow {
            return Self::One { main, created, sub, version };
        }
        Self::Many(Box::new(vec![Generation { created, version, revs: vec![modified] }]))
    }

    /// A key whose oldest known revision is a tombstone.
    pub(crate) fn new_tombstone(rev: Rev) -> Self {
        let ended = Generation { created: 0, version: 1, revs: vec![rev] };
        Self::Many(Box::new(vec![ended, Generation::EMPTY]))
    }

    /// Adds a put and says where the key stands after it.
    pub(crate) fn put(&mut self, rev: Rev) -> Found {
        let generation = self.last_generation();
        if generation.revs.is_empty() {
            generation.created = rev.main;
        }
        generation.revs.push(rev);
        generation.version += 1;
        Found { modified: rev, created: generation.created, version: generation.version }
    }

    /// Ends the key's life; false if it has none.
    pub(crate) fn tombstone(&mut self, rev: Rev) -> bool {
        let generation = self.last_generation();
        if generation.revs.is_empty() {
            return false;
        }
        generation.revs.push(rev);
        generation.version += 1;
        self.generations_mut().push(Generation::EMPTY);
        true
    }

    /// Where the key stands at main revision `at`, if it exists there.
    pub(crate) fn get(&self, at: i64) -> Option<Found> {
        let generations = match self {
            Self::One { main, created, sub, version } => {
                return (main.get() <= at).then(|| Found {
                    modified: Rev::new(main.get(), i64::from(*sub)),
                    created: *created,
                    version: i64::from(*version),
                });
            }
            Self::Many(generations) => generations,
        };
        let last = generations.len() - 1;
        for (position, generation) in generations.iter().enumerate().rev() {
            let (Some(first), Some(end)) = (generation.revs.first(), generation.revs.last()) else {
                continue;
            };
            if position != last && end.main <= at {
                return None;
            }
            if first.main <= at {
                return generation.at(at);
            }
        }
        None
    }

    /// Drops what nobody can read once `at` is compacted, noting in `keep` which row stays for
    /// this key. True if nothing is left and the key can go.
    pub(crate) fn compact(&mut self, at: i64, keep: &mut Vec<Rev>) -> bool {
        let (generation, position) = self.survivor(at);
        if let Some(rev) = self.rev(generation, position) {
            keep.push(rev);
        }
        let Self::Many(generations) = self else { return false };
        generations.drain(..generation);
        if let Some(position) = position {
            generations[0].revs.drain(..position);
        }
        if generations.len() == 1 && generations[0].revs.is_empty() {
            return true;
        }
        self.narrow();
        false
    }

    /// The row that a compaction at `at` would keep, as hashes count it: none if it is the
    /// tombstone that ends a generation. That way all versions of etcd get the same hash.
    pub(crate) fn kept(&self, at: i64) -> Option<Rev> {
        let (generation, position) = self.survivor(at);
        if let Self::Many(generations) = self {
            let ends = position.is_some_and(|at| at + 1 == generations[generation].revs.len());
            if ends && generation + 1 != generations.len() {
                return None;
            }
        }
        self.rev(generation, position)
    }

    /// The first generation not wholly before `at`, and in it the newest revision up to `at`.
    fn survivor(&self, at: i64) -> (usize, Option<usize>) {
        let generations = match self {
            Self::One { main, .. } => return (0, (main.get() <= at).then_some(0)),
            Self::Many(generations) => generations,
        };
        // A deletion at exactly `at` counts as over if the same transaction made the key anew. (etcd
        // since 3.5.16 looks at the tombstone only, and so loses the new row.)
        let over = |pair: &&[Generation]| match (pair[0].revs.last(), pair[1].revs.first()) {
            (Some(end), Some(next)) if next.main <= at => end.main <= at,
            (Some(end), _) => end.main < at,
            (None, _) => true,
        };
        let index = generations.windows(2).take_while(over).count();
        (index, generations[index].revs.iter().rposition(|rev| rev.main <= at))
    }

    fn rev(&self, generation: usize, position: Option<usize>) -> Option<Rev> {
        let position = position?;
        match self {
            Self::One { main, sub, .. } => Some(Rev::new(main.get(), i64::from(*sub))),
            Self::Many(generations) => generations[generation].revs.get(position).copied(),
        }
    }

    fn generations_mut(&mut self) -> &mut Vec<Generation> {
        if let Self::One { main, created, sub, version } = *self {
            let revs = vec![Rev::new(main.get(), i64::from(sub))];
            let generation = Generation { created, version: i64::from(version), revs };
            *self = Self::Many(Box::new(vec![generation]));
        }
        match self {
            Self::Many(generations) => generations,
            Self::One { .. } => unreachable!("turned into many above"),
        }
    }

    fn last_generation(&mut self) -> &mut Generation {
        self.generations_mut().last_mut().expect("a history has a generation")
    }

    /// Back to the small form where that is possible; spare room is given back.
    fn narrow(&mut self) {
        let Self::Many(generations) = self else { return };
        if let [Generation { created, version, revs }] = generations.as_slice()
            && let [modified] = revs.as_slice()
        {
            *self = Self::new(Found { modified: *modified, created: *created, version: *version });
            return;
        }
        for generation in generations.iter_mut() {
            generation.revs.shrink_to_fit();
        }
        generations.shrink_to_fit();
    }
}

impl Generation {
    fn at(&self, at: i64) -> Option<Found> {
        let count = self.revs.partition_point(|rev| rev.main <= at);
        let modified = *self.revs.get(count.checked_sub(1)?)?;
        let later = i64::try_from(self.revs.len() - count).unwrap_or(i64::MAX);
        Some(Found { modified, created: self.created, version: self.version - later })
    }
}

#[cfg(test)]
mod tests;
