//! Snapshots between two transports: content, reports, bounded memory and what goes wrong.

use std::{
    io,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use base::MemberId;
use bytes::{Bytes, BytesMut};
use disk::{DirItem, Disk, DiskFile, DiskLock, Open, RealDisk};
use parking_lot::Mutex;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use wire::raftpb::{self, MessageType};

use super::world::{CLUSTER, Node, message, pair, until};
use crate::peer::{OutgoingSnapshot, codec};

const FILE_BYTES: u64 = 20 * 1024 * 1024;

/// A file whose bytes follow from their position; it counts what was read.
#[derive(Debug)]
struct Synthetic {
    bytes: u64,
    read: Arc<AtomicU64>,
}

fn byte_at(offset: u64) -> u8 {
    u8::try_from((offset / 4096 + offset) % 251).unwrap()
}

impl DiskFile for Synthetic {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let left = self.bytes.saturating_sub(offset);
        let read = usize::try_from(left).map_or(buffer.len(), |left| left.min(buffer.len()));
        for (at, byte) in (offset..).zip(&mut buffer[..read]) {
            *byte = byte_at(at);
        }
        self.read.fetch_add(codec::wide(read), Ordering::Relaxed);
        Ok(read)
    }

    fn write_at(&self, _bytes: &[u8], _offset: u64) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.bytes)
    }

    fn set_len(&self, _bytes: u64) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}

/// Dropped with the snapshot's guard.
struct Released(Arc<AtomicBool>);

impl Drop for Released {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// What a sender's file was asked for.
#[derive(Debug, Default, Clone)]
struct Watch {
    read: Arc<AtomicU64>,
    released: Arc<AtomicBool>,
}

/// Makes `node` send a file of `file_bytes`, announced as `claimed_bytes`.
fn offer(node: &Node, file_bytes: u64, claimed_bytes: u64) -> Watch {
    let watch = Watch::default();
    let source = watch.clone();
    *node.events.source.lock() = Some(Box::new(move |request| {
        let mut message = request;
        message.snapshot.metadata.index = 0x1234;
        message.snapshot.metadata.term = 3;
        message.snapshot.data = Some(Bytes::from_static(b"{}"));
        Ok(OutgoingSnapshot {
            message,
            db: Box::new(Synthetic { bytes: file_bytes, read: source.read.clone() }),
            db_bytes: claimed_bytes,
            guard: Box::new(Released(source.released.clone())),
        })
    }));
    watch
}

fn request(from: &Node, to: &Node) -> raftpb::Message {
    let mut request = message(MessageType::MsgSnap, from.id, to.id);
    request.snapshot.metadata.index = 5;
    request
}

async fn expect_transfer(from: &Node, to: &Node) {
    let watch = offer(from, FILE_BYTES, FILE_BYTES);
    from.transport.send(vec![request(from, to)]);
    until("the snapshot was reported", || !from.events.sent_snapshots.lock().is_empty()).await;
    assert_eq!(*from.events.sent_snapshots.lock(), [(to.id, true)]);
    assert!(watch.released.load(Ordering::Relaxed), "the file may be removed");
    let (received, path) = to.events.snapshots.lock()[0].clone();
    assert_eq!(received.snapshot.metadata.index, 0x1234);
    assert_eq!(received.snapshot.data, Some(Bytes::from_static(b"{}")));
    assert_eq!(path, to.folder.path().join("0000000000001234.snap.db"));
    assert_eq!(to.files(), ["0000000000001234.snap.db"]);
    let content = std::fs::read(path).unwrap();
    assert_eq!(content.len() as u64, FILE_BYTES);
    let damaged = (0..).zip(&content).find(|(at, byte)| byte_at(*at) != **byte);
    assert_eq!(damaged, None);
    assert_eq!(from.counters(to.id).snapshot_send.success.get(), 1);
    assert_eq!(from.counters(to.id).snapshot_send.in_flight.get(), 0);
    assert_eq!(to.counters(from.id).snapshot_receive.success.get(), 1);
    assert!(from.counters(to.id).sent_bytes.get() > FILE_BYTES);
    assert!(to.counters(from.id).received_bytes.get() >= FILE_BYTES);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_of_20_mb_goes_both_ways() {
    let (a, b) = pair().await;
    expect_transfer(&a, &b).await;
    expect_transfer(&b, &a).await;
    assert_eq!((a.unreachable(), b.unreachable()), (0, 0));
    a.stop().await;
    b.stop().await;
}

/// A disk on which nothing can be written until it is opened.
#[derive(Debug)]
struct SlowDisk {
    gate: Arc<(Mutex<bool>, parking_lot::Condvar)>,
}

#[derive(Debug)]
struct SlowFile {
    file: Box<dyn DiskFile>,
    gate: Arc<(Mutex<bool>, parking_lot::Condvar)>,
}

impl DiskFile for SlowFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let (open, changed) = &*self.gate;
        changed.wait_while(&mut open.lock(), |open| !*open);
        self.file.write_at(bytes, offset)
    }

    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn set_len(&self, bytes: u64) -> io::Result<()> {
        self.file.set_len(bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync()
    }
}

impl Disk for SlowDisk {
    fn open(&self, path: &Path, how: Open) -> io::Result<Box<dyn DiskFile>> {
        let file = RealDisk.open(path, how)?;
        Ok(Box::new(SlowFile { file, gate: self.gate.clone() }))
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<DirItem>> {
        RealDisk.list(folder)
    }

    fn create_dir_all(&self, folder: &Path) -> io::Result<()> {
        RealDisk.create_dir_all(folder)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        RealDisk.rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        RealDisk.remove_file(path)
    }

    fn sync_dir(&self, folder: &Path) -> io::Result<()> {
        RealDisk.sync_dir(folder)
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        RealDisk.exists(path)
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn DiskLock>> {
        RealDisk.lock(path)
    }

    fn lock_shared(&self, path: &Path) -> io::Result<Box<dyn DiskLock>> {
        RealDisk.lock_shared(path)
    }

    fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        RealDisk.free_bytes(path)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_receiver_holds_the_sender_back_instead_of_filling_memory() {
    let file_bytes = 64 * 1024 * 1024;
    let gate = Arc::new((Mutex::new(false), parking_lot::Condvar::new()));
    let a = Node::start(0xa).await;
    let b = Node::start_on(0xb, CLUSTER, Arc::new(SlowDisk { gate: gate.clone() })).await;
    a.meet(&b);
    let watch = offer(&a, file_bytes, file_bytes);
    a.transport.send(vec![request(&a, &b)]);
    // Nothing is written yet, so what was read is in memory or in the sockets' buffers.
    let read = || watch.read.load(Ordering::Relaxed);
    let mut seen = (0, tokio::time::Instant::now());
    until("the sender waits", || {
        if read() != seen.0 {
            seen = (read(), tokio::time::Instant::now());
        }
        seen.0 > 0 && seen.1.elapsed() > Duration::from_millis(500)
    })
    .await;
    assert!(read() < 24 * 1024 * 1024, "{} bytes were read ahead", read());
    *gate.0.lock() = true;
    gate.1.notify_all();
    until("the snapshot was reported", || !a.events.sent_snapshots.lock().is_empty()).await;
    assert_eq!(*a.events.sent_snapshots.lock(), [(b.id, true)]);
    assert_eq!(read(), file_bytes);
    a.stop().await;
    b.stop().await;
}

async fn expect_failure(a: &Node, b: &Node) {
    a.transport.send(vec![request(a, b)]);
    until("the failure was reported", || !a.events.sent_snapshots.lock().is_empty()).await;
    assert_eq!(*a.events.sent_snapshots.lock(), [(b.id, false)]);
    assert_eq!(a.counters(b.id).snapshot_send.failures.get(), 1);
    assert!(b.events.snapshots.lock().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_shorter_than_announced_is_never_taken() {
    let (a, b) = pair().await;
    let watch = offer(&a, 1_000_000, 1_000_001);
    expect_failure(&a, &b).await;
    until("the unfinished file is gone", || b.files().is_empty()).await;
    assert!(watch.released.load(Ordering::Relaxed));
    a.stop().await;
    b.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_snapshot_is_reported_as_failed() {
    let (a, b) = pair().await;
    b.events.refuse_snapshots.store(true, Ordering::Relaxed);
    offer(&a, 1000, 1000);
    expect_failure(&a, &b).await;
    assert!(a.unreachable() > 0);
    a.stop().await;
    b.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_that_cannot_be_built_is_reported_as_failed() {
    let (a, b) = pair().await;
    expect_failure(&a, &b).await;
    a.stop().await;
    b.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn removing_the_peer_ends_its_snapshot() {
    let a = Node::start(0xa).await;
    // Accepts, and never reads.
    let deaf = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let peer = MemberId::new(0xb);
    a.transport.add_peer(peer, &[format!("http://{}", deaf.local_addr().unwrap())]);
    let watch = offer(&a, 1 << 30, 1 << 30);
    a.transport.send(vec![message(MessageType::MsgSnap, a.id, peer)]);
    until("sending began", || watch.read.load(Ordering::Relaxed) > 0).await;
    a.transport.send(vec![message(MessageType::MsgSnap, a.id, peer)]);
    a.transport.remove_peer(peer);
    until("it was reported", || !a.events.sent_snapshots.lock().is_empty()).await;
    assert_eq!(*a.events.sent_snapshots.lock(), [(peer, false)], "and only one was sent");
    until("the file was released", || watch.released.load(Ordering::Relaxed)).await;
    drop(deaf);
    a.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sender_that_breaks_off_leaves_no_file() {
    let node = Node::start(0xa).await;
    let address = node.url.trim_start_matches("http://");
    let mut io = TcpStream::connect(address).await.unwrap();
    let mut snapshot = message(MessageType::MsgSnap, MemberId::new(0xb), node.id);
    snapshot.snapshot.metadata.index = 8;
    let mut body = BytesMut::new();
    codec::put_framed(&snapshot, &mut body);
    body.extend_from_slice(&[1; 100_000]);
    let head = format!(
        "POST /raft/snapshot HTTP/1.1\r\nHost: {address}\r\nX-Etcd-Cluster-ID: {CLUSTER}\r\n\
         X-Server-Version: 3.4.23\r\nX-Min-Cluster-Version: 3.0.0\r\n\
         Content-Length: {}\r\n\r\n",
        body.len() + 1
    );
    io.write_all(head.as_bytes()).await.unwrap();
    io.write_all(&body).await.unwrap();
    until("the file was begun", || node.files().len() == 1).await;
    io.shutdown().await.unwrap();
    let mut answer = Vec::new();
    // Whether an answer still comes does not matter.
    drop(io.read_to_end(&mut answer).await);
    until("the file is gone", || node.files().is_empty()).await;
    assert!(node.events.snapshots.lock().is_empty());
    node.stop().await;
}
