//! Evaluates the compares of a transaction on a [`View`]. Facts: surface A.3.

use std::{cmp::Ordering, ops::ControlFlow};

use wire::etcdserverpb::{
    Compare,
    compare::{CompareResult, CompareTarget, TargetUnion},
};

use super::{ReadError, View, history::Found, index::Span};

impl View<'_> {
    /// Whether all compares hold.
    pub(crate) fn holds(&self, compares: &[Compare]) -> Result<bool, ReadError> {
        for compare in compares {
            if !self.compare(compare)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// A compare on a range must hold for each key in it. A missing key compares as zeroes, save
    /// that no value equals, exceeds or falls short of a missing one.
    fn compare(&self, compare: &Compare) -> Result<bool, ReadError> {
        let target = CompareTarget::try_from(compare.target);
        let mut found = Vec::new();
        let span = Span::new(&compare.key, &compare.range_end);
        let count = self.walk(span, self.revision, &mut |_, key| {
            found.push(key);
            ControlFlow::Continue(())
        })?;
        if count == 0 {
            return Ok(match target {
                Ok(CompareTarget::Value) => false,
                _ => judge(compare, 0.cmp(&operand(compare))),
            });
        }
        for found in found {
            let ordering = self.ordering(compare, target.ok(), found)?;
            if !judge(compare, ordering) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn ordering(
        &self,
        compare: &Compare,
        target: Option<CompareTarget>,
        found: Found,
    ) -> Result<Ordering, ReadError> {
        Ok(match target {
            Some(CompareTarget::Version) => found.version.cmp(&operand(compare)),
            Some(CompareTarget::Create) => found.created.cmp(&operand(compare)),
            Some(CompareTarget::Mod) => found.modified.main.cmp(&operand(compare)),
            Some(CompareTarget::Lease) => {
                self.record(&found, self.revision)?.lease.cmp(&operand(compare))
            }
            Some(CompareTarget::Value) => {
                let value: &[u8] = match &compare.target_union {
                    Some(TargetUnion::Value(value)) => value,
                    _ => b"",
                };
                self.record(&found, self.revision)?.value.as_ref().cmp(value)
            }
            None => Ordering::Equal,
        })
    }
}

/// The number to compare with. A member of the union that does not fit the target counts as zero.
fn operand(compare: &Compare) -> i64 {
    match (CompareTarget::try_from(compare.target), &compare.target_union) {
        (Ok(CompareTarget::Version), Some(TargetUnion::Version(number)))
        | (Ok(CompareTarget::Create), Some(TargetUnion::CreateRevision(number)))
        | (Ok(CompareTarget::Mod), Some(TargetUnion::ModRevision(number)))
        | (Ok(CompareTarget::Lease), Some(TargetUnion::Lease(number))) => *number,
        _ => 0,
    }
}

/// An unknown kind of comparison holds.
fn judge(compare: &Compare, ordering: Ordering) -> bool {
    match CompareResult::try_from(compare.result) {
        Ok(CompareResult::Equal) => ordering.is_eq(),
        Ok(CompareResult::NotEqual) => ordering.is_ne(),
        Ok(CompareResult::Greater) => ordering.is_gt(),
        Ok(CompareResult::Less) => ordering.is_lt(),
        Err(_) => true,
    }
}
