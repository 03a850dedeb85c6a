//! Evaluates range reads on a [`View`]. Facts: surface A.3.

use std::{cmp::Ordering, ops::ControlFlow};

use prost::bytes::Bytes;
use wire::{
    etcdserverpb::{
        RangeRequest, RangeResponse, ResponseHeader,
        range_request::{SortOrder, SortTarget},
    },
    mvccpb::KeyValue,
};

use super::{ReadError, View, history::Found, index::Span, record};
use crate::error::{ApiError, StateError};

/// Keys passed while the index is locked, before the applier gets a turn.
const WALK_STEPS: usize = 2048;

/// How a request wants its result ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    /// By key, as the index has it.
    Natural,
    Sorted {
        by: SortTarget,
        descending: bool,
    },
}

impl Order {
    /// Unknown sort targets do not sort. Unknown orders were never compared with by etcd: they sort nothing.
    fn of(request: &RangeRequest) -> Self {
        let by = SortTarget::try_from(request.sort_target);
        let order = SortOrder::try_from(request.sort_order);
        match (order, by) {
            (Ok(SortOrder::None | SortOrder::Ascend), Ok(SortTarget::Key)) => Self::Natural,
            (_, Err(_)) | (Err(_), _) => Self::Natural,
            // Any other target sorts ascending even where no order is asked for.
            (Ok(SortOrder::None | SortOrder::Ascend), Ok(by)) => {
                Self::Sorted { by, descending: false }
            }
            (Ok(SortOrder::Descend), Ok(by)) => Self::Sorted { by, descending: true },
        }
    }
}

/// etcd fetches no more than it needs unless a sort order or a filter is given; a sort target alone then sorts just
/// what was fetched.
fn limits_first(request: &RangeRequest) -> bool {
    request.sort_order == i32::from(SortOrder::None)
        && request.min_mod_revision == 0
        && request.max_mod_revision == 0
        && request.min_create_revision == 0
        && request.max_create_revision == 0
}

impl View<'_> {
    /// The revision at which a request wants to read.
    fn revision_asked(&self, revision: i64) -> Result<i64, ApiError> {
        if revision > self.revision {
            return Err(ApiError::FutureRevision);
        }
        let at = if revision <= 0 { self.revision } else { revision };
        if at < self.compacted { Err(ApiError::Compacted) } else { Ok(at) }
    }

    pub(crate) fn range(&self, request: &RangeRequest) -> Result<RangeResponse, ReadError> {
        let at = self.revision_asked(request.revision)?;
        let span = Span::new(&request.key, &request.range_end);
        let header = ResponseHeader { revision: self.revision, ..Default::default() };
        let mut response = RangeResponse { header: Some(header), ..Default::default() };
        if request.count_only {
            response.count = self.walk(span, at, &mut |_, _| ControlFlow::Continue(()))?;
            return Ok(response);
        }
        let limit = usize::try_from(request.limit).ok().filter(|limit| *limit > 0);
        let order = Order::of(request);
        // One more than asked for tells whether there is more.
        let wanted = match limit {
            Some(limit) if limits_first(request) => limit.saturating_add(1),
            _ => usize::MAX,
        };
        let mut found = Vec::new();
        response.count = self.walk(span, at, &mut |_, key| {
            if found.len() < wanted && passes(request, key) {
                found.push(key);
            }
            ControlFlow::Continue(())
        })?;
        let by_value = matches!(order, Order::Sorted { by: SortTarget::Value, .. });
        if !by_value {
            sort_found(&mut found, order);
            response.more = truncate(&mut found, limit);
        }
        for found in &found {
            response.kvs.push(self.record(found, at)?);
        }
        if by_value {
            sort_records(&mut response.kvs, order);
            response.more = truncate(&mut response.kvs, limit);
        }
        if request.keys_only {
            for record in &mut response.kvs {
                record.value = Bytes::new();
            }
        }
        Ok(response)
    }

    /// Where a key stands at the view's revision.
    pub(crate) fn find(&self, key: &[u8]) -> Option<Found> {
        self.store.index.read().get(key, self.revision)
    }

    /// The key's current record, if it exists.
    pub(crate) fn current(&self, key: &[u8]) -> Result<Option<KeyValue>, ReadError> {
        let found = self.find(key);
        found.map(|found| self.record(&found, self.revision)).transpose()
    }

    pub(crate) fn record(&self, found: &Found, at: i64) -> Result<KeyValue, ReadError> {
        let row = self.row(found.modified, at)?;
        record::decode(row).ok_or_else(|| {
            let text = format!("the row of revision {} cannot be decoded", found.modified.main);
            ReadError::State(StateError::Damaged(text))
        })
    }

    /// Visits every key of the span that exists at `at`, in order, and counts them. The index is
    /// let go every now and then, so that a long walk does not hold up the applier.
    pub(crate) fn walk(
        &self,
        span: Span<'_>,
        at: i64,
        visit: &mut dyn FnMut(&[u8], Found) -> ControlFlow<()>,
    ) -> Result<i64, ReadError> {
        let mut count = 0;
        if let Span::Point(key) = span {
            let index = self.store.index.read();
            self.check_not_overtaken(at)?;
            if let Some(found) = index.get(key, at) {
                count += 1;
                // A point has no more to stop.
                let (ControlFlow::Continue(()) | ControlFlow::Break(())) = visit(key, found);
            }
            return Ok(count);
        }
        let mut seen: Option<Vec<u8>> = None;
        while let Some(bounds) = span.bounds_after(seen.as_deref()) {
            let index = self.store.index.read();
            // Checked under the lock: pruning follows the publication of the compacted revision.
            self.check_not_overtaken(at)?;
            let last = index.walk(bounds, at, WALK_STEPS, &mut |key, found| {
                count += 1;
                visit(key, found)
            });
            let Some(last) = last else { break };
            seen = Some(last.to_vec());
        }
        Ok(count)
    }
}

/// The filters on modification and creation; zero switches one off.
fn passes(request: &RangeRequest, found: Found) -> bool {
    let (modified, created) = (found.modified.main, found.created);
    let above = |number: i64, max: i64| max != 0 && number > max;
    let below = |number: i64, min: i64| min != 0 && number < min;
    !(above(modified, request.max_mod_revision)
        || below(modified, request.min_mod_revision)
        || above(created, request.max_create_revision)
        || below(created, request.min_create_revision))
}

fn truncate<T>(list: &mut Vec<T>, limit: Option<usize>) -> bool {
    match limit {
        Some(limit) if list.len() > limit => {
            list.truncate(limit);
            true
        }
        _ => false,
    }
}

fn sort_found(found: &mut [Found], order: Order) {
    let Order::Sorted { by, descending } = order else { return };
    let compare = |a: &Found, b: &Found| match by {
        SortTarget::Version => a.version.cmp(&b.version),
        SortTarget::Create => a.created.cmp(&b.created),
        SortTarget::Mod => a.modified.main.cmp(&b.modified.main),
        // In key order already.
        SortTarget::Key | SortTarget::Value => Ordering::Equal,
    };
    match (by, descending) {
        (SortTarget::Key, true) => found.reverse(),
        (_, true) => found.sort_by(|a, b| compare(b, a)),
        (_, false) => found.sort_by(compare),
    }
}

fn sort_records(records: &mut [KeyValue], order: Order) {
    match order {
        Order::Sorted { descending: true, .. } => records.sort_by(|a, b| b.value.cmp(&a.value)),
        _ => records.sort_by(|a, b| a.value.cmp(&b.value)),
    }
}
