//! ModernBERT (Warner et al. 2024): norms before, rotary positions, gated feed-forward layers, two of three layers with local
//! attention, no biases (transformers `models/modernbert/modeling_modernbert.py`).

use serde_json::{Map, Value, json};
use tokenizers::PostProcessorWrapper;
use tokenizers::processors::bert::BertProcessing;

use super::family::{
    ConfigKeys, Family, Frame, Published, TensorNames, TokenizerFamily, TokenizerModel,
};
use super::fields::{activation, flag, stated, wrong};
use super::rope;
use super::shape::{
    BlockDropout, BlockShape, ClassifierShape, GateShape, HeadDropout, HeadShapes,
    HiddenLayerShape, LocalLayers, MaskedLmShape, NormPlace, Positions, Reads, Rotary,
};
use crate::activation::HiddenAct;
use crate::config::BertConfig;
use crate::error::Result;

/// Bases of rotary positions and distance between global layers where `config.json` states none.
const GLOBAL_THETA: f64 = 160_000.0;
const LOCAL_THETA: f64 = 10_000.0;
const GLOBAL_EVERY: usize = 3;
/// Tokens of a local layer's window where `config.json` states none.
const LOCAL_ATTENTION: usize = 128;

/// A hidden layer with LayerNorm, before every head.
const HIDDEN: HiddenLayerShape = HiddenLayerShape {
    bias: false,
    norm: true,
    ..HiddenLayerShape::without_dropout(HiddenAct::Gelu)
};

/// A classifier over every token.
const TOKENS: ClassifierShape = ClassifierShape {
    reads: Reads::EveryToken,
    hidden: Some(HIDDEN),
    dropout: HeadDropout::Classifier,
};

/// A classifier over the first token.
const FIRST: ClassifierShape = ClassifierShape {
    reads: Reads::FirstToken,
    ..TOKENS
};

/// ModernBERT.
pub static MODERNBERT: Family = Family {
    model_type: "modernbert",
    name: "ModernBERT",
    class_prefix: "ModernBert",
    pad_token_id: 50283,
    keys: ConfigKeys {
        renamed: &[
            ("hidden_act", "hidden_activation"),
            ("layer_norm_eps", "norm_eps"),
            ("attention_probs_dropout_prob", "attention_dropout"),
            ("hidden_dropout_prob", "embedding_dropout"),
        ],
        without: &["type_vocab_size"],
        defaults,
        read,
        write,
        ..ConfigKeys::PLAIN
    },
    pooler: false,
    segments_optional: true,
    positions: Positions::None,
    heads: HeadShapes {
        sequence: FIRST,
        token: TOKENS,
        question_answering: TOKENS,
        choice: FIRST,
        masked_lm: MaskedLmShape {
            activation: Some(HiddenAct::Gelu),
            dense_bias: false,
            decoder_bias: true,
        },
        next_sentence: false,
        replaced_tokens: false,
    },
    tensors: TensorNames {
        prefix: "model.",
        modules: &["embeddings", "layers", "final_norm"],
        encoder: &[
            ("embeddings.word_embeddings.", "embeddings.tok_embeddings."),
            ("embeddings.LayerNorm.", "embeddings.norm."),
            (
                "encoder.layer.{}.attention.LayerNorm.",
                "layers.{}.attn_norm.",
            ),
            (
                "encoder.layer.{}.attention.self.query.",
                "layers.{}.attn.Wqkv.",
            ),
            (
                "encoder.layer.{}.attention.output.dense.",
                "layers.{}.attn.Wo.",
            ),
            ("encoder.layer.{}.LayerNorm.", "layers.{}.mlp_norm."),
            ("encoder.layer.{}.intermediate.dense.", "layers.{}.mlp.Wi."),
            ("encoder.layer.{}.output.dense.", "layers.{}.mlp.Wo."),
            ("encoder.LayerNorm.", "final_norm."),
        ],
        heads: &[
            ("pre_classifier.dense.", "head.dense."),
            ("pre_classifier.LayerNorm.", "head.norm."),
            ("cls.predictions.bias", "decoder.bias"),
            ("cls.predictions.decoder.", "decoder."),
        ],
        by_stated_class: &[
            (
                "ForMaskedLM",
                &[
                    ("cls.predictions.transform.dense.", "head.dense."),
                    ("cls.predictions.transform.LayerNorm.", "head.norm."),
                ],
            ),
            ("ForQuestionAnswering", &[("qa_outputs.", "classifier.")]),
        ],
        ..TensorNames::PLAIN
    },
    tokenizer: TokenizerFamily {
        classes: &[],
        model: TokenizerModel::ByteLevelBpe,
        special_tokens: ["[UNK]", "[SEP]", "[PAD]", "[CLS]", "[MASK]"],
        extra_special_tokens: &[],
        special_order: [&[], &["[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]"]],
        composes: true,
        mask_takes_space: true,
        segments: false,
        frame,
    },
    published: Published {
        id: "answerdotai/ModernBERT-base",
        config: || {
            json!({"vocab_size": 50368, "num_hidden_layers": 22, "intermediate_size": 1152,
                "classifier_pooling": "mean"})
        },
        pooler: false,
        parameters: 149_014_272,
        others: &["ModernBERT-large", "gte-modernbert"],
    },
};

/// `[CLS] A [SEP]` and `[CLS] A [SEP] B [SEP]`.
fn frame(tokens: Frame) -> PostProcessorWrapper {
    BertProcessing::new(tokens.separator, tokens.first).into()
}

fn defaults(config: &mut BertConfig) {
    config.type_vocab_size = 0;
    config.max_position_embeddings = 8192;
    config.layer_norm_eps = 1e-5;
    config.hidden_dropout_prob = 0.0;
    config.attention_probs_dropout_prob = 0.0;
    config.classifier_dropout = Some(0.0);
    config.block = BlockShape {
        norm: NormPlace::Before,
        norm_bias: false,
        attention_bias: false,
        fused_projections: true,
        gate: GateShape::FirstHalf,
        feed_forward_bias: [false; 2],
    };
    config.block_dropout = BlockDropout {
        attention: true,
        feed_forward: false,
        as_attention: true,
        widened: false,
    };
    config.rotary = Some(Rotary {
        theta: GLOBAL_THETA,
        local_theta: LOCAL_THETA,
        scale: 1.0,
    });
    config.local = Some(LocalLayers {
        reach: LOCAL_ATTENTION / 2,
        layers: every(GLOBAL_EVERY, config.num_hidden_layers),
    });
}

/// Local layers between global ones, of which the first is one.
fn every(distance: usize, layers: usize) -> Vec<bool> {
    (0..layers).map(|layer| layer % distance != 0).collect()
}

/// Reads the keys that BERT does not have and leaves them among the rest, which is written back as it came.
fn read(fields: &mut Map<String, Value>, config: &mut BertConfig) -> Result<()> {
    let block = &mut config.block;
    block.norm_bias = flag(fields, "norm_bias", block.norm_bias)?;
    block.attention_bias = flag(fields, "attention_bias", block.attention_bias)?;
    block.feed_forward_bias = [flag(fields, "mlp_bias", false)?; 2];
    if let Some(value) = stated(fields, "mlp_dropout") {
        let wrong = || wrong("mlp_dropout", value, "a number");
        config.mlp_dropout = value.as_f64().ok_or_else(wrong)?;
    }
    read_heads(fields, &mut config.heads)?;
    rope::refuse_scaling(fields)?;
    config.rotary = Some(rotary(fields)?);
    config.local = Some(local(fields, config.num_hidden_layers)?);
    Ok(())
}

fn read_heads(fields: &Map<String, Value>, heads: &mut HeadShapes) -> Result<()> {
    let bias = flag(fields, "classifier_bias", false)?;
    let activation = activation(fields, "classifier_activation", HiddenAct::Gelu)?;
    let reads = match stated(fields, "classifier_pooling") {
        None => Reads::FirstToken,
        Some(value) if value == "cls" => Reads::FirstToken,
        Some(value) if value == "mean" => Reads::Mean,
        Some(value) => return Err(wrong("classifier_pooling", value, "\"cls\" or \"mean\"")),
    };
    let hidden = Some(HiddenLayerShape {
        bias,
        activation,
        ..HIDDEN
    });
    for shape in [&mut heads.sequence, &mut heads.choice] {
        shape.reads = reads;
        shape.hidden = hidden;
    }
    for shape in [&mut heads.token, &mut heads.question_answering] {
        shape.hidden = hidden;
    }
    heads.masked_lm = MaskedLmShape {
        activation: Some(activation),
        dense_bias: bias,
        decoder_bias: flag(fields, "decoder_bias", true)?,
    };
    Ok(())
}

/// Bases of both kinds of layers, by the keys of transformers 5 or those before it.
fn rotary(fields: &Map<String, Value>) -> Result<Rotary> {
    let of_kind = |kind: &str| match stated(fields, rope::PARAMETERS) {
        None => Ok(None),
        Some(Value::Object(kinds)) => rope::theta(kinds.get(kind).unwrap_or(&Value::Null)),
        Some(value) => Err(wrong(rope::PARAMETERS, value, "an object")),
    };
    let number = |key: &str, value: &Value| {
        let wrong = || wrong(key, value, "a number");
        value.as_f64().ok_or_else(wrong)
    };
    let theta = match (
        of_kind("full_attention")?,
        stated(fields, "global_rope_theta"),
    ) {
        (Some(theta), _) => theta,
        (None, Some(value)) => number("global_rope_theta", value)?,
        (None, None) => GLOBAL_THETA,
    };
    let local_theta = match (
        of_kind("sliding_attention")?,
        fields.get("local_rope_theta"),
    ) {
        (Some(theta), _) => theta,
        (None, Some(Value::Null)) => theta,
        (None, Some(value)) => number("local_rope_theta", value)?,
        (None, None) => LOCAL_THETA,
    };
    Ok(Rotary {
        theta,
        local_theta,
        scale: 1.0,
    })
}

/// Window and place of local layers, by the keys of transformers 5 or those before it.
fn local(fields: &Map<String, Value>, num_layers: usize) -> Result<LocalLayers> {
    let size = |key: &'static str, absent: usize| match stated(fields, key) {
        None => Ok(absent),
        Some(value) => {
            let size = value.as_u64().and_then(|size| usize::try_from(size).ok());
            size.ok_or_else(|| wrong(key, value, "a whole number"))
        }
    };
    let layers = match stated(fields, "layer_types") {
        Some(value) => {
            let kind = |kind: &Value| match kind.as_str() {
                Some("full_attention") => Some(false),
                Some("sliding_attention") => Some(true),
                _ => None,
            };
            let kinds = value.as_array();
            let kinds = kinds.and_then(|kinds| kinds.iter().map(kind).collect::<Option<_>>());
            let expected = "a list of \"full_attention\" and \"sliding_attention\"";
            kinds.ok_or_else(|| wrong("layer_types", value, expected))?
        }
        None => match size("global_attn_every_n_layers", GLOBAL_EVERY)? {
            0 => {
                let key = "global_attn_every_n_layers";
                return Err(wrong(key, &json!(0), "at least 1"));
            }
            distance => every(distance, num_layers),
        },
    };
    Ok(LocalLayers {
        reach: size("local_attention", LOCAL_ATTENTION)? / 2,
        layers,
    })
}

/// Writes what a configuration that was not read from a file has of the keys that BERT does not have, in the spelling of
/// transformers 5 and, where there is one, in that before it.
fn write(config: &BertConfig, fields: &mut Map<String, Value>) {
    let mut set = |key: &str, value: Value| {
        if !config.extra.contains_key(key) {
            fields.insert(key.to_owned(), value);
        }
    };
    let (block, heads) = (config.block, config.heads);
    set("norm_bias", json!(block.norm_bias));
    set("attention_bias", json!(block.attention_bias));
    set("mlp_bias", json!(block.feed_forward_bias[0]));
    set("mlp_dropout", json!(config.mlp_dropout));
    set("decoder_bias", json!(heads.masked_lm.decoder_bias));
    set("classifier_bias", json!(heads.masked_lm.dense_bias));
    let activation = config.masked_lm_act().name();
    set("classifier_activation", json!(activation));
    let pooling = match heads.sequence.reads {
        Reads::Mean => "mean",
        Reads::Pooled | Reads::FirstToken | Reads::EveryToken => "cls",
    };
    set("classifier_pooling", json!(pooling));
    let layers_were_read = ["layer_types", "global_attn_every_n_layers"]
        .iter()
        .any(|key| config.extra.contains_key(*key));
    if let Some(local) = &config.local {
        set("local_attention", json!(2 * local.reach));
        let kind = |&local: &bool| match local {
            true => "sliding_attention",
            false => "full_attention",
        };
        let kinds: Vec<&str> = local.layers.iter().map(kind).collect();
        if !layers_were_read {
            set("layer_types", json!(kinds));
            let distance = local.layers.iter().skip(1).position(|local| !local);
            let distance = distance.map_or(local.layers.len().max(1), |at| at + 1);
            if every(distance, local.layers.len()) == local.layers {
                set("global_attn_every_n_layers", json!(distance));
            }
        }
    }
    let bases_were_read = [rope::PARAMETERS, "global_rope_theta", "local_rope_theta"]
        .iter()
        .any(|key| config.extra.contains_key(*key));
    if let (Some(rotary), false) = (config.rotary, bases_were_read) {
        let kind = |theta: f64| json!({"rope_type": "default", "rope_theta": theta});
        let kinds = json!({
            "full_attention": kind(rotary.theta),
            "sliding_attention": kind(rotary.local_theta),
        });
        set(rope::PARAMETERS, kinds);
        set("global_rope_theta", json!(rotary.theta));
        set("local_rope_theta", json!(rotary.local_theta));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::testing;

    /// The file of ModernBERT-base, of transformers 4, with other fields.
    fn config(other: Value) -> Result<BertConfig> {
        let fields = json!({
            "architectures": ["ModernBertForMaskedLM"], "attention_bias": false, "attention_dropout": 0.0,
            "bos_token_id": 50281, "classifier_activation": "gelu", "classifier_bias": false,
            "classifier_dropout": 0.0, "classifier_pooling": "mean", "cls_token_id": 50281, "decoder_bias": true,
            "deterministic_flash_attn": false, "embedding_dropout": 0.0, "eos_token_id": 50282,
            "global_attn_every_n_layers": 3, "global_rope_theta": 160000.0, "hidden_activation": "gelu",
            "hidden_size": 768, "initializer_cutoff_factor": 2.0, "initializer_range": 0.02,
            "intermediate_size": 1152, "layer_norm_eps": 1e-5, "local_attention": 128, "local_rope_theta": 10000.0,
            "max_position_embeddings": 8192, "mlp_bias": false, "mlp_dropout": 0.0, "model_type": "modernbert",
            "norm_bias": false, "norm_eps": 1e-5, "num_attention_heads": 12, "num_hidden_layers": 22,
            "pad_token_id": 50283, "position_embedding_type": "absolute", "sep_token_id": 50282,
            "tie_word_embeddings": true, "vocab_size": 50368
        });
        testing::config(fields, other)
    }

    #[test]
    fn the_published_sizes_are_those_of_the_network() {
        let base = config(json!({})).unwrap();
        assert_eq!(base.num_params(false), 149_014_272);
        assert_eq!(base.max_input_length(), 8192);
        assert_eq!(base.heads.sequence.reads, Reads::Mean);
        assert_eq!((base.reach_of(0), base.reach_of(1)), (None, Some(64)));
        assert_eq!((base.reach_of(2), base.reach_of(3)), (Some(64), None));
        assert_eq!(base.rotary_bases(), [160_000.0, 10_000.0]);
        assert_eq!(BertConfig::from_json(base.to_json()).unwrap(), base);
        let large = json!({"hidden_size": 1024, "num_hidden_layers": 28, "num_attention_heads": 16,
            "intermediate_size": 2624});
        let large = config(large).unwrap();
        assert_eq!(large.num_params(false), 394_781_696);
        let biased = json!({"norm_bias": true, "attention_bias": true, "mlp_bias": true});
        // Norms, attention, feed-forward layers.
        let more = 45 * 768 + 22 * 4 * 768 + 22 * (2 * 1152 + 768);
        let biased = config(biased).unwrap();
        assert_eq!(biased.num_params(false), 149_014_272 + more);
    }

    #[test]
    fn keys_of_transformers_5_mean_those_before_them() {
        let new = |theta: f64| json!({"rope_type": "default", "rope_theta": theta});
        let kinds: Vec<_> = (0..22)
            .map(|layer| match layer % 2 {
                0 => "full_attention",
                _ => "sliding_attention",
            })
            .collect();
        let five = config(json!({
            "rope_parameters": {"full_attention": new(900.0), "sliding_attention": new(40.0)},
            "layer_types": kinds, "global_attn_every_n_layers": null,
        }))
        .unwrap();
        let four = config(json!({"global_rope_theta": 900.0, "local_rope_theta": 40.0,
            "global_attn_every_n_layers": 2}))
        .unwrap();
        assert_eq!(five.rotary, four.rotary);
        assert_eq!(five.local, four.local);
        let shared = config(json!({"local_rope_theta": null})).unwrap();
        assert_eq!(shared.rotary_bases(), [160_000.0]);
        // A configuration of no file is written in both spellings.
        let mut fresh = five.clone();
        fresh.extra = Map::new();
        let fields = fresh.to_json();
        assert_eq!(fields["layer_types"], five.to_json()["layer_types"]);
        assert_eq!(fields["global_attn_every_n_layers"], 2);
        assert_eq!(fields["local_rope_theta"], 40.0);
        let again = BertConfig::from_json(fields).unwrap();
        assert_eq!((again.local, again.rotary), (five.local, five.rotary));
        assert_eq!((again.heads, again.block), (five.heads, five.block));
    }

    #[test]
    fn what_is_not_computed_is_refused_by_name() {
        let yarn = json!({"rope_type": "yarn", "factor": 4.0});
        for (field, value) in [
            ("rope_scaling", json!({"type": "ntk", "factor": 2.0})),
            ("rope_parameters", json!({"full_attention": yarn})),
            ("rope_parameters", json!(3)),
            ("layer_types", json!(["full_attention"])),
            ("layer_types", json!(["chunked_attention"])),
            ("global_attn_every_n_layers", json!(0)),
            ("local_attention", json!("wide")),
            ("classifier_pooling", json!("max")),
            ("classifier_activation", json!("mish")),
            ("norm_bias", json!("no")),
            ("mlp_dropout", json!(1.0)),
            ("num_attention_heads", json!(256)),
            ("global_rope_theta", json!("much")),
        ] {
            let error = config(json!({field: value})).unwrap_err().to_string();
            assert!(error.contains(field), "{field}={value}: {error}");
        }
    }

    #[test]
    fn names_are_those_of_transformers() {
        for (ours, theirs) in [
            (
                "bert.encoder.layer.3.attention.self.query.weight",
                "model.layers.3.attn.Wqkv.weight",
            ),
            (
                "bert.encoder.layer.3.LayerNorm.weight",
                "model.layers.3.mlp_norm.weight",
            ),
            ("bert.encoder.LayerNorm.weight", "model.final_norm.weight"),
            ("pre_classifier.LayerNorm.weight", "head.norm.weight"),
            ("cls.predictions.bias", "decoder.bias"),
            ("classifier.bias", "classifier.bias"),
        ] {
            assert_eq!(MODERNBERT.file_name(ours, ""), theirs);
            assert_eq!(MODERNBERT.our_name(theirs), ours);
        }
        for (class, ours, theirs) in [
            (
                "ModernBertForMaskedLM",
                "cls.predictions.transform.dense.weight",
                "head.dense.weight",
            ),
            (
                "ModernBertForQuestionAnswering",
                "qa_outputs.bias",
                "classifier.bias",
            ),
        ] {
            assert_eq!(MODERNBERT.file_name(ours, class), theirs);
            assert_eq!(MODERNBERT.our_name_in(theirs, &[class]), ours);
        }
    }
}
