//! Readers of files that others write, each as a function of the bytes of a file: whatever these
//! are, the reader gives a value or an error, and does not panic.
//!
//! cargo-fuzz runs them (`fuzz_targets/`), and so does `bert-heads/tests/tasks/hostile.rs`, which needs no
//! nightly toolchain. What comes back describes the outcome, by which the latter tells new ones.

use std::fs;
use std::path::Path;

use bert_core::checkpoint::Checkpoint;
use bert_core::config::BertConfig;
use bert_core::tokenizer::{BertTokenizer, EncodeOptions, TokenizerOptions};
use bert_heads::datasets::{
    BadRows, Examples, Field, Layout, QuestionFormat, QuestionLayout, Targets, TextFormat,
    TokenFormat, TokenLayout, WordLine, read_choices, read_questions, read_rewritable,
    read_tag_predictions, read_texts, read_tokens,
};
use bert_heads::sentence_embedding::EmbeddingLayout;
use tempfile::TempDir;

/// A target by its name.
pub type Target = (&'static str, fn(&[u8]) -> String);

/// Every target.
pub const TARGETS: [Target; 9] = [
    ("config", config),
    ("vocabulary", vocabulary),
    ("safetensors", safetensors),
    ("pickle", pickle),
    ("shards", shards),
    ("modules", modules),
    ("conll", conll),
    ("tables", tables),
    ("squad", squad),
];

/// A valid configuration, for the readers of what lies beside one.
pub const CONFIG: &str = r#"{"architectures":["BertModel"],"model_type":"bert","vocab_size":7,
    "hidden_size":4,"num_hidden_layers":1,"num_attention_heads":2,"intermediate_size":5,
    "max_position_embeddings":6,"type_vocab_size":2,"hidden_act":"gelu"}"#;

/// `config.json`.
pub fn config(data: &[u8]) -> String {
    let dir = directory(&[("config.json", data)]);
    outcome(
        BertConfig::from_file(dir.path().join("config.json")).map(|config| {
            BertConfig::from_json(config.to_json()).expect("what is read can be read again");
            "written and read"
        }),
    )
}

/// `vocab.txt`, and a text through the tokenizer that it makes.
pub fn vocabulary(data: &[u8]) -> String {
    let dir = directory(&[("vocab.txt", data)]);
    let path = dir.path().join("vocab.txt");
    let tokenizer = BertTokenizer::from_vocab_file(path, &TokenizerOptions::default());
    outcome(tokenizer.and_then(|tokenizer| {
        let encoding =
            tokenizer.encode("the cat ##s [MASK] \u{5b57}", &EncodeOptions::default())?;
        Ok(encoding.len())
    }))
}

/// `model.safetensors`.
pub fn safetensors(data: &[u8]) -> String {
    opened(&[("model.safetensors", data)])
}

/// `pytorch_model.bin`, a ZIP file of pickled objects.
pub fn pickle(data: &[u8]) -> String {
    opened(&[("pytorch_model.bin", data)])
}

/// The index of a checkpoint in several files; one of them is there and empty.
pub fn shards(data: &[u8]) -> String {
    let index = ("model.safetensors.index.json", data);
    opened(&[index, ("model-00001-of-00002.safetensors", b"")])
}

/// `modules.json` of sentence-transformers, and the same bytes as the configuration of its pooling.
pub fn modules(data: &[u8]) -> String {
    let files = directory(&[("modules.json", data), ("config.json", CONFIG.as_bytes())]);
    let first = outcome(EmbeddingLayout::read(files.path()).map(|_| "read"));
    let pooling = directory(&[("config.json", CONFIG.as_bytes())]);
    let modules = r#"[{"idx":0,"name":"0","path":"","type":"sentence_transformers.models.Transformer"},
        {"idx":1,"name":"1","path":"1_Pooling","type":"sentence_transformers.models.Pooling"}]"#;
    write(pooling.path(), "modules.json", modules.as_bytes());
    fs::create_dir(pooling.path().join("1_Pooling")).expect("the directory is new");
    write(pooling.path(), "1_Pooling/config.json", data);
    let second = outcome(EmbeddingLayout::read(pooling.path()).map(|_| "read"));
    format!("{first} {second}")
}

/// Words in lines and as JSON lines, and predicted tags.
pub fn conll(data: &[u8]) -> String {
    let dir = directory(&[("words", data)]);
    let path = dir.path().join("words");
    let tabs = TokenFormat::new(TokenLayout::Lines(WordLine {
        word: Field::Number(2),
        tag: Field::Number(3),
        separator: Some('\t'),
    }));
    let formats = [
        TokenFormat::lines(),
        TokenFormat::lines().with_targets(Targets::Ignored),
        tabs,
        TokenFormat::json_lines(),
    ];
    let mut outcomes: Vec<String> = formats
        .iter()
        .map(|format| examples(read_tokens(&path, format, BadRows::Skip)))
        .collect();
    outcomes.push(examples(read_tag_predictions(&path)));
    outcomes.join(" ")
}

/// Tables of texts, of choices and of rows that are written again, in every layout.
pub fn tables(data: &[u8]) -> String {
    let dir = directory(&[("table", data)]);
    let path = dir.path().join("table");
    let layouts = [
        Layout::csv(),
        Layout::tsv(),
        Layout::any_tsv(),
        Layout::csv().without_header(),
        Layout::JsonLines,
    ];
    let mut outcomes = Vec::new();
    for layout in layouts {
        let layout = match layout.clone().detect_separator(&path) {
            Ok(detected) => detected,
            Err(error) => {
                outcomes.push(error.to_string());
                layout
            }
        };
        let format = TextFormat::new(layout.clone()).with_targets(Targets::IfPresent);
        outcomes.push(examples(read_texts(&path, &format, BadRows::Skip)));
        let labels = format
            .clone()
            .with_kind(bert_heads::datasets::TargetKind::Labels);
        outcomes.push(examples(read_texts(&path, &labels, BadRows::Skip)));
        let rewriting = read_rewritable(&path, &format, BadRows::Skip);
        outcomes.push(outcome(rewriting.map(|found| {
            let rows = found.rows.filter_map(Result::ok);
            rows.map(|row| row.to_line().len()).sum::<usize>()
        })));
        let format = bert_heads::datasets::ChoiceFormat::new(layout);
        outcomes.push(examples(read_choices(&path, &format, BadRows::Skip)));
    }
    outcomes.join(" ")
}

/// Questions as SQuAD has them and as JSON lines, to answer and to score.
pub fn squad(data: &[u8]) -> String {
    let dir = directory(&[("questions", data)]);
    let path = dir.path().join("questions");
    let formats = [QuestionLayout::Json, QuestionLayout::JsonLines].map(QuestionFormat::new);
    let outcomes: Vec<String> = formats
        .iter()
        .flat_map(|format| [*format, format.scoring_only()])
        .map(|format| examples(read_questions(&path, &format, BadRows::Skip)))
        .collect();
    outcomes.join(" ")
}

fn opened(files: &[(&str, &[u8])]) -> String {
    let dir = directory(files);
    write(dir.path(), "config.json", CONFIG.as_bytes());
    outcome(Checkpoint::open(dir.path()).map(|checkpoint| checkpoint.tensors().count()))
}

/// Number of examples and the faults of the others.
fn examples<T>(read: bert_heads::Result<Examples<T>>) -> String {
    let mut examples = match read {
        Ok(examples) => examples,
        Err(error) => return error.to_string(),
    };
    let error = examples.by_ref().find_map(Result::err);
    let kinds: Vec<_> = examples.report().skipped.keys().copied().collect();
    let count = examples.report().examples.min(1);
    format!(
        "{count} {kinds:?} {}",
        error.map(|e| e.to_string()).unwrap_or_default()
    )
}

fn outcome<T: std::fmt::Display, E: std::fmt::Display>(result: Result<T, E>) -> String {
    result.map_or_else(|error| error.to_string(), |value| value.to_string())
}

fn directory(files: &[(&str, &[u8])]) -> TempDir {
    let dir = tempfile::tempdir().expect("a temporary directory can be made");
    for (name, data) in files {
        write(dir.path(), name, data);
    }
    dir
}

fn write(dir: &Path, name: &str, data: &[u8]) {
    fs::write(dir.join(name), data).expect("a temporary file can be written");
}
