//! Fields by which `config.json` says that a classifier is a cross-encoder of sentence-transformers.

use bert_core::config::BertConfig;
use serde_json::Value;

/// The object of `config.json` since version 4, and its field.
pub(crate) const MARK: (&str, &str) = ("sentence_transformers", "activation_fn");
/// The field of `config.json` before version 4.
pub(crate) const OLDER_MARK: &str = "sbert_ce_default_activation_function";

/// True if `config.json` is that of a cross-encoder.
pub(crate) fn is_marked(config: &BertConfig) -> bool {
    mark(config).is_some()
}

/// The activation that `config.json` names, and where.
pub(crate) fn mark(config: &BertConfig) -> Option<(String, &Value)> {
    let extra = &config.extra;
    let current = extra.get(MARK.0).and_then(|object| object.get(MARK.1));
    let older = extra.get(OLDER_MARK);
    let current = current.map(|value| (format!("{}.{}", MARK.0, MARK.1), value));
    let all = [current, older.map(|value| (OLDER_MARK.to_owned(), value))];
    let mut all = all.into_iter().flatten();
    all.find(|(_, value)| !value.is_null())
}

/// Takes out of a configuration that a head was a cross-encoder's, which another one is not.
pub(crate) fn remove_marks(config: &mut BertConfig) {
    config.extra.shift_remove(OLDER_MARK);
    if let Some(Value::Object(object)) = config.extra.get_mut(MARK.0) {
        object.shift_remove(MARK.1);
    }
}
