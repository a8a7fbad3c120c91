//! Unigram language models (Kudo 2018) over pieces that carry the space before a word as `▁`, as SentencePiece has them.
//!
//! Normalizer, splitter and decoder are those that the classes of transformers make, which take vocabulary and character
//! map from `tokenizer.json` and the rest from `tokenizer_config.json` (`models/{xlm_roberta,albert,deberta_v2}/`).

use std::path::Path;

use serde::Serialize;
use serde_json::{Map, Value, json};
use tokenizers::normalizers::replace::ReplacePattern;
use tokenizers::normalizers::{
    Lowercase, NFC, NFKD, NormalizerWrapper, Replace, Sequence as Normalizers, Strip, StripAccents,
};
use tokenizers::pre_tokenizers::metaspace::{Metaspace, PrependScheme};
use tokenizers::pre_tokenizers::punctuation::Punctuation;
use tokenizers::pre_tokenizers::sequence::Sequence as Splitters;
use tokenizers::pre_tokenizers::whitespace::WhitespaceSplit;
use tokenizers::{ModelWrapper, PreTokenizerWrapper, SplitDelimiterBehavior, Tokenizer};

use super::config::{DirConfig, TOKENIZER_CONFIG};
use super::{TokenizerOptions, failed};
use crate::Result;
use crate::models::UnigramText;
use crate::notice::notice;

/// Spelling of a space in pieces.
pub(super) const SPACE: char = '\u{2581}';

/// Files of SentencePiece, which hold a vocabulary in a form of their own.
pub(super) const SENTENCE_PIECE: [&str; 3] =
    ["sentencepiece.bpe.model", "spiece.model", "spm.model"];

/// Settings of `tokenizer_config.json` for the text before the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Settings {
    do_lower_case: bool,
    keep_accents: bool,
    split_by_punct: bool,
    add_prefix_space: bool,
}

impl Settings {
    /// The defaults of transformers.
    fn usual(text: UnigramText) -> Self {
        Self {
            do_lower_case: text == UnigramText::Folded,
            keep_accents: false,
            split_by_punct: false,
            add_prefix_space: true,
        }
    }

    /// Settings of a directory, with the defaults of transformers.
    fn of(config: &DirConfig, text: UnigramText) -> Self {
        let usual = Self::usual(text);
        Self {
            do_lower_case: config.do_lower_case.unwrap_or(usual.do_lower_case),
            keep_accents: config.keep_accents.unwrap_or(usual.keep_accents),
            split_by_punct: config.split_by_punct.unwrap_or(usual.split_by_punct),
            add_prefix_space: config.add_prefix_space.unwrap_or(usual.add_prefix_space),
        }
    }

    /// Settings of a new tokenizer: lower case and accents as `options` say where the text is folded, and as they are
    /// elsewhere.
    pub(super) fn new(text: UnigramText, options: &TokenizerOptions) -> Self {
        let folds = text == UnigramText::Folded;
        let strips_accents = options.strip_accents.unwrap_or(options.do_lower_case);
        Self {
            do_lower_case: folds && options.do_lower_case,
            keep_accents: folds && !strips_accents,
            split_by_punct: false,
            add_prefix_space: true,
        }
    }

    /// Every combination that gives other text, those without lower-casing first.
    fn all(text: UnigramText) -> impl Iterator<Item = Self> {
        let choices = |free: bool| match free {
            true => &[false, true][..],
            false => &[false],
        };
        let folds = text == UnigramText::Folded;
        let runs = text == UnigramText::Running;
        [true, false].into_iter().flat_map(move |add_prefix_space| {
            choices(folds || runs)
                .iter()
                .flat_map(move |&do_lower_case| {
                    choices(folds).iter().flat_map(move |&keep_accents| {
                        choices(runs).iter().map(move |&split_by_punct| Self {
                            do_lower_case,
                            keep_accents,
                            split_by_punct,
                            add_prefix_space,
                        })
                    })
                })
        })
    }

    /// Fields of `tokenizer_config.json`.
    pub(super) fn put_into(self, text: UnigramText, config: &mut Map<String, Value>) {
        let mut set = |key: &str, value: bool| config.insert(key.into(), json!(value));
        set("add_prefix_space", self.add_prefix_space);
        if text != UnigramText::Words {
            set("do_lower_case", self.do_lower_case);
        }
        match text {
            UnigramText::Words => None,
            UnigramText::Folded => set("keep_accents", self.keep_accents),
            UnigramText::Running => set("split_by_punct", self.split_by_punct),
        };
    }

    /// Puts normalizer, splitter and decoder of the class into a tokenizer, whose map of characters stays.
    pub(super) fn put_parts(self, text: UnigramText, inner: &mut Tokenizer) -> Result<()> {
        let map = charsmap(inner.get_normalizer());
        let normalizer = self
            .normalizer(text, map)
            .map_err(|source| failed("cannot make the normalizer", source))?;
        inner
            .with_normalizer(normalizer)
            .map_err(|source| failed("cannot set the normalizer", source))?;
        inner.with_pre_tokenizer(Some(self.splitter(text)));
        inner.with_decoder(Some(Metaspace::new(SPACE, self.scheme(text), true)));
        Ok(())
    }

    fn scheme(self, text: UnigramText) -> PrependScheme {
        match (self.add_prefix_space, text) {
            (true, _) => PrependScheme::Always,
            (false, UnigramText::Running) => PrependScheme::First,
            (false, _) => PrependScheme::Never,
        }
    }

    fn splitter(self, text: UnigramText) -> PreTokenizerWrapper {
        let before: Option<PreTokenizerWrapper> = match text {
            UnigramText::Words | UnigramText::Folded => Some(WhitespaceSplit.into()),
            UnigramText::Running => self
                .split_by_punct
                .then(|| Punctuation::new(SplitDelimiterBehavior::Isolated).into()),
        };
        let spaces = Metaspace::new(SPACE, self.scheme(text), true);
        Splitters::new(before.into_iter().chain([spaces.into()]).collect()).into()
    }

    /// The normalizer of the class; `charsmap` is the map of characters that belongs to the vocabulary.
    fn normalizer(
        self,
        text: UnigramText,
        charsmap: Option<NormalizerWrapper>,
    ) -> tokenizers::Result<Option<NormalizerWrapper>> {
        let lower_case = self.do_lower_case.then_some(Lowercase.into());
        let steps: Vec<NormalizerWrapper> = match text {
            UnigramText::Words => return Ok(charsmap),
            UnigramText::Folded => {
                let quotes = ["``", "''"].map(|quote| Replace::new(quote, "\""));
                let mut steps = Vec::new();
                for quote in quotes {
                    steps.push(quote?.into());
                }
                if !self.keep_accents {
                    steps.extend([NFKD.into(), StripAccents.into()]);
                }
                steps
                    .into_iter()
                    .chain(lower_case)
                    .chain(charsmap)
                    .collect()
            }
            UnigramText::Running => {
                let spaces = ReplacePattern::Regex(r"\s{2,}|[\n\r\t]".to_owned());
                let rest: [NormalizerWrapper; 3] = [
                    Replace::new(spaces, " ")?.into(),
                    NFC.into(),
                    Strip::new(false, true).into(),
                ];
                lower_case.into_iter().chain(rest).collect()
            }
        };
        Ok(Some(Normalizers::new(steps).into()))
    }
}

/// The map of characters in a normalizer, if it has one.
fn charsmap(normalizer: Option<&NormalizerWrapper>) -> Option<NormalizerWrapper> {
    match normalizer? {
        NormalizerWrapper::Sequence(steps) => {
            steps.as_ref().iter().find_map(|step| charsmap(Some(step)))
        }
        map @ NormalizerWrapper::Precompiled(_) => Some(map.clone()),
        _ => None,
    }
}

/// The parts of a normalizer, nested or not.
fn steps(normalizer: Option<&NormalizerWrapper>) -> Vec<&NormalizerWrapper> {
    match normalizer {
        None => Vec::new(),
        Some(NormalizerWrapper::Sequence(parts)) => {
            let parts = parts.as_ref().iter();
            parts.flat_map(|part| steps(Some(part))).collect()
        }
        Some(step) => vec![step],
    }
}

/// The text of a part in `tokenizer.json`.
fn written(part: &impl Serialize) -> String {
    serde_json::to_string(part).unwrap_or_default()
}

/// True if two normalizers are the same steps.
fn same_steps(a: Option<&NormalizerWrapper>, b: Option<&NormalizerWrapper>) -> bool {
    let is_map = |step: &NormalizerWrapper| matches!(step, NormalizerWrapper::Precompiled(_));
    let (a, b) = (steps(a), steps(b));
    // The maps are large, and one of the two was taken from the other.
    let same = |(a, b): (&&NormalizerWrapper, &&NormalizerWrapper)| {
        is_map(a) && is_map(b) || written(a) == written(b)
    };
    a.len() == b.len() && a.iter().zip(&b).all(same)
}

/// Puts the parts that the class of transformers makes in place of those of `tokenizer.json`, as that class does.
pub(super) fn rebuild(
    inner: &mut Tokenizer,
    path: &Path,
    config: &DirConfig,
    text: UnigramText,
) -> Result<()> {
    let settings = Settings::of(config, text);
    let map = charsmap(inner.get_normalizer());
    let normalizer = settings
        .normalizer(text, map)
        .map_err(|source| failed("cannot make the normalizer", source))?;
    let splitter = settings.splitter(text);
    let mut said = Vec::new();
    if !same_steps(inner.get_normalizer(), normalizer.as_ref()) {
        said.push("another normalizer");
    }
    if inner.get_pre_tokenizer() != Some(&splitter) {
        said.push("another splitter");
    }
    if !said.is_empty() {
        notice(format!(
            "{} has {} than {} makes by {TOKENIZER_CONFIG} beside it: the latter is followed, as in transformers; with \
             tokenizer_class PreTrainedTokenizerFast it would be the former",
            path.display(),
            said.join(" and "),
            config
                .family
                .tokenizer
                .classes
                .first()
                .unwrap_or(&"its class"),
        ));
    }
    settings.put_parts(text, inner)?;
    // ALBERT's class takes the special tokens' frame of the file, the others make theirs.
    if text != UnigramText::Folded {
        inner.with_post_processor(None::<tokenizers::PostProcessorWrapper>);
    }
    Ok(())
}

/// Settings by which the class of transformers makes the parts of a tokenizer, if there are any.
pub(super) fn settings(inner: &Tokenizer, text: UnigramText, unknown: u32) -> Option<Settings> {
    let ModelWrapper::Unigram(model) = inner.get_model() else {
        return None;
    };
    // The classes know the unknown piece by its place or by its score.
    let is_known = match text {
        UnigramText::Words => unknown == 3,
        UnigramText::Folded => unknown == 1,
        UnigramText::Running => {
            let piece = model.iter().nth(unknown as usize);
            piece.is_some_and(|(_, score)| *score == 0.0)
        }
    };
    let map = charsmap(inner.get_normalizer());
    Settings::all(text).find(|settings| {
        let normalizer = settings.normalizer(text, map.clone());
        let same_normalizer = normalizer
            .is_ok_and(|normalizer| same_steps(inner.get_normalizer(), normalizer.as_ref()));
        is_known
            && !model.byte_fallback()
            && same_normalizer
            && inner.get_pre_tokenizer() == Some(&settings.splitter(text))
    })
}

/// True if the splitter puts spaces into pieces.
pub(super) fn has_spaces(splitter: Option<&PreTokenizerWrapper>) -> bool {
    match splitter {
        Some(PreTokenizerWrapper::Metaspace(_)) => true,
        Some(PreTokenizerWrapper::Sequence(parts)) => {
            parts.as_ref().iter().any(|part| has_spaces(Some(part)))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_that_transformers_made_are_those_of_their_settings() {
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/tokenizer-kinds");
        for (kind, text, unknown) in [
            ("xlm-roberta-any-class", UnigramText::Words, None),
            ("camembert", UnigramText::Words, Some(3)),
            ("albert", UnigramText::Folded, Some(1)),
            ("deberta-v2", UnigramText::Running, Some(3)),
        ] {
            let inner = Tokenizer::from_file(fixtures.join(kind).join("tokenizer.json")).unwrap();
            let found = settings(&inner, text, unknown.unwrap_or(3));
            // XLM-R's was made by another class, which takes parts as they are.
            assert_eq!(found, unknown.map(|_| Settings::usual(text)), "{kind}");
        }
    }
}
