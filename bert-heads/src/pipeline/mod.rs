//! One door to the task models: [`Pipeline::open`] picks the head by the files of a checkpoint.
//!
//! | checkpoint | variant | takes | gives |
//! | --- | --- | --- | --- |
//! | text classification, regression, cross-encoder | [`TextClassifier`](Pipeline::TextClassifier) | texts, pairs | [`Answer`] |
//! | next-sentence prediction | [`TextClassifier`](Pipeline::TextClassifier) | pairs | [`Answer`] |
//! | token classification | [`TokenTagger`](Pipeline::TokenTagger) | texts; sentences of words | [`TaggedText`]; [`WordTag`] |
//! | question answering | [`QuestionAnswerer`](Pipeline::QuestionAnswerer) | questions with contexts | [`FoundAnswer`] |
//! | multiple choice | [`ChoicePicker`](Pipeline::ChoicePicker) | contexts with choices | [`Choice`] |
//! | sentence encoder | [`SentenceEmbedder`](Pipeline::SentenceEmbedder) | texts; pairs | [`SentenceEmbedding`]; similarity |
//! | replaced token detection | [`ReplacedTokenDetector`](Pipeline::ReplacedTokenDetector) | texts, pairs | [`DetectedTokens`] |
//! | masked LM | [`FillMask`](Pipeline::FillMask) | texts with mask tokens | [`Candidate`] |
//!
//! ```no_run
//! use bert_core::device::DeviceSpec;
//! use bert_heads::pipeline::{Pipeline, PipelineOptions, Prediction};
//!
//! let device = DeviceSpec::default_device()?.open()?;
//! let pipeline = Pipeline::open("my-classifier", &device, &PipelineOptions::default())?;
//! for prediction in pipeline.predict(&["What a dismal budget!"])? {
//!     if let Prediction::Answer(answer) = prediction {
//!         println!("{answer:?}");
//!     }
//! }
//! # Ok::<(), bert_heads::Error>(())
//! ```

#[cfg(test)]
mod tests;

use std::path::Path;

use bert_core::checkpoint::Checkpoint;
use bert_core::device::Device;
use bert_core::hub::resolve_model;
use bert_core::tokenizer::TextInput;

use crate::datasets::{ChoiceExample, QuestionExample};
use crate::error::{Error, Result};
use crate::model_kind::{FoundKind, ModelKind, stated_classes};
use crate::runner::PredictOptions;
use crate::sentence_embedding::modules::modules;
use crate::sentence_embedding::{EmbedderOptions, SentenceEmbedder, SentenceEmbedding};
use crate::task::Overrule;
use crate::tasks::masked_lm::{Candidate, FillMask};
use crate::tasks::multiple_choice::{Choice, ChoicePicker};
use crate::tasks::next_sentence::NEXT_SENTENCE;
use crate::tasks::question_answering::{FoundAnswer, QuestionAnswerer, QuestionOptions};
use crate::tasks::replaced_tokens::{DetectedTokens, ReplacedTokenDetector};
use crate::tasks::sequence_classification::{Answer, TextClassifier};
use crate::tasks::token_classification::{TaggedText, TokenTagger, WordTag};

/// Candidates that [`Pipeline::predict`] gives for each mask token.
pub const MASK_CANDIDATES: usize = 5;

/// Task model with its tokenizer, ready for predictions.
///
/// Each variant offers more than the methods here: streams, evaluation, settings.
#[derive(Debug)]
pub enum Pipeline {
    /// Text classifier, regressor, cross-encoder or next-sentence model.
    TextClassifier(TextClassifier),
    /// Token classifier.
    TokenTagger(Box<TokenTagger>),
    /// Extractive question answering.
    QuestionAnswerer(QuestionAnswerer),
    /// Multiple choice.
    ChoicePicker(ChoicePicker),
    /// Sentence encoder.
    SentenceEmbedder(SentenceEmbedder),
    /// Discriminator of replaced tokens.
    ReplacedTokenDetector(Box<ReplacedTokenDetector>),
    /// Masked LM.
    FillMask(Box<FillMask>),
}

/// Options of all pipelines; the defaults are those of the model's files.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PipelineOptions {
    /// Task and output names in place of those in the model's files.
    pub overrule: Overrule,
    /// Lengths, windows, batches and weights; sentence encoders truncate long texts, and a masked LM has none of these.
    pub predict: PredictOptions,
    /// Windows over contexts and selection of answers, for question answering.
    pub questions: QuestionOptions,
}

/// Typed result for a text or a pair of texts.
#[derive(Clone, Debug, PartialEq)]
pub enum Prediction {
    /// Label, labels or number of a text classifier.
    Answer(Answer),
    /// Entities or tagged words.
    Tags(TaggedText),
    /// Vector of a text.
    Embedding(SentenceEmbedding),
    /// Similarity of two texts, by the model's similarity function.
    Similarity(f64),
    /// A probability for each token that it stands in the place of another.
    ReplacedTokens(DetectedTokens),
    /// Candidates for each mask token in the order of the text, the most probable first.
    Masks(Vec<Vec<Candidate>>),
}

impl PipelineOptions {
    /// Kind of the model in `dir`: that of the task in [`overrule`](Self::overrule), or the one that the files state.
    ///
    /// # Errors
    ///
    /// Those of [`ModelKind::find`].
    pub fn kind(&self, dir: impl AsRef<Path>) -> Result<FoundKind> {
        match self.overrule.task {
            Some(task) => Ok(FoundKind {
                kind: task.model_kind,
                evidence: None,
            }),
            None => ModelKind::find(dir),
        }
    }
}

impl Pipeline {
    /// Opens a model directory or hub id.
    ///
    /// # Errors
    ///
    /// Those of [`resolve_model`] and [`from_dir`](Self::from_dir).
    pub fn open(model: &str, device: &Device, options: &PipelineOptions) -> Result<Self> {
        Self::from_dir(resolve_model(model)?, device, options)
    }

    /// Opens a model directory with the pipeline of its head. A checkpoint whose `architectures` names a masked LM
    /// alone opens for filling masks; other heads are found by [`ModelKind::find`].
    ///
    /// # Errors
    ///
    /// Those of [`PipelineOptions::kind`] where no head is found, and of [`of_kind`](Self::of_kind).
    pub fn from_dir(
        dir: impl AsRef<Path>,
        device: &Device,
        options: &PipelineOptions,
    ) -> Result<Self> {
        let dir = dir.as_ref();
        if options.overrule.task.is_none() && is_masked_lm(dir)? {
            let model = FillMask::from_dir(dir, device, options.predict.weights)?;
            return Ok(Self::FillMask(Box::new(model)));
        }
        Self::of_kind(options.kind(dir)?.kind, dir, device, options)
    }

    /// Opens a model directory as a model of `kind`.
    ///
    /// # Errors
    ///
    /// [`Error::NoHead`] and [`Error::WrongHead`] for a checkpoint without that head, [`Error::LabelNames`] for another
    /// number of names than outputs, and [`Error::Core`] for files that are missing or malformed.
    pub fn of_kind(
        kind: ModelKind,
        dir: impl AsRef<Path>,
        device: &Device,
        options: &PipelineOptions,
    ) -> Result<Self> {
        let (predict, overrule) = (&options.predict, &options.overrule);
        Ok(match kind {
            ModelKind::Texts => {
                Self::TextClassifier(TextClassifier::open(dir, predict, overrule, device)?)
            }
            ModelKind::NextSentence => {
                let overrule = Overrule {
                    task: Some(&NEXT_SENTENCE),
                    labels: overrule.labels.clone(),
                };
                Self::TextClassifier(TextClassifier::open(dir, predict, &overrule, device)?)
            }
            ModelKind::Tokens => {
                let tagger = TokenTagger::open(dir, predict, overrule, device)?;
                Self::TokenTagger(Box::new(tagger))
            }
            ModelKind::Questions => {
                let questions = QuestionOptions {
                    max_length: options.questions.max_length.or(predict.max_length),
                    ..options.questions
                };
                Self::QuestionAnswerer(QuestionAnswerer::from_dir(
                    dir, &questions, predict, device,
                )?)
            }
            ModelKind::Choices => {
                Self::ChoicePicker(ChoicePicker::open(dir, predict, overrule, device)?)
            }
            ModelKind::Sentences => {
                let options = EmbedderOptions {
                    max_length: predict.max_length,
                    batch_tokens: Some(predict.batch_tokens),
                    weights: predict.weights,
                    ..EmbedderOptions::default()
                };
                Self::SentenceEmbedder(SentenceEmbedder::from_dir(dir, &options, device)?)
            }
            ModelKind::ReplacedTokens => {
                let detector = ReplacedTokenDetector::from_dir(dir, predict, device)?;
                Self::ReplacedTokenDetector(Box::new(detector))
            }
        })
    }

    /// Predicts for texts, in their order: classes, tags, vectors or [`MASK_CANDIDATES`] for each mask token.
    ///
    /// # Errors
    ///
    /// [`Error::WrongInput`] for a model that takes no single texts, and those of the model's own method.
    pub fn predict(&self, texts: &[impl AsRef<str>]) -> Result<Vec<Prediction>> {
        let texts: Vec<&str> = texts.iter().map(AsRef::as_ref).collect();
        Ok(match self {
            Self::TextClassifier(model) if !model.needs_pairs() => {
                classify(model, texts.into_iter().map(TextInput::Single))?
            }
            Self::TokenTagger(model) => {
                let tagged = model.tag_texts(&texts)?;
                tagged.into_iter().map(Prediction::Tags).collect()
            }
            Self::SentenceEmbedder(model) => {
                let vectors = model.embed(&texts)?;
                vectors.into_iter().map(Prediction::Embedding).collect()
            }
            Self::ReplacedTokenDetector(model) => {
                let detected = model.detect(texts.into_iter().map(TextInput::Single))?;
                detected
                    .into_iter()
                    .map(Prediction::ReplacedTokens)
                    .collect()
            }
            Self::FillMask(model) => {
                let masks = texts.iter().map(|text| model.fill(text, MASK_CANDIDATES));
                let masks = masks.map(|found| found.map(Prediction::Masks));
                masks.collect::<Result<_>>()?
            }
            _ => return Err(self.refuse("single texts")),
        })
    }

    /// Predicts for pairs of texts, in their order: classes, or the similarity of a sentence encoder's vectors.
    ///
    /// # Errors
    ///
    /// [`Error::WrongInput`] for a model that takes no pairs, and those of the model's own method.
    pub fn predict_pairs(&self, pairs: &[(&str, &str)]) -> Result<Vec<Prediction>> {
        Ok(match self {
            Self::TextClassifier(model) => {
                let inputs = pairs.iter();
                classify(
                    model,
                    inputs.map(|(first, second)| TextInput::Pair(first, second)),
                )?
            }
            Self::SentenceEmbedder(model) => {
                let similarities = model.similarities(pairs)?;
                similarities
                    .into_iter()
                    .map(Prediction::Similarity)
                    .collect()
            }
            Self::ReplacedTokenDetector(model) => {
                let pairs = pairs.iter();
                let pairs = pairs.map(|(first, second)| TextInput::Pair(first, second));
                let detected = model.detect(pairs)?;
                detected
                    .into_iter()
                    .map(Prediction::ReplacedTokens)
                    .collect()
            }
            _ => return Err(self.refuse("pairs of texts")),
        })
    }

    /// Tags the words of pre-tokenised sentences, in their order.
    ///
    /// # Errors
    ///
    /// [`Error::WrongInput`] for a model that is no token classifier, and those of [`TokenTagger::tag_words`].
    pub fn tag_words(&self, sentences: &[Vec<String>]) -> Result<Vec<Vec<WordTag>>> {
        match self {
            Self::TokenTagger(model) => model.tag_words(sentences.iter().map(Vec::as_slice)),
            _ => Err(self.refuse("sentences of words")),
        }
    }

    /// Answers questions, each with its context, in their order.
    ///
    /// # Errors
    ///
    /// [`Error::WrongInput`] for a model that answers no questions, and those of [`QuestionAnswerer::answer`].
    pub fn answer(&self, questions: &[(&str, &str)]) -> Result<Vec<FoundAnswer>> {
        let Self::QuestionAnswerer(model) = self else {
            return Err(self.refuse("questions with contexts"));
        };
        let questions = (0..).zip(questions);
        let examples = questions.map(|(id, &(question, context))| QuestionExample {
            id: id.to_string(),
            question: question.to_owned(),
            context: context.into(),
            answers: Vec::new(),
            is_impossible: false,
            title: "".into(),
        });
        model.answer(&examples.collect::<Vec<_>>())
    }

    /// Picks one of the choices that go with each context, in the order of the contexts.
    ///
    /// # Errors
    ///
    /// [`Error::WrongInput`] for a model without choices or a context with fewer than two, and those of
    /// [`ChoicePicker::choose`].
    pub fn choose(&self, contexts: &[(&str, &[&str])]) -> Result<Vec<Choice>> {
        let Self::ChoicePicker(model) = self else {
            return Err(self.refuse("contexts with choices"));
        };
        if contexts.iter().any(|(_, choices)| choices.len() < 2) {
            return Err(self.refuse("fewer than two choices"));
        }
        let examples = contexts.iter().map(|&(context, choices)| ChoiceExample {
            context: context.to_owned(),
            question: None,
            choices: choices.iter().map(|&choice| choice.to_owned()).collect(),
            label: None,
            line: 0,
        });
        model.choose(&examples.collect::<Vec<_>>())
    }

    /// Error for input that the head does not take.
    fn refuse(&self, given: &'static str) -> Error {
        let (head, takes) = match self {
            Self::TextClassifier(model) if model.needs_pairs() => {
                ("next-sentence", "pairs of texts (`predict_pairs`)")
            }
            Self::TextClassifier(_) => (
                "text-classification",
                "texts (`predict`) or pairs of texts (`predict_pairs`)",
            ),
            Self::TokenTagger(_) => (
                "token-classification",
                "texts (`predict`) or sentences of words (`tag_words`)",
            ),
            Self::QuestionAnswerer(_) => {
                ("question-answering", "questions with contexts (`answer`)")
            }
            Self::ChoicePicker(_) => (
                "multiple-choice",
                "contexts with two or more choices (`choose`)",
            ),
            Self::SentenceEmbedder(_) => (
                "sentence-embedding",
                "texts (`predict`) or pairs of texts to compare (`predict_pairs`)",
            ),
            Self::ReplacedTokenDetector(_) => (
                "replaced-token",
                "texts (`predict`) or pairs of texts (`predict_pairs`)",
            ),
            Self::FillMask(_) => ("masked-LM", "texts with mask tokens (`predict`)"),
        };
        Error::WrongInput { given, head, takes }
    }
}

fn classify<'a>(
    model: &TextClassifier,
    inputs: impl Iterator<Item = TextInput<'a>>,
) -> Result<Vec<Prediction>> {
    let predictions = model.predict(inputs)?;
    let answers = predictions.iter().map(|found| model.answer(found));
    Ok(answers.map(Prediction::Answer).collect())
}

/// True if `architectures` names a masked LM and no other head, and no files of sentence-transformers stand beside it.
fn is_masked_lm(dir: &Path) -> Result<bool> {
    if modules(dir)?.is_some() {
        return Ok(false);
    }
    let checkpoint = Checkpoint::open(dir)?;
    let classes = stated_classes(checkpoint.config());
    Ok(classes.iter().any(|class| class.ends_with("ForMaskedLM"))
        && classes
            .iter()
            .all(|class| ModelKind::of_class(class).is_none()))
}
