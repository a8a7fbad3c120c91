//! A run of fine-tuning on toy data, and what the tests vary of it.

use std::fs;
use std::path::{Path, PathBuf};

use bert_core::checkpoint::Checkpoint;
use bert_core::device::{Device, test_devices};
use bert_core::tokenizer::BertTokenizer;
use bert_core::training::{
    Event, Observer, Recipe, RunContext, RunInfo, Split, Summary, TrainerOptions,
};
use bert_heads::Result;
use bert_heads::datasets::{Dataset, Target, TextExample, TokenExample};
use bert_heads::finetune::TrainingData;
use bert_heads::labels::Labels;
use bert_heads::task::{LayerRules, Settings, Splits};
use bert_heads::tasks::sequence_classification::{ProblemType, SequenceClassification};
use serde_json::Value;
use tempfile::TempDir;

pub(crate) fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../bert-core/fixtures/tiny-pretraining")
}

/// The tiny encoder, with another dropout than its own.
pub(crate) fn encoder(dropout: f64) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for name in ["model.safetensors", "vocab.txt", "tokenizer_config.json"] {
        fs::copy(fixture().join(name), dir.path().join(name)).unwrap();
    }
    let config = fs::read_to_string(fixture().join("config.json")).unwrap();
    let mut config: Value = serde_json::from_str(&config).unwrap();
    for field in ["hidden_dropout_prob", "attention_probs_dropout_prob"] {
        config[field] = dropout.into();
    }
    fs::write(dir.path().join("config.json"), config.to_string()).unwrap();
    dir
}

/// Texts on a cat or a dog; the animal is the class.
pub(crate) fn texts(target: impl Fn(usize) -> Target) -> Dataset<TextExample> {
    let frames = [
        "the {} sat on the mat",
        "hello {} ?",
        "a lazy {} was near the river bank",
        "the old {} is in paris",
        "who wrote it , the {} ?",
        "brown {} over the end of the plan , quick and not quick",
    ];
    let examples = (0..12).map(|index| TextExample {
        text: frames[index / 2].replace("{}", ["cat", "dog"][index % 2]),
        pair: None,
        target: target(index % 2),
        line: index + 1,
    });
    Dataset {
        path: "animals.tsv".into(),
        examples: examples.collect(),
    }
}

pub(crate) fn classes() -> Dataset<TextExample> {
    texts(|animal| Target::Label(["cat", "dog"][animal].to_owned()))
}

pub(crate) fn sentences() -> Dataset<TokenExample> {
    let sentence = |text: &str| {
        let (words, tags) = text
            .split(' ')
            .map(|word| word.split_once('/').unwrap())
            .unzip();
        let owned = |words: Vec<&str>| words.into_iter().map(str::to_owned).collect();
        TokenExample {
            words: owned(words),
            tags: Some(owned(tags)),
            line: 1,
        }
    };
    let sentences = [
        "the/O cat/O is/O in/O Paris/B-LOC",
        "France/B-LOC and/O Paris/B-LOC",
        "hello/O \u{ad}/O Paris/B-LOC ,/O old/O dog/O",
        "a/O quick/O fox/O at/O the/O river/B-LOC bank/I-LOC .",
    ];
    Dataset {
        path: "places.conll".into(),
        examples: sentences
            .map(|text| sentence(&text.replace(" .", " ./O")))
            .to_vec(),
    }
}

/// Notes what is trained and evaluated, and stops the run after some steps.
#[derive(Debug)]
pub(crate) struct Course {
    pub(crate) losses: Vec<f64>,
    pub(crate) evaluations: Vec<Event>,
    pub(crate) messages: Vec<String>,
    pub(crate) stop_after: usize,
}

impl Observer for Course {
    fn start(&mut self, _run: &RunInfo) -> bert_core::Result<()> {
        Ok(())
    }

    fn event(&mut self, event: &Event) -> bert_core::Result<()> {
        match event.split {
            Split::Train => self.losses.push(event.value("loss").unwrap()),
            Split::Evaluation => self.evaluations.push(event.clone()),
        }
        Ok(())
    }

    fn message(&mut self, text: &str) {
        self.messages.push(text.to_owned());
    }

    fn wants_to_stop(&self) -> bool {
        self.losses.len() >= self.stop_after
    }

    fn finish(&mut self) -> bert_core::Result<()> {
        Ok(())
    }
}

/// A run, and what differs between the runs of these tests.
pub(crate) struct Trial {
    pub(crate) encoder: TempDir,
    pub(crate) out: TempDir,
    pub(crate) device: Device,
    pub(crate) data: TrainingData,
    pub(crate) settings: Settings,
    pub(crate) patience: Option<u64>,
    pub(crate) evaluate_every: u64,
    pub(crate) stop_after: usize,
}

impl Trial {
    pub(crate) fn new(labels: &[&str], data: TrainingData, steps: u64) -> Self {
        let names = Labels::new(labels.iter().copied()).unwrap();
        let recipe = Recipe::HuggingFace;
        Self {
            // Tests share the random numbers of a device, and with them dropout.
            encoder: encoder(0.0),
            out: tempfile::tempdir().unwrap(),
            device: test_devices().swap_remove(0).1,
            settings: Settings {
                model: "tiny".to_owned(),
                from_scratch: false,
                data: "toy".to_owned(),
                labels: names.names().to_vec(),
                class_weights: None,
                recipe,
                optimizer: recipe.optimizer(),
                schedule: recipe.schedule(1e-2, steps / 10, steps),
                layers: LayerRules::default(),
                crf: None,
                batch_size: 4,
                accumulate: 1,
                bucket: 3,
                max_length: 32,
                metric: data.task().best_metric(&names, None).unwrap(),
                seed: 5,
                questions: None,
                similarity: None,
            },
            data,
            patience: None,
            evaluate_every: 10,
            stop_after: usize::MAX,
        }
    }

    pub(crate) fn classify(steps: u64) -> Self {
        let splits = Splits {
            train: classes(),
            validation: Some(classes()),
        };
        let task = SequenceClassification::of(ProblemType::SingleLabel);
        Self::new(&["cat", "dog"], TrainingData::new(task, splits), steps)
    }

    pub(crate) fn run(&self, resume: bool) -> Result<(Summary, Course)> {
        let mut course = Course {
            losses: Vec::new(),
            evaluations: Vec::new(),
            messages: Vec::new(),
            stop_after: self.stop_after,
        };
        let checkpoint = Checkpoint::open(self.encoder.path()).unwrap();
        let tokenizer = BertTokenizer::from_dir(self.encoder.path()).unwrap();
        let settings = self.settings.clone();
        let data = self.data.prepare(settings, &checkpoint, &tokenizer, None)?;
        let context = RunContext {
            options: TrainerOptions {
                log_every: 1,
                evaluate_every: self.evaluate_every,
                patience: self.patience,
                ..TrainerOptions::default()
            },
            resume,
            ..RunContext::new(self.device.clone(), self.out.path(), &mut course)
        };
        let summary = data.train(&checkpoint, &tokenizer, context)?;
        Ok((summary, course))
    }

    /// A step that changes next to nothing, begun with the model that another run has left.
    pub(crate) fn one_step_after(&mut self, first: &Self) -> Course {
        self.settings.schedule = Recipe::HuggingFace.schedule(1e-9, 0, 1);
        for file in ["config.json", "model.safetensors"] {
            fs::copy(first.out.path().join(file), self.encoder.path().join(file)).unwrap();
        }
        self.run(false).unwrap().1
    }

    pub(crate) fn weights(&self) -> Vec<u8> {
        fs::read(self.out.path().join("model.safetensors")).unwrap()
    }
}

pub(crate) fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}
