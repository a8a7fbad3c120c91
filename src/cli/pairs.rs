//! Pairs of texts and how alike their vectors are in `bert finetune`, `bert predict` and
//! `bert evaluate`.

use anyhow::{Context, Result, bail};
use bert_core::config::BertConfig;
use bert_heads::datasets::{Dataset, SimilarExample, TextExample};
use bert_heads::metrics::Scores;
use bert_heads::runner::in_windows;
use bert_heads::sentence_embedding::{EmbeddingLayout, Poolings, SentenceEmbedder};
use bert_heads::tasks::similarity::{SimilarityLoss, SimilaritySettings};
use serde::Serialize;

use super::items::Item;
use super::note::note;
use super::output::Output;

/// Pooling and loss of sentence encoders.
#[derive(clap::Args)]
pub(crate) struct SimilarityArgs {
    /// For similarity: cosine (pairs with a score), or ranking (texts and what is like them; the rest
    /// of the batch is not, nor are columns called negative…)
    #[arg(long, value_enum, value_name = "LOSS", default_value_t = LossName::Cosine)]
    loss: LossName,
    /// For similarity: how token vectors become one: cls, mean, mean-sqrt-len, weighted-mean, max,
    /// last-token, or several joined by + [default: as the model's 1_Pooling/config.json says, else
    /// mean]
    #[arg(long)]
    pooling: Option<Poolings>,
    /// For similarity: what cosines are multiplied by in the ranking loss
    #[arg(long, value_name = "X", default_value_t = SimilaritySettings::default().scale)]
    scale: f64,
    /// For similarity: the scores that stand for the cosines 0 and 1 [default: the lowest and the
    /// highest of the training pairs, unless all are cosines]
    #[arg(
        long,
        value_name = "LOW,HIGH",
        value_delimiter = ',',
        allow_negative_numbers = true
    )]
    scores: Vec<f64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum LossName {
    Cosine,
    Ranking,
}

#[derive(Serialize)]
struct Line {
    index: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
    similarity: f64,
}

impl SimilarityArgs {
    /// True if similar texts come without a score.
    pub(crate) fn ranks(&self) -> bool {
        self.loss == LossName::Ranking
    }

    pub(crate) fn settings(
        &self,
        layout: &EmbeddingLayout,
        train: &[SimilarExample],
    ) -> Result<SimilaritySettings> {
        let scores = match self.scores.as_slice() {
            [] => score_range(train),
            &[low, high] => [low, high],
            others => bail!("--scores: {} number(s) instead of two", others.len()),
        };
        Ok(SimilaritySettings {
            loss: match self.loss {
                LossName::Cosine => SimilarityLoss::Cosine,
                LossName::Ranking => SimilarityLoss::Ranking,
            },
            pooling: self.pooling.clone().unwrap_or(layout.pooling.clone()),
            normalize: layout.normalize,
            scale: self.scale,
            scores,
        })
    }
}

/// Default maximal length of texts for an encoder, in tokens.
pub(crate) fn usual_length(
    layout: &EmbeddingLayout,
    config: &BertConfig,
    otherwise: usize,
) -> usize {
    let length = layout.max_length.unwrap_or(otherwise);
    length.min(config.max_input_length())
}

/// The lowest and highest score; those of cosines stand for themselves.
fn score_range(train: &[SimilarExample]) -> [f64; 2] {
    let scores = || train.iter().filter_map(|example| example.score);
    if scores().all(|score| (-1.0..=1.0).contains(&score)) {
        return [0.0, 1.0];
    }
    let (low, high) = scores().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), score| {
        (low.min(score), high.max(score))
    });
    note(format_args!(
        "scores from {low} to {high} are trained as cosines from 0 to 1; --scores says otherwise"
    ));
    [low, high]
}

/// Predicts the similarities of a stream of pairs.
pub(crate) fn predict(
    model: &SentenceEmbedder,
    items: impl Iterator<Item = Result<Item>>,
    output: &mut Output,
) -> Result<()> {
    let predict = |items: &[Item]| {
        let pair = |item: &Item| {
            item.pair.is_some().then_some(()).with_context(|| {
                let place = item.place();
                format!(
                    "{place}: it is alone, but the model compares two: for vectors use `bert embed`"
                )
            })
        };
        items.iter().try_for_each(pair)?;
        let pairs = items.iter();
        let pairs = pairs.filter_map(|item| Some((item.text.as_str(), item.pair.as_deref()?)));
        Ok(model.similarities(&pairs.collect::<Vec<_>>())?)
    };
    in_windows(items, Item::bytes, predict, |index, item, similarity| {
        output.json(&Line {
            index,
            line: item.line,
            similarity,
        })
    })?;
    Ok(())
}

/// Scores the similarities of pairs, and writes them.
pub(crate) fn evaluate(
    model: &SentenceEmbedder,
    data: &Dataset<TextExample>,
    lines: Option<&mut Output>,
) -> Result<Scores> {
    let (scores, cosines) = model.evaluate(data)?;
    if let Some(output) = lines {
        for (index, (example, similarity)) in data.examples.iter().zip(cosines).enumerate() {
            output.json(&Line {
                index,
                line: Some(example.line),
                similarity,
            })?;
        }
    }
    Ok(scores)
}
