//! One vector per text, or one per token, as sentence-transformers computes them
//! (Reimers & Gurevych 2019, §3).
//!
//! ```no_run
//! use bert_core::device::DeviceSpec;
//! use bert_heads::sentence_embedding::{EmbedderOptions, SentenceEmbedder};
//!
//! let device = DeviceSpec::default_device()?.open()?;
//! let embedder = SentenceEmbedder::from_dir("all-MiniLM-L6-v2", &EmbedderOptions::default(), &device)?;
//! let embeddings = embedder.embed(&["A cat sat on the mat.", "A dog slept."])?;
//! assert_eq!(embeddings[1].values.len(), embedder.dimension());
//! # Ok::<(), bert_heads::Error>(())
//! ```

pub(crate) mod cross_encoder;
mod dense;
mod encoder;
pub(crate) mod fields;
pub(crate) mod files;
mod layout;
mod long_texts;
mod lower_case;
pub(crate) mod modules;
mod pooling;
mod poolings;
mod similarity_function;
mod steps;
mod stream;

use std::borrow::Cow;
use std::path::Path;

use bert_core::batch::{BertBatcher, BertInput, Workload};
use bert_core::checkpoint::{Checkpoint, Loading};
use bert_core::inference::{Weights, prepare};
use bert_core::nn::{BertInit, BertModel};
use bert_core::tokenizer::{BertTokenizer, EncodeOptions, Encoding};
use burn::tensor::Device;

pub use dense::{Dense, DenseConfig};
pub use encoder::SentenceEncoder;
pub use layout::EmbeddingLayout;
pub use long_texts::LongInputs;
pub use pooling::{Pooling, normalize};
pub use poolings::Poolings;
pub use similarity_function::{SimilarityFunction, cosine_similarity};
pub use stream::{Progress, Summary};

use crate::error::{Error, Result};
use crate::runner::{Batches, host_values};
use files::SentenceTransformersFiles;
use long_texts::{Window, weighted_means, windows};
use lower_case::lower_case;
use steps::{Step, StepConfig, Vectors};

/// Overrides of the settings in a model directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EmbedderOptions {
    /// Pooling of token vectors; by default as `1_Pooling/config.json` says, else the mean.
    pub pooling: Option<Poolings>,
    /// True if vectors get length 1 at last; by default if `modules.json` lists `Normalize`.
    pub normalize: Option<bool>,
    /// The most tokens of a row, special tokens included. By default
    /// `max_seq_length` of `sentence_bert_config.json`, else the tokenizer's `model_max_length`,
    /// and never more than the model has positions.
    pub max_length: Option<usize>,
    /// Treatment of longer texts; token vectors are of texts that are cut.
    pub long_texts: LongInputs,
    /// The most tokens of a batch, padding included; by default [`BATCH_TOKENS`].
    pub batch_tokens: Option<usize>,
    /// Form of the encoder's weights in memory.
    pub weights: Weights,
}

/// Tokens of a batch, padding included, unless told otherwise: enough to keep all cores busy. A
/// processor gains nothing from larger batches, whose tensors leave its caches; a large GPU does.
pub const BATCH_TOKENS: usize = 2048;

/// Turns texts into vectors.
#[derive(Debug)]
pub struct SentenceEmbedder {
    model: BertModel,
    tokenizer: BertTokenizer,
    batcher: BertBatcher,
    device: Device,
    pooling: Poolings,
    /// Modules after the pooling, in their order.
    steps: Vec<Step>,
    max_length: usize,
    long_texts: LongInputs,
    batch_tokens: usize,
    hidden_size: usize,
    dimension: usize,
    similarity: SimilarityFunction,
    do_lower_case: bool,
    prompt: String,
}

/// The vector of a text.
#[derive(Clone, Debug, PartialEq)]
pub struct SentenceEmbedding {
    /// Position of the text in the input, counted from 0.
    pub index: usize,
    /// [`dimension`](SentenceEmbedder::dimension) numbers.
    pub values: Vec<f32>,
    /// Number of tokens cut from the end of the text, which play no part.
    pub truncated: usize,
}

/// The vectors of the tokens of a text, without padding.
#[derive(Clone, Debug, PartialEq)]
pub struct TokenEmbeddings {
    /// Position of the text in the input, counted from 0.
    pub index: usize,
    /// The tokens as spelled in the vocabulary, special tokens included.
    pub tokens: Vec<String>,
    /// Their vectors one after the other, `[tokens, dimension]`.
    pub values: Vec<f32>,
    /// Number of tokens cut from the end of the text, which play no part.
    pub truncated: usize,
}

impl SentenceEmbedder {
    /// Loads model, tokenizer and settings from a model directory: one that sentence-transformers
    /// wrote (`modules.json`, `1_Pooling/config.json`, `2_Dense`, `sentence_bert_config.json`), or a
    /// plain BERT checkpoint, for which the defaults of sentence-transformers hold (mean pooling).
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] naming file and field for a module or pooling that is not
    /// implemented; [`Error::ModuleWeights`]; [`Error::NoPooler`]; [`Error::MaxLength`]; [`Error::Core`] for files that are
    /// missing, malformed or do not belong together.
    pub fn from_dir(
        dir: impl AsRef<Path>,
        options: &EmbedderOptions,
        device: &Device,
    ) -> Result<Self> {
        let files = SentenceTransformersFiles::read(dir.as_ref(), options.pooling.is_some())?;
        let dir = files.transformer_dir.as_path();
        let checkpoint = Checkpoint::open(dir)?;
        let config = checkpoint.config();
        files.check_dimension(config.hidden_size)?;
        let tokenizer = BertTokenizer::from_dir(dir)?;
        tokenizer.check_vocab(config.vocab_size)?;

        let positions = config.max_input_length();
        let max_length = match options.max_length {
            Some(requested) if requested > positions => {
                return Err(Error::MaxLength {
                    requested,
                    positions,
                });
            }
            Some(requested) => requested,
            None => files
                .max_seq_length
                .or(tokenizer.model_max_length())
                .map_or(positions, |length| length.min(positions)),
        };
        if options.long_texts == LongInputs::Mean && max_length < 3 {
            return Err(Error::InvalidOption {
                option: "maximal length",
                value: max_length.to_string(),
                expected: "at least 3: [CLS], [SEP] and a token of the text",
            });
        }
        let pooling = options.pooling.clone().unwrap_or(files.pooling);
        let with_pooler = pooling.needs_pooler();
        if with_pooler && !checkpoint.has_pooler() {
            return Err(Error::NoPooler {
                dir: dir.to_owned(),
            });
        }
        let mut steps = files.steps;
        match options.normalize {
            Some(true) if steps.last() != Some(&StepConfig::Normalize) => {
                steps.push(StepConfig::Normalize);
            }
            Some(false) => {
                // One between Dense modules is part of the model.
                let last = steps
                    .iter()
                    .rposition(|step| *step == StepConfig::Normalize);
                let is_last = |at: &usize| {
                    let mut after = steps[at + 1..].iter();
                    after.all(|step| matches!(step, StepConfig::Truncate(_)))
                };
                if let Some(at) = last.filter(is_last) {
                    steps.remove(at);
                }
            }
            _ => {}
        }
        let mut dimension = pooling.each().len() * config.hidden_size;
        for step in &steps {
            dimension = step.width(dimension)?;
        }
        let batch_tokens = options.batch_tokens.unwrap_or(BATCH_TOKENS);
        Workload::of_batches(batch_tokens, max_length).check(config, device)?;
        let init = BertInit::new(config, 0, device);
        let steps = steps.iter().map(|step| step.load(&init));
        let steps = steps.collect::<Result<_>>()?;
        let fresh = BertModel::new(config, with_pooler, &init);
        let (model, _) = checkpoint.load_into(fresh, Loading::Strict)?;
        Ok(Self {
            model: prepare(model, options.weights)?,
            batcher: BertBatcher::new(&tokenizer).for_model(config),
            tokenizer,
            device: device.clone(),
            pooling,
            steps,
            max_length,
            long_texts: options.long_texts,
            batch_tokens,
            hidden_size: config.hidden_size,
            dimension,
            similarity: files.similarity,
            do_lower_case: files.do_lower_case,
            prompt: files.prompt,
        })
    }

    /// Numbers in the vector of a text.
    pub fn dimension(&self) -> usize {
        self.dimension
    }

    /// Numbers in the vector of a token.
    pub fn token_dimension(&self) -> usize {
        self.hidden_size
    }

    /// Pooling of token vectors.
    pub fn pooling(&self) -> &Poolings {
        &self.pooling
    }

    /// True if vectors of texts are normalised to length 1.
    pub fn is_normalized(&self) -> bool {
        matches!(self.steps.last(), Some(Step::Normalize))
    }

    /// Function by which two vectors of texts are compared.
    pub fn similarity_function(&self) -> SimilarityFunction {
        self.similarity
    }

    /// The most tokens of a row, special tokens included; longer texts are cut or read in windows.
    pub fn max_length(&self) -> usize {
        self.max_length
    }

    /// One vector per text, in order.
    ///
    /// # Errors
    ///
    /// [`Error::NotFinite`], [`Error::Core`], and [`Error::Core`] if
    /// [`max_length`](Self::max_length) leaves no room for the special tokens.
    pub fn embed(&self, texts: &[&str]) -> Result<Vec<SentenceEmbedding>> {
        let encodings = self.encode(texts, self.long_texts)?;
        self.pooled(&encodings, 0, &mut |_, _| {})
    }

    /// One vector per token of each text, in order.
    ///
    /// # Errors
    ///
    /// Those of [`embed`](Self::embed).
    pub fn embed_tokens(&self, texts: &[&str]) -> Result<Vec<TokenEmbeddings>> {
        let encodings = self.encode(texts, LongInputs::Cut)?;
        self.per_token(&encodings, 0, &mut |_, _| {})
    }

    fn encode<T: AsRef<str>>(&self, texts: &[T], long: LongInputs) -> Result<Vec<Encoding>> {
        let prepared: Vec<_> = texts
            .iter()
            .map(|text| self.prepare(text.as_ref()))
            .collect();
        let options = match long {
            LongInputs::Cut => EncodeOptions::truncated(self.max_length),
            LongInputs::Mean => EncodeOptions::default(),
        };
        Ok(self.tokenizer.encode_batch(&prepared, &options)?)
    }

    /// Prepares a text for the tokenizer as sentence-transformers does: prompt, then lower case.
    fn prepare<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let mut text = Cow::Borrowed(text);
        if !self.prompt.is_empty() {
            text = Cow::Owned(format!("{}{text}", self.prompt));
        }
        if self.do_lower_case {
            text = Cow::Owned(lower_case(&text, &self.tokenizer));
        }
        text
    }

    /// Vectors of texts of which the first is number `offset` of the input; `done` hears after each
    /// batch how many texts it completed and how many tokens it had, padding left out.
    fn pooled(
        &self,
        encodings: &[Encoding],
        offset: usize,
        done: &mut dyn FnMut(usize, usize),
    ) -> Result<Vec<SentenceEmbedding>> {
        let rows = windows(encodings, &self.tokenizer, self.max_length);
        let width = self.pooling.each().len() * self.hidden_size;
        let vectors = self.in_batches(&rows, done, |input, _| {
            let pooled = host_values(self.pooling.encode(&self.model, input))?; // [batch, width]
            Ok(pooled.chunks(width).map(<[f32]>::to_vec).collect())
        })?;
        let mut values = weighted_means(&rows, vectors);
        for (row, index) in values.chunks(width).zip(offset..) {
            finite(row, index)?;
        }
        if !self.steps.is_empty() && !encodings.is_empty() {
            let mut vectors = Vectors::new(values, encodings.len());
            for step in &self.steps {
                vectors = step.forward(vectors, &self.device)?;
            }
            values = vectors.into_values()?; // [texts, dimension]
            for (row, index) in values.chunks(self.dimension).zip(offset..) {
                finite(row, index)?;
            }
        }
        let texts = values.chunks(self.dimension).zip(encodings).zip(offset..);
        Ok(texts
            .map(|((values, encoding), index)| SentenceEmbedding {
                index,
                values: values.to_vec(),
                truncated: encoding.truncated(),
            })
            .collect())
    }

    fn per_token(
        &self,
        encodings: &[Encoding],
        offset: usize,
        done: &mut dyn FnMut(usize, usize),
    ) -> Result<Vec<TokenEmbeddings>> {
        let rows = windows(encodings, &self.tokenizer, self.max_length);
        self.in_batches(&rows, done, |input, batch| {
            let sequence = self.model.forward(input).sequence_output; // [batch, seq, hidden]
            let [_, seq, hidden] = sequence.dims();
            let values = host_values(sequence)?;
            batch
                .iter()
                .zip(values.chunks(seq * hidden))
                .map(|(&index, row)| {
                    let encoding = &encodings[index];
                    let row = &row[..encoding.len() * hidden];
                    Ok(TokenEmbeddings {
                        index: offset + index,
                        tokens: encoding.tokens().to_vec(),
                        values: finite(row, offset + index)?.to_vec(),
                        truncated: encoding.truncated(),
                    })
                })
                .collect()
        })
    }

    /// Runs `encode` over batches of similar length and puts the results back in order; `done` hears
    /// after each batch how many texts it completed and how many tokens it had.
    fn in_batches<T>(
        &self,
        rows: &[Window],
        done: &mut dyn FnMut(usize, usize),
        encode: impl Fn(BertInput, &[usize]) -> Result<Vec<T>>,
    ) -> Result<Vec<T>> {
        let mut left: Vec<usize> = Vec::new(); // rows of each text that are still to come
        for row in rows {
            left.resize(row.text + 1, 0);
            left[row.text] += 1;
        }
        let batches = Batches {
            batcher: &self.batcher,
            tokens: self.batch_tokens,
            device: &self.device,
        };
        batches.run(rows, &|| false, |input, batch| {
            let finished = encode(input, batch)?;
            let (mut completed, mut tokens) = (0, 0);
            for &index in batch {
                let Window { text, row, .. } = &rows[index];
                left[*text] -= 1;
                completed += usize::from(left[*text] == 0);
                tokens += row.ids.len();
            }
            done(completed, tokens);
            Ok(finished)
        })
    }
}

fn finite(row: &[f32], index: usize) -> Result<&[f32]> {
    if row.iter().all(|value| value.is_finite()) {
        Ok(row)
    } else {
        Err(Error::NotFinite { index })
    }
}
