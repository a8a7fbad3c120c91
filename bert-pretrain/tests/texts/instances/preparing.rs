//! Documents to files: the same whatever the threads and memory, shuffled, complete.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use bert_pretrain::Error;
use bert_pretrain::corpus::TokenizedDocument;
use bert_pretrain::instances::{
    Instance, InstanceStatistics, MaskVocabulary, MaskingOptions, MaskingStrategy, PairOptions,
    PrepareOptions, PreparedInstances, assemble, mask_tokens, pairs_from_document, prepare, stream,
};
use rand::RngExt;

use super::{FIRST_WORD, documents, tokenizer};

const WORDS: usize = 2000;

fn corpus() -> Vec<TokenizedDocument> {
    let lengths: Vec<Vec<usize>> = (0..29)
        .map(|document| {
            (0..3 + document % 7)
                .map(|sentence| 2 + (document * sentence) % 13)
                .collect()
        })
        .collect();
    let lengths: Vec<&[usize]> = lengths.iter().map(Vec::as_slice).collect();
    documents(FIRST_WORD, &lengths)
}

fn options(shards: usize) -> PrepareOptions {
    PrepareOptions {
        pair: PairOptions {
            max_seq_length: 32,
            ..PairOptions::default()
        },
        duplicates: 7,
        seed: 42,
        shards,
        ..PrepareOptions::default()
    }
}

fn prepare_into(dir: &Path, options: &PrepareOptions) -> PreparedInstances {
    prepare(&corpus()[..], &tokenizer(WORDS), options, dir, |_| {}).unwrap()
}

fn all(instances: &PreparedInstances) -> Vec<Instance> {
    (0..instances.len())
        .map(|index| instances.get(index).unwrap())
        .collect()
}

fn files(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let entry = |entry: Result<fs::DirEntry, _>| {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        (name, fs::read(entry.path()).unwrap())
    };
    fs::read_dir(dir).unwrap().map(entry).collect()
}

#[test]
fn instances_are_those_of_the_algorithm_in_the_order_of_their_keys() {
    let (corpus, tokenizer, options) = (corpus(), tokenizer(WORDS), options(3));
    let vocabulary = MaskVocabulary::new(&tokenizer).unwrap();
    let mut expected = Vec::new();
    for duplicate in 0..7 {
        for index in 0..corpus.len() {
            let mut random = stream(42, &[duplicate, index as u64]);
            let pairs =
                pairs_from_document(&corpus[..], index, &options.pair, 3, &mut random).unwrap();
            for pair in pairs {
                let (ids, types) = assemble(&pair, tokenizer.frames());
                let masked = mask_tokens(&ids, &vocabulary, &options.masking, &mut random);
                let instance = Instance {
                    ids: masked.input_ids,
                    segment_a_length: pair.first.len() + 2,
                    positions: masked.positions,
                    labels: masked.labels,
                    is_random_next: Some(pair.is_random_next),
                };
                assert_eq!(instance.type_ids(), types);
                assert_eq!(instance.original_ids(), ids);
                expected.push((random.random::<u64>(), instance));
            }
        }
    }
    expected.sort_by_key(|(key, _)| *key);
    let expected: Vec<Instance> = expected.into_iter().map(|(_, instance)| instance).collect();

    let dir = tempfile::tempdir().unwrap();
    let prepared = prepare_into(dir.path(), &options);
    assert!(prepared.len() > 500, "{}", prepared.len());
    assert_eq!(all(&prepared), expected);
    assert_eq!(prepared.documents(), 29);
    prepared.verify().unwrap();

    let mut statistics = InstanceStatistics::default();
    for instance in &expected {
        assert!(instance.ids.len() <= 32);
        statistics.add(instance, tokenizer.mask_id(), 20);
    }
    assert_eq!(*prepared.statistics(), statistics);
}

#[test]
fn neither_threads_nor_memory_change_a_byte() {
    let reference = tempfile::tempdir().unwrap();
    prepare_into(reference.path(), &options(3));
    let reference = files(reference.path());
    // Three shards, the manifest and the tokenizer's three files; nothing is left behind.
    assert_eq!(reference.len(), 7, "{:?}", reference.keys());
    // With 500 bytes, every bucket is split, and no document is kept.
    for (threads, buffer) in [(1, 256 << 20), (2, 500), (5, 20_000), (5, 256 << 20)] {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        let dir = tempfile::tempdir().unwrap();
        let options = PrepareOptions {
            buffer,
            ..options(3)
        };
        pool.install(|| prepare_into(dir.path(), &options));
        assert!(
            files(dir.path()) == reference,
            "{threads} threads, {buffer} bytes"
        );
    }
    let other = tempfile::tempdir().unwrap();
    let options = PrepareOptions {
        seed: 43,
        ..options(3)
    };
    prepare_into(other.path(), &options);
    assert!(files(other.path()) != reference);
}

#[test]
fn shards_are_even_and_only_change_where_files_end() {
    let one_dir = tempfile::tempdir().unwrap();
    let one = all(&prepare_into(one_dir.path(), &options(1)));
    let dir = tempfile::tempdir().unwrap();
    let five = prepare_into(dir.path(), &options(5));
    assert_eq!(all(&five), one);
    let sizes: Vec<usize> = files(dir.path())
        .into_iter()
        .filter(|(name, _)| name.ends_with(".bin"))
        .map(|(_, bytes)| bytes.len())
        .collect();
    assert_eq!(sizes.len(), 5);
    let (least, most) = (sizes.iter().min().unwrap(), sizes.iter().max().unwrap());
    assert!(most * 2 < least * 3, "{sizes:?}");
}

#[test]
fn instances_of_a_document_are_scattered() {
    let dir = tempfile::tempdir().unwrap();
    let instances = all(&prepare_into(dir.path(), &options(1)));
    let corpus = corpus();
    let ends: Vec<u32> = corpus
        .iter()
        .map(|document| *document.concat().last().unwrap())
        .collect();
    let sources: Vec<usize> = instances
        .iter()
        .map(|instance| ends.partition_point(|&end| end < instance.original_ids()[1]))
        .collect();
    let mut counts = vec![0.0; corpus.len()];
    for &source in &sources {
        counts[source] += 1.0 / sources.len() as f64;
    }
    let chance: f64 = counts.iter().map(|share| share * share).sum();
    let neighbours = sources.windows(2).filter(|pair| pair[0] == pair[1]).count();
    super::assert_chance(
        neighbours,
        sources.len() - 1,
        chance,
        "neighbours of one document",
    );
    // Halves hold as many of the first documents as the whole.
    let early = |sources: &[usize]| sources.iter().filter(|&&source| source < 15).count();
    let share = early(&sources) as f64 / sources.len() as f64;
    let half = sources.len() / 2;
    super::assert_chance(
        early(&sources[..half]),
        half,
        share,
        "early documents in the first half",
    );
}

#[test]
fn full_sentences_and_independent_masks_pass_through() {
    let dir = tempfile::tempdir().unwrap();
    let options = PrepareOptions {
        pair: PairOptions {
            max_seq_length: 13,
            short_seq_probability: 0.0,
            next_sentence: false,
        },
        masking: MaskingOptions {
            probability: 0.3,
            max_predictions: 1,
            whole_word: true,
            strategy: MaskingStrategy::PerToken,
            ..MaskingOptions::default()
        },
        ..options(2)
    };
    let prepared = prepare_into(dir.path(), &options);
    let instances = all(&prepared);
    for instance in &instances {
        assert_eq!(instance.is_random_next, None);
        assert_eq!(instance.segment_a_length, instance.ids.len());
        assert!(instance.ids.len() <= 13);
    }
    // Every token of every document, seven times.
    let mut tokens: Vec<u32> = instances
        .iter()
        .flat_map(|instance| {
            let ids = instance.original_ids();
            ids[1..ids.len() - 1].to_vec()
        })
        .collect();
    tokens.sort_unstable();
    let text = corpus().concat().concat();
    assert_eq!(tokens.len(), text.len() * 7);
    assert!(
        tokens
            .chunks(7)
            .zip(&text)
            .all(|(seven, id)| seven == [*id; 7])
    );
    assert!(prepared.statistics().predictions_per_instance.len() > 3);
    assert_eq!(
        (prepared.statistics().pairs, prepared.options()),
        (0, &options)
    );
    prepared.verify().unwrap();
}

#[test]
fn large_vocabularies_keep_their_ids() {
    let documents = [
        vec![vec![65_535, 65_536], vec![65_540]],
        vec![vec![5, 65_537]],
    ];
    let tokenizer = tokenizer(65_600);
    let dir = tempfile::tempdir().unwrap();
    let options = options(1);
    let prepared = prepare(&documents[..], &tokenizer, &options, dir.path(), |_| {}).unwrap();
    assert!(
        all(&prepared)
            .iter()
            .any(|instance| instance.original_ids().contains(&65_540))
    );
    prepared.verify().unwrap();
}

#[test]
fn progress_reaches_all_documents_and_instances() {
    let seen = std::sync::Mutex::new(Vec::new());
    let dir = tempfile::tempdir().unwrap();
    let progress = |progress| seen.lock().unwrap().push(progress);
    let prepared = prepare(
        &corpus()[..],
        &tokenizer(WORDS),
        &options(3),
        dir.path(),
        progress,
    )
    .unwrap();
    let seen = seen.into_inner().unwrap();
    assert!(
        seen.iter()
            .any(|progress| progress.documents == 29 && progress.written == 0)
    );
    let last = seen.last().unwrap();
    assert_eq!((last.documents, last.total_documents), (29, 29));
    let made = prepared.len() as u64;
    assert_eq!((last.instances, last.written), (made, made));
}

#[test]
fn what_was_there_is_replaced_at_the_end_or_not_at_all() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join("new").join("deep");
    prepare_into(&dir, &options(5));
    fs::write(dir.join("notes.txt"), "mine").unwrap();
    let before = files(&dir);

    let foreign = [vec![vec![5]], vec![vec![5, 2005]]];
    let error = prepare(&foreign[..], &tokenizer(WORDS), &options(2), &dir, |_| {}).unwrap_err();
    assert!(
        matches!(
            error,
            Error::OutsideVocabulary {
                document: 1,
                id: 2005,
                size: 2005
            }
        ),
        "{error}"
    );
    let nothing: [TokenizedDocument; 2] = [vec![], vec![]];
    for empty in [&nothing[..0], &nothing] {
        let error = prepare(empty, &tokenizer(WORDS), &options(2), &dir, |_| {}).unwrap_err();
        assert!(matches!(error, Error::NoInstances), "{error}");
    }
    assert!(files(&dir) == before);

    let prepared = prepare_into(&dir, &options(2));
    prepared.verify().unwrap();
    let names: Vec<String> = files(&dir).into_keys().collect();
    assert_eq!(
        names,
        [
            "instances-00000-of-00002.bin",
            "instances-00001-of-00002.bin",
            "instances.json",
            "notes.txt",
            "tokenizer.json",
            "tokenizer_config.json",
            "vocab.txt"
        ]
    );
}

#[test]
fn impossible_options_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let refused = |options: PrepareOptions| {
        let prepared = prepare(
            &corpus()[..],
            &tokenizer(WORDS),
            &options,
            dir.path(),
            |_| {},
        );
        match prepared.unwrap_err() {
            Error::InvalidOption { option, .. } => option,
            other => panic!("{other}"),
        }
    };
    assert_eq!(refused(options(0)), "shards");
    assert_eq!(refused(options(257)), "shards");
    let mut none = options(1);
    none.duplicates = 0;
    assert_eq!(refused(none), "duplicates");
    let mut long = options(1);
    long.pair.max_seq_length = 70_000;
    assert_eq!(refused(long), "max_seq_length");
    assert_eq!(files(dir.path()).len(), 0);
}
