//! Model directories that are a little different from what transformers writes today, and work there.

use super::*;
use bert_core::config::BertConfig;
use bert_core::nn::BertInit;
use bert_heads::labels::Labels;
use bert_heads::tasks::multiple_choice::BertForMultipleChoice;
use bert_heads::tasks::question_answering::BertForQuestionAnswering;
use bert_heads::tasks::sequence_classification::{BertForSequenceClassification, ProblemType};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors, serialize};

const TEXT: &str = "The cat [MASK] on the mat.";

fn name(dir: &TempDir) -> String {
    dir.path().display().to_string()
}

fn edit(dir: &TempDir, file: &str, edit: impl FnOnce(Vec<u8>) -> Vec<u8>) {
    let path = dir.path().join(file);
    let bytes = fs::read(&path).unwrap();
    fs::write(path, edit(bytes)).unwrap();
}

fn set(dir: &TempDir, field: &str, value: Value) {
    edit(dir, "config.json", |bytes| {
        let mut config: Value = serde_json::from_slice(&bytes).unwrap();
        config[field] = value;
        config.to_string().into_bytes()
    });
}

/// Adds a tensor of `shape` to the weights, or replaces it.
fn add_tensor(dir: &TempDir, name: &str, shape: &[usize], value: f32) {
    edit(dir, "model.safetensors", |bytes| {
        let data = value.to_le_bytes().repeat(shape.iter().product::<usize>());
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let mut views = file.tensors();
        views.retain(|(other, _)| other != name);
        let view = TensorView::new(Dtype::F32, shape.to_vec(), &data).unwrap();
        views.push((name.to_owned(), view));
        serialize(views, None).unwrap()
    });
}

fn filled(model: &str) -> (String, String) {
    succeed(&["fill-mask", "--model", model, "--json", TEXT], "")
}

#[test]
fn vocabularies_end_as_they_like() {
    let (expected, _) = filled(&model());
    let vocab = fs::read_to_string(fixture("tiny-pretraining").join("vocab.txt")).unwrap();
    let crlf = vocab.replace('\n', "\r\n");
    for changed in [
        vocab.trim_end().to_owned(),
        format!("{vocab}\n"),
        format!("{vocab}\n\n\n"),
        format!("{crlf}\r\n"),
        vocab.replace('\n', "\r"),
        format!("{vocab}cat \n"),
        format!("\u{feff}{vocab}"),
    ] {
        let dir = copy();
        edit(&dir, "vocab.txt", |_| changed.clone().into_bytes());
        let (found, stderr) = filled(&name(&dir));
        assert_eq!(found, expected, "{changed:?}");
        assert!(!stderr.contains("note:"), "{stderr}");
    }
    let dir = copy();
    edit(&dir, "vocab.txt", |_| {
        format!("{vocab}another\n").into_bytes()
    });
    let message = fail(&["fill-mask", "--model", &name(&dir), TEXT], b"");
    assert_names(&message, &["token id 194", "vocabulary of 194"]);
}

#[test]
fn an_added_token_without_a_row_is_refused_where_a_text_has_it() {
    let dir = copy();
    fs::write(dir.path().join("added_tokens.json"), r#"{"<new>": 194}"#).unwrap();
    assert_eq!(filled(&name(&dir)).0, filled(&model()).0);
    for command in ["fill-mask", "embed"] {
        let arguments = match command {
            "embed" => vec![command, "--model"],
            _ => vec![command, "[MASK] the <new> cat", "--model"],
        };
        let name = name(&dir);
        let arguments: Vec<&str> = arguments.into_iter().chain([name.as_str()]).collect();
        let message = fail(&arguments, b"the <new> cat\n");
        assert_names(&message, &["token id 194", "vocabulary of 194", "added"]);
    }
}

/// A model of one segment, with what `save` makes of it.
fn of_one_segment(save: impl FnOnce(&Path, &BertConfig, &BertInit)) -> TempDir {
    let dir = copy();
    let device = device().parse::<bert_core::device::DeviceSpec>().unwrap();
    let mut config = BertConfig::new(194, 12, 1, 2, 13);
    config.type_vocab_size = 1;
    config.max_position_embeddings = 48;
    let init = BertInit::new(&config, 3, &device.open().unwrap());
    save(dir.path(), &config, &init);
    dir
}

#[test]
fn pairs_are_refused_by_a_model_of_one_segment() {
    const CAUSE: [&str; 3] = ["segment 1", "1 segment(s)", "type_vocab_size"];
    let data = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = data.path().join(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let pairs = file(
        "pairs.tsv",
        "sentence1\tsentence2\tlabel\nthe cat\ta dog\tcat\nthe dog\ta cat\tdog\n",
    );
    let texts = file("texts.tsv", "sentence\tlabel\nthe cat\tcat\nthe dog\tdog\n");
    let asked = file(
        "asked.jsonl",
        r#"{"id": "q", "question": "where ?", "context": "the cat sat", "answers": [{"text": "cat", "answer_start": 4}]}"#,
    );
    let choices = file(
        "choices.jsonl",
        r#"{"context": "the cat", "choices": ["sat", "wrote"], "label": 0}"#,
    );

    let texts_model = of_one_segment(|dir, config, init| {
        let labels = Labels::new(["cat", "dog"]).unwrap();
        BertForSequenceClassification::new(config, 2, init)
            .save(dir, config, &labels, ProblemType::SingleLabel)
            .unwrap();
    });
    let questions_model = of_one_segment(|dir, config, init| {
        let model = BertForQuestionAnswering::new(config, init);
        model.save(dir, config).unwrap();
    });
    let choices_model = of_one_segment(|dir, config, init| {
        let model = BertForMultipleChoice::new(config, init);
        model.save(dir, config).unwrap();
    });
    let [of_texts, of_questions, of_choices] =
        [&texts_model, &questions_model, &choices_model].map(name);
    succeed(&["predict", "--model", &of_texts, &texts], "");
    succeed(&["evaluate", "--model", &of_texts, "--data", &texts], "");
    for arguments in [
        vec!["predict", "--model", &of_texts, &pairs],
        vec!["evaluate", "--model", &of_texts, "--data", &pairs],
        vec!["predict", "--model", &of_questions, &asked],
        vec!["evaluate", "--model", &of_questions, "--data", &asked],
        vec!["predict", "--model", &of_choices, &choices],
    ] {
        assert_names(&fail(&arguments, b""), &CAUSE);
    }

    let output = data.path().join("out").display().to_string();
    for (task, train) in [("pair", &pairs), ("qa", &asked), ("choice", &choices)] {
        let arguments = [
            "finetune",
            "--model",
            &of_texts,
            "--task",
            task,
            "--train",
            train,
            "--out",
            &output,
            "--steps",
            "1",
            "--no-dashboard",
        ];
        let result = run(&arguments, b"");
        let stderr = String::from_utf8(result.stderr).unwrap();
        assert_eq!(result.status.code(), Some(1), "{arguments:?}: {stderr}");
        assert!(!stderr.contains("panicked"), "{stderr}");
        assert_names(&stderr, &CAUSE);
    }
}

#[test]
fn vectors_need_no_decoder_and_no_tensor_of_others() {
    let embed = |model: &str| {
        succeed(
            &["embed", "--model", model, "--pooling", "mean"],
            "The cat sat on the mat.\n",
        )
    };
    let (expected, _) = embed(&model());
    for tied in [true, false] {
        let dir = copy();
        set(&dir, "tie_word_embeddings", tied.into());
        add_tensor(&dir, "cls.predictions.decoder.weight", &[194, 18], 0.5);
        let (found, stderr) = embed(&name(&dir));
        assert_eq!(
            (found.as_str(), stderr.contains("note:")),
            (&*expected, false)
        );
    }

    let dir = copy();
    add_tensor(&dir, "linear.weight", &[5, 18], 0.5);
    add_tensor(&dir, "bert.encoder.layer.2.output.dense.bias", &[18], 0.5);
    let (found, stderr) = embed(&name(&dir));
    assert_eq!(found, expected);
    let notes: Vec<&str> = stderr
        .lines()
        .filter(|line| line.starts_with("note:"))
        .collect();
    assert_eq!(notes.len(), 1, "{stderr}");
    let named = [
        "2 tensor(s)",
        "`linear.weight`",
        "layer.2.output.dense.bias",
    ];
    assert_names(notes[0], &named);

    // What is used is looked for as strictly as ever, and no option is named that is none.
    set(&dir, "num_hidden_layers", 3.into());
    let message = fail(&["embed", "--model", &name(&dir)], b"The cat\n");
    assert_names(&message, &["missing", "encoder.layer.2.", "config.json"]);
    assert!(!message.contains("--"), "{message}");
}

#[test]
fn the_configuration_decides_which_decoder_fills_masks() {
    let (tied, _) = filled(&model());
    let dir = copy();
    add_tensor(&dir, "cls.predictions.decoder.weight", &[194, 18], 0.0);
    let (found, stderr) = filled(&name(&dir));
    assert_eq!(found, tied);
    assert_names(&stderr, &["note:", "decoder.weight", "tie_word_embeddings"]);

    // With a decoder of zeros the bias alone is left, which is the same for every text.
    set(&dir, "tie_word_embeddings", false.into());
    let (untied, stderr) = filled(&name(&dir));
    assert!(untied != tied && !stderr.contains("note:"), "{stderr}");
    let name = name(&dir);
    let (other, _) = succeed(&["fill-mask", "--model", &name, "--json", "[MASK]"], "");
    let candidates = |text: &str| json_lines(text)[0]["masks"].clone();
    assert_eq!(candidates(&other), candidates(&untied));
}

#[test]
fn files_that_disagree_on_case_are_noted_once() {
    let dir = copy();
    let saved = tempfile::tempdir().unwrap();
    bert_core::tokenizer::BertTokenizer::from_dir(dir.path())
        .unwrap()
        .save(saved.path())
        .unwrap();
    fs::copy(
        saved.path().join("tokenizer.json"),
        dir.path().join("tokenizer.json"),
    )
    .unwrap();
    let tokens = |dir: &TempDir| succeed(&["tokenize", "--model", &name(dir), "The CAT"], "");
    assert_eq!(
        tokens(&dir),
        ("[CLS] the cat [SEP]\n".to_owned(), String::new())
    );
    edit(&dir, "tokenizer_config.json", |_| {
        br#"{"do_lower_case": false}"#.to_vec()
    });
    let (stdout, stderr) = tokens(&dir);
    assert!(!stdout.contains("the cat"), "{stdout}");
    assert_eq!(stderr.matches("note:").count(), 1, "{stderr}");
    assert_names(
        &stderr,
        &["tokenizer.json", "lowercase true", "do_lower_case false"],
    );
    // The class of those who take the former as it is.
    edit(&dir, "tokenizer_config.json", |_| {
        br#"{"do_lower_case": false, "tokenizer_class": "PreTrainedTokenizerFast"}"#.to_vec()
    });
    assert_eq!(tokens(&dir).0, "[CLS] the cat [SEP]\n");
}

#[test]
fn further_activations_are_followed() {
    let (gelu, _) = filled(&model());
    let mut seen = vec![gelu];
    for name_of_act in ["silu", "quick_gelu"] {
        let dir = copy();
        set(&dir, "hidden_act", name_of_act.into());
        let (found, _) = filled(&name(&dir));
        assert!(!seen.contains(&found), "{name_of_act}");
        seen.push(found);
    }
    let dir = copy();
    set(&dir, "hidden_act", "swish".into());
    assert_eq!(filled(&name(&dir)).0, seen[1]);
    set(&dir, "hidden_act", "mish".into());
    let message = fail(&["fill-mask", "--model", &name(&dir), TEXT], b"");
    assert_names(&message, &["hidden_act", "mish", "quick_gelu"]);
}
