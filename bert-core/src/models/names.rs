//! Names of parameters: ours, and those in the files of a family.
//!
//! Ours are the paths of parameters in a module, spelled as transformers spells those of BERT, with the encoder under
//! `bert.`.

use super::{Family, TensorNames};

/// Fields of our modules and their spelling, as whole path segments.
const SEGMENTS: [(&str, &str); 4] = [
    ("self_attention", "self"),
    ("layer_norm", "LayerNorm"),
    ("gamma", "weight"),
    ("beta", "bias"),
];

/// Modules of the encoder, which are under `bert.` in a task model.
const ENCODER: [&str; 3] = ["embeddings", "encoder", "pooler"];

/// Name of the encoder in a task model.
const PREFIX: &str = "bert.";

/// The number of a layer in the names of a family.
const LAYER: &str = "{}";

/// Hidden layer of a classifier.
const HIDDEN_LAYER: &str = "pre_classifier.";

/// Decoder of the masked-LM head, which is [`TABLE`] unless it is untied.
pub(crate) const DECODER: &str = "cls.predictions.decoder.weight";
/// Word embeddings.
pub(crate) const TABLE: &str = "bert.embeddings.word_embeddings.weight";
/// Bias of the masked-LM head.
pub(crate) const BIAS: &str = "cls.predictions.bias";
/// Bias of an untied decoder.
pub(crate) const DECODER_BIAS: &str = "cls.predictions.decoder.bias";
/// Head that tells replaced tokens from others.
pub(crate) const REPLACED_TOKENS: &str = "cls.discriminator.";
/// Weight of the pooler.
pub(crate) const POOLER: &str = "bert.pooler.dense.weight";

/// Our name of the parameter at `path` of a module.
pub(crate) fn of_path(path: &str) -> String {
    path.split('.')
        .map(|segment| {
            SEGMENTS
                .iter()
                .find(|(ours, _)| *ours == segment)
                .map_or(segment, |(_, spelling)| spelling)
        })
        .collect::<Vec<_>>()
        .join(".")
}

/// Our name in a task model of a parameter of a task model or of an encoder alone.
pub(crate) fn in_task_model(name: &str) -> String {
    let (first, _) = name.split_once('.').unwrap_or(("", name));
    match ENCODER.contains(&first) {
        true => format!("{PREFIX}{name}"),
        false => name.to_owned(),
    }
}

/// The name that transformers gives today to a tensor in files of any generation.
pub(crate) fn of_today(file_name: &str) -> String {
    let name = file_name.strip_prefix("module.").unwrap_or(file_name);
    let (parent, leaf) = name.rsplit_once('.').unwrap_or(("", name));
    let leaf = match leaf {
        "gamma" => "weight",
        "beta" => "bias",
        _ => leaf,
    };
    match parent {
        "" => leaf.to_owned(),
        _ => format!("{parent}.{leaf}"),
    }
}

/// True if a name of ours is one of a classifier's hidden layer.
pub(crate) fn is_hidden_layer(name: &str) -> bool {
    name.starts_with(HIDDEN_LAYER)
}

/// Reason for which a tensor that no parameter takes may be left out even under strict loading, by our name.
pub(crate) fn ignorable(name: &str) -> Option<&'static str> {
    if name == "bert.embeddings.position_ids" || name == "bert.embeddings.token_type_ids" {
        return Some("a buffer of constants, not a weight");
    }
    if name == DECODER || name == DECODER_BIAS {
        return Some("tied to another parameter, or not asked for");
    }
    let head = ["cls.", "classifier.", HIDDEN_LAYER, "qa_outputs.", "crf."]
        .iter()
        .any(|prefix| name.starts_with(prefix));
    if head {
        return Some("belongs to a task head that was not asked for");
    }
    name.starts_with("bert.pooler.")
        .then_some("the model asked for has no pooler")
}

impl Family {
    /// Our name of a tensor in the files, of any generation and with or without the encoder's prefix.
    ///
    /// Names that mean different parameters by class are those of none; [`our_name_in`](Self::our_name_in) knows them.
    pub fn our_name(&self, file_name: &str) -> String {
        self.our_name_in(file_name, &[])
    }

    /// [`our_name`](Self::our_name) in the files of a model of these classes of transformers.
    pub fn our_name_in(&self, file_name: &str, classes: &[&str]) -> String {
        let name = of_today(file_name);
        if !name.contains('.') {
            return name;
        }
        let tensors = &self.tensors;
        if let Some(within) = self.within_encoder(&name) {
            let ours = renamed(
                within,
                tensors.encoder.iter().map(|&(ours, theirs)| (theirs, ours)),
            );
            return format!("{PREFIX}{}", ours.as_deref().unwrap_or(within));
        }
        let is_stated = |ending: &str| classes.iter().any(|class| class.ends_with(ending));
        let stated = tensors.by_stated_class.iter();
        let stated = stated.filter(|(ending, _)| is_stated(ending));
        let stated = stated.flat_map(|(_, pairs)| pairs.iter());
        let of_classes = tensors.by_class.iter().flat_map(|(_, pairs)| pairs.iter());
        let pairs = stated.chain(of_classes).chain(tensors.heads);
        renamed(&name, pairs.map(|&(ours, theirs)| (theirs, ours))).unwrap_or(name)
    }

    /// The end of the name of a class whose classifier has a hidden layer with a name of its own; empty if there is none.
    pub(crate) fn class_with_hidden_layer(&self) -> &'static str {
        let first = self.tensors.by_class.first();
        first.map_or("", |(ending, _)| ending)
    }

    /// The name under which transformers saves a parameter of ours in a model of `class`, of which the end counts; an empty
    /// one where none is known.
    pub fn file_name(&self, name: &str, class: &str) -> String {
        let tensors = &self.tensors;
        let in_task_model = name.strip_prefix(PREFIX);
        let (first, _) = name.split_once('.').unwrap_or(("", name));
        if let Some(within) = in_task_model.or(ENCODER.contains(&first).then_some(name)) {
            let theirs = renamed(within, tensors.encoder.iter().copied());
            let theirs = theirs.as_deref().unwrap_or(within);
            let prefix = in_task_model.map_or("", |_| tensors.prefix);
            return format!("{prefix}{theirs}");
        }
        let of_class = tensors.by_class.iter();
        let of_class = of_class.filter(|(ending, _)| class.ends_with(ending));
        let pairs = of_class.flat_map(|(_, pairs)| pairs.iter());
        let stated = tensors.by_stated_class.iter();
        let stated = stated.flat_map(|(_, pairs)| pairs.iter());
        let pairs = stated.chain(pairs).chain(tensors.heads).copied();
        renamed(name, pairs).unwrap_or_else(|| name.to_owned())
    }

    /// The rest of a name in the files after the encoder's prefix, or all of it in the files of an encoder alone.
    fn within_encoder<'a>(&self, name: &'a str) -> Option<&'a str> {
        let TensorNames {
            prefix,
            own_prefixes,
            modules,
            ..
        } = self.tensors;
        let prefixes = [prefix].into_iter().chain(own_prefixes.iter().copied());
        let mut prefixes = prefixes.filter(|prefix| !prefix.is_empty());
        let within = prefixes.find_map(|prefix| name.strip_prefix(prefix));
        let (first, _) = name.split_once('.').unwrap_or((name, ""));
        within.or_else(|| modules.contains(&first).then_some(name))
    }
}

/// `name` with the beginning of the first pair that fits in place of its own.
fn renamed(
    name: &str,
    pairs: impl IntoIterator<Item = (&'static str, &'static str)>,
) -> Option<String> {
    pairs
        .into_iter()
        .find_map(|(from, to)| match from.split_once(LAYER) {
            None => {
                let rest = name.strip_prefix(from)?;
                Some(format!("{to}{rest}"))
            }
            Some((before, after)) => {
                let rest = name.strip_prefix(before)?;
                let digits = rest.find(|letter: char| !letter.is_ascii_digit())?;
                let (number, rest) = rest.split_at(digits);
                let rest = rest.strip_prefix(after).filter(|_| digits > 0)?;
                Some(format!("{}{rest}", to.replace(LAYER, number)))
            }
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::{BERT, FAMILIES};

    #[test]
    fn module_paths_become_names() {
        assert_eq!(
            of_path("encoder.layer.3.attention.self_attention.query.weight"),
            "encoder.layer.3.attention.self.query.weight"
        );
        assert_eq!(
            of_path("bert.embeddings.layer_norm.gamma"),
            "bert.embeddings.LayerNorm.weight"
        );
        assert_eq!(of_path("cls.predictions.bias"), "cls.predictions.bias");
    }

    #[test]
    fn spellings_meet_in_our_name() {
        for name in [
            "embeddings.LayerNorm.weight",
            "bert.embeddings.LayerNorm.weight",
            "module.bert.embeddings.LayerNorm.gamma",
            "embeddings.LayerNorm.gamma",
        ] {
            assert_eq!(BERT.our_name(name), "bert.embeddings.LayerNorm.weight");
        }
        assert_eq!(BERT.our_name("module.classifier.bias"), "classifier.bias");
    }

    #[test]
    fn names_survive_the_files_of_every_family() {
        for family in FAMILIES {
            for name in [
                "bert.embeddings.word_embeddings.weight",
                "bert.encoder.layer.0.attention.self.query.bias",
                "bert.pooler.dense.weight",
                "cls.predictions.transform.LayerNorm.weight",
                "cls.predictions.transform.dense.bias",
                "cls.predictions.bias",
                "cls.predictions.decoder.weight",
                "classifier.weight",
                "qa_outputs.bias",
            ] {
                let class = match name.split('.').next() {
                    Some("cls") => "ForMaskedLM",
                    Some("qa_outputs") => "ForQuestionAnswering",
                    _ => "Model",
                };
                let saved = family.file_name(name, class);
                let ours = family.our_name_in(&saved, &[class]);
                assert_eq!(ours, name, "{}", family.name);
            }
            for (ending, _) in family.tensors.by_class {
                for name in ["pre_classifier.dense.weight", "classifier.bias"] {
                    let saved = family.file_name(name, ending);
                    assert_eq!(family.our_name(&saved), name, "{} {ending}", family.name);
                }
            }
        }
    }
}
