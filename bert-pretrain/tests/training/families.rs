//! Runs of every family from its own vocabulary: they learn, go on from their checkpoints, and resume bit for bit.

use std::path::PathBuf;
use std::sync::Arc;

use bert_core::checkpoint::Checkpoint;
use bert_core::config::BertConfig;
use bert_core::device::{Device, test_devices};
use bert_core::models::{FAMILIES, Family};
use bert_core::tokenizer::BertTokenizer;
use bert_core::training::{Event, Recipe, RunContext, Split, Summary, TrainerOptions};
use bert_heads::tasks::masked_lm::BertForMaskedLm;
use bert_heads::tasks::replaced_tokens::BertForReplacedTokens;
use bert_pretrain::corpus::{CorpusOptions, Documents, Layout, TokenizedCorpus};
use bert_pretrain::instances::{MaskingOptions, PairOptions, Replacement};
use bert_pretrain::model::BertForPreTraining;
use bert_pretrain::objective::PreTrainingModel;
use bert_pretrain::replaced_tokens::{GENERATOR, ReplacedTokenDetection};
use bert_pretrain::run::{Data, ReplacedTokenOptions, Run, Settings, evaluate, held_out_batches};
use bert_pretrain::vocab::{VocabOptions, train_vocab};

use crate::common::Recorder;

const SEED: u64 = 5;

/// A family with its vocabulary, a small model and a text.
struct Workshop {
    dir: tempfile::TempDir,
    tokenizer: BertTokenizer,
    config: BertConfig,
    documents: Documents,
    device: Device,
    replaced_tokens: Option<ReplacedTokenOptions>,
}

/// One session of a run.
struct Session<'a> {
    output: &'a str,
    initial: Option<&'a str>,
    steps: u64,
    peak: f64,
    stop_after: Option<usize>,
}

/// Sentences in which most words follow from the others.
fn text() -> String {
    let subjects = ["The river", "A green bird", "Our old friend", "The letter"];
    let ends = [
        "flows to the sea",
        "sings at dawn",
        "walks home again",
        "lies on the table",
    ];
    let mut text = String::new();
    for document in 0..40 {
        for sentence in 0..6 {
            let index = (document * 7 + sentence * 3) % 4;
            text += &format!("{} {} .\n", subjects[index], ends[index]);
        }
        text.push('\n');
    }
    text
}

impl Workshop {
    fn new(family: &'static Family, replaced_tokens: Option<ReplacedTokenOptions>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("text.txt");
        std::fs::write(&path, text()).unwrap();
        let inputs = [path];
        let corpus = CorpusOptions {
            layout: Layout::Lines,
            ..CorpusOptions::default()
        };
        let options = VocabOptions {
            family,
            size: 320,
            corpus: corpus.clone(),
            ..VocabOptions::default()
        };
        let trained = train_vocab(&inputs, &options, &mut |_| {}).unwrap();
        // As a run reads it: from its directory.
        trained.tokenizer.save(&dir.path().join("vocab")).unwrap();
        let tokenizer = BertTokenizer::from_dir(dir.path().join("vocab")).unwrap();
        let sizes = BertConfig::new(tokenizer.vocab_size(), 24, 2, 2, 48);
        let mut config = sizes
            .in_family(family, tokenizer.pad_id() as usize)
            .unwrap();
        // Tests beside this one draw from the generator of the same device.
        config.hidden_dropout_prob = 0.0;
        config.attention_probs_dropout_prob = 0.0;
        // Narrower embeddings where a family has a projection.
        config.embedding_size = config.embedding_size.map(|_| 12);
        let cache = dir.path().join("corpus");
        let documents =
            TokenizedCorpus::open_or_build(&cache, &inputs, &tokenizer, &corpus, &mut |_| {});
        Self {
            documents: Arc::new(documents.unwrap()),
            device: test_devices().swap_remove(0).1,
            dir,
            tokenizer,
            config,
            replaced_tokens,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn settings(&self, session: &Session<'_>) -> Settings {
        let recipe = Recipe::HuggingFace;
        Settings {
            data: "text".to_owned(),
            initial: session.initial.unwrap_or("random").to_owned(),
            recipe,
            optimizer: recipe.optimizer(),
            schedule: recipe.schedule(session.peak, 2, session.steps),
            batch_size: 8,
            accumulate: 2,
            pairs: PairOptions {
                max_seq_length: 32,
                short_seq_probability: 0.1,
                next_sentence: self.config.heads.next_sentence,
            },
            masking: MaskingOptions {
                max_predictions: 6,
                replacement: match self.replaced_tokens {
                    Some(_) => Replacement::Mask,
                    None => Replacement::MaskOrRandom,
                },
                ..MaskingOptions::default()
            },
            pad_to_length: false,
            long: None,
            replaced_tokens: self.replaced_tokens,
            seed: SEED,
        }
    }

    /// Begins a run or resumes it, and returns its losses.
    fn run(&self, session: &Session<'_>) -> (Summary, Vec<f64>) {
        let mut recorder = Recorder {
            stop_after: session.stop_after,
            ..Recorder::default()
        };
        let initial = session
            .initial
            .map(|name| Checkpoint::open(self.path(name)).unwrap());
        let summary = Run {
            settings: self.settings(session),
            config: self.config.clone(),
            initial,
            tokenizer: self.tokenizer.clone(),
            data: Data::Documents(Arc::clone(&self.documents)),
            held_out: Some(Arc::clone(&self.documents)),
            evaluation_batches: 4,
        }
        .run(RunContext {
            options: TrainerOptions {
                log_every: 1,
                ..TrainerOptions::default()
            },
            resume: true,
            ..RunContext::new(
                self.device.clone(),
                self.path(session.output),
                &mut recorder,
            )
        })
        .unwrap();
        let trained = |event: &&Event| event.split == Split::Train;
        let losses = recorder.events.iter().filter(trained);
        (
            summary,
            losses.filter_map(|event| event.value("loss")).collect(),
        )
    }

    /// The evaluation of a directory that a run wrote.
    fn evaluation<M: PreTrainingModel>(&self, session: &Session<'_>) -> Vec<(String, f64)> {
        let settings = self.settings(session);
        let checkpoint = Checkpoint::open(self.path(session.output)).unwrap();
        let (model, missing) = M::load(&checkpoint, &settings, &self.device).unwrap();
        assert_eq!(missing, [""; 0]);
        let batches = held_out_batches(
            &self.documents,
            &self.tokenizer,
            settings.pairs,
            settings.masking,
            settings.batch_size,
            4,
        );
        evaluate(&model, &batches.unwrap())
    }

    fn weights(&self, output: &str) -> Vec<Vec<u8>> {
        let dir = self.path(output);
        [dir.join(GENERATOR), dir]
            .iter()
            .filter_map(|dir| std::fs::read(dir.join("model.safetensors")).ok())
            .collect()
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// A family's run learns, its result evaluates as it did and is gone on from, and an interrupted run equals it.
fn check<M: PreTrainingModel>(family: &'static Family, options: Option<ReplacedTokenOptions>) {
    let workshop = Workshop::new(family, options);
    let name = family.name;
    let whole = Session {
        output: "whole",
        initial: None,
        steps: 60,
        peak: 1e-2,
        stop_after: None,
    };
    let (summary, losses) = workshop.run(&whole);
    assert!(summary.finished);
    let (first, last) = (mean(&losses[..5]), mean(&losses[55..]));
    assert!(last < 0.75 * first, "{name}: from {first} to {last}");

    let number = |values: &[(String, f64)], name: &str| {
        let found = values.iter().find(|(other, _)| other == name);
        found.map(|(_, value)| *value).unwrap()
    };
    let evaluation = workshop.evaluation::<M>(&whole);
    let loss = summary.evaluation["loss"].as_f64().unwrap();
    assert_eq!(number(&evaluation, "loss"), loss, "{name}");

    // Steps too small to matter.
    let further = Session {
        output: "further",
        initial: Some("whole"),
        steps: 3,
        peak: 1e-12,
        stop_after: None,
    };
    let (summary, _) = workshop.run(&further);
    let again = summary.evaluation["loss"].as_f64().unwrap();
    assert!(
        (again - loss).abs() <= 1e-5 * loss,
        "{name}: {again} after {loss}"
    );

    let mut resumed = Vec::new();
    for stop_after in [Some(7), Some(20), None] {
        let part = Session {
            output: "parts",
            stop_after,
            ..whole
        };
        resumed.extend(workshop.run(&part).1);
    }
    assert_eq!(resumed, losses, "{name}");
    assert!(
        workshop.weights("parts") == workshop.weights("whole"),
        "{name}"
    );
}

#[test]
fn every_family_learns_and_goes_on() {
    for family in FAMILIES {
        check::<BertForPreTraining>(family, None);
    }
}

#[test]
fn families_with_the_head_learn_to_tell_replaced_tokens() {
    let families = FAMILIES.into_iter();
    let mut families = families
        .filter(|family| family.heads.replaced_tokens)
        .peekable();
    assert!(families.peek().is_some());
    for family in families {
        let options = ReplacedTokenOptions {
            generator_size: 0.5,
        };
        check::<ReplacedTokenDetection>(family, Some(options));
    }
}

#[test]
fn discriminator_and_generator_are_models_of_their_own_with_the_same_embeddings() {
    let electra = bert_core::models::family("electra").unwrap();
    let options = ReplacedTokenOptions {
        generator_size: 0.5,
    };
    let workshop = Workshop::new(electra, Some(options));
    let session = Session {
        output: "run",
        initial: None,
        steps: 2,
        peak: 1e-3,
        stop_after: None,
    };
    workshop.run(&session);
    let dir = workshop.path("run");
    let device = &workshop.device;
    let checkpoint = Checkpoint::open(&dir).unwrap();
    let discriminator = BertForReplacedTokens::from_checkpoint(&checkpoint, device).unwrap();
    let checkpoint = Checkpoint::open(dir.join(GENERATOR)).unwrap();
    let config = checkpoint.config();
    assert_eq!((config.hidden_size, config.intermediate_size), (12, 24));
    assert_eq!(
        (config.num_hidden_layers, config.num_attention_heads),
        (2, 1)
    );
    let generator = BertForMaskedLm::from_checkpoint(&checkpoint, device).unwrap();
    let table = |embedding: &burn::nn::Embedding| embedding.weight.val().into_data();
    let (a, b) = (&discriminator.bert.embeddings, &generator.bert.embeddings);
    assert_eq!(table(&a.word_embeddings), table(&b.word_embeddings));
    let positions = [a, b].map(|part| part.position_embeddings.as_ref().map(table));
    assert!(positions[0].is_some() && positions[0] == positions[1]);
    // Tokenizers stand beside both.
    for dir in [dir.clone(), dir.join(GENERATOR)] {
        let tokenizer = BertTokenizer::from_dir(dir).unwrap();
        assert_eq!(tokenizer.vocab_size(), workshop.tokenizer.vocab_size());
    }
}
