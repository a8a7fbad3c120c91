//! Similarity of texts as a task.

use std::path::Path;

use bert_core::checkpoint::Checkpoint;
use bert_core::config::BertConfig;
use bert_core::stop::ShouldStop;
use bert_core::tokenizer::EncodeOptions;

use super::{row_similarities, score_similarity, similarity_rows};
use crate::datasets::{SimilarExample, TextExample};
use crate::error::{Error, Result};
use crate::labels::Labels;
use crate::model_kind::ModelKind;
use crate::runner::Row;
use crate::sentence_embedding::{DenseConfig, EmbeddingLayout, SentenceEncoder};
use crate::task::{Context, Prepared, Reads, Settings, Splits, Task, TaskEntry};

/// Vectors of texts whose cosine says how alike they are.
#[derive(Clone, Copy, Debug)]
pub struct Similarity;

/// Vectors of texts whose cosine says how alike they are.
pub static SIMILARITY: TaskEntry = TaskEntry {
    name: "similarity",
    model_kind: ModelKind::Sentences,
    problem_type: None,
    own_labels: Some(&["similarity"]),
    named_outputs: false,
    exclusive_classes: false,
    crf: false,
    usual_length: 128,
    reads: Reads::Similar,
    head: None,
    empty_scores: |_, _| Ok(score_similarity(&[], &[])),
};

impl Task for Similarity {
    type Example = SimilarExample;
    type Held = TextExample;
    type Model = SentenceEncoder;

    fn entry(&self) -> &'static TaskEntry {
        &SIMILARITY
    }

    fn complete(&self, settings: &mut Settings) {
        settings.similarity.get_or_insert_default();
    }

    /// The directory that is saved is one of sentence-transformers.
    fn prepare(
        &self,
        data: &Splits<SimilarExample, TextExample>,
        context: Context<'_>,
    ) -> Result<Prepared<SentenceEncoder>> {
        let Context {
            settings,
            checkpoint,
            tokenizer,
            featurizer,
            ..
        } = context;
        let length = settings.max_length;
        let similarity = settings.similarity.clone().unwrap_or_default();
        let (rows, cut) = similarity_rows(&data.train, &similarity, tokenizer, length)?;
        let hidden_size = checkpoint.config().hidden_size;
        let pooled = similarity.pooling.each().len() * hidden_size;
        let layout = EmbeddingLayout {
            dense: dense(checkpoint, settings, pooled)?,
            pooling: similarity.pooling,
            normalize: similarity.normalize,
            max_length: Some(length),
        };
        let mut prepared = Prepared::new(rows, cut);
        prepared.files = Box::new(move |dir| layout.save(dir, hidden_size));
        let Some(validation) = &data.validation else {
            return Ok(prepared);
        };
        let gold = validation.pair_scores()?;
        let texts = validation.examples.iter();
        let texts = texts.flat_map(|example| [Some(&example.text), example.pair.as_ref()]);
        let options = EncodeOptions::truncated(length);
        let encodings = tokenizer.encode_batch(texts.flatten(), &options)?;
        let rows: Vec<Row> = encodings.iter().map(Row::of).collect();
        let evaluate = move |model: &SentenceEncoder, should_stop: ShouldStop<'_>| {
            let cosines = row_similarities(model, &featurizer, &rows, should_stop)?;
            Ok(score_similarity(&gold, &cosines))
        };
        Ok(prepared.with_evaluation(evaluate))
    }

    fn save(
        &self,
        model: &SentenceEncoder,
        dir: &Path,
        config: &BertConfig,
        _labels: &Labels,
    ) -> Result<()> {
        model.save(dir, config)
    }
}

/// The Dense modules that follow the pooling and are trained with the encoder.
fn dense(checkpoint: &Checkpoint, settings: &Settings, pooled: usize) -> Result<Vec<DenseConfig>> {
    let dense = EmbeddingLayout::read(checkpoint.dir())?.dense;
    let refuse = |option, value: String, expected| {
        Err(Error::InvalidOption {
            option,
            value,
            expected,
        })
    };
    match dense.first() {
        Some(_) if settings.from_scratch => refuse(
            "from scratch:",
            checkpoint.dir().display().to_string(),
            "an encoder without Dense modules, whose weights would not be random",
        ),
        Some(first) if first.in_features != pooled => refuse(
            "pooling",
            format!("to {pooled} numbers"),
            "the numbers that the Dense module after it takes",
        ),
        _ => Ok(dense),
    }
}
