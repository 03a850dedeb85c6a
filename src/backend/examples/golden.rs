//! Makes the file that later versions must still read, once for each format:
//! `cargo run -p backend --example golden src/backend/testdata/format-1.redb`

use std::{error::Error, path::PathBuf, sync::Arc};

use backend::{Backend, Bucket, Options, WriteBatch};
use disk::{Disk, RealDisk};

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).map(PathBuf::from).ok_or("usage: golden FILE")?;
    if RealDisk.exists(&path)? {
        return Err("the file is there already: a golden file is never made anew".into());
    }
    let backend = Backend::open(Arc::new(RealDisk), &path, Options::default())?;
    let mut batch = WriteBatch::new();
    for bucket in Bucket::ALL {
        for row in 0..20u8 {
            let value = vec![row; usize::from(row) * 10];
            batch.put(bucket, format!("{} {row:02}", bucket.name()), value);
        }
    }
    batch.put(Bucket::Key, "large", vec![b'L'; 10_000]);
    backend.write(batch)?;
    backend.flush()?;
    let mut batch = WriteBatch::new();
    batch.delete(Bucket::Meta, "meta 07");
    backend.write(batch)?;
    backend.defragment()?;
    backend.close()?;
    Ok(())
}
