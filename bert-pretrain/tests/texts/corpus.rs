//! Texts to documents, and to a tokenised corpus on disk.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use bert_core::tokenizer::{BertTokenizer, TokenizerOptions};
use bert_pretrain::Error;
use bert_pretrain::corpus::{
    CorpusCounts, CorpusOptions, CorpusReader, DocumentSource, Layout, TokenizedCorpus,
    TokenizedDocument,
};

const VOCAB: &str = "[PAD] [UNK] [CLS] [SEP] [MASK] the cat play ##ing ##s . dog sat a b c d e f 1 2 3 4 5 6 7 8 9 0";

fn tokenizer(more: &[&str]) -> BertTokenizer {
    let vocab = VOCAB.split(' ').chain(more.iter().copied());
    BertTokenizer::from_vocab(vocab.map(String::from), &TokenizerOptions::default()).unwrap()
}

fn read(dir: &Path, layout: Layout, text: &str) -> Vec<Vec<String>> {
    let path = dir.join("text.txt");
    fs::write(&path, text).unwrap();
    let options = CorpusOptions {
        layout,
        ..Default::default()
    };
    CorpusReader::new(&[path], options)
        .unwrap()
        .map(|document| document.unwrap().sentences().map(String::from).collect())
        .collect()
}

/// Running text: paragraphs of two sentences, each with a blank line behind it.
fn paragraphs(count: usize) -> String {
    (0..count)
        .map(|n| format!("Mr. Smith saw cat number {n}. It was not the first one he had seen.\n\n"))
        .collect()
}

#[test]
fn blank_lines_part_documents_of_lines() {
    let dir = tempfile::tempdir().unwrap();
    let text = "\u{feff}The cat sat.\r\n The dog. Sat. \r\n\r\n \t\r\nAlone.\r\n\r\n";
    let expected = [vec!["The cat sat.", "The dog. Sat."], vec!["Alone."]];
    assert_eq!(read(dir.path(), Layout::Lines, text), expected);
    let long = "word word word word\n".repeat(150_000);
    let documents = read(dir.path(), Layout::Lines, &long);
    assert_eq!(documents.len(), 3);
    assert_eq!(documents.iter().map(Vec::len).sum::<usize>(), 150_000);
}

#[test]
fn running_text_parts_at_gaps_headings_and_length() {
    let dir = tempfile::tempdir().unwrap();
    let chapter = paragraphs(40);
    // A gap of three blank lines where two are usual; and a short title page with one behind it.
    let text = format!("A Novel\n\n\n\n{chapter}\n\n{chapter}CHAPTER II.\n\n{chapter}");
    let documents = read(dir.path(), Layout::Auto, &text);
    let lengths: Vec<usize> = documents.iter().map(Vec::len).collect();
    assert_eq!(lengths, [81, 80, 81]);
    assert_eq!(documents[0][0], "A Novel");
    assert_eq!(documents[0][1], "Mr. Smith saw cat number 0.");
    assert_eq!(documents[2][0], "CHAPTER II.");

    let documents = read(dir.path(), Layout::Auto, &paragraphs(2_000));
    let bytes = |document: &Vec<String>| document.iter().map(String::len).sum::<usize>();
    assert!(documents.iter().all(|document| bytes(document) <= 16 << 10));
    assert!(documents.len() < 12, "{}", documents.len());
    assert_eq!(documents.iter().map(Vec::len).sum::<usize>(), 4_000);
}

#[test]
fn hard_wrapped_text_is_unwrapped() {
    let dir = tempfile::tempdir().unwrap();
    let sentence = "It is a truth universally acknowledged, that a single man in possession of \
                    a good fortune, must be in want of a wife.";
    let words: Vec<&str> = sentence.split(' ').collect();
    let mut wrapped = String::new();
    let mut column = 0;
    for word in words.iter().cycle().take(words.len() * 30) {
        if column + word.len() > 60 {
            wrapped.push('\n');
            column = 0;
        }
        wrapped.push_str(if column > 0 { " " } else { "" });
        wrapped.push_str(word);
        column += word.len() + 1;
    }
    let documents = read(dir.path(), Layout::Auto, &wrapped);
    assert_eq!(documents, [vec![sentence; 30]]);

    let chinese =
        "孙亮，字子明，是孙权的小儿子，孙权年岁渐长，而孙亮是最小的儿子，所以特别留心他。";
    let characters: Vec<char> = chinese
        .chars()
        .cycle()
        .take(chinese.chars().count() * 20)
        .collect();
    let wrapped: Vec<String> = characters
        .chunks(30)
        .map(|line| line.iter().collect())
        .collect();
    let documents = read(dir.path(), Layout::Auto, &wrapped.join("\n"));
    assert_eq!(documents, [vec![chinese; 20]]);
}

#[test]
fn a_file_that_is_not_text_is_named_with_its_line() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("a.txt"), "The cat.\n").unwrap();
    fs::write(dir.path().join("b.txt"), b"The dog.\ncaf\xe9\n").unwrap();
    let reader = CorpusReader::new(&[dir.path().to_owned()], CorpusOptions::default()).unwrap();
    let documents: Vec<_> = reader.collect();
    assert_eq!(documents.len(), 2);
    let error = documents[1].as_ref().unwrap_err();
    let message = error.to_string();
    assert!(
        message.contains("line 2") && message.contains("b.txt"),
        "{message}"
    );
}

/// A directory of texts: a plain and a gzip file, with documents of several lengths.
fn texts(dir: &Path, documents: usize) -> PathBuf {
    let texts = dir.join("texts");
    fs::create_dir_all(&texts).unwrap();
    let text = |from: usize| -> String {
        (from..from + documents)
            .map(|n| format!("the cat {n} playing .\n{}\n", "dogs sat\n".repeat(n % 5)))
            .collect()
    };
    fs::write(texts.join("a.txt"), text(0)).unwrap();
    let file = fs::File::create(texts.join("b")).unwrap();
    let mut gzip = flate2::write::GzEncoder::new(file, Default::default());
    gzip.write_all(text(1_000).as_bytes()).unwrap();
    gzip.finish().unwrap();
    texts
}

fn build(
    dir: &Path,
    texts: &Path,
    tokenizer: &BertTokenizer,
) -> (Result<TokenizedCorpus, Error>, usize) {
    let mut calls = 0;
    let options = CorpusOptions {
        shard_bytes: 4_096,
        ..Default::default()
    };
    let inputs = [texts.to_owned()];
    let corpus =
        TokenizedCorpus::open_or_build(dir, &inputs, tokenizer, &options, &mut |_| calls += 1);
    (corpus, calls)
}

fn all(corpus: &TokenizedCorpus) -> Vec<TokenizedDocument> {
    (0..corpus.len())
        .map(|index| corpus.document(index).unwrap())
        .collect()
}

#[test]
fn a_corpus_holds_the_pieces_of_every_sentence() {
    let dir = tempfile::tempdir().unwrap();
    let texts = texts(dir.path(), 300);
    let target = dir.path().join("corpus");
    let (corpus, calls) = build(&target, &texts, &tokenizer(&[]));
    let corpus = corpus.unwrap();
    assert!(calls > 0);
    let expected = CorpusCounts {
        files: 2,
        documents: 600,
        sentences: 1_800,
        one_sentence_documents: 120,
        bytes: corpus.counts().bytes,
        tokens: corpus.token_count(),
    };
    assert_eq!(corpus.counts(), expected);
    let documents = all(&corpus);
    assert_eq!(
        documents[7],
        [vec![5, 6, 25, 7, 8, 10], vec![11, 9, 12], vec![11, 9, 12]]
    );
    let tokens: usize = documents.iter().flatten().map(Vec::len).sum();
    assert_eq!(tokens as u64, corpus.token_count());
    assert!(
        documents
            .iter()
            .flatten()
            .all(|sentence| !sentence.is_empty())
    );
    assert!(
        fs::read_dir(&target).unwrap().count() > 3,
        "several shards and a manifest"
    );

    // From any thread and in any order.
    std::thread::scope(|scope| {
        for start in 0..4 {
            let (corpus, documents) = (&corpus, &documents);
            scope.spawn(move || {
                for index in (start..600).rev().step_by(7) {
                    assert_eq!(corpus.document(index).unwrap(), documents[index]);
                }
            });
        }
    });
}

#[test]
fn a_wide_vocabulary_gets_wide_ids() {
    let dir = tempfile::tempdir().unwrap();
    let texts = texts(dir.path(), 3);
    let more: Vec<String> = (0..70_000).map(|n| format!("token{n}")).collect();
    let more: Vec<&str> = more.iter().map(String::as_str).chain(["dogs"]).collect();
    let (corpus, _) = build(&dir.path().join("corpus"), &texts, &tokenizer(&more));
    let document = corpus.unwrap().document(1).unwrap();
    assert_eq!(document[1], [70_029, 12]);
}

#[test]
fn the_files_do_not_depend_on_the_number_of_threads() {
    let dir = tempfile::tempdir().unwrap();
    let texts = texts(dir.path(), 400);
    let tokenizer = tokenizer(&[]);
    let files = |threads: usize| -> Vec<(String, Vec<u8>)> {
        let target = dir.path().join(threads.to_string());
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| build(&target, &texts, &tokenizer).0.unwrap());
        let mut files: Vec<_> = fs::read_dir(&target)
            .unwrap()
            .map(|entry| entry.unwrap())
            .map(|entry| {
                (
                    entry.file_name().into_string().unwrap(),
                    fs::read(entry.path()).unwrap(),
                )
            })
            .collect();
        files.sort();
        files
    };
    let one = files(1);
    assert!(one == files(2) && one == files(7));
}

#[test]
fn a_corpus_is_reused_until_what_it_is_made_of_changes() {
    let dir = tempfile::tempdir().unwrap();
    let texts = texts(dir.path(), 10);
    let target = dir.path().join("corpus");
    let plain = tokenizer(&[]);
    let first = build(&target, &texts, &plain)
        .0
        .unwrap()
        .fingerprint()
        .to_owned();
    let (again, calls) = build(&target, &texts, &plain);
    assert_eq!((again.unwrap().fingerprint(), calls), (first.as_str(), 0));
    assert_eq!(TokenizedCorpus::open(&target).unwrap().fingerprint(), first);

    let (other, calls) = build(&target, &texts, &tokenizer(&["dogs"]));
    let other = other.unwrap();
    assert!(calls > 0 && other.fingerprint() != first);
    assert_eq!(other.document(1).unwrap()[1], [29, 12]);

    // The same length, other contents.
    let path = texts.join("a.txt");
    let changed = fs::read_to_string(&path).unwrap().replace("cat", "dog");
    fs::write(&path, changed).unwrap();
    let (changed, calls) = build(&target, &texts, &plain);
    assert!(calls > 0);
    assert_eq!(changed.unwrap().document(0).unwrap()[0][1], 11);
}

#[test]
fn damaged_files_are_errors_and_unfinished_ones_are_made_again() {
    let dir = tempfile::tempdir().unwrap();
    let texts = texts(dir.path(), 300);
    let target = dir.path().join("corpus");
    let tokenizer = tokenizer(&[]);
    build(&target, &texts, &tokenizer).0.unwrap();
    let shard = target.join("shard-00001.ids");
    let whole = fs::read(&shard).unwrap();
    let error = |bytes: &[u8]| -> String {
        fs::write(&shard, bytes).unwrap();
        let opened = build(&target, &texts, &tokenizer).0;
        let error = opened
            .and_then(|corpus| (0..corpus.len()).try_for_each(|n| corpus.document(n).map(drop)));
        let error = error.unwrap_err();
        assert!(matches!(error, Error::CorpusFile { .. }), "{error}");
        error.to_string()
    };
    for length in [0, 30, 56, whole.len() - 1] {
        let message = error(&whole[..length]);
        assert!(message.contains("shard-00001"), "{message}");
    }
    for at in [0, 20, 60, 1_000, whole.len() - 3] {
        let mut changed = whole.clone();
        changed[at] ^= 4;
        error(&changed);
    }
    let other = fs::read(target.join("shard-00000.ids")).unwrap();
    assert!(error(&other).contains("another corpus"));
    fs::remove_file(&shard).unwrap();
    assert!(build(&target, &texts, &tokenizer).0.is_err());

    // As an interrupted run leaves it.
    fs::remove_file(target.join("corpus.json")).unwrap();
    assert!(matches!(
        TokenizedCorpus::open(&target),
        Err(Error::CorpusFile { .. })
    ));
    fs::write(target.join("shard-00099.ids"), "left over").unwrap();
    let (corpus, calls) = build(&target, &texts, &tokenizer);
    assert!(corpus.is_ok() && calls > 0);
    assert_eq!(fs::read(&shard).unwrap(), whole);
    assert!(!target.join("shard-00099.ids").exists());
}

#[test]
fn a_run_that_fails_leaves_no_corpus() {
    let dir = tempfile::tempdir().unwrap();
    let texts = texts(dir.path(), 10);
    let target = dir.path().join("corpus");
    build(&target, &texts, &tokenizer(&[])).0.unwrap();
    fs::write(texts.join("c.txt"), b"the cat\n\xff\n").unwrap();
    let error = build(&target, &texts, &tokenizer(&[])).0.unwrap_err();
    assert!(matches!(error, Error::TextLine { line: 2, .. }), "{error}");
    assert!(TokenizedCorpus::open(&target).is_err());

    let empty = dir.path().join("empty");
    fs::create_dir(&empty).unwrap();
    fs::write(empty.join("a.txt"), " \n\u{200b}\n\n").unwrap();
    let error = build(&target, &empty, &tokenizer(&[])).0.unwrap_err();
    assert!(matches!(error, Error::EmptyCorpus { .. }), "{error}");
    let error = build(&target, Path::new("-"), &tokenizer(&[]))
        .0
        .unwrap_err();
    assert!(matches!(error, Error::Input { .. }), "{error}");
}
