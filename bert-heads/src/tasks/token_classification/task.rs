//! Labels of words as a task.

use std::path::Path;

use bert_core::checkpoint::Checkpoint;
use bert_core::config::BertConfig;
use bert_core::stop::ShouldStop;

use super::{
    BertForTokenClassification, Crf, HEAD, gold_tags, has_crf, score_tokens, token_rows,
    word_logits,
};
use crate::datasets::TokenExample;
use crate::error::Result;
use crate::labels::Labels;
use crate::model_kind::ModelKind;
use crate::task::{Context, Prepared, Reads, Settings, Splits, Task, TaskEntry};

/// A label per word.
#[derive(Clone, Copy, Debug)]
pub struct TokenClassification;

/// A label per word.
pub static TOKENS: TaskEntry = TaskEntry {
    name: "tokens",
    model_kind: ModelKind::Tokens,
    problem_type: None,
    own_labels: None,
    named_outputs: true,
    exclusive_classes: true,
    crf: true,
    usual_length: 128,
    reads: Reads::Words,
    head: Some(&HEAD),
    empty_scores: |labels, _| score_tokens(labels, None, &[], &[]),
};

impl Task for TokenClassification {
    type Example = TokenExample;
    type Held = TokenExample;
    type Model = BertForTokenClassification;

    fn entry(&self) -> &'static TaskEntry {
        &TOKENS
    }

    fn prepare(
        &self,
        data: &Splits<TokenExample>,
        context: Context<'_>,
    ) -> Result<Prepared<BertForTokenClassification>> {
        let Context {
            settings,
            labels,
            tokenizer,
            featurizer,
            ..
        } = context;
        let (rows, cut) = token_rows(&data.train, labels, tokenizer, settings.max_length)?;
        let prepared = Prepared::new(rows, cut);
        let Some(validation) = &data.validation else {
            return Ok(prepared);
        };
        let words = validation.examples.iter();
        let features = featurizer.words(words.map(|example| example.words.as_slice()))?;
        let gold = gold_tags(validation, labels)?;
        let gold: Vec<Vec<String>> = gold.into_iter().map(<[String]>::to_vec).collect();
        let labels = labels.clone();
        let evaluate = move |model: &BertForTokenClassification, should_stop: ShouldStop<'_>| {
            let logits = word_logits(model, &featurizer, &features, should_stop)?;
            let gold: Vec<&[String]> = gold.iter().map(Vec::as_slice).collect();
            let chain = model.crf.as_ref().map(Crf::chain).transpose()?;
            score_tokens(&labels, chain.as_ref(), &gold, &logits)
        };
        Ok(prepared.with_evaluation(evaluate))
    }

    /// Tags that were chosen together are not what single words alone would choose.
    fn continues(&self, checkpoint: &Checkpoint, settings: &Settings) -> Result<bool> {
        Ok(settings.crf.is_some() || !has_crf(checkpoint)?)
    }

    fn save(
        &self,
        model: &BertForTokenClassification,
        dir: &Path,
        config: &BertConfig,
        labels: &Labels,
    ) -> Result<()> {
        model.save(dir, config, labels)
    }
}
