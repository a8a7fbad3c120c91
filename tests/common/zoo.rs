//! Small checkpoints of every family with their tokenizers, for the tests of the command.

use std::fs;
use std::path::{Path, PathBuf};

use bert_core::checkpoint::{Checkpoint, save};
use bert_core::config::BertConfig;
use bert_core::device::test_devices;
use bert_core::models::{BERT, Family};
use bert_core::nn::BertInit;
use bert_core::tokenizer::BertTokenizer;
use bert_heads::tasks::masked_lm::BertForMaskedLm;
use serde_json::json;
use tempfile::TempDir;

/// Files of tokenizers.
const TOKENIZER: [&str; 6] = [
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
];

/// Positions of the models.
pub(crate) const POSITIONS: usize = 46;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("bert-core/fixtures")
        .join(name)
}

/// The fixture of a family's masked LM, whose configuration has what is the family's own.
fn masked_lm(family: &Family) -> PathBuf {
    match *family == BERT {
        true => fixture("tiny-pretraining"),
        false => fixture(family.model_type).join("mlm"),
    }
}

/// Copies the tokenizer of a family's fixture, or gives it BERT's vocabulary where that has none.
fn copy_tokenizer(family: &Family, dir: &Path) {
    let own = masked_lm(family);
    let has_own = TOKENIZER.iter().any(|name| own.join(name).is_file());
    let from = if has_own {
        own
    } else {
        fixture("tiny-pretraining")
    };
    for name in TOKENIZER.iter().filter(|name| from.join(name).is_file()) {
        fs::copy(from.join(name), dir.join(name)).unwrap();
    }
    if !has_own {
        let class = json!({"tokenizer_class": family.tokenizer.classes[0]});
        fs::write(dir.join("tokenizer_config.json"), class.to_string()).unwrap();
    }
}

/// A model directory of a family, written by `write` with what a model of it takes.
pub(crate) fn directory(
    family: &Family,
    write: impl FnOnce(&Path, &BertConfig, &BertInit),
) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    copy_tokenizer(family, dir.path());
    let mut config = BertConfig::from_file(masked_lm(family).join("config.json")).unwrap();
    assert_eq!(config.family, family);
    let tokenizer = BertTokenizer::from_dir(dir.path()).unwrap();
    config.vocab_size = tokenizer.vocab_size();
    config.pad_token_id = tokenizer.pad_id() as usize;
    config.max_position_embeddings = POSITIONS + config.first_position();
    config.extra.shift_remove("architectures");
    let (_, device) = test_devices().swap_remove(0);
    write(dir.path(), &config, &BertInit::new(&config, 5, &device));
    dir
}

/// A masked LM of a family.
pub(crate) fn masked_lm_directory(family: &Family) -> TempDir {
    directory(family, |dir, config, init| {
        let model = BertForMaskedLm::new(config, init);
        save(dir, &model, config, &family.class("ForMaskedLM")).unwrap();
        assert!(Checkpoint::open(dir).is_ok());
    })
}
