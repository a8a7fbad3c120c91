//! The tokenizer gives what transformers gives, over the small vocabulary in this repository.

mod byte_level;
mod tokenizer_cases;
mod tokenizer_files;

use bert_core::tokenizer::BertTokenizer;
use tokenizer_cases::{CHECKS, fixture, options};

/// Runs one check over every vocabulary of the fixture, read from its file, and again after saving
/// and reading back.
fn check(list: &str) {
    let (_, check) = CHECKS.into_iter().find(|(name, _)| *name == list).unwrap();
    let fixture = fixture("bundled.json");
    let mut cases = 0;
    for (name, vocabulary) in fixture["vocabularies"].as_object().unwrap() {
        let file = vocabulary["file"].as_str().unwrap();
        let path = format!("{}/fixtures/tokenizer/{file}", env!("CARGO_MANIFEST_DIR"));
        let tokenizer = BertTokenizer::from_vocab_file(path, &options(vocabulary)).unwrap();
        let size = vocabulary["size"].as_u64().unwrap() as usize;
        tokenizer.check_vocab(size).unwrap();
        assert!(tokenizer.check_vocab(size - 1).is_err());

        let dir = tempfile::tempdir().unwrap();
        tokenizer.save(dir.path()).unwrap();
        let read_back = BertTokenizer::from_dir(dir.path()).unwrap();
        for tokenizer in [&tokenizer, &read_back] {
            match check(&fixture, name, tokenizer) {
                Ok(count) => cases += count,
                Err(message) => panic!("{name}: {message}"),
            }
        }
    }
    assert!(cases > 0, "the fixture has no cases in {list}");
}

#[test]
fn single_texts_agree() {
    check("singles");
}

#[test]
fn pairs_and_their_truncation_agree() {
    check("pairs");
}

#[test]
fn what_transformers_refuses_is_refused() {
    check("pair_errors");
}

#[test]
fn windows_over_a_long_context_agree() {
    check("windows");
}

#[test]
fn padded_batches_agree() {
    check("batches");
}
