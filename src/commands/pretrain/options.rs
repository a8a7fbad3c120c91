//! Options that training and evaluation share.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use bert_core::config::BertConfig;
use bert_core::models::{FAMILIES, Family, family};
use bert_core::tokenizer::BertTokenizer;
use bert_pretrain::corpus::{CorpusOptions, Layout, TokenizedCorpus};
use bert_pretrain::instances::{MaskingOptions, MaskingStrategy, PairOptions, Replacement};

use crate::cli::note::note;

/// Options of pairs and masks.
#[derive(clap::Args)]
pub(crate) struct InstanceArgs {
    /// Tokens of a sequence, special tokens included.
    #[arg(
        long,
        value_name = "N",
        default_value_t = 128,
        visible_alias = "max-seq-length"
    )]
    pub(crate) seq_length: usize,
    /// Share of tokens to predict.
    #[arg(long, value_name = "SHARE", default_value_t = 0.15)]
    masked_lm_prob: f64,
    /// Most predictions of a sequence [default: 20 for 128 tokens, 80 for 512, in between accordingly]
    #[arg(long, value_name = "N")]
    max_predictions: Option<usize>,
    /// Mask words as a whole, not pieces of them.
    #[arg(long)]
    whole_word: bool,
    /// Draw each token's mask alone, as transformers' collator does, instead of a fixed number.
    #[arg(long)]
    mask_per_token: bool,
    /// Share of documents cut to shorter sequences.
    #[arg(long, value_name = "SHARE", default_value_t = 0.1)]
    short_seq_prob: f64,
    /// Masked LM alone, on full sentences, without next-sentence prediction, as for every family that has none.
    #[arg(long)]
    no_next_sentence: bool,
}

impl InstanceArgs {
    pub(crate) fn pairs(&self) -> PairOptions {
        PairOptions {
            max_seq_length: self.seq_length,
            short_seq_probability: self.short_seq_prob,
            next_sentence: !self.no_next_sentence,
        }
    }

    /// [`pairs`](Self::pairs) for a model of `family`: without next sentences where it has none, which a note says.
    pub(crate) fn pairs_for(&self, family: &Family) -> PairOptions {
        let pairs = self.pairs();
        if pairs.next_sentence && !family.heads.next_sentence {
            note(format_args!(
                "{} has no next sentences: the masked LM alone, on full sentences",
                family.name
            ));
        }
        PairOptions {
            next_sentence: pairs.next_sentence && family.heads.next_sentence,
            ..pairs
        }
    }

    /// Refuses sequences longer than a model of `config` has positions.
    pub(crate) fn check_length(&self, config: &BertConfig) -> Result<()> {
        let (length, longest) = (self.seq_length, config.max_input_length());
        if length > longest {
            bail!(
                "--seq-length is {length}, but the model has positions for {longest} tokens: make it {longest} or less"
            );
        }
        Ok(())
    }

    pub(crate) fn masking(&self) -> MaskingOptions {
        MaskingOptions {
            probability: self.masked_lm_prob,
            max_predictions: self
                .max_predictions
                .unwrap_or(predictions_for(self.seq_length)),
            whole_word: self.whole_word,
            strategy: match self.mask_per_token {
                true => MaskingStrategy::PerToken,
                false => MaskingStrategy::Fixed,
            },
            replacement: Replacement::default(),
        }
    }

    /// Sequences and masks of replaced token detection: full sentences, and no random tokens.
    pub(crate) fn of_replaced_tokens(&self) -> (PairOptions, MaskingOptions) {
        let pairs = PairOptions {
            next_sentence: false,
            ..self.pairs()
        };
        let masking = MaskingOptions {
            replacement: Replacement::Mask,
            ..self.masking()
        };
        (pairs, masking)
    }
}

/// 20 for 128 tokens and 80 for 512, as google-research/bert advises.
pub(crate) fn predictions_for(seq_length: usize) -> usize {
    (seq_length * 20).div_ceil(128).max(1)
}

/// Reads text files into a cache of tokens below `cache`, or takes up the one that is there.
pub(crate) fn documents(
    cache: &Path,
    inputs: &[PathBuf],
    layout: Layout,
    tokenizer: &BertTokenizer,
) -> Result<TokenizedCorpus> {
    let options = CorpusOptions {
        layout,
        ..CorpusOptions::default()
    };
    let mut shown = std::time::Instant::now();
    let corpus =
        TokenizedCorpus::open_or_build(cache, inputs, tokenizer, &options, &mut |counts| {
            if shown.elapsed().as_secs() >= 5 {
                shown = std::time::Instant::now();
                note(format_args!(
                    "reading: {} documents, {} sentences",
                    counts.documents, counts.sentences
                ));
            }
        })?;
    let counts = corpus.counts();
    note(format_args!(
        "{} documents, {} sentences, {} tokens",
        counts.documents,
        counts.sentences,
        corpus.token_count()
    ));
    if let Some(warning) = counts.warning() {
        note(format_args!("warning: {warning}"));
    }
    Ok(corpus)
}

/// The family with this `model_type`.
pub(crate) fn family_named(name: &str) -> Result<&'static Family> {
    family(name).with_context(|| {
        let known = FAMILIES.map(|family| family.model_type);
        format!("--family {name} is unknown; there are {}", known.join(", "))
    })
}
