//! Vocabularies of every kind, from texts to the files a tokenizer is read from.

use std::fs;
use std::path::PathBuf;

use bert_core::models::{
    ALBERT, DISTILBERT, Family, MODERNBERT, ROBERTA, TokenizerModel, XLM_ROBERTA,
};
use bert_core::tokenizer::{BertTokenizer, EncodeOptions, TokenizerOptions};
use bert_pretrain::Error;
use bert_pretrain::vocab::{TrainedVocab, VocabOptions, VocabProgress, train_vocab};

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
    let [special, _] = options.family.tokenizer.special_order;
    for (id, token) in special.iter().enumerate() {
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

/// Families of the three kinds of vocabularies, and one of each kind with conventions of its own.
fn kinds() -> impl Iterator<Item = &'static Family> {
    [&ROBERTA, &MODERNBERT, &XLM_ROBERTA, &ALBERT, &DISTILBERT].into_iter()
}

fn options_of(family: &'static Family, size: usize) -> VocabOptions {
    VocabOptions {
        family,
        ..options(size)
    }
}

const NASTY: [&str; 9] = [
    "bakelo  milo, NuroIng.",
    " tis ésmi\u{301} e\u{301}s",
    "孙亮ba 亮",
    "<mask> [MASK] </s> [SEP]",
    "line\nbreak\ttab\u{a0}nbsp",
    "👩\u{200d}🔬 naïve ﬁ ①",
    "``quoted'' don't we'll",
    "",
    "ΩΣς İstanbul ß",
];

#[test]
fn every_kind_has_the_size_asked_for_and_its_special_tokens_in_place() {
    for family in kinds() {
        let trained = train(&text(), &options_of(family, 400)).unwrap();
        let (tokenizer, summary) = (trained.tokenizer, trained.summary);
        assert_eq!((summary.asked, summary.size), (400, 400), "{}", family.name);
        assert_eq!(tokenizer.vocab_size(), 400);
        assert!(*tokenizer.family() == *family);
        let [first, last] = family.tokenizer.special_order;
        let ids = (0..)
            .zip(first)
            .chain((400 - last.len() as u32..).zip(last));
        for (id, token) in ids {
            assert_eq!(
                tokenizer.token(id).as_deref(),
                Some(*token),
                "{}",
                family.name
            );
        }
        assert_eq!(summary.unknown_share, 0.0, "{}", family.name);
        let pieces = summary.pieces_per_word;
        assert!((1.0..3.5).contains(&pieces), "{}: {pieces}", family.name);
    }
}

#[test]
fn every_kind_reads_back_the_same() {
    for family in kinds() {
        let trained = train(&text(), &options_of(family, 330)).unwrap();
        let dir = tempfile::tempdir().unwrap();
        trained.tokenizer.save(dir.path()).unwrap();
        let encode = |tokenizer: &BertTokenizer, text: &str| {
            let encoded = tokenizer.encode(text, &EncodeOptions::default()).unwrap();
            encoded.ids().to_vec()
        };
        let read = BertTokenizer::from_dir(dir.path()).unwrap();
        for text in NASTY {
            let expected = encode(&trained.tokenizer, text);
            assert_eq!(encode(&read, text), expected, "{}: {text:?}", family.name);
        }
        if family.tokenizer.model == TokenizerModel::ByteLevelBpe {
            // No text is unknown, and decoding gives it back.
            for text in NASTY.iter().filter(|text| !text.contains("MASK")) {
                let ids = encode(&read, text);
                assert!(!ids.contains(&read.unk_id()), "{}: {text:?}", family.name);
                let composed: String = match family.tokenizer.composes {
                    true => text.replace("e\u{301}", "é").replace("i\u{301}", "í"),
                    false => (*text).to_owned(),
                };
                assert_eq!(
                    read.decode(&ids, true).unwrap(),
                    composed,
                    "{}",
                    family.name
                );
            }
        }
    }
}

#[test]
fn no_kind_depends_on_threads_or_hash_seeds() {
    let dir = tempfile::tempdir().unwrap();
    let inputs = inputs(&dir, &text());
    for family in kinds() {
        let json = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .unwrap();
            let options = options_of(family, 350);
            let trained = pool.install(|| train_vocab(&inputs, &options, &mut |_| {}).unwrap());
            (trained.tokenizer.to_json().unwrap(), trained.summary)
        };
        let first = json(1);
        for threads in [1, 3, 8] {
            assert!(json(threads) == first, "{}", family.name);
        }
    }
}

#[test]
fn a_byte_level_vocabulary_needs_room_for_all_bytes_and_has_no_limit_of_characters() {
    for (size, limit_alphabet, option) in [(261, None, "size"), (300, Some(5), "limit-alphabet")] {
        let refused = VocabOptions {
            limit_alphabet,
            ..options_of(&ROBERTA, size)
        };
        let error = train("the cat\n", &refused).unwrap_err();
        let Error::InvalidOption { option: found, .. } = error else {
            panic!("{error}");
        };
        assert_eq!(found, option);
    }
    assert_eq!(
        train("a\n", &options_of(&ROBERTA, 262))
            .unwrap()
            .summary
            .size,
        261
    );
}

#[test]
fn texts_that_spell_special_tokens_get_no_second_ones() {
    let text = "say <s> and <mask> and </s> again .\n".repeat(30);
    let trained = train(&text, &options_of(&XLM_ROBERTA, 60)).unwrap();
    let tokenizer = trained.tokenizer;
    let ids = ["<s>", "<pad>", "</s>", "<unk>"].map(|token| tokenizer.id(token));
    assert_eq!(ids, [Some(0), Some(1), Some(2), Some(3)]);
    assert_eq!(tokenizer.mask_id() as usize, tokenizer.vocab_size() - 1);
}
