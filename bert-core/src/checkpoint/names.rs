//! Parameter names: ours, Hugging Face's, and the older spellings found in files.
//!
//! Every name is compared in one *canonical* form: Hugging Face's current spelling with the encoder
//! under `bert.`.

/// Our field names against Hugging Face's, as whole path segments.
const SEGMENTS: [(&str, &str); 4] = [
    ("self_attention", "self"),
    ("layer_norm", "LayerNorm"),
    ("gamma", "weight"),
    ("beta", "bias"),
];

/// The encoder's top-level modules, which task models hold under `bert.`.
const ENCODER: [&str; 3] = ["embeddings", "encoder", "pooler"];

/// The name under which transformers saves the parameter at `path` of one of our modules.
pub(crate) fn to_hugging_face(path: &str) -> String {
    path.split('.')
        .map(|segment| {
            SEGMENTS
                .iter()
                .find(|(ours, _)| *ours == segment)
                .map_or(segment, |(_, theirs)| theirs)
        })
        .collect::<Vec<_>>()
        .join(".")
}

/// The canonical form of a name in Hugging Face spelling.
pub(crate) fn canonical(name: &str) -> String {
    let name = name.strip_prefix("module.").unwrap_or(name);
    let (parent, leaf) = name.rsplit_once('.').unwrap_or(("", name));
    let leaf = match leaf {
        "gamma" => "weight",
        "beta" => "bias",
        _ => leaf,
    };
    let first = parent.split('.').next().unwrap_or_default();
    match (parent, ENCODER.contains(&first)) {
        ("", _) => leaf.to_owned(),
        (_, true) => format!("bert.{parent}.{leaf}"),
        (_, false) => format!("{parent}.{leaf}"),
    }
}

/// Why a tensor that no parameter takes may be left out even under strict loading.
pub(crate) fn ignorable(canonical: &str) -> Option<&'static str> {
    if canonical == "bert.embeddings.position_ids" || canonical == "bert.embeddings.token_type_ids"
    {
        return Some("a buffer of constants, not a weight");
    }
    if canonical == "cls.predictions.decoder.weight" || canonical == "cls.predictions.decoder.bias"
    {
        return Some("tied to another parameter, or not asked for");
    }
    let head = ["cls.", "classifier.", "qa_outputs.", "crf."]
        .iter()
        .any(|prefix| canonical.starts_with(prefix));
    if head {
        return Some("belongs to a task head that was not asked for");
    }
    canonical
        .starts_with("bert.pooler.")
        .then_some("the model asked for has no pooler")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn module_paths_become_hugging_face_names() {
        assert_eq!(
            to_hugging_face("encoder.layer.3.attention.self_attention.query.weight"),
            "encoder.layer.3.attention.self.query.weight"
        );
        assert_eq!(
            to_hugging_face("bert.embeddings.layer_norm.gamma"),
            "bert.embeddings.LayerNorm.weight"
        );
        assert_eq!(
            to_hugging_face("cls.predictions.bias"),
            "cls.predictions.bias"
        );
    }

    #[test]
    fn spellings_meet_in_the_canonical_form() {
        for name in [
            "embeddings.LayerNorm.weight",
            "bert.embeddings.LayerNorm.weight",
            "module.bert.embeddings.LayerNorm.gamma",
            "embeddings.LayerNorm.gamma",
        ] {
            assert_eq!(canonical(name), "bert.embeddings.LayerNorm.weight");
        }
        assert_eq!(canonical("module.classifier.bias"), "classifier.bias");
    }
}
