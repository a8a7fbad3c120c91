//! A vocabulary from texts to the files a tokenizer is read from.

use std::fs;
use std::path::PathBuf;

use bert_core::tokenizer::{BertTokenizer, EncodeOptions, TokenizerOptions};
use bert_pretrain::Error;
use bert_pretrain::vocab::{
    SPECIAL_TOKENS, TrainedVocab, VocabOptions, VocabProgress, train_vocab,
};

/// Words of a few syllables, so that there is something to join, and characters of equal count.
fn text() -> String {
    let syllables = [
        "ba", "ke", "lo", "mi", "nu", "ro", "ti", "és", "Ing", "孙", "亮",
    ];
    let mut state = 13_u64;
    let mut next = |below: u64| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 33) % below
    };
    let mut text = String::from("αβγδεζηθ ικλμνξοπ ρστυφχψω\n");
    for line in 0..600 {
        for _ in 0..7 {
            for _ in 0..=next(3) {
                text += syllables[(next(12) * next(12) / 12) as usize];
            }
            text.push(' ');
        }
        text += if line % 9 == 0 { ".\n\n" } else { ".\n" };
    }
    text
}

fn inputs(dir: &tempfile::TempDir, text: &str) -> [PathBuf; 1] {
    let path = dir.path().join("text.txt");
    fs::write(&path, text).unwrap();
    [path]
}

fn options(size: usize) -> VocabOptions {
    VocabOptions {
        size,
        ..Default::default()
    }
}

fn train(text: &str, options: &VocabOptions) -> Result<TrainedVocab, Error> {
    let dir = tempfile::tempdir().unwrap();
    train_vocab(&inputs(&dir, text), options, &mut |_| {})
}

#[test]
fn special_tokens_come_first_and_the_size_is_kept() {
    let mut last = None;
    let dir = tempfile::tempdir().unwrap();
    let options = options(150);
    let trained = train_vocab(&inputs(&dir, &text()), &options, &mut |at| last = Some(at)).unwrap();
    let (tokenizer, summary) = (trained.tokenizer, trained.summary);
    for (id, token) in SPECIAL_TOKENS.iter().enumerate() {
        assert_eq!(tokenizer.token(id as u32).as_deref(), Some(*token));
    }
    assert_eq!((summary.asked, summary.size), (150, 150));
    assert_eq!(tokenizer.vocab_size(), 150);
    assert_eq!(last, Some(VocabProgress::Joining(150)));
    assert_eq!(summary.unknown_share, 0.0);
    assert!((1.0..3.0).contains(&summary.pieces_per_word));
    assert_eq!(summary.corpus.sentences, 601);
    // Lower case, without accents, ideographs alone.
    let encoding = tokenizer
        .encode("Bés 孙亮", &EncodeOptions::default())
        .unwrap();
    assert_eq!(
        encoding.tokens()[encoding.len() - 3..],
        ["孙", "亮", "[SEP]"]
    );
    assert!(tokenizer.id("##孙").is_none() && tokenizer.id("é").is_none());
}

#[test]
fn what_is_saved_reads_back_the_same() {
    let cased = VocabOptions {
        tokenizer: TokenizerOptions {
            do_lower_case: false,
            ..Default::default()
        },
        ..options(200)
    };
    for options in [options(200), cased] {
        let trained = train(&text(), &options).unwrap();
        let dir = tempfile::tempdir().unwrap();
        trained.tokenizer.save(dir.path()).unwrap();
        let encode = |tokenizer: &BertTokenizer| {
            let encoded = tokenizer.encode("Bakelomi INGés nu孙. xyz", &EncodeOptions::default());
            encoded.unwrap().ids().to_vec()
        };
        let expected = encode(&trained.tokenizer);
        assert_eq!(
            encode(&BertTokenizer::from_dir(dir.path()).unwrap()),
            expected
        );
        fs::remove_file(dir.path().join("tokenizer.json")).unwrap();
        assert_eq!(
            encode(&BertTokenizer::from_dir(dir.path()).unwrap()),
            expected
        );
        assert_eq!(
            trained.tokenizer.id("I").is_some(),
            !options.tokenizer.do_lower_case
        );
    }
}

#[test]
fn nothing_depends_on_threads_or_hash_seeds() {
    // Each map of the standard library has a seed of its own, so that a dependence would show.
    let dir = tempfile::tempdir().unwrap();
    let inputs = inputs(&dir, &text());
    let limited = VocabOptions {
        limit_alphabet: Some(22),
        ..options(180)
    };
    let json = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        let trained = pool.install(|| train_vocab(&inputs, &limited, &mut |_| {}).unwrap());
        (trained.tokenizer.to_json().unwrap(), trained.summary)
    };
    let first = json(1);
    assert!(first.1.unknown_share > 0.0);
    assert_eq!((first.1.alphabet, first.1.characters_seen), (22, 41));
    for threads in [1, 2, 3, 7] {
        assert!(json(threads) == first);
    }
}

#[test]
fn a_small_corpus_gives_what_it_has() {
    let summary = train("the cat sat on the mat .\n", &options(1_000))
        .unwrap()
        .summary;
    assert!(summary.size < 1_000);
    assert_eq!(summary.words, 7);
    // Too small for all characters: the rarest words become unknown.
    let cramped = train(&text(), &options(15)).unwrap().summary;
    assert!(cramped.size <= 15 && cramped.unknown_share > 0.0);
}

#[test]
fn what_cannot_be_trained_is_refused() {
    let error = train("the cat\n", &options(5)).unwrap_err();
    assert!(
        matches!(error, Error::InvalidOption { option: "size", .. }),
        "{error}"
    );
    let no_alphabet = VocabOptions {
        limit_alphabet: Some(0),
        ..Default::default()
    };
    let error = train("the cat\n", &no_alphabet).unwrap_err();
    assert!(matches!(error, Error::InvalidOption { .. }), "{error}");
    for text in ["", " \n\n", "\u{200b}\n"] {
        let error = train(text, &options(100)).unwrap_err();
        assert!(matches!(error, Error::EmptyCorpus { .. }), "{error}");
    }
}
