//! Logits, losses and gradients.

use std::fs;
use std::path::Path;

use bert_core::agreement::{
    Difference, FORWARD_BAR, GRADIENT_BAR, Probe, Trace, push_gradients, without_dropout,
};
use bert_core::checkpoint::Checkpoint;
use bert_core::config::BertConfig;
use bert_core::device::test_devices;
use bert_heads::labels::Labels;
use bert_heads::losses::{
    IGNORED_LABEL, binary_cross_entropy_of_tokens, binary_cross_entropy_with_logits, cross_entropy,
    mean_squared_error,
};
use bert_heads::tasks::multiple_choice::BertForMultipleChoice;
use bert_heads::tasks::next_sentence::BertForNextSentencePrediction;
use bert_heads::tasks::question_answering::{BertForQuestionAnswering, question_answering_loss};
use bert_heads::tasks::replaced_tokens::BertForReplacedTokens;
use bert_heads::tasks::sequence_classification::BertForSequenceClassification;
use bert_heads::tasks::token_classification::{
    BertForTokenClassification, token_classification_loss,
};
use bert_heads::{Result, agreement};
use burn::module::Module;
use burn::tensor::{Device, Int, Tensor, TensorData};
use safetensors::SafeTensors;

use crate::zoo;

use super::reference::{Reference, config_json, first_device, fixture, open, save_sequence};

const NUM_CHOICES: usize = 3;

/// Forward pass of a model for a reference: logits under their names, and the loss.
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
    let expected = under_our_names(&reference.trace(), &checkpoint);
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
        let differences = trace.differences_where_defined(&expected);
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

/// The values of a reference, its gradients under the names that our parameters have.
fn under_our_names(reference: &Trace, checkpoint: &Checkpoint) -> Trace {
    let config = checkpoint.config();
    let class = config.extra["architectures"][0].as_str().unwrap();
    let mut renamed = Trace::default();
    for name in reference.names() {
        let ours = match name.strip_prefix("grad.") {
            Some(parameter) => format!("grad.{}", config.family.our_name_in(parameter, &[class])),
            None => name.to_owned(),
        };
        renamed.push(ours, reference.get(name).unwrap().to_vec());
    }
    renamed
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

/// The fixtures of every family with a head of this class.
fn names(class: &str) -> Vec<String> {
    let fixtures = zoo::of_class(class).into_iter();
    fixtures.map(|fixture| fixture.name).collect()
}

/// The fixtures of every family with a classifier of texts whose labels are of a kind.
fn texts(problem_type: &str) -> Vec<String> {
    let mut names = names("ForSequenceClassification");
    names.retain(|name| {
        let stated = config_json(&fixture(name))["problem_type"].clone();
        stated.as_str().unwrap_or("single_label_classification") == problem_type
    });
    names
}

#[test]
fn one_label_per_text() {
    for name in texts("single_label_classification") {
        check(
            &name,
            BertForSequenceClassification::from_checkpoint,
            |model, reference, device| {
                let output = model.forward(reference.input(device));
                let labels = reference.ints("labels", device);
                (logits(&output), cross_entropy(output, labels, None).mean())
            },
            save_sequence,
        );
    }
}

#[test]
fn many_labels_per_text() {
    for name in texts("multi_label_classification") {
        check(
            &name,
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
}

#[test]
fn a_number_per_text() {
    for name in texts("regression") {
        check(
            &name,
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
}

#[test]
fn a_label_per_token() {
    for name in names("ForTokenClassification") {
        check(
            &name,
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
}

#[test]
fn a_score_per_token() {
    let mut fixtures = names("ForPreTraining");
    fixtures.retain(|name| open(name).config().heads.replaced_tokens);
    assert!(!fixtures.is_empty());
    for name in fixtures {
        check(
            &name,
            BertForReplacedTokens::from_checkpoint,
            |model, reference, device| {
                let output = model.forward(reference.input(device));
                let labels = reference.ints("labels", device);
                let loss = binary_cross_entropy_of_tokens(output.clone(), labels);
                (logits(&output), loss.mean())
            },
            |model, dir, config| {
                let class = BertForReplacedTokens::architecture(config);
                Ok(bert_core::checkpoint::save(dir, model, config, &class)?)
            },
        );
    }
}

#[test]
fn a_span_per_question() {
    for name in names("ForQuestionAnswering") {
        check(
            &name,
            BertForQuestionAnswering::from_checkpoint,
            |model, reference, device| {
                // The loss of transformers counts the scores of padding.
                let output = model.forward(reference.input(device).padded());
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
}

#[test]
fn one_choice_of_several() {
    for name in names("ForMultipleChoice") {
        check(
            &name,
            BertForMultipleChoice::from_checkpoint,
            |model, reference, device| {
                let output = model.forward(reference.input(device), NUM_CHOICES);
                let labels = reference.ints("labels", device);
                (logits(&output), cross_entropy(output, labels, None).mean())
            },
            |model, dir, config| model.save(dir, config),
        );
    }
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
            let weights = reference.tensor("class_weights", &device);
            let values: Vec<f32> = values.into_iter().map(|value| value as f32).collect();
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
fn a_trace_has_the_logits_of_the_head() {
    let device = first_device();
    let of = |class, outputs: &'static [&'static str]| {
        let fixtures = zoo::of_class(class).into_iter();
        fixtures.map(move |fixture| (fixture.name, outputs))
    };
    let pretraining = [(
        "tiny-pretraining".to_owned(),
        &["logits", "next_sentence_logits"][..],
    )];
    let all = of("ForMaskedLM", &["logits"])
        .chain(of("ForSequenceClassification", &["logits"]))
        .chain(of("ForTokenClassification", &["logits"]))
        .chain(of("ForMultipleChoice", &["logits"]))
        .chain(of("ForQuestionAnswering", &["start_logits", "end_logits"]))
        .chain(of("ForNextSentencePrediction", &["next_sentence_logits"]))
        .chain(pretraining);
    for (name, outputs) in all {
        let name = name.as_str();
        let (checkpoint, reference) = (open(name), Reference::of(name));
        let hidden = checkpoint.config().hidden_size;
        let probe = Probe::new(&reference.input(&device), hidden, 0);
        let trace = agreement::trace(&checkpoint, &probe, &device).unwrap();
        let found: Vec<_> = trace.names().filter(|n| n.ends_with("logits")).collect();
        assert_eq!(found, outputs, "{name}");
        if name != "heads/next-sentence" {
            let mut differences = trace.differences_where_defined(&reference.trace());
            differences.retain(|difference| outputs.contains(&difference.name.as_str()));
            assert_eq!(differences.len(), outputs.len());
            let worst = worst(&differences, |difference| difference.max_abs);
            assert!(worst <= FORWARD_BAR, "{name}: {differences:?}");
        }
    }
}
