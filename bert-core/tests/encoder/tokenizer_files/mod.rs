//! Directories whose files say different things of one tokenizer, and vocabularies as they are found, against transformers.

use std::fs;
use std::path::{Path, PathBuf};

use bert_core::batch::BertBatcher;
use bert_core::config::BertConfig;
use bert_core::tokenizer::{BertTokenizer, EncodeOptions, TokenizerOptions};
use bert_core::{Error, Result};
use serde_json::{Value, json};
use tempfile::TempDir;

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/tokenizer-config")
}

fn read(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

fn ids(tokenizer: &BertTokenizer, text: &Value) -> Value {
    let encoding = tokenizer.encode(text.as_str().unwrap(), &EncodeOptions::default());
    json!(encoding.unwrap().ids())
}

/// The directory of a case.
fn directory(case: &Value, mut tokenizer: Value) -> TempDir {
    match &case["normalizer"] {
        Value::Null => tokenizer["normalizer"] = Value::Null,
        normalizer => {
            for (key, value) in normalizer.as_object().unwrap() {
                tokenizer["normalizer"][key] = value.clone();
            }
        }
    }
    if case["splitter"] == "white space" {
        tokenizer["pre_tokenizer"] = json!({"type": "WhitespaceSplit"});
    }
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("tokenizer.json"), tokenizer.to_string()).unwrap();
    for name in ["tokenizer_config", "config"] {
        if !case[name].is_null() {
            let path = dir.path().join(format!("{name}.json"));
            fs::write(path, case[name].to_string()).unwrap();
        }
    }
    dir
}

#[test]
fn the_file_that_transformers_follows_is_followed() {
    let reference = read(&fixtures().join("reference.json"));
    let tokenizer = read(&fixtures().join("tokenizer.json"));
    let cases = reference["cases"].as_array().unwrap();
    assert!(cases.len() > 200);
    for case in cases {
        let dir = directory(case, tokenizer.clone());
        let read = BertTokenizer::from_dir(dir.path()).unwrap();
        assert_eq!(ids(&read, &reference["text"]), case["ids"], "{case}");

        // What is saved says one thing in all its files.
        let saved = tempfile::tempdir().unwrap();
        read.save(saved.path()).unwrap();
        fs::write(saved.path().join("config.json"), "{}").unwrap();
        let again = BertTokenizer::from_dir(saved.path()).unwrap();
        assert_eq!(ids(&again, &reference["text"]), case["ids"], "{case}");
    }
}

#[test]
fn vocabularies_are_read_line_by_line() {
    let reference = read(&fixtures().join("reference.json"));
    let texts = reference["vocabulary_texts"].as_array().unwrap();
    for case in reference["vocabularies"].as_array().unwrap() {
        let dir = tempfile::tempdir().unwrap();
        let vocab = case["vocab"].as_str().unwrap();
        for mark in ["", "\u{feff}"] {
            fs::write(dir.path().join("vocab.txt"), format!("{mark}{vocab}")).unwrap();
            let tokenizer = BertTokenizer::from_dir(dir.path()).unwrap();
            for (text, expected) in texts.iter().zip(case["ids"].as_array().unwrap()) {
                assert_eq!(&ids(&tokenizer, text), expected, "{}", case["name"]);
            }
        }
    }
}

/// A tokenizer of 7 tokens and of what `ending` adds to the file, beside what is in `added_tokens.json`.
fn with_ending(ending: &str, added: Value) -> Result<BertTokenizer> {
    let dir = tempfile::tempdir().unwrap();
    let vocab = format!("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nthe\ncat{ending}");
    fs::write(dir.path().join("vocab.txt"), vocab).unwrap();
    fs::write(dir.path().join("added_tokens.json"), added.to_string()).unwrap();
    BertTokenizer::from_dir(dir.path())
}

#[test]
fn lines_out_of_reach_need_no_row() {
    for ending in [
        "",
        "\n",
        "\n\n",
        "\n\n\n\n",
        "\r\n\r\n",
        "\n  \n",
        "\ncat \n",
        "\nthe\tcat\n",
        "\n\u{2028}\n",
    ] {
        let tokenizer = with_ending(ending, json!({})).unwrap();
        assert_eq!(tokenizer.vocab_size(), 7, "{ending:?}");
        tokenizer.check_vocab(7).unwrap();
        tokenizer.check_every_token(7).unwrap();
        let found = ids(&tokenizer, &json!("the cat"));
        assert_eq!(found, json!([2, 5, 6, 3]), "{ending:?}");
    }
    // A word is in reach, whatever stands before it.
    for (ending, id) in [("\ndog", 7), ("\n\n\ndog\n\n", 9)] {
        let tokenizer = with_ending(ending, json!({})).unwrap();
        let error = tokenizer.check_vocab(7).unwrap_err();
        assert!(
            matches!(error, Error::VocabularyMismatch { id: found, vocab_size: 7 } if found == id)
        );
    }
}

#[test]
fn added_tokens_beyond_the_rows_count_where_a_text_uses_them() {
    let device = bert_core::device::test_devices().swap_remove(0).1;
    for (ending, added, highest) in [
        ("\n", json!({"<new>": 7}), 7),
        ("\n\n", json!({"<new>": 7}), 7),
        ("\n\n", json!({"<new>": 8}), 8),
        ("\n\n\n", json!({"<new>": 7, "<newer>": 8}), 8),
        ("\n\n\n", json!({"<new>": 9, "<newer>": 10}), 10),
        ("\nthe\n", json!({"<new>": 8}), 8),
        ("\n", json!({"<new>": 20, "<newer>": 23}), 23),
    ] {
        let tokenizer = with_ending(ending, added.clone()).unwrap();
        let rows = if ending.contains("the") { 8 } else { 7 };
        tokenizer.check_vocab(rows).unwrap();
        assert!(tokenizer.check_every_token(highest).is_err());
        tokenizer.check_every_token(highest + 1).unwrap();
        for (token, id) in added.as_object().unwrap() {
            assert_eq!(json!(tokenizer.id(token)), *id, "{ending:?} {added}");
        }

        let batcher = BertBatcher::new(&tokenizer).for_model(&BertConfig::new(rows, 12, 1, 2, 13));
        let batch = |text: &str| {
            let encoding = tokenizer.encode(text, &EncodeOptions::default()).unwrap();
            batcher.batch(&[encoding], &device).map(|_| ())
        };
        batch("the cat").unwrap();
        let error = batch("the <new> cat").unwrap_err();
        let id = added["<new>"].as_u64().unwrap() as usize;
        assert!(
            matches!(error, Error::VocabularyMismatch { id: found, .. } if found == id),
            "{ending:?} {added}: {error}"
        );
    }
    // Ids of other tokens are another vocabulary's.
    assert!(with_ending("\n\n\n", json!({"<new>": 6})).is_err());
}

#[test]
fn a_vocabulary_in_memory_ends_as_one_in_a_file() {
    let words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "", ""];
    let tokenizer =
        BertTokenizer::from_vocab(words.map(String::from), &TokenizerOptions::default());
    assert_eq!(tokenizer.unwrap().vocab_size(), 6);
}
