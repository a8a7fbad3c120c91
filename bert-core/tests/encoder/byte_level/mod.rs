//! Byte-level tokens against transformers, from the files of either generation and after saving.

use std::fs;
use std::path::{Path, PathBuf};

use bert_core::tokenizer::{BertTokenizer, EncodeOptions};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::tokenizer_cases::CHECKS;

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/roberta/mlm")
}

fn reference() -> Value {
    let text = fs::read_to_string(fixtures().join("tokenizer_reference.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// A directory with some of the fixture's files and with these settings.
fn directory(files: &[&str], settings: Option<Value>) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for file in ["config.json"].iter().chain(files) {
        fs::copy(fixtures().join(file), dir.path().join(file)).unwrap();
    }
    if let Some(settings) = settings {
        let path = dir.path().join("tokenizer_config.json");
        fs::write(path, settings.to_string()).unwrap();
    }
    dir
}

/// Directories that give one tokenizer, with or without a space before the first word.
fn directories(prefix_space: bool) -> Vec<TempDir> {
    let settings = json!({"tokenizer_class": "RobertaTokenizer", "add_prefix_space": prefix_space});
    let without_class = (!prefix_space).then(|| json!({}));
    let vocabulary = ["vocab.json", "merges.txt"];
    let mut directories = vec![
        directory(&["tokenizer.json"], Some(settings.clone())),
        directory(&vocabulary, Some(settings)),
    ];
    if let Some(settings) = without_class {
        directories.push(directory(&["tokenizer.json"], Some(settings)));
        directories.push(directory(&vocabulary, None));
    }
    directories
}

#[test]
fn nasty_texts_agree_from_every_file() {
    let reference = reference();
    let mut cases = 0;
    for (name, vocabulary) in reference["vocabularies"].as_object().unwrap() {
        for dir in directories(vocabulary["add_prefix_space"] == true) {
            let tokenizer = BertTokenizer::from_dir(dir.path()).unwrap();
            assert_eq!(json!(tokenizer.vocab_size()), vocabulary["size"]);
            let saved = tempfile::tempdir().unwrap();
            tokenizer.save(saved.path()).unwrap();
            assert!(!saved.path().join("vocab.txt").exists());
            let again = BertTokenizer::from_dir(saved.path()).unwrap();
            for tokenizer in [&tokenizer, &again] {
                for (list, check) in CHECKS {
                    match check(&reference, name, tokenizer) {
                        Ok(count) => cases += count,
                        Err(message) => panic!("{name} {list}: {message}"),
                    }
                }
            }
        }
    }
    assert!(cases > 1000, "{cases}");
}

#[test]
fn words_that_stand_alone_follow_a_space() {
    for prefix_space in [false, true] {
        for dir in directories(prefix_space) {
            let tokenizer = BertTokenizer::from_dir(dir.path()).unwrap();
            for case in reference()["words"].as_array().unwrap() {
                let words: Vec<&str> = case["words"].as_array().unwrap().iter().map(text).collect();
                let pieces = tokenizer.encode_words(&words).unwrap();
                assert_eq!(json!(pieces.ids()), case["ids"], "{case}");
                let word_ids = (0..words.len())
                    .flat_map(|word| pieces.tokens_of(word).map(move |_| word))
                    .collect::<Vec<_>>();
                assert_eq!(json!(word_ids), case["word_ids"], "{case}");
            }
        }
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

#[test]
fn pairs_of_ids_are_framed_as_pairs_of_texts() {
    let tokenizer = BertTokenizer::from_dir(fixtures()).unwrap();
    let plain = EncodeOptions {
        add_special_tokens: false,
        ..EncodeOptions::default()
    };
    let ids = |text: &str| tokenizer.encode(text, &plain).unwrap().ids().to_vec();
    let (first, second) = (ids("the cat"), ids("Paris"));
    let (framed, segments) = tokenizer.with_special_tokens(&first, Some(&second));
    let whole = tokenizer.encode_pair("the cat", "Paris", &EncodeOptions::default());
    assert_eq!(framed, whole.unwrap().ids());
    assert_eq!(segments, vec![0; framed.len()]);
    let (cls, sep) = (tokenizer.cls_id(), tokenizer.sep_id());
    let expected = [&[cls][..], &first, &[sep, sep], &second, &[sep]].concat();
    assert_eq!(framed, expected);
    assert_eq!(tokenizer.special_token_count(true), 4);
    assert_eq!(tokenizer.second_text_start(first.len()), first.len() + 3);
}

#[test]
fn a_token_with_a_space_begins_a_word() {
    let tokenizer = BertTokenizer::from_dir(fixtures()).unwrap();
    let beginning = |token: &str| tokenizer.word_beginning(tokenizer.id(token).unwrap());
    assert_eq!(beginning("\u{120}the").as_deref(), Some("the"));
    assert_eq!(beginning("Paris"), None);
    assert_eq!(beginning("<mask>"), None);
    let continues = |token: &str| tokenizer.continues_word(tokenizer.id(token).unwrap());
    assert_eq!(
        ["\u{120}the", "Paris", "<mask>"].map(continues),
        [false, true, false]
    );
}

#[test]
fn the_class_decides_over_tokenizer_json() {
    let text = "Paris is <mask>";
    let encode = |dir: &TempDir| {
        let tokenizer = BertTokenizer::from_dir(dir.path()).unwrap();
        let encoding = tokenizer.encode(text, &EncodeOptions::default()).unwrap();
        encoding.ids().to_vec()
    };
    let spaced = json!({"tokenizer_class": "RobertaTokenizerFast", "add_prefix_space": true});
    let json_alone =
        json!({"tokenizer_class": "PreTrainedTokenizerFast", "add_prefix_space": true});
    let plain = encode(&directory(&["tokenizer.json"], None));
    assert_eq!(
        encode(&directory(&["tokenizer.json"], Some(json_alone))),
        plain
    );
    assert_ne!(encode(&directory(&["tokenizer.json"], Some(spaced))), plain);
    assert_eq!(plain[plain.len() - 2], 350);
}

#[test]
fn missing_files_are_named() {
    let dir = directory(&["vocab.json"], None);
    let error = BertTokenizer::from_dir(dir.path()).unwrap_err().to_string();
    for needle in ["tokenizer.json", "vocab.json", "merges.txt"] {
        assert!(error.contains(needle), "{error}");
    }
    fs::write(dir.path().join("merges.txt"), "a\n").unwrap();
    let error = BertTokenizer::from_dir(dir.path()).unwrap_err().to_string();
    assert!(error.contains("merges.txt"), "{error}");
}
