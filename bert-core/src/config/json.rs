//! `config.json`, field by field.

use std::path::Path;

use serde_json::{Map, Value, json};

use super::BertConfig;
use crate::error::{Error, Result};
use crate::models::{BERT, FAMILIES, Family, family_of_class, family_of_file};

impl BertConfig {
    /// Reads `config.json`.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] or [`Error::Malformed`] for the file, [`Error::Config`] naming the field that
    /// is missing or out of range.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let text = std::fs::read_to_string(path).map_err(|error| Error::io("read", path, error))?;
        let value: Value = serde_json::from_str(&text)
            .map_err(|error| Error::malformed(path, "config.json", error))?;
        match value {
            Value::Object(fields) => Self::from_json(fields),
            _ => Err(Error::malformed(path, "config.json", "it is not an object")),
        }
    }

    /// Interprets the fields of a `config.json`.
    ///
    /// `model_type` decides on the family, which the classes in `architectures` must agree with; without it they decide, and
    /// without either it is BERT, unless a field is another family's. The five sizes are required; everything else has the
    /// default of transformers' configuration class.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] naming the field.
    pub fn from_json(mut fields: Map<String, Value>) -> Result<Self> {
        let family = family_of(&fields)?;
        refuse_unsupported(&fields, family)?;
        refuse_foreign_code(&fields, family)?;
        leave_own_code_out(&mut fields);
        let keys = &family.keys;
        for (ours, theirs) in keys.renamed {
            if let Some(value) = fields.shift_remove(*theirs) {
                fields.insert((*ours).to_owned(), value);
            }
        }
        for (ours, older) in keys.aliases {
            if let Some(value) = fields.shift_remove(*older) {
                fields.entry(*ours).or_insert(value);
            }
        }
        for key in keys.without {
            fields.shift_remove(*key);
        }
        let mut require = |name| require(&mut fields, name, family);
        let mut config = Self::new(
            require("vocab_size")?,
            require("hidden_size")?,
            require("num_hidden_layers")?,
            require("num_attention_heads")?,
            require("intermediate_size")?,
        );
        config.family = family;
        config.positions = family.positions;
        config.heads = family.heads;
        config.pad_token_id = family.pad_token_id;
        (keys.defaults)(&mut config);
        if let Some(name) = take(&mut fields, "hidden_act", as_string)? {
            config.hidden_act = name.parse()?;
        }
        let float = |fields: &mut _, name, slot: &mut f64| -> Result<()> {
            take(fields, name, as_float).map(|value| *slot = value.unwrap_or(*slot))
        };
        float(
            &mut fields,
            "hidden_dropout_prob",
            &mut config.hidden_dropout_prob,
        )?;
        float(
            &mut fields,
            "attention_probs_dropout_prob",
            &mut config.attention_probs_dropout_prob,
        )?;
        let classifier_dropout = take(&mut fields, "classifier_dropout", as_float)?;
        config.classifier_dropout = classifier_dropout.or(config.classifier_dropout);
        float(
            &mut fields,
            "initializer_range",
            &mut config.initializer_range,
        )?;
        float(&mut fields, "layer_norm_eps", &mut config.layer_norm_eps)?;
        let size = |fields: &mut _, name, slot: &mut usize| -> Result<()> {
            take(fields, name, as_size).map(|value| *slot = value.unwrap_or(*slot))
        };
        size(
            &mut fields,
            "max_position_embeddings",
            &mut config.max_position_embeddings,
        )?;
        size(&mut fields, "type_vocab_size", &mut config.type_vocab_size)?;
        size(&mut fields, "pad_token_id", &mut config.pad_token_id)?;
        (keys.read)(&mut fields, &mut config)?;
        config.extra = fields;
        config.check_dropouts_of_heads()?;
        if let Some(value) = config.extra.get("tie_word_embeddings")
            && !(value.is_boolean() || value.is_null())
        {
            let reason = format!("is {value}, but must be true or false");
            return Err(Error::config("tie_word_embeddings", reason));
        }
        config.validate()?;
        Ok(config)
    }

    /// The fields of a `config.json` that transformers reads back.
    pub fn to_json(&self) -> Map<String, Value> {
        let known = json!({
            "model_type": self.family.model_type,
            "vocab_size": self.vocab_size,
            "hidden_size": self.hidden_size,
            "num_hidden_layers": self.num_hidden_layers,
            "num_attention_heads": self.num_attention_heads,
            "intermediate_size": self.intermediate_size,
            "hidden_act": self.hidden_act.name(),
            "hidden_dropout_prob": self.hidden_dropout_prob,
            "attention_probs_dropout_prob": self.attention_probs_dropout_prob,
            "classifier_dropout": self.classifier_dropout,
            "max_position_embeddings": self.max_position_embeddings,
            "type_vocab_size": self.type_vocab_size,
            "initializer_range": self.initializer_range,
            "layer_norm_eps": self.layer_norm_eps,
            "pad_token_id": self.pad_token_id,
        });
        let Value::Object(mut fields) = known else {
            unreachable!("json! of an object literal is an object");
        };
        let keys = &self.family.keys;
        for key in keys.without {
            fields.shift_remove(*key);
        }
        for (ours, theirs) in keys.renamed {
            if let Some(value) = fields.shift_remove(*ours) {
                fields.insert((*theirs).to_owned(), value);
            }
        }
        (keys.write)(self, &mut fields);
        for (name, value) in &self.extra {
            fields.entry(name).or_insert_with(|| value.clone());
        }
        fields
    }
}

/// The family that `model_type` names, or else the classes in `architectures`.
fn family_of(fields: &Map<String, Value>) -> Result<&'static Family> {
    let classes = fields.get("architectures").and_then(Value::as_array);
    let classes = classes.into_iter().flatten().filter_map(Value::as_str);
    let mut known = classes
        .clone()
        .filter_map(|class| Some((class, family_of_class(class)?)));
    let Some(kind) = fields.get("model_type") else {
        return match (known.next(), classes.clone().next()) {
            (Some((_, family)), _) => Ok(family),
            (None, Some(class)) => Err(missing_model_type(&format!(
                "architectures names {class}, of no family that is read"
            ))),
            (None, None) => match departure_from_bert(fields) {
                Some(field) => Err(missing_model_type(&format!(
                    "{field} is not that of a BERT"
                ))),
                None => Ok(&BERT),
            },
        };
    };
    let family = kind.as_str().and_then(family_of_file).ok_or_else(|| {
        let reason = format!("is {kind}, but only {} checkpoints are read", model_types());
        Error::config("model_type", reason)
    })?;
    // Families that share the names of their tensors share the network.
    match known.find(|(_, other)| other.tensors.prefix != family.tensors.prefix) {
        None => Ok(family),
        Some((class, other)) => Err(Error::config(
            "model_type",
            format!(
                "is {kind}, but architectures names {class}, a class of {}: correct the wrong one",
                other.name
            ),
        )),
    }
}

fn model_types() -> String {
    FAMILIES
        .map(|family| format!("\"{}\"", family.model_type))
        .join(", ")
}

fn missing_model_type(why: &str) -> Error {
    let reason = format!("is missing, and {why}: state one of {}", model_types());
    Error::config("model_type", reason)
}

/// A field that a family built like BERT has otherwise, in a configuration that does not say of which family it is.
fn departure_from_bert(fields: &Map<String, Value>) -> Option<&'static str> {
    let size = |name: &str| fields.get(name).and_then(as_size);
    if size("type_vocab_size").is_some_and(|rows| rows < 2) {
        return Some("type_vocab_size");
    }
    let padding = size("pad_token_id").filter(|&id| id != BERT.pad_token_id);
    padding.map(|_| "pad_token_id")
}

/// Refuses a network that the authors' own code computes, under the name of a family.
fn refuse_foreign_code(fields: &Map<String, Value>, family: &Family) -> Result<()> {
    let map = fields.get("auto_map").and_then(Value::as_object);
    for (class, code) in map.into_iter().flatten() {
        let name = code.as_str().unwrap_or_default();
        let is_own = family.keys.own_code.iter().any(|own| name.contains(own));
        if is_of_network(class) && !is_own {
            let reason = format!(
                "names {code}, code of its own in place of {}'s in transformers, which may compute something else: take it out \
                 if the network is that of {}",
                family.name, family.name
            );
            return Err(Error::config("auto_map", reason));
        }
    }
    Ok(())
}

/// True if a class of `auto_map` is one of configurations or networks.
fn is_of_network(class: &str) -> bool {
    class == "AutoConfig" || class.starts_with("AutoModel")
}

/// Takes the authors' own code for the network out of `auto_map`, which could not read the configuration as it is written.
fn leave_own_code_out(fields: &mut Map<String, Value>) {
    if let Some(Value::Object(map)) = fields.get_mut("auto_map") {
        map.retain(|class, _| !is_of_network(class));
        if map.is_empty() {
            fields.shift_remove("auto_map");
        }
    }
}

/// Refuses architectures that share BERT's field names but compute something else.
fn refuse_unsupported(fields: &Map<String, Value>, family: &Family) -> Result<()> {
    let expected = family.keys.position_embedding_type;
    if let Some(kind) = fields.get("position_embedding_type")
        && kind != expected
    {
        let reason = format!(
            "is {kind}, but {}'s positions are \"{expected}\"",
            family.name
        );
        return Err(Error::config("position_embedding_type", reason));
    }
    for field in ["is_decoder", "add_cross_attention"] {
        if fields.get(field) == Some(&Value::Bool(true)) {
            return Err(Error::config(
                field,
                "is true, but this model is an encoder without cross-attention",
            ));
        }
    }
    Ok(())
}

/// The value of a field, taken out; `None` if it is absent or null.
///
/// # Errors
///
/// [`Error::Config`] for a value of another type.
pub(crate) fn take<T: Describe>(
    fields: &mut Map<String, Value>,
    name: &str,
    convert: impl Fn(&Value) -> Option<T>,
) -> Result<Option<T>> {
    match fields.shift_remove(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => match convert(&value) {
            Some(value) => Ok(Some(value)),
            None => Err(Error::config(
                name,
                format!("is {value}, but must be {}", T::WHAT),
            )),
        },
    }
}

fn require(fields: &mut Map<String, Value>, name: &str, family: &Family) -> Result<usize> {
    take(fields, name, as_size)?.ok_or_else(|| {
        let reason = format!("is missing; {}'s config.json must state it", family.name);
        let renamed = family.keys.renamed.iter();
        let mut theirs = renamed.filter(|(ours, _)| *ours == name).map(|pair| pair.1);
        Error::config(theirs.next_back().unwrap_or(name), reason)
    })
}

/// Description of a field's type, for messages.
pub(crate) trait Describe {
    const WHAT: &'static str;
}
impl Describe for usize {
    const WHAT: &'static str = "a whole number";
}
impl Describe for f64 {
    const WHAT: &'static str = "a number";
}
impl Describe for bool {
    const WHAT: &'static str = "true or false";
}
impl Describe for String {
    const WHAT: &'static str = "a string";
}

pub(crate) fn as_size(value: &Value) -> Option<usize> {
    usize::try_from(value.as_u64()?).ok()
}

pub(crate) fn as_float(value: &Value) -> Option<f64> {
    value.as_f64()
}

pub(crate) fn as_string(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(text: &str) -> Map<String, Value> {
        serde_json::from_str(text).unwrap()
    }

    const MINIMAL: &str = r#"{"vocab_size": 99, "hidden_size": 32, "num_hidden_layers": 5,
        "num_attention_heads": 4, "intermediate_size": 37}"#;

    #[test]
    fn absent_fields_take_the_defaults_of_transformers() {
        let config = BertConfig::from_json(fields(MINIMAL)).unwrap();
        assert_eq!(config, BertConfig::new(99, 32, 5, 4, 37));
        assert_eq!(config.layer_norm_eps, 1e-12);
    }

    #[test]
    fn a_head_has_its_own_dropout_or_that_of_the_encoder() {
        let mut with = fields(MINIMAL);
        with.insert("hidden_dropout_prob".into(), json!(0.2));
        for (stated, expected) in [(json!(null), 0.2), (json!(0.0), 0.0), (json!(0.35), 0.35)] {
            with.insert("classifier_dropout".into(), stated.clone());
            let config = BertConfig::from_json(with.clone()).unwrap();
            assert_eq!(config.head_dropout_prob(), expected);
            assert_eq!(config.to_json()["classifier_dropout"], stated);
        }
    }

    #[test]
    fn a_family_that_is_not_stated_or_contradicted_is_refused() {
        let with = |more: Value| {
            let mut all = fields(MINIMAL);
            all.extend(more.as_object().unwrap().clone());
            BertConfig::from_json(all)
        };
        for (more, named) in [
            (json!({"type_vocab_size": 1}), "type_vocab_size"),
            (json!({"pad_token_id": 1}), "pad_token_id"),
            (json!({"architectures": ["MyModel"]}), "MyModel"),
            (
                json!({"model_type": "bert", "architectures": ["RobertaModel"]}),
                "RobertaModel",
            ),
            (
                json!({"model_type": "roberta", "architectures": ["BertModel"]}),
                "BertModel",
            ),
        ] {
            let error = with(more.clone()).unwrap_err().to_string();
            assert!(error.contains("model_type"), "{more}: {error}");
            assert!(error.contains(named), "{more}: {error}");
        }
        for more in [
            json!({"architectures": ["BertModel"], "pad_token_id": 1}),
            json!({"model_type": "bert", "architectures": ["MyModel"], "type_vocab_size": 1}),
            // One network under two names.
            json!({"model_type": "xlm-roberta", "architectures": ["RobertaModel"]}),
            json!({"model_type": "bert", "auto_map": {"AutoTokenizer": ["tokens.Mine", null]}}),
        ] {
            assert!(with(more.clone()).is_ok(), "{more}");
        }
    }

    #[test]
    fn unknown_fields_survive_a_round_trip() {
        let mut before = fields(MINIMAL);
        before.insert("id2label".into(), json!({"0": "PER"}));
        let config = BertConfig::from_json(before).unwrap();
        let again = BertConfig::from_json(config.to_json()).unwrap();
        assert_eq!(config.extra["id2label"], again.extra["id2label"]);
        assert_eq!(config.to_json(), again.to_json());
    }

    #[test]
    fn each_bad_field_is_named() {
        for (field, value) in [
            ("hidden_act", json!("mish")),
            ("tie_word_embeddings", json!("no")),
            ("num_attention_heads", json!(5)),
            ("num_attention_heads", json!(0)),
            ("vocab_size", json!(-1)),
            ("vocab_size", json!("many")),
            ("num_hidden_layers", json!(100_000_000)),
            ("hidden_size", json!(1_u64 << 62)),
            ("hidden_dropout_prob", json!(1.0)),
            ("attention_probs_dropout_prob", json!("0.1")),
            ("classifier_dropout", json!(1.5)),
            ("classifier_dropout", json!("0.1")),
            ("layer_norm_eps", json!(0.0)),
            ("model_type", json!("gpt2")),
            (
                "auto_map",
                json!({"AutoModel": "jinaai/jina-bert-implementation--modeling_bert.JinaBertModel"}),
            ),
            ("model_type", json!(3)),
            ("position_embedding_type", json!("relative_key")),
            ("is_decoder", json!(true)),
        ] {
            let mut broken = fields(MINIMAL);
            broken.insert(field.into(), value.clone());
            let message = BertConfig::from_json(broken).unwrap_err().to_string();
            assert!(message.contains(field), "{field}={value}: {message}");
        }
        for field in [
            "vocab_size",
            "hidden_size",
            "num_hidden_layers",
            "num_attention_heads",
            "intermediate_size",
        ] {
            let mut broken = fields(MINIMAL);
            broken.shift_remove(field);
            let message = BertConfig::from_json(broken).unwrap_err().to_string();
            assert!(message.contains(field), "{message}");
        }
    }
}
