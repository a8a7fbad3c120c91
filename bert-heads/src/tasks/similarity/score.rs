//! Similarity of texts: the cosine of their vectors, or another function that the model's files
//! name.

use bert_core::batch::BertInput;
use bert_core::stop::ShouldStop;
use burn::tensor::{Device, Tensor};

use crate::datasets::{Dataset, RowFault, Target, TextExample};
use crate::error::{Error, Result};
use crate::metrics::{RegressionScorer, Scores};
use crate::runner::{Featurizer, Row, RowModel, run_rows};
use crate::sentence_embedding::{SentenceEmbedder, SentenceEncoder, cosine_similarity};

impl SentenceEmbedder {
    /// Similarity of the vectors of each pair of texts, by the model's
    /// [function](SentenceEmbedder::similarity_function), cut as [`embed`](SentenceEmbedder::embed)
    /// cuts them.
    ///
    /// # Errors
    ///
    /// Those of [`embed`](SentenceEmbedder::embed).
    pub fn similarities(&self, pairs: &[(&str, &str)]) -> Result<Vec<f64>> {
        let texts: Vec<&str> = pairs.iter().flat_map(|&(a, b)| [a, b]).collect();
        let vectors = self.embed(&texts)?;
        let pairs = vectors.chunks_exact(2);
        let function = self.similarity_function();
        Ok(pairs
            .map(|pair| function.between(&pair[0].values, &pair[1].values))
            .collect())
    }

    /// The similarities of pairs with known scores, and how well they go together: `pearson` and
    /// `spearmanr`, which is the primary number.
    ///
    /// # Errors
    ///
    /// [`BadRow`](crate::Error::BadRow) for an example that is no pair or has no number, and those of
    /// [`similarities`](Self::similarities).
    pub fn evaluate(&self, data: &Dataset<TextExample>) -> Result<(Scores, Vec<f64>)> {
        let gold = data.pair_scores()?;
        let pairs: Vec<_> = data.examples.iter().filter_map(pair_of).collect();
        let similarities = self.similarities(&pairs)?;
        Ok((score_similarity(&gold, &similarities), similarities))
    }
}

fn pair_of(example: &TextExample) -> Option<(&str, &str)> {
    Some((example.text.as_str(), example.pair.as_deref()?))
}

impl Dataset<TextExample> {
    /// The scores of pairs.
    ///
    /// # Errors
    ///
    /// [`BadRow`](crate::Error::BadRow) naming the first example that is no pair or has no number.
    pub(crate) fn pair_scores(&self) -> Result<Vec<f64>> {
        let score = |example: &TextExample| {
            let missing = |column: &str| {
                let column = column.to_owned();
                self.fault(example.line, RowFault::MissingColumn { column })
            };
            match (&example.pair, &example.target) {
                (None, _) => Err(missing("second text")),
                (_, Target::Number(score)) => Ok(*score),
                _ => Err(missing("score")),
            }
        };
        self.examples.iter().map(score).collect()
    }
}

impl RowModel for SentenceEncoder {
    fn row_logits(&self, input: BertInput) -> Tensor<3> {
        self.forward(input).unsqueeze_dim(1) // [rows, 1, dimension]
    }

    fn device(&self) -> Device {
        let table = &self.bert.embeddings.word_embeddings.weight;
        table.val().device()
    }
}

/// The cosine of each pair of neighbouring rows.
pub(crate) fn row_similarities(
    model: &SentenceEncoder,
    featurizer: &Featurizer,
    rows: &[Row],
    should_stop: ShouldStop<'_>,
) -> Result<Vec<f64>> {
    let mut vectors: Vec<Vec<f32>> = vec![Vec::new(); rows.len()];
    run_rows(model, featurizer, rows, should_stop, |row, values| {
        if values.iter().any(|value| !value.is_finite()) {
            return Err(Error::NotFinite { index: row });
        }
        vectors[row] = values.to_vec();
        Ok(())
    })?;
    let pairs = vectors.chunks_exact(2);
    Ok(pairs
        .map(|pair| cosine_similarity(&pair[0], &pair[1]))
        .collect())
}

/// `pearson`, `spearmanr`, which is the primary number, and `examples`.
pub(crate) fn score_similarity(gold: &[f64], cosines: &[f64]) -> Scores {
    let mut scorer = RegressionScorer::default();
    let pairs = gold.iter().zip(cosines);
    pairs.for_each(|(gold, cosine)| scorer.add(*gold, *cosine));
    Scores::new("spearmanr")
        .with_value("pearson", scorer.pearson())
        .with_value("spearmanr", scorer.spearman())
        .with_count("examples", gold.len() as u64)
}
