//! Every task head against float64 of transformers: logits, loss, all gradients, and through files.

use std::fs;
use std::path::{Path, PathBuf};

use bert_core::agreement::{
    Difference, FORWARD_BAR, GRADIENT_BAR, Probe, Trace, push_gradients, without_dropout,
};
use bert_core::batch::BertInput;
use bert_core::checkpoint::{Checkpoint, LoadReport};
use bert_core::config::BertConfig;
use bert_core::device::test_devices;
use bert_core::init::BertInit;
use bert_heads::labels::Labels;
use bert_heads::losses::{
    IGNORED_LABEL, binary_cross_entropy_with_logits, cross_entropy, mean_squared_error,
};
use bert_heads::multiple_choice::BertForMultipleChoice;
use bert_heads::next_sentence::BertForNextSentencePrediction;
use bert_heads::question_answering::{BertForQuestionAnswering, question_answering_loss};
use bert_heads::sequence_classification::{BertForSequenceClassification, ProblemType};
use bert_heads::token_classification::{BertForTokenClassification, token_classification_loss};
use bert_heads::{Error, Result, agreement};
use burn::module::Module;
use burn::tensor::{Device, Int, Tensor, TensorData};
use safetensors::{Dtype, SafeTensors};
use serde_json::{Value, json};

const NUM_CHOICES: usize = 3;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../bert-core/fixtures")
        .join(name)
}

fn open(name: &str) -> Checkpoint {
    Checkpoint::open(fixture(name)).unwrap()
}

fn first_device() -> Device {
    test_devices().swap_remove(0).1
}

/// What transformers computed for a fixture.
struct Reference {
    bytes: Vec<u8>,
}

impl Reference {
    fn of(name: &str) -> Self {
        let path = fixture(name).join("reference.safetensors");
        Self {
            bytes: fs::read(path).unwrap(),
        }
    }

    fn integers(&self, name: &str) -> (Vec<i64>, Vec<usize>) {
        let tensors = SafeTensors::deserialize(&self.bytes).unwrap();
        let tensor = tensors.tensor(name).unwrap();
        assert_eq!(tensor.dtype(), Dtype::I64);
        let (values, _) = tensor.data().as_chunks();
        let values = values.iter().map(|b| i64::from_le_bytes(*b)).collect();
        (values, tensor.shape().to_vec())
    }

    fn floats(&self, name: &str) -> (Vec<f64>, Vec<usize>) {
        let tensors = SafeTensors::deserialize(&self.bytes).unwrap();
        let tensor = tensors.tensor(name).unwrap();
        assert_eq!(tensor.dtype(), Dtype::F64);
        let (values, _) = tensor.data().as_chunks();
        let values = values.iter().map(|b| f64::from_le_bytes(*b)).collect();
        (values, tensor.shape().to_vec())
    }

    fn ints<const D: usize>(&self, name: &str, device: &Device) -> Tensor<D, Int> {
        let (values, shape) = self.integers(name);
        Tensor::from_data(TensorData::new(values, shape), device)
    }

    /// A tensor of the device's float type, which is f32.
    fn tensor<const D: usize>(&self, name: &str, device: &Device) -> Tensor<D> {
        let (values, shape) = self.floats(name);
        let values: Vec<f32> = values.into_iter().map(|value| value as f32).collect();
        Tensor::from_data(TensorData::new(values, shape), device)
    }

    /// Every float under its name.
    fn trace(&self) -> Trace {
        let tensors = SafeTensors::deserialize(&self.bytes).unwrap();
        let mut trace = Trace::default();
        for (name, tensor) in tensors.tensors() {
            if tensor.dtype() == Dtype::F64 {
                trace.push(name.clone(), self.floats(&name).0);
            }
        }
        trace
    }

    fn input(&self, device: &Device) -> BertInput {
        let (ids, shape) = self.integers("input_ids");
        let (types, _) = self.integers("token_type_ids");
        let (mask, _) = self.integers("attention_mask");
        BertInput::from_attention_mask(ids, types, mask, [shape[0], shape[1]], device)
    }
}

/// What a model computes for a reference: logits under their names, and the loss.
type Run<M> = fn(&M, &Reference, &Device) -> (Trace, Tensor<1>);

fn logits<const D: usize>(logits: &Tensor<D>) -> Trace {
    let mut trace = Trace::default();
    trace.push_tensor("logits", logits.clone());
    trace
}

/// Logits, loss and gradients within the bars, and the saved directory equal to the fixture, on
/// every device.
fn check<M: Module>(
    name: &str,
    load: fn(&Checkpoint, &Device) -> Result<M>,
    run: Run<M>,
    save: fn(&M, &Path, &BertConfig) -> Result<()>,
) {
    let (checkpoint, reference) = (open(name), Reference::of(name));
    let expected = reference.trace();
    let count = |prefix: &str, suffix: &str| {
        let names = expected.names();
        names
            .filter(|name| name.starts_with(prefix) && name.ends_with(suffix))
            .count()
    };
    for (label, device) in test_devices() {
        let model = load(&checkpoint, &device).unwrap();
        let (mut trace, loss) = run(&model, &reference, &device);
        trace.push_tensor("loss", loss);
        let differences = trace.differences(&expected);
        let outputs = if count("start_logits", "") > 0 { 2 } else { 1 };
        assert_eq!(differences.len(), outputs + 1, "{label} {name}");
        let forward = worst(&differences, |difference| difference.max_abs);
        assert!(forward <= FORWARD_BAR, "{label} {name}: {differences:?}");

        let training = device.clone().autodiff();
        let trained = without_dropout(load(&checkpoint, &training).unwrap());
        let (_, loss) = run(&trained, &reference, &training);
        let mut trace = Trace::default();
        push_gradients(&mut trace, &trained, &loss.backward());
        let differences = trace.differences(&expected);
        assert_eq!(
            differences.len(),
            count("grad.", ""),
            "{label} {name}: a gradient was not compared"
        );
        let backward = worst(&differences, Difference::relative);
        assert!(backward <= GRADIENT_BAR, "{label} {name}: {differences:?}");
        println!("{label:12} {name:24} forward {forward:.1e}, gradients {backward:.1e} relative");

        let dir = tempfile::tempdir().unwrap();
        save(&model, dir.path(), checkpoint.config()).unwrap();
        assert_eq!(tensors(dir.path()), tensors(&fixture(name)), "{label}");
        let again = load(&Checkpoint::open(dir.path()).unwrap(), &device).unwrap();
        let logits = |model: &M| {
            let (trace, _) = run(model, &reference, &device);
            let names: Vec<String> = trace.names().map(str::to_owned).collect();
            let values = names.iter().map(|name| trace.get(name).unwrap().to_vec());
            values.collect::<Vec<_>>()
        };
        assert_eq!(logits(&again), logits(&model), "{label} {name}");
        let class = &checkpoint.config().extra["architectures"];
        assert_eq!(&config_json(dir.path())["architectures"], class);
    }
}

fn worst(differences: &[Difference], value: fn(&Difference) -> f64) -> f64 {
    differences.iter().map(value).fold(0.0, f64::max)
}

/// Names, shapes and bytes of the tensors of a model directory.
fn tensors(dir: &Path) -> Vec<(String, Vec<usize>, Vec<u8>)> {
    let bytes = fs::read(dir.join("model.safetensors")).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let mut tensors: Vec<_> = file
        .tensors()
        .into_iter()
        .map(|(name, view)| (name, view.shape().to_vec(), view.data().to_vec()))
        .collect();
    tensors.sort();
    tensors
}

fn config_json(dir: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(dir.join("config.json")).unwrap()).unwrap()
}

fn save_sequence(
    model: &BertForSequenceClassification,
    dir: &Path,
    config: &BertConfig,
) -> Result<()> {
    model.save(dir, config, &Labels::of(config)?, ProblemType::of(config)?)
}

#[test]
fn one_label_per_text() {
    check(
        "heads/single-label",
        BertForSequenceClassification::from_checkpoint,
        |model, reference, device| {
            let output = model.forward(reference.input(device));
            let labels = reference.ints("labels", device);
            (logits(&output), cross_entropy(output, labels, None).mean())
        },
        save_sequence,
    );
}

#[test]
fn many_labels_per_text() {
    check(
        "heads/multi-label",
        BertForSequenceClassification::from_checkpoint,
        |model, reference, device| {
            let output = model.forward(reference.input(device));
            let labels = reference.tensor("labels", device);
            let loss = binary_cross_entropy_with_logits(output.clone(), labels);
            (logits(&output), loss.mean())
        },
        save_sequence,
    );
}

#[test]
fn a_number_per_text() {
    check(
        "heads/regression",
        BertForSequenceClassification::from_checkpoint,
        |model, reference, device| {
            let output = model.forward(reference.input(device));
            let labels = reference.tensor("labels", device);
            let loss = mean_squared_error(output.clone(), labels);
            (logits(&output), loss.mean())
        },
        save_sequence,
    );
}

#[test]
fn a_label_per_token() {
    check(
        "heads/token",
        BertForTokenClassification::from_checkpoint,
        |model, reference, device| {
            let output = model.forward(reference.input(device));
            let labels = reference.ints("labels", device);
            let loss = token_classification_loss(output.clone(), labels, None);
            (logits(&output), loss.mean())
        },
        |model, dir, config| model.save(dir, config, &Labels::of(config)?),
    );
}

#[test]
fn a_span_per_question() {
    check(
        "heads/question-answering",
        BertForQuestionAnswering::from_checkpoint,
        |model, reference, device| {
            let output = model.forward(reference.input(device));
            let starts = reference.ints("start_positions", device);
            let ends = reference.ints("end_positions", device);
            let mut trace = Trace::default();
            trace.push_tensor("start_logits", output.start.clone());
            trace.push_tensor("end_logits", output.end.clone());
            (trace, question_answering_loss(output, starts, ends).mean())
        },
        |model, dir, config| model.save(dir, config),
    );
}

#[test]
fn one_choice_of_several() {
    check(
        "heads/multiple-choice",
        BertForMultipleChoice::from_checkpoint,
        |model, reference, device| {
            let output = model.forward(reference.input(device), NUM_CHOICES);
            let labels = reference.ints("labels", device);
            (logits(&output), cross_entropy(output, labels, None).mean())
        },
        |model, dir, config| model.save(dir, config),
    );
}

#[test]
fn the_next_sentence() {
    check(
        "heads/next-sentence",
        BertForNextSentencePrediction::from_checkpoint,
        |model, reference, device| {
            let output = model.forward(reference.input(device));
            let labels = reference.ints("labels", device);
            (logits(&output), cross_entropy(output, labels, None).mean())
        },
        |model, dir, config| model.save(dir, config),
    );
}

#[test]
fn the_next_sentence_by_a_pretraining_checkpoint() {
    let reference = Reference::of("tiny-pretraining");
    for (label, device) in test_devices() {
        let model =
            BertForNextSentencePrediction::from_checkpoint(&open("tiny-pretraining"), &device)
                .unwrap();
        let output = model.forward(reference.input(&device));
        let mut trace = Trace::default();
        trace.push_tensor("next_sentence_logits", output.clone());
        let labels = reference.ints("next_sentence_label", &device);
        let loss = cross_entropy(output, labels, None).mean();
        trace.push_tensor("next_sentence_loss", loss);
        let differences = trace.differences(&reference.trace());
        assert_eq!(differences.len(), 2);
        let worst = worst(&differences, |difference| difference.max_abs);
        assert!(worst <= FORWARD_BAR, "{label}: {differences:?}");
    }
}

#[test]
fn class_weights_weigh_as_in_torch() {
    for (label, device) in test_devices() {
        let device = device.autodiff();
        for name in ["heads/single-label", "heads/token"] {
            let reference = Reference::of(name);
            let (values, shape) = reference.floats("logits");
            let classes = *shape.last().unwrap();
            let rows = values.len() / classes;
            let logits = reference.tensor::<1>("class_weights", &device); // fixes the float type
            let values: Vec<f32> = values.into_iter().map(|value| value as f32).collect();
            let weights = logits;
            let logits = Tensor::<2>::from_data(TensorData::new(values, [rows, classes]), &device)
                .require_grad();
            let (labels, _) = reference.integers("labels");
            assert_eq!(labels.contains(&IGNORED_LABEL), name == "heads/token");
            let labels = Tensor::<1, Int>::from_data(TensorData::new(labels, [rows]), &device);

            let loss = cross_entropy(logits.clone(), labels, Some(weights)).mean();
            let gradients = loss.backward();
            let mut trace = Trace::default();
            trace.push_tensor("weighted_loss", loss);
            let gradient = logits.grad(&gradients).unwrap();
            trace.push_tensor("weighted_logits_gradient", gradient);
            let differences = trace.differences(&reference.trace());
            assert_eq!(differences.len(), 2);
            let worst = worst(&differences, |difference| difference.max_abs);
            assert!(worst <= 1e-6, "{label} {name}: {differences:?}");
        }
    }
}

#[test]
fn a_wrong_weight_is_noticed() {
    // The bars must be able to fail: one weight of the head off by 1e-3.
    let device = first_device();
    let reference = Reference::of("heads/token");
    let mut model =
        BertForTokenClassification::from_checkpoint(&open("heads/token"), &device).unwrap();
    let weight = model.classifier.weight.clone();
    model.classifier.weight = weight.map(|weight| weight * 1.001);
    let trace = logits(&model.forward(reference.input(&device)));
    let differences = trace.differences(&reference.trace());
    assert!(worst(&differences, |difference| difference.max_abs) > FORWARD_BAR);
}

#[test]
fn labels_are_kept_and_problem_types_named() {
    let device = first_device();
    for (name, expected) in [
        (
            "heads/single-label",
            json!({
                "id2label": {"0": "contradiction", "1": "entailment", "2": "neutral"},
                "label2id": {"contradiction": 0, "entailment": 1, "neutral": 2},
                "problem_type": "single_label_classification",
                "classifier_dropout": 0.25,
            }),
        ),
        (
            "heads/regression",
            json!({
                "id2label": {"0": "similarity"},
                "label2id": {"similarity": 0},
                "problem_type": "regression",
                "classifier_dropout": null,
            }),
        ),
    ] {
        let checkpoint = open(name);
        let model = BertForSequenceClassification::from_checkpoint(&checkpoint, &device).unwrap();
        let dir = tempfile::tempdir().unwrap();
        save_sequence(&model, dir.path(), checkpoint.config()).unwrap();
        let saved = config_json(dir.path());
        for (field, value) in expected.as_object().unwrap() {
            assert_eq!(&saved[field], value, "{name} {field}");
        }
        let again = Checkpoint::open(dir.path()).unwrap();
        let labels = Labels::of(checkpoint.config()).unwrap();
        assert_eq!(Labels::of(again.config()).unwrap(), labels);

        let wrong = Labels::numbered(labels.count() + 1).unwrap();
        let config = checkpoint.config();
        let error = model.save(dir.path(), config, &wrong, ProblemType::MultiLabel);
        assert!(matches!(error, Err(Error::LabelNames { .. })), "{error:?}");
    }
    let error = BertForSequenceClassification::new(
        &BertConfig::new(37, 12, 2, 3, 29),
        1,
        &BertInit::new(&BertConfig::new(37, 12, 2, 3, 29), 0, &device),
    )
    .save(
        tempfile::tempdir().unwrap().path(),
        &BertConfig::new(37, 12, 2, 3, 29),
        &Labels::numbered(1).unwrap(),
        ProblemType::SingleLabel,
    );
    let message = error.unwrap_err().to_string();
    assert!(message.contains("problem_type"), "{message}");
}

#[test]
fn any_encoder_can_be_fine_tuned() {
    let device = first_device();
    let encoders = [
        "tiny-erf",
        "tiny-mlm",
        "tiny-pretraining",
        "heads/single-label",
    ];
    for name in encoders {
        let checkpoint = open(name);
        let init = BertInit::new(checkpoint.config(), 7, &device);
        let (model, report) =
            BertForSequenceClassification::from_encoder(&checkpoint, 5, &init).unwrap();
        let mut fresh = vec!["classifier.bias", "classifier.weight"];
        if !checkpoint.has_pooler() {
            assert_eq!(name, "tiny-mlm");
            let pooler = ["bert.pooler.dense.bias", "bert.pooler.dense.weight"];
            fresh.splice(0..0, pooler);
        }
        check_report(&report, &fresh, &checkpoint);
        assert_eq!(model.forward(probe(&device)).dims(), [2, 5], "{name}");

        // The encoder is the checkpoint's, the head depends on the seed.
        let trained = open(name)
            .load_model(Default::default(), &device)
            .unwrap()
            .0;
        let table = |model: &bert_core::model::BertModel| {
            model.embeddings.word_embeddings.weight.val().into_data()
        };
        assert_eq!(table(&model.bert), table(&trained), "{name}");
        let head = |seed| -> Vec<f32> {
            let init = BertInit::new(checkpoint.config(), seed, &device);
            let (model, _) =
                BertForSequenceClassification::from_encoder(&checkpoint, 5, &init).unwrap();
            let pooler = model.bert.pooler.unwrap().dense.weight.val();
            let values = model.classifier.weight.val().into_data();
            let pooler = pooler.into_data();
            values.iter::<f32>().chain(pooler.iter::<f32>()).collect()
        };
        assert_eq!(head(7), head(7), "{name}");
        assert_ne!(head(7), head(8), "{name}");

        let (model, report) = BertForTokenClassification::from_encoder(
            &checkpoint,
            3,
            &BertInit::new(checkpoint.config(), 7, &device),
        )
        .unwrap();
        check_report(
            &report,
            &["classifier.bias", "classifier.weight"],
            &checkpoint,
        );
        assert!(model.bert.pooler.is_none());
        assert_eq!(model.forward(probe(&device)).dims(), [2, 4, 3], "{name}");
    }

    let checkpoint = open("tiny-erf");
    let init = BertInit::new(checkpoint.config(), 7, &device);
    let (model, report) = BertForQuestionAnswering::from_encoder(&checkpoint, &init).unwrap();
    check_report(
        &report,
        &["qa_outputs.bias", "qa_outputs.weight"],
        &checkpoint,
    );
    assert_eq!(model.forward(probe(&device)).end.dims(), [2, 4]);
    let (model, _) = BertForMultipleChoice::from_encoder(&checkpoint, &init).unwrap();
    assert_eq!(model.forward(probe(&device), 2).dims(), [1, 2]);
    let (model, _) = BertForNextSentencePrediction::from_encoder(&checkpoint, &init).unwrap();
    assert_eq!(model.forward(probe(&device)).dims(), [2, 2]);

    let none = BertForTokenClassification::from_encoder(&checkpoint, 0, &init);
    assert!(matches!(none, Err(Error::Labels { .. })));
}

fn check_report(report: &LoadReport, fresh: &[&str], checkpoint: &Checkpoint) {
    assert_eq!(report.missing, fresh);
    assert!(report.unexpected.is_empty() && report.mismatched.is_empty());
    assert!(report.loaded.iter().all(|name| name.starts_with("bert.")));
    let encoder = checkpoint.tensors().count() - report.ignored.len();
    assert_eq!(report.loaded.len(), encoder);
}

fn probe(device: &Device) -> BertInput {
    let ids = vec![5, 6, 7, 8, 9, 10, 11, 0];
    BertInput::from_attention_mask(ids, vec![0; 8], vec![1; 8], [2, 4], device)
}

#[test]
fn an_encoder_with_a_gap_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    for file in ["config.json", "model.safetensors"] {
        fs::copy(fixture("tiny-erf").join(file), dir.path().join(file)).unwrap();
    }
    let mut config = config_json(dir.path());
    config["num_hidden_layers"] = json!(4);
    fs::write(dir.path().join("config.json"), config.to_string()).unwrap();
    let checkpoint = Checkpoint::open(dir.path()).unwrap();
    let init = BertInit::new(checkpoint.config(), 0, &first_device());
    let error = BertForQuestionAnswering::from_encoder(&checkpoint, &init).unwrap_err();
    assert!(error.to_string().contains("missing"), "{error}");
}

#[test]
fn heads_that_are_not_there_or_another_tasks_are_refused() {
    let device = first_device();
    let message = |error: Option<Error>| error.expect("it was accepted").to_string();
    let sequence =
        |name| message(BertForSequenceClassification::from_checkpoint(&open(name), &device).err());
    let token =
        |name| message(BertForTokenClassification::from_checkpoint(&open(name), &device).err());
    let choice = |name| message(BertForMultipleChoice::from_checkpoint(&open(name), &device).err());
    for (found, needles) in [
        (
            sequence("tiny-erf"),
            [
                "tiny-erf",
                "classifier.weight",
                "BertForSequenceClassification",
            ],
        ),
        (
            sequence("heads/token"),
            ["heads/token", "config.json", "BertForTokenClassification"],
        ),
        (
            token("heads/multi-label"),
            [
                "heads/multi-label",
                "architectures",
                "BertForSequenceClassification",
            ],
        ),
        (
            choice("heads/regression"),
            ["heads/regression", "BertForMultipleChoice", "load it as"],
        ),
        (
            message(BertForQuestionAnswering::from_checkpoint(&open("heads/token"), &device).err()),
            ["qa_outputs.weight", "qa_outputs.bias", "fine-tune"],
        ),
        (
            message(
                BertForNextSentencePrediction::from_checkpoint(&open("tiny-mlm"), &device).err(),
            ),
            ["cls.seq_relationship.weight", "tiny-mlm", "no head"],
        ),
    ] {
        for needle in needles {
            assert!(found.contains(needle), "`{needle}` is not in: {found}");
        }
    }
}

#[test]
fn labels_and_weights_that_disagree_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    for file in ["config.json", "model.safetensors"] {
        fs::copy(fixture("heads/token").join(file), dir.path().join(file)).unwrap();
    }
    let mut config = config_json(dir.path());
    config["id2label"] = json!({"0": "O", "1": "B-PER"});
    fs::write(dir.path().join("config.json"), config.to_string()).unwrap();
    let checkpoint = Checkpoint::open(dir.path()).unwrap();
    let error = BertForTokenClassification::from_checkpoint(&checkpoint, &first_device());
    let message = error.unwrap_err().to_string();
    assert!(message.contains("classifier.weight"), "{message}");
    assert!(message.contains("config.json"), "{message}");
}

#[test]
fn heads_of_fixed_width_do_not_inherit_labels() {
    // transformers takes the number of outputs of a question-answering head from the labels.
    let device = first_device();
    let checkpoint = open("heads/multi-label");
    let config = checkpoint.config();
    let init = BertInit::new(config, 0, &device);
    let dir = tempfile::tempdir().unwrap();
    let check = |saved: Result<()>| {
        saved.unwrap();
        let saved = config_json(dir.path());
        for field in ["id2label", "label2id", "problem_type"] {
            assert!(saved.get(field).is_none(), "{field}");
        }
    };
    let (model, _) = BertForQuestionAnswering::from_encoder(&checkpoint, &init).unwrap();
    check(model.save(dir.path(), config));
    let (model, _) = BertForMultipleChoice::from_encoder(&checkpoint, &init).unwrap();
    check(model.save(dir.path(), config));
    let (model, _) = BertForNextSentencePrediction::from_encoder(&checkpoint, &init).unwrap();
    check(model.save(dir.path(), config));
    // And one of tokens has no problem type.
    let (model, _) = BertForTokenClassification::from_encoder(&checkpoint, 2, &init).unwrap();
    let labels = Labels::new(["O", "I"]).unwrap();
    model.save(dir.path(), config, &labels).unwrap();
    let saved = config_json(dir.path());
    assert_eq!(saved["id2label"], json!({"0": "O", "1": "I"}));
    assert!(saved.get("problem_type").is_none());
}

#[test]
fn the_classifier_has_a_dropout_of_its_own() {
    for (label, device) in test_devices() {
        let run = |classifier_dropout, device: &Device| {
            let mut config = BertConfig::new(37, 12, 1, 3, 29);
            config.hidden_dropout_prob = 0.0;
            config.attention_probs_dropout_prob = 0.0;
            config.classifier_dropout = classifier_dropout;
            let init = BertInit::new(&config, 3, device);
            let text = BertForSequenceClassification::new(&config, 4, &init).forward(probe(device));
            let tokens = BertForTokenClassification::new(&config, 4, &init).forward(probe(device));
            let choice = BertForMultipleChoice::new(&config, &init).forward(probe(device), 2);
            [text.into_data(), tokens.into_data(), choice.into_data()]
        };
        let training = device.clone().autodiff();
        assert_eq!(run(None, &training), run(None, &training), "{label}");
        assert_eq!(run(Some(0.5), &device), run(Some(0.5), &device), "{label}");
        let (first, second) = (run(Some(0.5), &training), run(Some(0.5), &training));
        for (first, second) in first.iter().zip(&second) {
            assert_ne!(first, second, "{label}: no dropout in training");
        }
    }
}

#[test]
fn a_trace_has_the_logits_of_the_head() {
    let device = first_device();
    for (name, outputs) in [
        ("heads/single-label", &["logits"][..]),
        ("heads/token", &["logits"]),
        ("heads/multiple-choice", &["logits"]),
        ("heads/next-sentence", &["next_sentence_logits"]),
        ("heads/question-answering", &["start_logits", "end_logits"]),
        ("tiny-pretraining", &["logits", "next_sentence_logits"]),
    ] {
        let (checkpoint, reference) = (open(name), Reference::of(name));
        let hidden = checkpoint.config().hidden_size;
        let probe = Probe::new(&reference.input(&device), hidden, 0);
        let trace = agreement::trace(&checkpoint, &probe, &device).unwrap();
        let found: Vec<_> = trace.names().filter(|n| n.ends_with("logits")).collect();
        assert_eq!(found, outputs, "{name}");
        if name != "heads/next-sentence" {
            let mut differences = trace.differences(&reference.trace());
            differences.retain(|difference| outputs.contains(&difference.name.as_str()));
            assert_eq!(differences.len(), outputs.len());
            let worst = worst(&differences, |difference| difference.max_abs);
            assert!(worst <= FORWARD_BAR, "{name}: {differences:?}");
        }
    }
}
