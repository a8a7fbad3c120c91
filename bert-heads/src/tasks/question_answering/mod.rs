//! Answers to questions on contexts of any length (BERT §4.2 and §4.3).

mod answerer;
mod decoding;
mod features;
mod loss;
mod model;
mod score;
mod settings;
mod task;
mod windows;

pub use answerer::QuestionAnswerer;
pub use decoding::{AnswerCandidate, FoundAnswer};
pub use features::question_rows;
pub use loss::SpanTargets;
pub use model::{BertForQuestionAnswering, SpanLogits, SpanLoss, question_answering_loss};
pub use settings::{QuestionOptions, QuestionSettings};
pub use task::{QA, QuestionAnswering};
pub use windows::{QuestionFeaturizer, QuestionRows};

pub(crate) use model::HEAD;
pub(crate) use score::{
    QuestionEvaluation, answers_language, best_null_threshold, naming, score_questions,
};
