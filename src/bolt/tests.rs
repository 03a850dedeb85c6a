//! Tests of reader and writer together: files of the real etcd, random rows, damage, the tools.

mod damage;
mod golden;
mod oracle;
mod roundtrip;

use std::{collections::BTreeMap, ops::ControlFlow, path::Path};

use disk::{Disk, Open, sim::SimDisk};

use crate::{BoltError, Reader, Writer};

/// Buckets and their rows.
type Buckets = BTreeMap<Vec<u8>, BTreeMap<Vec<u8>, Vec<u8>>>;

const PATH: &str = "/db";

/// A disk that holds a file of that content.
fn disk_with(content: &[u8]) -> SimDisk {
    let disk = SimDisk::new();
    disk.open(Path::new(PATH), Open::Create).unwrap().write_at(content, 0).unwrap();
    disk
}

fn open(disk: &SimDisk) -> Result<Reader, BoltError> {
    Reader::open(disk, Path::new(PATH))
}

/// Everything a reader finds.
fn read_all(reader: &Reader) -> Result<Buckets, BoltError> {
    let mut buckets: Buckets =
        reader.buckets()?.into_iter().map(|name| (name, BTreeMap::new())).collect();
    reader.scan_all(&mut |bucket, key, value| {
        buckets.entry(bucket.to_vec()).or_default().insert(key.to_vec(), value.to_vec());
        ControlFlow::Continue(())
    })?;
    Ok(buckets)
}

/// Writes a file; returns its content.
fn write_all(buckets: &Buckets) -> Vec<u8> {
    let disk = SimDisk::new();
    let mut writer = Writer::create(&disk, Path::new(PATH)).unwrap();
    for (name, rows) in buckets {
        writer.bucket(name).unwrap();
        for (key, value) in rows {
            writer.put(key, value).unwrap();
        }
    }
    let length = writer.finish().unwrap();
    let content = disk::read(&disk, Path::new(PATH)).unwrap();
    assert_eq!(u64::try_from(content.len()).unwrap(), length);
    assert_eq!(length % 4096, 0);
    content
}

/// The hash that `snapshot status` prints.
fn status_hash(buckets: &Buckets) -> u32 {
    buckets.iter().fold(0, |hash, (name, rows)| {
        rows.iter().fold(crc32c::crc32c_append(hash, name), |hash, (key, value)| {
            crc32c::crc32c_append(crc32c::crc32c_append(hash, key), value)
        })
    })
}

/// Many rows: three levels in `key`, values on overflow pages, the other buckets small or empty.
fn large() -> Buckets {
    let mut buckets = golden::buckets_of(golden::ETCD_3_5_1);
    let rows = buckets.get_mut(&b"key"[..]).unwrap();
    rows.clear();
    for number in 101..30_000u64 {
        let mut key = number.to_be_bytes().to_vec();
        key.extend_from_slice(b"_\0\0\0\0\0\0\0\0");
        let length = if number % 997 == 0 { 30_000 } else { number % 200 };
        rows.insert(key, key_value(number, length));
    }
    buckets
}

/// An mvccpb.KeyValue: the first revision of a key of its own, with a value of some length.
fn key_value(revision: u64, length: u64) -> Vec<u8> {
    let mut message = vec![0x0A, 8];
    message.extend_from_slice(format!("{revision:08}").as_bytes());
    for (field, number) in [(0x10, revision), (0x18, revision), (0x20, 1), (0x2A, length)] {
        message.push(field);
        let mut rest = number;
        while rest >= 0x80 {
            message.push(rest.to_le_bytes()[0] | 0x80);
            rest >>= 7;
        }
        message.push(rest.to_le_bytes()[0]);
    }
    message.extend(std::iter::repeat_n(b'v', usize::try_from(length).unwrap()));
    message
}
