//! The bytes of a simulated file: what readers see, what is durable, and what lies between.

use super::random::Random;

const SECTOR_BYTES: usize = 512;

/// Content of a file.
#[derive(Debug, Default)]
pub(super) struct Content {
    now: Vec<u8>,
    durable: Vec<u8>,
    /// Changes since the last sync, in order.
    pending: Vec<Change>,
}

#[derive(Debug)]
enum Change {
    Write { offset: usize, bytes: Vec<u8> },
    SetLen(usize),
}

impl Content {
    pub(super) fn len(&self) -> usize {
        self.now.len()
    }

    pub(super) fn read_at(&self, buffer: &mut [u8], offset: usize) -> usize {
        let available = self.now.get(offset..).unwrap_or_default();
        let count = available.len().min(buffer.len());
        buffer[..count].copy_from_slice(&available[..count]);
        count
    }

    pub(super) fn write(&mut self, offset: usize, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        put(&mut self.now, offset, bytes);
        self.pending.push(Change::Write { offset, bytes: bytes.to_vec() });
    }

    pub(super) fn set_len(&mut self, len: usize) {
        self.now.resize(len, 0);
        self.pending.push(Change::SetLen(len));
    }

    /// Makes all changes durable.
    pub(super) fn sync(&mut self) {
        for change in self.pending.drain(..) {
            match change {
                Change::Write { offset, bytes } => put(&mut self.durable, offset, &bytes),
                Change::SetLen(len) => self.durable.resize(len, 0),
            }
        }
    }

    /// Loses power: a random part of the pending changes is durable, the rest is gone.
    pub(super) fn crash(&mut self, random: &mut Random) {
        self.lose_some(random);
        self.now.clone_from(&self.durable);
    }

    /// A failed sync: as [`Content::crash`], but readers go on seeing the lost changes.
    ///
    /// Lengths change in order, so they reach the disk up to some change; sectors come one by one.
    pub(super) fn lose_some(&mut self, random: &mut Random) {
        let lengths_kept = random.up_to(self.pending.len());
        let mut len = self.durable.len();
        for (position, change) in self.pending.drain(..).enumerate() {
            let len_kept = position < lengths_kept;
            match change {
                Change::Write { offset, bytes } => {
                    for (start, sector) in sectors(offset, &bytes) {
                        if random.coin() {
                            put(&mut self.durable, start, sector);
                        }
                    }
                    if len_kept {
                        len = len.max(offset + bytes.len());
                    }
                }
                Change::SetLen(new_len) if len_kept => {
                    self.durable.resize(new_len, 0);
                    len = new_len;
                }
                Change::SetLen(_) => {}
            }
        }
        self.durable.resize(len, 0);
    }
}

fn put(content: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    let end = offset + bytes.len();
    if content.len() < end {
        content.resize(end, 0);
    }
    content[offset..end].copy_from_slice(bytes);
}

/// The beginning of a write that failed after `count` bytes: it ends at a sector's border.
pub(super) fn whole_sectors(offset: usize, bytes: &[u8], count: usize) -> &[u8] {
    if count == bytes.len() {
        return bytes;
    }
    let beyond = (offset + count) % SECTOR_BYTES;
    &bytes[..count.saturating_sub(beyond)]
}

/// Cuts a write at the disk's sector borders.
fn sectors(offset: usize, bytes: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let first = (SECTOR_BYTES - offset % SECTOR_BYTES).min(bytes.len());
    let (head, rest) = bytes.split_at(first);
    let tail = rest
        .chunks(SECTOR_BYTES)
        .enumerate()
        .map(move |(number, sector)| (offset + first + number * SECTOR_BYTES, sector));
    std::iter::once((offset, head)).chain(tail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_is_cut_at_sector_borders() {
        let bytes = vec![7; 1200];
        let cut: Vec<(usize, usize)> =
            sectors(500, &bytes).map(|(start, sector)| (start, sector.len())).collect();
        assert_eq!(cut, [(500, 12), (512, 512), (1024, 512), (1536, 164)]);
    }

    #[test]
    fn any_mix_of_old_and_new_sectors_may_survive_but_synced_ones_do() {
        let mut seen = std::collections::BTreeSet::new();
        for seed in 0..200 {
            let mut content = Content::default();
            content.write(0, &[1; 2048]);
            content.sync();
            content.write(0, &[2; 1024]);
            content.crash(&mut Random::new(seed));
            assert_eq!(content.now.len(), 2048);
            assert_eq!(&content.now[1024..], &[1; 1024][..]);
            for half in [0..512, 512..1024] {
                let sector = &content.now[half];
                assert!(sector.iter().all(|byte| *byte == sector[0]), "a sector is atomic");
            }
            seen.insert((content.now[0], content.now[512]));
        }
        assert_eq!(seen.len(), 4, "both orders, none and all");
    }

    #[test]
    fn what_a_failed_sync_lost_stays_lost_although_a_later_one_succeeds() {
        let mut lost = 0;
        for seed in 0..64 {
            let mut content = Content::default();
            content.write(0, &[1; 512]);
            content.lose_some(&mut Random::new(seed));
            content.sync();
            assert_eq!(content.now, [1; 512], "readers still see it");
            content.crash(&mut Random::new(seed));
            lost += usize::from(content.now != [1; 512]);
        }
        assert!(lost > 0);
    }
}
