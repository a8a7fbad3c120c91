//! A fine-tuned model with windows, decoding and settings.

use std::path::Path;

use bert_core::batch::BertInput;
use bert_core::checkpoint::Checkpoint;
use bert_core::stop::ShouldStop;
use bert_core::tokenizer::BertTokenizer;
use burn::tensor::{Device, Tensor};

use super::decoding::Gathered;
use super::{
    BertForQuestionAnswering, FoundAnswer, QuestionFeaturizer, QuestionOptions, QuestionRows,
    QuestionSettings,
};
use crate::datasets::QuestionExample;
use crate::error::{Error, Result};
use crate::runner::{Featurizer, PredictOptions, RowModel, run_rows};

/// Tokens of a window where neither the model nor the caller says.
const USUAL_LENGTH: usize = 384;

/// A fine-tuned model of questions with all that it takes to ask it.
pub struct QuestionAnswerer {
    pub(super) model: BertForQuestionAnswering,
    pub(super) featurizer: QuestionFeaturizer,
}

impl QuestionAnswerer {
    /// Loads model, tokenizer and settings from a model directory; without settings, those of
    /// [`QuestionSettings::usual`] for 384 tokens hold, or what the model has.
    ///
    /// # Errors
    ///
    /// [`Error::NoHead`] for a checkpoint that answers no questions, those of [`Featurizer::new`] and
    /// [`QuestionSettings::check`], and [`Error::Core`] for files that are missing or malformed.
    pub fn from_dir(
        dir: impl AsRef<Path>,
        options: &QuestionOptions,
        predict: &PredictOptions,
        device: &Device,
    ) -> Result<Self> {
        let checkpoint = Checkpoint::open(&dir)?;
        let config = checkpoint.config();
        let settings = match (QuestionSettings::read(&dir)?, options.max_length) {
            (Some(settings), _) => settings,
            (None, Some(length)) => QuestionSettings::usual(length),
            (None, None) => QuestionSettings::usual(USUAL_LENGTH.min(config.max_input_length())),
        };
        let settings = settings.with(options);
        let row_options = PredictOptions {
            max_length: Some(settings.max_length),
            ..*predict
        };
        let rows = Featurizer::new(BertTokenizer::from_dir(&dir)?, config, &row_options)?
            .on(config, device)?;
        Ok(Self {
            featurizer: QuestionFeaturizer::new(rows, settings)?,
            model: row_options.pack_weights(BertForQuestionAnswering::from_checkpoint(
                &checkpoint,
                device,
            )?)?,
        })
    }

    /// Settings of windows and answers.
    pub fn settings(&self) -> &QuestionSettings {
        self.featurizer.settings()
    }

    /// The answers to questions, in their order.
    ///
    /// # Errors
    ///
    /// Those of the tokenizer, [`Error::Core`], and [`Error::NotFinite`] for outputs that are no
    /// numbers.
    pub fn answer(&self, questions: &[QuestionExample]) -> Result<Vec<FoundAnswer>> {
        let features = self.featurizer.questions(questions)?;
        answer_rows(
            &self.model,
            &self.featurizer,
            questions,
            &features,
            &|| false,
            |_, _| {},
        )
    }
}

impl std::fmt::Debug for QuestionAnswerer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("QuestionAnswerer")
            .field("settings", self.settings())
            .finish_non_exhaustive()
    }
}

impl RowModel for BertForQuestionAnswering {
    fn row_logits(&self, input: BertInput) -> Tensor<3> {
        let logits = self.forward(input);
        Tensor::stack(vec![logits.start, logits.end], 2) // [rows, seq, 2]
    }

    fn device(&self) -> Device {
        self.qa_outputs.weight.val().device()
    }
}

/// The answers to questions whose rows are `features`; `watch` sees the logits of every row without
/// its padding, start and end of each position in turn.
pub(crate) fn answer_rows(
    model: &BertForQuestionAnswering,
    featurizer: &QuestionFeaturizer,
    questions: &[QuestionExample],
    features: &QuestionRows,
    should_stop: ShouldStop<'_>,
    mut watch: impl FnMut(usize, &[f32]),
) -> Result<Vec<FoundAnswer>> {
    let mut question_of_row = vec![0; features.rows.len()];
    for (question, rows) in features.of_question.iter().enumerate() {
        question_of_row[rows.clone()].fill(question);
    }
    let mut gathered = vec![Gathered::default(); questions.len()];
    let (texts, settings) = (featurizer.rows(), featurizer.settings());
    run_rows(model, texts, &features.rows, should_stop, |row, logits| {
        let question = question_of_row[row];
        let logits = &logits[..2 * features.rows[row].ids.len()];
        if logits.iter().any(|logit| !logit.is_finite()) {
            return Err(Error::NotFinite { index: question });
        }
        watch(row, logits);
        let rows = features.of_question[question].clone();
        let number = row - rows.start;
        gathered[question].add(&features.windows[rows], number, logits, settings);
        Ok(())
    })?;
    let all = questions
        .iter()
        .zip(gathered)
        .zip(features.of_question.iter().zip(&features.offsets));
    Ok(all
        .map(|((question, gathered), (rows, offsets))| {
            gathered.answer(question, offsets, settings, rows.len())
        })
        .collect())
}
