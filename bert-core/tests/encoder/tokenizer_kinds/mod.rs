//! Tokenizers of every kind against transformers: Unigram, WordPiece with other special tokens, byte-level with BERT's.

use std::path::{Path, PathBuf};

use bert_core::batch::BertBatcher;
use bert_core::config::BertConfig;
use bert_core::tokenizer::{BertTokenizer, EncodeOptions};
use serde_json::{Value, json};

use crate::tokenizer_cases::CHECKS;

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/tokenizer-kinds")
}

fn reference() -> Value {
    let text = std::fs::read_to_string(fixtures().join("reference.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// The tokenizer of a kind from its directory, and from one that it was saved to.
fn read_twice(kind: &str) -> [BertTokenizer; 2] {
    let given = fixtures().join(kind);
    let tokenizer = BertTokenizer::from_dir(&given).unwrap();
    let saved = tempfile::tempdir().unwrap();
    std::fs::copy(given.join("config.json"), saved.path().join("config.json")).unwrap();
    tokenizer.save(saved.path()).unwrap();
    let again = BertTokenizer::from_dir(saved.path()).unwrap();
    [tokenizer, again]
}

#[test]
fn every_kind_agrees_as_given_and_as_saved() {
    let reference = reference();
    for (kind, vocabulary) in reference["vocabularies"].as_object().unwrap() {
        for tokenizer in read_twice(kind) {
            let found = json!({
                "size": tokenizer.vocab_size(), "pad": tokenizer.pad_id(), "mask": tokenizer.mask_id(),
                "cls": tokenizer.cls_id(), "sep": tokenizer.sep_id(), "unk": tokenizer.unk_id(),
            });
            assert_eq!(&found, vocabulary, "{kind}");
            for (list, check) in CHECKS {
                match check(&reference, kind, &tokenizer) {
                    Ok(count) => assert!(count > 0, "{kind} {list}"),
                    Err(message) => panic!("{kind} {list}: {message}"),
                }
            }
        }
    }
}

#[test]
fn a_vocabulary_alone_gives_the_tokenizer_of_its_family() {
    let reference = reference();
    let [tokenizer, _] = read_twice("mpnet");
    let dir = tempfile::tempdir().unwrap();
    tokenizer.save(dir.path()).unwrap();
    let given = fixtures().join("mpnet/config.json");
    std::fs::copy(given, dir.path().join("config.json")).unwrap();
    let settings = dir.path().join("tokenizer_config.json");
    let text = std::fs::read_to_string(&settings).unwrap();
    let text: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(text["tokenizer_class"], "MPNetTokenizer");
    std::fs::remove_file(dir.path().join("tokenizer.json")).unwrap();
    for with_settings in [true, false] {
        if !with_settings {
            std::fs::remove_file(&settings).unwrap();
        }
        let alone = BertTokenizer::from_dir(dir.path()).unwrap();
        for (list, check) in CHECKS {
            let count = check(&reference, "mpnet", &alone);
            assert!(count.unwrap() > 0, "{list}");
        }
    }
}

#[test]
fn words_that_stand_alone_agree() {
    let reference = reference();
    for case in reference["words"].as_array().unwrap() {
        let kind = case["vocab"].as_str().unwrap();
        let words = case["words"].as_array().unwrap().iter();
        let words: Vec<&str> = words.map(|word| word.as_str().unwrap()).collect();
        for tokenizer in read_twice(kind) {
            let pieces = tokenizer.encode_words(&words).unwrap();
            assert_eq!(json!(pieces.ids()), case["ids"], "{case}");
        }
    }
}

#[test]
fn tokens_are_joined_as_transformers_joins_them() {
    let reference = reference();
    for case in reference["decoded"].as_array().unwrap() {
        let ids = case["ids"].as_array().unwrap().iter();
        let ids: Vec<u32> = ids.map(|id| id.as_u64().unwrap() as u32).collect();
        for tokenizer in read_twice(case["vocab"].as_str().unwrap()) {
            let text = tokenizer.decode(&ids, true).unwrap();
            assert_eq!(case["text"], json!(text), "{case}");
        }
    }
}

#[test]
fn berts_network_takes_the_tokens_of_xlm_roberta() {
    let [tokenizer, _] = read_twice("xlm-roberta-in-bert");
    let config = json!({"model_type": "bert", "vocab_size": 251, "hidden_size": 6, "num_hidden_layers": 1,
        "num_attention_heads": 2, "intermediate_size": 5, "pad_token_id": 0});
    let config = BertConfig::from_json(config.as_object().unwrap().clone()).unwrap();
    tokenizer.check_vocab(config.vocab_size).unwrap();
    let encode = |second| tokenizer.encode_pair("The cat", second, &EncodeOptions::default());
    let (long, short) = (encode("Paris is the mat").unwrap(), encode("a").unwrap());
    assert!(long.type_ids().iter().all(|segment| *segment == 0));
    let ends: Vec<&str> = long.tokens().iter().map(String::as_str).collect();
    let frame = ["<s>", "</s>", "</s>", "</s>"];
    let is_special = |token: &&&str| frame.contains(*token);
    assert_eq!(
        ends.iter().filter(is_special).copied().collect::<Vec<_>>(),
        frame
    );
    // Rows are filled up with the tokenizer's padding, whatever the network's configuration says.
    let (_, device) = bert_core::device::test_devices().swap_remove(0);
    let batcher = BertBatcher::new(&tokenizer).for_model(&config);
    let input = batcher.batch(&[long, short], &device).unwrap();
    let ids: Vec<i64> = input.input_ids.into_data().iter::<i64>().collect();
    assert_eq!(ids.last(), Some(&i64::from(tokenizer.pad_id())));
}

#[test]
fn gte_takes_the_tokens_of_xlm_roberta_or_of_bert() {
    let reference = reference();
    for model_type in ["gte", "new"] {
        let dir = tempfile::tempdir().unwrap();
        let config = json!({"model_type": model_type}).to_string();
        std::fs::write(dir.path().join("config.json"), config).unwrap();
        for name in ["tokenizer.json", "tokenizer_config.json"] {
            let given = fixtures().join("xlm-roberta-in-bert").join(name);
            std::fs::copy(given, dir.path().join(name)).unwrap();
        }
        let tokenizer = BertTokenizer::from_dir(dir.path()).unwrap();
        for (list, check) in CHECKS {
            let count = check(&reference, "xlm-roberta-in-bert", &tokenizer);
            assert!(count.unwrap() > 0, "{list}");
        }
        for name in ["tokenizer.json", "tokenizer_config.json"] {
            std::fs::remove_file(dir.path().join(name)).unwrap();
        }
        let words = fixtures().join("../tokenizer/vocab.txt");
        std::fs::copy(words, dir.path().join("vocab.txt")).unwrap();
        let tokenizer = BertTokenizer::from_dir(dir.path()).unwrap();
        let pair = tokenizer.encode_pair("the", "a", &EncodeOptions::default());
        let pair = pair.unwrap();
        assert_eq!(pair.tokens(), ["[CLS]", "the", "[SEP]", "a", "[SEP]"]);
        assert_eq!(pair.type_ids(), [0, 0, 0, 1, 1]);
    }
}

#[test]
fn a_piece_with_a_space_begins_a_word() {
    let [tokenizer, _] = read_twice("xlm-roberta");
    let beginning = |token: &str| tokenizer.word_beginning(tokenizer.id(token).unwrap());
    assert_eq!(beginning("\u{2581}the").as_deref(), Some("the"));
    assert_eq!(beginning("he"), None);
    assert_eq!(beginning("<mask>"), None);
    let continues = |token: &str| tokenizer.continues_word(tokenizer.id(token).unwrap());
    let found = ["\u{2581}the", "he", "<mask>", "</s>"].map(continues);
    assert_eq!(found, [false, true, false, false]);

    for (kind, tokens) in [
        ("deberta-v2", ["\u{2581}the", "he", "[MASK]", "[SEP]"]),
        ("mpnet", ["the", "##g", "<mask>", "</s>"]),
    ] {
        let [tokenizer, _] = read_twice(kind);
        let continues = |token: &str| tokenizer.continues_word(tokenizer.id(token).unwrap());
        let found = tokens.map(continues);
        assert_eq!(found, [false, true, false, false], "{kind}");
    }
}

#[test]
fn files_of_sentence_piece_alone_give_advice() {
    for (name, class) in [
        ("sentencepiece.bpe.model", "XLMRobertaTokenizer"),
        ("sentencepiece.bpe.model", "CamembertTokenizer"),
        ("spiece.model", "AlbertTokenizer"),
        ("spm.model", "DebertaV2Tokenizer"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(name), "x").unwrap();
        let settings = json!({"tokenizer_class": class}).to_string();
        std::fs::write(dir.path().join("tokenizer_config.json"), settings).unwrap();
        let error = BertTokenizer::from_dir(dir.path()).unwrap_err().to_string();
        for needle in [name, "tokenizer.json", "AutoTokenizer"] {
            assert!(error.contains(needle), "{error}");
        }
    }
}
