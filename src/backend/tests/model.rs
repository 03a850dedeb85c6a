//! Random operations against a map.

use std::ops::Bound;

use proptest::prelude::*;

use super::{Rows, all_rows, empty_disk, open, patient};
use crate::{Backend, Bucket, Options, View, WriteBatch};

#[derive(Debug, Clone)]
enum Operation {
    /// Puts (or, without a value, deletes) rows in one batch.
    Write(Vec<(Bucket, u8, Option<u8>)>),
    /// Puts so many rows above all others, as new revisions are.
    Append(u8),
    Flush,
    View,
    Defragment,
    Reopen,
    Scan(Bucket, Bound<u8>, Bound<u8>),
}

fn buckets() -> impl Strategy<Value = Bucket> {
    prop_oneof![Just(Bucket::Key), Just(Bucket::Key), Just(Bucket::Meta), Just(Bucket::Lease)]
}

fn bounds() -> impl Strategy<Value = Bound<u8>> {
    prop_oneof![
        Just(Bound::Unbounded),
        any::<u8>().prop_map(Bound::Included),
        any::<u8>().prop_map(Bound::Excluded),
    ]
}

fn operations() -> impl Strategy<Value = Operation> {
    let row = (buckets(), any::<u8>(), any::<Option<u8>>());
    prop_oneof![
        8 => prop::collection::vec(row, 0..12).prop_map(Operation::Write),
        4 => (1..40u8).prop_map(Operation::Append),
        2 => Just(Operation::Flush),
        1 => Just(Operation::View),
        1 => Just(Operation::Defragment),
        1 => Just(Operation::Reopen),
        4 => (buckets(), bounds(), bounds()).prop_map(|(b, from, to)| Operation::Scan(b, from, to)),
    ]
}

fn key(number: u8) -> Vec<u8> {
    vec![number / 7, number]
}

fn value(number: u8) -> Vec<u8> {
    vec![number; usize::from(number) * 3]
}

fn batch(rows: &[(Bucket, u8, Option<u8>)], model: &mut Rows) -> WriteBatch {
    let mut batch = WriteBatch::new();
    for (bucket, row, content) in rows {
        if let Some(content) = content {
            batch.put(*bucket, key(*row), value(*content));
            model.insert((*bucket, key(*row)), value(*content));
        } else {
            batch.delete(*bucket, key(*row));
            model.remove(&(*bucket, key(*row)));
        }
    }
    batch
}

fn owned(bound: Bound<u8>) -> Bound<Vec<u8>> {
    bound.map(key)
}

fn borrowed(bound: &Bound<Vec<u8>>) -> Bound<&[u8]> {
    bound.as_ref().map(Vec::as_slice)
}

fn check_scan(backend: &Backend, model: &Rows, bucket: Bucket, bounds: &(Bound<u8>, Bound<u8>)) {
    let (from, to) = (owned(bounds.0), owned(bounds.1));
    let expected: Vec<_> = model
        .iter()
        .filter(|((held, key), _)| {
            *held == bucket && std::ops::RangeBounds::contains(&(from.clone(), to.clone()), key)
        })
        .map(|((_, key), value)| (key.clone(), value.clone()))
        .collect();
    for limit in [3, usize::MAX] {
        let mut found = Vec::new();
        backend
            .scan(bucket, borrowed(&from), borrowed(&to), &mut |key, value| {
                found.push((key.to_vec(), value.to_vec()));
                if found.len() >= limit {
                    std::ops::ControlFlow::Break(())
                } else {
                    std::ops::ControlFlow::Continue(())
                }
            })
            .unwrap();
        assert_eq!(found, expected[..expected.len().min(limit)]);
    }
}

fn check_view(view: &View, model: &Rows) {
    for bucket in Bucket::ALL {
        let mut found = Rows::new();
        view.scan(bucket, Bound::Unbounded, Bound::Unbounded, &mut |key, value| {
            found.insert((bucket, key.to_vec()), value.to_vec());
            std::ops::ControlFlow::Continue(())
        })
        .unwrap();
        let expected: Rows = model
            .iter()
            .filter(|((b, _), _)| *b == bucket)
            .map(|(k, v)| (k.clone(), v.clone()))
            .collect();
        assert_eq!(found, expected);
        for ((_, key), value) in &expected {
            assert_eq!(view.get(bucket, key).unwrap().as_deref(), Some(value.as_slice()));
        }
    }
}

fn check_gets(backend: &Backend, model: &Rows) {
    for number in 0..=u8::MAX {
        for bucket in [Bucket::Key, Bucket::Meta] {
            let expected = model.get(&(bucket, key(number))).map(Vec::as_slice);
            assert_eq!(backend.get(bucket, &key(number)).unwrap().as_deref(), expected);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn every_read_finds_what_a_map_would_hold(
        operations in prop::collection::vec(operations(), 1..60),
        flush_rows in prop_oneof![Just(1usize), Just(7), Just(10_000)],
    ) {
        let options = || Options { flush_rows, ..patient() };
        let disk = empty_disk();
        let mut backend = open(&disk, options()).unwrap();
        let mut model = Rows::new();
        let mut views: Vec<(View, Rows)> = Vec::new();
        let mut appended = 0u32;
        for operation in &operations {
            match operation {
                Operation::Write(rows) => backend.write(batch(rows, &mut model)).unwrap(),
                Operation::Append(count) => for _ in 0..*count {
                    appended += 1;
                    let mut key = vec![0xFF];
                    key.extend_from_slice(&appended.to_be_bytes());
                    backend.write(super::put(Bucket::Key, &key, b"new")).unwrap();
                    model.insert((Bucket::Key, key), b"new".to_vec());
                },
                Operation::Flush => backend.flush().unwrap(),
                Operation::View => views.push((backend.view().unwrap(), model.clone())),
                Operation::Defragment => backend.defragment().unwrap(),
                Operation::Reopen => {
                    backend.close().unwrap();
                    backend = open(&disk, options()).unwrap();
                }
                Operation::Scan(bucket, from, to) => {
                    check_scan(&backend, &model, *bucket, &(*from, *to));
                }
            }
        }
        check_gets(&backend, &model);
        assert_eq!(all_rows(&backend), model);
        backend.flush().unwrap();
        assert_eq!(all_rows(&backend), model);
        for (view, then) in &views {
            check_view(view, then);
        }
    }
}
