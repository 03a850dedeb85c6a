//! Copies a bbolt file through reader and writer; with a number instead of a file it makes one
//! with so many keys: `cargo run --release -p bolt --example rewrite FROM|NUMBER TO`

use std::{
    error::Error,
    io::Write,
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use bolt::{BoltError, Reader, Writer};
use disk::RealDisk;

const BUCKETS_BEFORE_KEY: [&[u8]; 5] = [b"alarm", b"auth", b"authRoles", b"authUsers", b"cluster"];
const BUCKETS_AFTER_KEY: [&[u8]; 4] = [b"lease", b"members", b"members_removed", b"meta"];

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(from), Some(to)) = (arguments.next(), arguments.next()) else {
        return Err("usage: rewrite FROM|NUMBER TO".into());
    };
    let to = PathBuf::from(to);
    let length = match from.parse::<u64>() {
        Ok(keys) => make(keys, &to)?,
        Err(_) => rewrite(Path::new(&from), &to)?,
    };
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find(|line| line.starts_with("VmHWM")).unwrap_or_default();
    writeln!(std::io::stdout(), "{length} bytes; {peak}")?;
    Ok(())
}

fn rewrite(from: &Path, to: &Path) -> Result<u64, BoltError> {
    let reader = Reader::open(&RealDisk, from)?;
    let mut writer = Writer::create(&RealDisk, to)?;
    for bucket in reader.buckets()? {
        writer.bucket(&bucket)?;
        let mut failure = None;
        reader.scan(&bucket, &mut |key, value| match writer.put(key, value) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                failure = Some(error);
                ControlFlow::Break(())
            }
        })?;
        if let Some(error) = failure {
            return Err(error);
        }
    }
    writer.finish()
}

/// A database as etcd would have it after so many puts.
fn make(keys: u64, to: &Path) -> Result<u64, BoltError> {
    let mut writer = Writer::create(&RealDisk, to)?;
    for bucket in BUCKETS_BEFORE_KEY {
        writer.bucket(bucket)?;
    }
    writer.bucket(b"key")?;
    for number in 2..keys + 2 {
        let mut key = number.to_be_bytes().to_vec();
        key.push(b'_');
        key.extend_from_slice(&[0; 8]);
        writer.put(&key, &key_value(number))?;
    }
    for bucket in BUCKETS_AFTER_KEY {
        writer.bucket(bucket)?;
    }
    writer.put(b"consistent_index", &7u64.to_be_bytes())?;
    writer.finish()
}

/// An mvccpb.KeyValue: the first revision of a key of its own.
fn key_value(revision: u64) -> Vec<u8> {
    let mut message = vec![0x0A, 16];
    message.extend_from_slice(
        format!("/registry/{revision:06x}").get(..16).unwrap_or("/registry/000000").as_bytes(),
    );
    for field in [0x10, 0x18] {
        message.push(field);
        push_varint(&mut message, revision);
    }
    message.extend_from_slice(&[0x20, 1, 0x2A]);
    let length = if revision.is_multiple_of(997) { 30_000 } else { 200 + revision % 150 };
    push_varint(&mut message, length);
    message.extend(std::iter::repeat_n(b'v', usize::try_from(length).unwrap_or_default()));
    message
}

fn push_varint(message: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        message.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    message.push(number.to_le_bytes()[0]);
}
