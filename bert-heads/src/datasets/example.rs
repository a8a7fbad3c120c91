//! Examples that the readers yield: plain values, without tokens and tensors.

use std::sync::Arc;

/// A text, or a pair of texts, and what is to be said of it.
#[derive(Clone, Debug, PartialEq)]
pub struct TextExample {
    /// The text, or the first of two; blank only beside a second that is not, or where targets alone
    /// are read.
    pub text: String,
    /// The second text, for tasks on pairs; blank only beside a first that is not.
    pub pair: Option<String>,
    /// Target of the prediction.
    pub target: Target,
    /// Line of the file on which it begins, counted from 1.
    pub line: usize,
}

/// Target of a text.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Target {
    /// Nothing is known: a text to predict for.
    #[default]
    None,
    /// One class, as spelled in the file.
    Label(String),
    /// Any number of labels, each once, as spelled in the file.
    Labels(Vec<String>),
    /// A finite number.
    Number(f64),
}

impl Target {
    /// The labels it names; none of a number.
    pub fn labels(&self) -> &[String] {
        match self {
            Self::Label(label) => std::slice::from_ref(label),
            Self::Labels(labels) => labels,
            Self::None | Self::Number(_) => &[],
        }
    }
}

/// The words of a sentence, and a tag for each where they are known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenExample {
    /// At least one; some may be nothing but spaces.
    pub words: Vec<String>,
    /// Tags, one per word.
    pub tags: Option<Vec<String>>,
    /// Line of the file on which it begins, counted from 1.
    pub line: usize,
}

/// A question on a text that may hold its answer (SQuAD).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuestionExample {
    /// Names the question in predictions; no two of a file are equal, unless it is read to score.
    pub id: String,
    /// Never blank, unless it is read to score.
    pub question: String,
    /// The text, never blank unless it is read to score, shared by the questions of a paragraph.
    pub context: Arc<str>,
    /// Every answer that counts as right; none if impossible or unknown.
    pub answers: Vec<Answer>,
    /// The context holds no answer (SQuAD 2.0).
    pub is_impossible: bool,
    /// Title of the article, empty where there is none.
    pub title: Arc<str>,
}

/// A stretch of a context.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Never empty, and what stands at `start`, unless it is read to score.
    pub text: String,
    /// Offset in the context, in characters (Unicode scalar values) counted from 0; 0 where it is
    /// read to score.
    pub start: usize,
}

/// A question with several answers of which one is right (SWAG, RACE).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChoiceExample {
    /// Context before the question or the choices; never blank.
    pub context: String,
    /// Stem that every choice continues: SWAG's `sent2`, or a question on the context.
    pub question: Option<String>,
    /// At least two, none blank.
    pub choices: Vec<String>,
    /// The right one, counted from 0; none where it is unknown.
    pub label: Option<usize>,
    /// Line of the file on which it begins, counted from 1.
    pub line: usize,
}

/// Texts to be compared.
#[derive(Clone, Debug, PartialEq)]
pub struct SimilarExample {
    /// A text, one like it, and any number that are not; none blank.
    pub texts: Vec<String>,
    /// Similarity of the first two, where that is known.
    pub score: Option<f64>,
    /// Line of the file on which it begins, counted from 1.
    pub line: usize,
}

impl ChoiceExample {
    /// The two texts that BERT reads for each choice: the context, and the question followed by the
    /// choice (transformers `run_swag.py`).
    pub fn pairs(&self) -> impl Iterator<Item = (&str, String)> {
        self.choices.iter().map(|choice| {
            let second = match &self.question {
                Some(question) => format!("{question} {choice}"),
                None => choice.clone(),
            };
            (self.context.as_str(), second)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_choice_is_read_after_context_and_question() {
        let mut example = ChoiceExample {
            context: "She opened the door.".into(),
            question: Some("Then she".into()),
            choices: vec!["left.".into(), "slept.".into(), "sang.".into()],
            label: Some(0),
            line: 2,
        };
        let pairs: Vec<_> = example.pairs().collect();
        assert_eq!(pairs.len(), 3);
        assert_eq!(
            pairs[1],
            ("She opened the door.", "Then she slept.".to_owned())
        );
        example.question = None;
        assert_eq!(example.pairs().nth(2).unwrap().1, "sang.");
    }
}
