//! DeBERTa v2 and v3 (He et al. 2021): BERT's blocks with disentangled attention, a Unigram vocabulary, and in v2 a convolution
//! beside the first block (transformers `models/deberta_v2/modeling_deberta_v2.py`).

use serde_json::{Map, Value, json};

use super::bert;
use super::family::{
    ConfigKeys, Family, Published, TensorNames, TokenizerFamily, TokenizerModel, UnigramText,
};
use super::fields::{activation, flag, integer, stated, value_of, wrong};
use super::shape::{
    ClassifierShape, Convolution, Disentangled, EmbeddingProjection, HeadDropout, HeadShapes,
    HiddenLayerShape, Positions, Reads, RelativePositions,
};
use crate::activation::HiddenAct;
use crate::config::BertConfig;
use crate::config::json::as_size;
use crate::error::{Error, Result};

/// The most buckets, distances and tokens of a convolution that are built.
const MOST: i64 = 1 << 20;

/// A classifier over the first token, whose hidden layer is called a pooler in the files.
const FIRST: ClassifierShape = ClassifierShape {
    reads: Reads::FirstToken,
    hidden: Some(HiddenLayerShape::after_dropout(
        HiddenAct::Gelu,
        HeadDropout::Key("pooler_dropout", 0.0),
    )),
    dropout: HeadDropout::Classifier,
};

/// DeBERTa v2 and v3.
pub static DEBERTA_V2: Family = FAMILY;

/// Names of the masked-LM head of `legacy` false; those of BERT, which no parameter has there, are those of another head.
static DEBERTA_V2_NEW_HEAD: Family = Family {
    tensors: TensorNames {
        heads: &[
            (
                "cls.predictions.transform.dense.",
                "lm_predictions.lm_head.dense.",
            ),
            (
                "cls.predictions.transform.LayerNorm.",
                "lm_predictions.lm_head.LayerNorm.",
            ),
            ("cls.predictions.bias", "lm_predictions.lm_head.bias"),
            ("cls.other_predictions.", "cls.predictions."),
            REPLACED_TOKENS,
            POOLER,
        ],
        ..FAMILY.tensors
    },
    ..FAMILY
};

/// The head of replaced tokens, with which v3 is trained.
const REPLACED_TOKENS: (&str, &str) = ("cls.discriminator.", "mask_predictions.");
/// The hidden layer of classifiers of texts and choices.
const POOLER: (&str, &str) = ("pre_classifier.dense.", "pooler.dense.");

const FAMILY: Family = Family {
    model_type: "deberta-v2",
    name: "DeBERTa",
    class_prefix: "DebertaV2",
    pad_token_id: 0,
    keys: ConfigKeys {
        renamed: &[("classifier_dropout", "cls_dropout")],
        new_model: |fields| {
            if let Value::Object(version_3) = version_3() {
                fields.extend(version_3);
            }
        },
        defaults: |config| {
            config.type_vocab_size = 0;
            config.layer_norm_eps = 1e-7;
            config.embedding_projection = EmbeddingProjection::BeforeNorm;
        },
        read,
        write,
        ..ConfigKeys::PLAIN
    },
    pooler: false,
    segments_optional: true,
    positions: Positions::FromZero,
    heads: HeadShapes {
        sequence: FIRST,
        token: ClassifierShape {
            dropout: HeadDropout::Hidden,
            ..ClassifierShape::TOKENS
        },
        choice: FIRST,
        next_sentence: false,
        ..HeadShapes::PLAIN
    },
    tensors: TensorNames {
        prefix: "deberta.",
        modules: &["embeddings", "encoder"],
        encoder: &[
            ("embeddings.projection.", "embeddings.embed_proj."),
            (
                "encoder.layer.{}.attention.self.query.",
                "encoder.layer.{}.attention.self.query_proj.",
            ),
            (
                "encoder.layer.{}.attention.self.key.",
                "encoder.layer.{}.attention.self.key_proj.",
            ),
            (
                "encoder.layer.{}.attention.self.value.",
                "encoder.layer.{}.attention.self.value_proj.",
            ),
            (
                "encoder.layer.{}.attention.self.positions.key.",
                "encoder.layer.{}.attention.self.pos_key_proj.",
            ),
            (
                "encoder.layer.{}.attention.self.positions.query.",
                "encoder.layer.{}.attention.self.pos_query_proj.",
            ),
            (
                "encoder.relative_embeddings.LayerNorm.",
                "encoder.LayerNorm.",
            ),
            ("encoder.relative_embeddings.", "encoder.rel_embeddings."),
            ("encoder.convolution.", "encoder.conv."),
        ],
        heads: &[
            ("cls.other_predictions.", "lm_predictions.lm_head."),
            REPLACED_TOKENS,
            POOLER,
        ],
        ..TensorNames::PLAIN
    },
    tokenizer: TokenizerFamily {
        classes: &["DebertaV2Tokenizer"],
        model: TokenizerModel::Unigram(UnigramText::Running),
        special_order: [&["[PAD]", "[CLS]", "[SEP]", "[UNK]"], &["[MASK]"]],
        ..bert::TOKENIZER
    },
    published: Published {
        id: "microsoft/deberta-v3-base",
        config: || {
            let mut fields = version_3();
            fields["vocab_size"] = json!(128_100);
            fields
        },
        pooler: false,
        parameters: 183_831_552,
        others: &[
            "DeBERTa v3 xsmall, small and large",
            "mDeBERTa v3",
            "DeBERTa v2 xlarge",
        ],
    },
};

/// Fields of the attention that the published v3 models have and the family's defaults do not.
fn version_3() -> Value {
    json!({
        "relative_attention": true, "position_buckets": 256, "norm_rel_ebd": "layer_norm", "share_att_key": true,
        "pos_att_type": ["p2c", "c2p"], "position_biased_input": false,
    })
}

/// Reads the keys that BERT does not have and leaves them among the rest, which is written back as it came.
fn read(fields: &mut Map<String, Value>, config: &mut BertConfig) -> Result<()> {
    let hidden = config.hidden_size;
    let size = |key| value_of(fields, key, hidden, "a whole number", as_size);
    config.embedding_size = Some(size("embedding_size")?).filter(|&width| width != hidden);
    for (key, only) in [
        ("pooler_hidden_size", hidden),
        ("attention_head_size", config.head_size()),
    ] {
        if let Some(value) = stated(fields, key).filter(|value| as_size(value) != Some(only)) {
            let expected = format!("{only}, which the other sizes make it");
            return Err(wrong(key, value, &expected));
        }
    }
    config.positions = match flag(fields, "position_biased_input", true)? {
        true => Positions::FromZero,
        false => Positions::None,
    };
    config.relative = relative(fields, config)?;
    config.convolution = convolution(fields)?;
    let pooler = activation(fields, "pooler_hidden_act", HiddenAct::Gelu)?;
    for shape in [&mut config.heads.sequence, &mut config.heads.choice] {
        shape.hidden = shape.hidden.map(|layer| HiddenLayerShape {
            activation: pooler,
            ..layer
        });
    }
    if !flag(fields, "legacy", true)? {
        read_new_head(fields, config)?;
    }
    Ok(())
}

/// Takes the masked-LM head of `legacy` false, whose decoder is the table of the embeddings whatever else is stated.
fn read_new_head(fields: &Map<String, Value>, config: &mut BertConfig) -> Result<()> {
    if fields.get("tie_word_embeddings") == Some(&Value::Bool(false)) {
        let reason = "is false, but the masked-LM head of `legacy` false has no decoder but the word embeddings: take it out";
        return Err(Error::config("tie_word_embeddings", reason));
    }
    if config.embedding_size.is_some() {
        let reason =
            "is false, but that masked-LM head takes embeddings of hidden_size: state true";
        return Err(Error::config("legacy", reason));
    }
    config.family = &DEBERTA_V2_NEW_HEAD;
    Ok(())
}

fn relative(fields: &Map<String, Value>, config: &BertConfig) -> Result<RelativePositions> {
    let [content_to_position, position_to_content] = comparisons(fields)?;
    let norm = norm(fields)?;
    if !flag(fields, "relative_attention", false)? {
        for (key, is_stated) in [
            ("pos_att_type", content_to_position || position_to_content),
            ("norm_rel_ebd", norm),
        ] {
            if is_stated {
                let reason = "is about relative positions, but relative_attention is not true: state true, or take it out";
                return Err(Error::config(key, reason));
            }
        }
        return Ok(RelativePositions::None);
    }
    let bounded = |key| match integer(fields, key, -1)? {
        distance if distance > MOST => {
            Err(wrong(key, &json!(distance), &format!("at most {MOST}")))
        }
        distance => Ok(usize::try_from(distance).ok().filter(|&size| size > 0)),
    };
    let buckets = bounded("position_buckets")?;
    let farthest = bounded("max_relative_positions")?.unwrap_or(config.max_position_embeddings);
    if let Some(buckets) = buckets {
        if buckets == 1 {
            let expected = "at least 2, or -1 for none";
            return Err(wrong("position_buckets", &json!(1), expected));
        }
        let exact = buckets / 2;
        if config.max_position_embeddings > exact + 1 && farthest <= exact + 1 {
            let expected = format!(
                "above {}, half of position_buckets and 1, so that further distances can share buckets",
                exact + 1
            );
            return Err(wrong("max_relative_positions", &json!(farthest), &expected));
        }
    }
    Ok(RelativePositions::Disentangled(Disentangled {
        buckets,
        farthest,
        norm,
        shared_projections: flag(fields, "share_att_key", false)?,
        content_to_position,
        position_to_content,
    }))
}

/// True for content to position, and for position to content, as `pos_att_type` has them in a string or a list.
fn comparisons(fields: &Map<String, Value>) -> Result<[bool; 2]> {
    const KEY: &str = "pos_att_type";
    let Some(value) = stated(fields, KEY) else {
        return Ok([false; 2]);
    };
    let wrong = || wrong(KEY, value, "a list of \"c2p\" and \"p2c\"");
    let kinds: Vec<String> = match value {
        Value::String(text) => parts(text),
        Value::Array(kinds) => {
            let kinds = kinds.iter().map(|kind| kind.as_str().map(str::to_owned));
            kinds.collect::<Option<_>>().ok_or_else(wrong)?
        }
        _ => return Err(wrong()),
    };
    let is_known = |kind: &String| ["", "c2p", "p2c"].contains(&kind.as_str());
    if !kinds.iter().all(is_known) {
        return Err(wrong());
    }
    Ok(["c2p", "p2c"].map(|kind| kinds.iter().any(|stated| stated == kind)))
}

/// True if the table of relative positions is normalised.
fn norm(fields: &Map<String, Value>) -> Result<bool> {
    const KEY: &str = "norm_rel_ebd";
    value_of(fields, KEY, false, "\"layer_norm\" or \"none\"", |value| {
        let kinds = parts(value.as_str()?);
        let is_known = |kind: &String| ["", "none", "layer_norm"].contains(&kind.as_str());
        let has_norm = kinds.iter().any(|kind| kind == "layer_norm");
        kinds.iter().all(is_known).then_some(has_norm)
    })
}

/// The parts between bars of a text, in lower case.
fn parts(text: &str) -> Vec<String> {
    let text = text.to_lowercase();
    text.split('|').map(|part| part.trim().to_owned()).collect()
}

fn convolution(fields: &Map<String, Value>) -> Result<Option<Convolution>> {
    const KEY: &str = "conv_kernel_size";
    let kernel = integer(fields, KEY, 0)?;
    if kernel <= 0 {
        return Ok(None);
    }
    if kernel % 2 == 0 || kernel > MOST {
        let expected = format!("odd and at most {MOST}, so that every token keeps its place");
        return Err(wrong(KEY, &json!(kernel), &expected));
    }
    if integer(fields, "conv_groups", 1)? != 1 {
        let reason = "is not 1, but convolutions are computed in one group";
        return Err(Error::config("conv_groups", reason));
    }
    Ok(Some(Convolution {
        kernel: kernel as usize,
        activation: activation(fields, "conv_act", HiddenAct::Tanh)?,
    }))
}

/// Writes what a configuration that was not read from a file has of the keys that BERT does not have.
fn write(config: &BertConfig, fields: &mut Map<String, Value>) {
    let mut set = |key: &str, value: Value| {
        if !config.extra.contains_key(key) {
            fields.insert(key.to_owned(), value);
        }
    };
    if let Some(width) = config.embedding_size {
        set("embedding_size", json!(width));
    }
    let biased = config.positions != Positions::None;
    set("position_biased_input", json!(biased));
    let mut kinds = Vec::new();
    let relative = match config.relative {
        RelativePositions::Disentangled(shape) => {
            let buckets = shape.buckets.map_or(json!(-1), |buckets| json!(buckets));
            set("position_buckets", buckets);
            set("max_relative_positions", json!(shape.farthest));
            let norm = if shape.norm { "layer_norm" } else { "none" };
            set("norm_rel_ebd", json!(norm));
            set("share_att_key", json!(shape.shared_projections));
            for (kind, is_there) in [
                ("p2c", shape.position_to_content),
                ("c2p", shape.content_to_position),
            ] {
                kinds.extend(is_there.then_some(kind));
            }
            true
        }
        RelativePositions::None | RelativePositions::Bias { .. } => false,
    };
    set("relative_attention", json!(relative));
    set("pos_att_type", json!(kinds));
    if let Some(shape) = config.convolution {
        set("conv_kernel_size", json!(shape.kernel));
        set("conv_act", json!(shape.activation.name()));
    }
    if let Some(layer) = config.heads.sequence.hidden {
        set("pooler_hidden_act", json!(layer.activation.name()));
    }
    set("legacy", json!(std::ptr::eq(config.family, &DEBERTA_V2)));
    if config.classifier_dropout.is_none() {
        fields.shift_remove("cls_dropout");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::testing;

    /// The file of deberta-v3-base, with other fields.
    fn config(other: Value) -> Result<BertConfig> {
        let fields = json!({
            "model_type": "deberta-v2", "attention_probs_dropout_prob": 0.1, "hidden_act": "gelu",
            "hidden_dropout_prob": 0.1, "hidden_size": 768, "initializer_range": 0.02,
            "intermediate_size": 3072, "max_position_embeddings": 512, "relative_attention": true,
            "position_buckets": 256, "norm_rel_ebd": "layer_norm", "share_att_key": true,
            "pos_att_type": "p2c|c2p", "layer_norm_eps": 1e-7, "max_relative_positions": -1,
            "position_biased_input": false, "num_attention_heads": 12, "num_hidden_layers": 12,
            "type_vocab_size": 0, "vocab_size": 128_100
        });
        testing::config(fields, other)
    }

    #[test]
    fn the_published_sizes_are_those_of_the_network() {
        let base = config(json!({})).unwrap();
        assert_eq!(base.num_params(false), 183_831_552);
        assert_eq!(base.max_input_length(), 512);
        let read = BertConfig::from_json(base.to_json()).unwrap();
        assert_eq!(read.to_json(), base.to_json());
        for (other, parameters) in [
            (
                json!({"hidden_size": 384, "num_attention_heads": 6, "intermediate_size": 1536}),
                70_682_112,
            ),
            (json!({"num_hidden_layers": 6}), 141_304_320),
            (
                json!({"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16,
                    "intermediate_size": 4096}),
                434_012_160,
            ),
            // mDeBERTa v3.
            (json!({"vocab_size": 251_000}), 278_218_752),
            // v2 XL.
            (
                json!({"hidden_size": 1536, "num_hidden_layers": 24, "num_attention_heads": 24,
                    "intermediate_size": 6144, "conv_kernel_size": 3, "conv_act": "gelu"}),
                884_593_152,
            ),
        ] {
            let found = config(other).unwrap().num_params(false);
            assert_eq!(found, parameters);
        }
        let own = config(json!({"share_att_key": false})).unwrap();
        let more = 12 * 2 * (768 * 768 + 768);
        assert_eq!(own.num_params(false), 183_831_552 + more);
        let narrow = config(json!({"embedding_size": 128})).unwrap();
        let fewer = 128_100 * (768 - 128) - 128 * 768;
        assert_eq!(narrow.num_params(false), 183_831_552 - fewer);
        let placed = json!({"position_biased_input": true, "type_vocab_size": 2});
        let placed = config(placed).unwrap();
        assert_eq!(placed.num_params(false), 183_831_552 + 514 * 768);
    }

    #[test]
    fn relative_positions_are_compared_as_stated() {
        let shape = |other: Value| match config(other).unwrap().relative {
            RelativePositions::Disentangled(shape) => shape,
            other => panic!("{other:?}"),
        };
        for (stated, expected) in [
            (json!("p2c|c2p"), [true, true]),
            (json!("C2P | "), [true, false]),
            (json!(["p2c"]), [false, true]),
            (json!([]), [false, false]),
            (json!(""), [false, false]),
            (json!(null), [false, false]),
        ] {
            let shape = shape(json!({"pos_att_type": stated}));
            let found = [shape.content_to_position, shape.position_to_content];
            assert_eq!(found, expected, "{stated}");
        }
        let base = shape(json!({}));
        assert_eq!((base.span(), base.farthest, base.norm), (256, 512, true));
        let every = json!({"position_buckets": -1, "max_relative_positions": 40});
        let every = shape(every);
        assert_eq!((every.buckets, every.span()), (None, 40));
        let plain =
            json!({"relative_attention": false, "pos_att_type": null, "norm_rel_ebd": "none"});
        assert_eq!(config(plain).unwrap().relative, RelativePositions::None);
    }

    #[test]
    fn a_configuration_of_no_file_is_written_and_read() {
        for other in [
            json!({}),
            json!({"position_buckets": -1, "share_att_key": false, "pos_att_type": ["c2p"],
                "embedding_size": 96, "conv_kernel_size": 5, "pooler_hidden_act": "tanh",
                "cls_dropout": 0.25}),
            json!({"relative_attention": false, "pos_att_type": null, "norm_rel_ebd": "none",
                "position_biased_input": true, "legacy": false}),
        ] {
            let mut fresh = config(other).unwrap();
            fresh.extra = Map::new();
            let fields = fresh.to_json();
            let mut again = BertConfig::from_json(fields.clone()).unwrap();
            assert!(std::ptr::eq(again.family, fresh.family));
            again.extra = Map::new();
            assert_eq!(again, fresh);
            let stated = fresh.classifier_dropout.is_some();
            assert_eq!(fields.contains_key("cls_dropout"), stated);
        }
    }

    #[test]
    fn what_is_not_computed_or_contradicts_itself_is_refused_by_name() {
        for (field, other) in [
            ("pos_att_type", json!({"pos_att_type": "p2p"})),
            ("pos_att_type", json!({"pos_att_type": 3})),
            ("pos_att_type", json!({"relative_attention": false})),
            (
                "norm_rel_ebd",
                json!({"relative_attention": false, "pos_att_type": null}),
            ),
            ("norm_rel_ebd", json!({"norm_rel_ebd": "rms_norm"})),
            ("position_buckets", json!({"position_buckets": 1})),
            ("position_buckets", json!({"position_buckets": 1 << 30})),
            (
                "max_relative_positions",
                json!({"max_relative_positions": 129}),
            ),
            (
                "max_relative_positions",
                json!({"max_relative_positions": "far"}),
            ),
            ("conv_kernel_size", json!({"conv_kernel_size": 4})),
            (
                "conv_groups",
                json!({"conv_kernel_size": 3, "conv_groups": 2}),
            ),
            (
                "conv_act",
                json!({"conv_kernel_size": 3, "conv_act": "mish"}),
            ),
            ("pooler_hidden_size", json!({"pooler_hidden_size": 100})),
            ("attention_head_size", json!({"attention_head_size": 63})),
            ("pooler_dropout", json!({"pooler_dropout": 1.5})),
            ("share_att_key", json!({"share_att_key": "yes"})),
            ("legacy", json!({"legacy": false, "embedding_size": 128})),
            (
                "tie_word_embeddings",
                json!({"legacy": false, "tie_word_embeddings": false}),
            ),
        ] {
            let error = config(other.clone()).unwrap_err().to_string();
            assert!(error.contains(field), "{other}: {error}");
        }
    }

    #[test]
    fn names_are_those_of_transformers() {
        for (ours, theirs) in [
            (
                "bert.encoder.layer.3.attention.self.query.weight",
                "deberta.encoder.layer.3.attention.self.query_proj.weight",
            ),
            (
                "bert.encoder.layer.3.attention.self.positions.query.bias",
                "deberta.encoder.layer.3.attention.self.pos_query_proj.bias",
            ),
            (
                "bert.encoder.relative_embeddings.weight",
                "deberta.encoder.rel_embeddings.weight",
            ),
            (
                "bert.encoder.relative_embeddings.LayerNorm.bias",
                "deberta.encoder.LayerNorm.bias",
            ),
            (
                "bert.encoder.convolution.conv.weight",
                "deberta.encoder.conv.conv.weight",
            ),
            ("pre_classifier.dense.weight", "pooler.dense.weight"),
            ("cls.predictions.bias", "cls.predictions.bias"),
        ] {
            assert_eq!(DEBERTA_V2.file_name(ours, ""), theirs);
            assert_eq!(DEBERTA_V2.our_name(theirs), ours);
        }
    }

    #[test]
    fn the_head_of_the_other_generation_is_another_one() {
        let transform = "cls.predictions.transform.dense.weight";
        let (old, new) = (config(json!({})), config(json!({"legacy": false})));
        let (old, new) = (old.unwrap().family, new.unwrap().family);
        let name = "lm_predictions.lm_head.dense.weight";
        assert_eq!(new.file_name(transform, "ForMaskedLM"), name);
        assert_eq!(new.our_name(name), transform);
        assert_eq!(old.file_name(transform, "ForMaskedLM"), transform);
        assert_eq!(old.our_name(transform), transform);
        for (family, foreign) in [(old, name), (new, transform)] {
            let ours = family.our_name(foreign);
            assert!(ours.starts_with("cls.other_predictions."), "{ours}");
        }
    }
}
