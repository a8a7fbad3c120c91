//! Documents through all cores and back in order.

use rayon::prelude::*;

use super::{CorpusReader, RawDocument};
use crate::Result;

/// Text held in memory at a time, in bytes; twice as much while the next batch is read.
const BATCH_BYTES: usize = 16 << 20;
/// Documents that one core works on together. Results must not depend on it, nor on the cores.
const CHUNK_DOCUMENTS: usize = 32;

/// Gives chunks of consecutive documents to `work` on all cores, and its results in the order of
/// the documents to `take`, a batch at a time, with the number of files opened so far.
///
/// Reading, which only one core can do, goes on meanwhile.
pub(crate) fn for_each_batch<T: Send>(
    mut reader: CorpusReader,
    work: impl Fn(&[RawDocument]) -> Result<T> + Sync,
    mut take: impl FnMut(Vec<T>, u64) -> Result<()>,
) -> Result<()> {
    let mut batch = read_batch(&mut reader)?;
    while !batch.is_empty() {
        let files = reader.files();
        let (next, done) = rayon::join(
            || read_batch(&mut reader),
            || {
                let chunks = batch.par_chunks(CHUNK_DOCUMENTS);
                chunks.map(&work).collect::<Result<Vec<T>>>()
            },
        );
        take(done?, files)?;
        batch = next?;
    }
    take(Vec::new(), reader.files())
}

fn read_batch(reader: &mut CorpusReader) -> Result<Vec<RawDocument>> {
    let (mut batch, mut bytes) = (Vec::new(), 0);
    while bytes < BATCH_BYTES
        && let Some(document) = reader.next().transpose()?
    {
        bytes += document.bytes();
        batch.push(document);
    }
    Ok(batch)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::corpus::{CorpusOptions, Layout};

    #[test]
    fn documents_come_back_in_order_and_once() {
        let dir = tempfile::tempdir().unwrap();
        let text: String = (0..1_000)
            .map(|n| format!("first {n}\nsecond\n\n"))
            .collect();
        for name in ["a.txt", "b.txt", "c.txt"] {
            let text = if name == "b.txt" { "" } else { &text };
            std::fs::write(dir.path().join(name), text).unwrap();
        }
        let inputs = [dir.path().to_owned()];
        let options = CorpusOptions {
            layout: Layout::Lines,
            ..Default::default()
        };
        let reader = CorpusReader::new(&inputs, options).unwrap();
        let first = |documents: &[RawDocument]| -> Result<Vec<String>> {
            let first = |d: &RawDocument| d.sentences().next().unwrap().to_owned();
            Ok(documents.iter().map(first).collect())
        };
        let (mut firsts, mut files) = (Vec::new(), 0);
        for_each_batch(reader, first, |chunks, so_far| {
            firsts.extend(chunks.concat());
            files = so_far;
            Ok(())
        })
        .unwrap();
        let expected: Vec<String> = (0..1_000).map(|n| format!("first {n}")).collect();
        assert_eq!(firsts, [expected.clone(), expected].concat());
        assert_eq!(files, 3);
    }
}
