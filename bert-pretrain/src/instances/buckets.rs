//! More records than memory holds, put in the order of their keys.

use std::cmp::Reverse;
use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{BufReader, BufWriter, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use bert_core::Error as CoreError;
use rayon::prelude::*;

use super::InstanceStatistics;
use crate::Result;

/// Parts that an oversized bucket is split into.
const PARTS: u64 = 16;
/// Bytes in front of a record: its key and its length.
const ENTRY_BYTES: usize = 12;

/// Which of `slots` equal parts of all keys a key belongs to.
pub(super) fn slot(key: u64, slots: u64) -> u64 {
    ((u128::from(key) * u128::from(slots)) >> 64) as u64
}

/// Records scattered over files by the range of their keys; any thread may add to any of them.
pub(super) struct Buckets {
    buckets: Vec<Mutex<Bucket>>,
}

struct Bucket {
    run: Run,
    file: BufWriter<File>,
}

/// A file of records whose keys fall into one slot, in no order.
pub(super) struct Run {
    path: PathBuf,
    slot: u64,
    slots: u64,
    /// Records.
    pub(super) records: u64,
    /// Their bytes, without keys and lengths.
    pub(super) bytes: u64,
    /// Statistics of the instances in them.
    pub(super) statistics: InstanceStatistics,
}

/// The records of one slot in the order of their keys.
pub(super) struct SortedRun {
    data: Vec<u8>,
    entries: Vec<Entry>,
}

struct Entry {
    key: u64,
    start: usize,
    end: usize,
}

impl Buckets {
    /// Opens `count` files in `dir` that together hold back at most about `buffer` bytes.
    pub(super) fn create(dir: &Path, count: u64, buffer: usize) -> Result<Self> {
        let capacity = (buffer / count.max(1) as usize).clamp(1 << 10, 1 << 18);
        let open = |slot| Bucket::create(dir, slot, count, capacity).map(Mutex::new);
        let buckets = (0..count).map(open).collect::<Result<_>>()?;
        Ok(Self { buckets })
    }

    /// Adds a record; `count` takes it into the statistics.
    pub(super) fn push(
        &self,
        key: u64,
        record: &[u8],
        count: impl FnOnce(&mut InstanceStatistics),
    ) -> Result<()> {
        let slot = slot(key, self.buckets.len() as u64);
        let bucket = &self.buckets[slot as usize];
        // A thread that panicked takes the whole run with it; what it left is never read.
        let mut bucket = bucket.lock().unwrap_or_else(PoisonError::into_inner);
        count(&mut bucket.run.statistics);
        bucket.push(key, record)
    }

    /// Completes the files and gives them in the order of their slots.
    pub(super) fn finish(self) -> Result<Vec<Run>> {
        self.buckets
            .into_iter()
            .map(|bucket| {
                bucket
                    .into_inner()
                    .unwrap_or_else(PoisonError::into_inner)
                    .finish()
            })
            .collect()
    }
}

impl Bucket {
    fn create(dir: &Path, slot: u64, slots: u64, capacity: usize) -> Result<Self> {
        let path = dir.join(format!("bucket-{slots}-{slot}"));
        let file = File::create(&path).map_err(|source| CoreError::io("create", &path, source))?;
        Ok(Self {
            run: Run {
                path,
                slot,
                slots,
                records: 0,
                bytes: 0,
                statistics: InstanceStatistics::default(),
            },
            file: BufWriter::with_capacity(capacity, file),
        })
    }

    fn push(&mut self, key: u64, record: &[u8]) -> Result<()> {
        self.run.records += 1;
        self.run.bytes += record.len() as u64;
        let mut front = [0; ENTRY_BYTES];
        front[..8].copy_from_slice(&key.to_le_bytes());
        front[8..].copy_from_slice(&(record.len() as u32).to_le_bytes());
        let written = self.file.write_all(&front);
        let written = written.and_then(|()| self.file.write_all(record));
        written.map_err(|source| CoreError::io("write", &self.run.path, source).into())
    }

    fn finish(mut self) -> Result<Run> {
        let flushed = self.file.flush();
        flushed.map_err(|source| CoreError::io("write", &self.run.path, source))?;
        Ok(self.run)
    }
}

impl Run {
    /// Bytes that sorting it takes.
    fn memory(&self) -> u64 {
        self.bytes + self.records * (ENTRY_BYTES + size_of::<Entry>()) as u64
    }

    fn can_split(&self) -> bool {
        self.records > 1 && self.slots.checked_mul(PARTS).is_some()
    }

    /// Distributes it over parts of its slot, in their order.
    fn split(self, dir: &Path) -> Result<Vec<Run>> {
        let slots = self.slots * PARTS;
        let first = self.slot * PARTS;
        let mut parts = (first..first + PARTS)
            .map(|slot| Bucket::create(dir, slot, slots, 1 << 16))
            .collect::<Result<Vec<_>>>()?;
        let cannot_read = |source| CoreError::io("read", &self.path, source);
        let file = File::open(&self.path).map_err(cannot_read)?;
        let mut file = BufReader::with_capacity(1 << 18, file);
        let mut record = Vec::new();
        for _ in 0..self.records {
            let mut front = [0; ENTRY_BYTES];
            file.read_exact(&mut front).map_err(cannot_read)?;
            let (key, length) = parse(&front);
            record.resize(length, 0);
            file.read_exact(&mut record).map_err(cannot_read)?;
            parts[(slot(key, slots) - first) as usize].push(key, &record)?;
        }
        self.remove()?;
        parts.into_iter().map(Bucket::finish).collect()
    }

    fn sort(self) -> Result<SortedRun> {
        let data =
            fs::read(&self.path).map_err(|source| CoreError::io("read", &self.path, source))?;
        let mut entries = Vec::with_capacity(self.records as usize);
        let mut rest = 0;
        while let Some((front, _)) = data[rest..].split_first_chunk() {
            let (key, length) = parse(front);
            let start = rest + ENTRY_BYTES;
            let end = start + length;
            if end > data.len() {
                break;
            }
            entries.push(Entry { key, start, end });
            rest = end;
        }
        if rest != data.len() || entries.len() as u64 != self.records {
            let cut = std::io::Error::new(
                ErrorKind::UnexpectedEof,
                "the temporary file is not as it was written",
            );
            return Err(CoreError::io("read", &self.path, cut).into());
        }
        // Records of equal keys are ordered too: threads wrote them in any order.
        entries.sort_unstable_by(|a, b| {
            let record = |entry: &Entry| &data[entry.start..entry.end];
            (a.key, record(a)).cmp(&(b.key, record(b)))
        });
        self.remove()?;
        Ok(SortedRun { data, entries })
    }

    fn remove(&self) -> Result<()> {
        fs::remove_file(&self.path)
            .map_err(|source| CoreError::io("remove", &self.path, source).into())
    }
}

impl SortedRun {
    /// The records in order.
    pub(super) fn records(&self) -> impl Iterator<Item = &[u8]> {
        self.entries
            .iter()
            .map(|entry| &self.data[entry.start..entry.end])
    }
}

fn parse(front: &[u8; ENTRY_BYTES]) -> (u64, usize) {
    let [k0, k1, k2, k3, k4, k5, k6, k7, l0, l1, l2, l3] = *front;
    let key = u64::from_le_bytes([k0, k1, k2, k3, k4, k5, k6, k7]);
    (key, u32::from_le_bytes([l0, l1, l2, l3]) as usize)
}

/// Sorts runs on all cores, as many at a time as fit into `buffer` bytes, and hands them to `sink` in
/// the order given; a run that is larger alone is split in `dir` first.
pub(super) fn sort_runs(
    runs: Vec<Run>,
    dir: &Path,
    buffer: usize,
    mut sink: impl FnMut(SortedRun) -> Result<()>,
) -> Result<()> {
    let mut queue: VecDeque<Run> = runs.into();
    while let Some(run) = queue.pop_front() {
        if run.memory() > buffer as u64 && run.can_split() {
            let mut parts = run.split(dir)?;
            parts.sort_unstable_by_key(|part| Reverse(part.slot));
            parts.into_iter().for_each(|part| queue.push_front(part));
            continue;
        }
        let mut memory = run.memory();
        let mut group = vec![run];
        while let Some(run) = queue.pop_front_if(|run| memory + run.memory() <= buffer as u64) {
            memory += run.memory();
            group.push(run);
        }
        let sorted: Vec<Result<SortedRun>> = group.into_par_iter().map(Run::sort).collect();
        for run in sorted {
            sink(run?)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use rand::RngExt;

    use super::*;
    use crate::instances::stream;

    fn sorted(records: &[(u64, Vec<u8>)], slots: u64, buffer: usize) -> Vec<Vec<u8>> {
        let dir = tempfile::tempdir().unwrap();
        let buckets = Buckets::create(dir.path(), slots, buffer).unwrap();
        for (key, record) in records {
            buckets
                .push(*key, record, |statistics| statistics.instances += 1)
                .unwrap();
        }
        let runs = buckets.finish().unwrap();
        let counted: u64 = runs.iter().map(|run| run.statistics.instances).sum();
        assert_eq!(counted, records.len() as u64);
        let mut order = Vec::new();
        sort_runs(runs, dir.path(), buffer, |run| {
            order.extend(run.records().map(<[u8]>::to_vec));
            Ok(())
        })
        .unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        order
    }

    #[test]
    fn records_come_in_the_order_of_their_keys_whatever_the_memory() {
        let mut random = stream(7, &[]);
        let mut records: Vec<(u64, Vec<u8>)> = (0..370)
            .map(|_| {
                let length = random.random_range(0..32);
                (
                    random.random(),
                    (0..length).map(|_| random.random()).collect(),
                )
            })
            .collect();
        records.push((0, vec![1]));
        records.push((u64::MAX, vec![2]));
        // Nothing tells these apart but their bytes.
        records.extend((0..13u8).rev().map(|byte| (u64::MAX, vec![3, byte])));
        let mut expected = records.clone();
        expected.sort();
        let expected: Vec<Vec<u8>> = expected.into_iter().map(|(_, record)| record).collect();
        for (slots, buffer) in [(1, 1 << 20), (5, 1 << 20), (5, 300), (37, 0)] {
            assert_eq!(
                sorted(&records, slots, buffer),
                expected,
                "{slots} {buffer}"
            );
        }
    }

    #[test]
    fn a_temporary_file_that_was_cut_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let buckets = Buckets::create(dir.path(), 1, 100).unwrap();
        buckets.push(7, b"record", |_| {}).unwrap();
        let runs = buckets.finish().unwrap();
        let bytes = fs::read(&runs[0].path).unwrap();
        fs::write(&runs[0].path, &bytes[..bytes.len() - 1]).unwrap();
        let error = sort_runs(runs, dir.path(), 100, |_| Ok(())).unwrap_err();
        assert!(error.to_string().contains("bucket-1-0"), "{error}");
    }
}
