//! The texts of a demonstration as files, in the layouts that the other commands read.

use std::path::{Path, PathBuf};

use bert_core::files::write_atomically;
use bert_heads::datasets::{Dataset, QuestionExample, Target, TextExample, TokenExample};
use serde::Serialize;
use serde_json::{Value, json};

use super::error::Result;
use super::plan::Plan;
use super::text::{Language, Part, Writer};

/// The texts of a demonstration.
#[derive(Clone, Debug)]
pub struct Texts {
    /// Documents to pretrain on, one sentence a line.
    pub corpus: PathBuf,
    /// Documents of the test to measure pretraining with.
    pub held_out: PathBuf,
    /// Numbers of documents and sentences to pretrain on.
    pub counts: Counts,
    /// Texts with their mood: to train on, and to test with.
    pub reviews: [Dataset<TextExample>; 2],
    /// Sentences with the names in them: to train on, and to test with.
    pub names: [Dataset<TokenExample>; 2],
    /// Questions on passages with the answers: to train on, and to test with.
    pub questions: [Dataset<QuestionExample>; 2],
}

/// The size of a corpus.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Documents.
    pub documents: usize,
    /// Their sentences.
    pub sentences: usize,
}

impl Texts {
    /// Writes `corpus.txt`, `held-out.txt`, `reviews-*.tsv`, `names-*.conll` and `questions-*.json` into
    /// `dir`.
    pub(crate) fn write(dir: &Path, language: Language, seed: u64, plan: &Plan) -> Result<Self> {
        std::fs::create_dir_all(dir).map_err(|error| bert_core::Error::io("create", dir, error))?;
        let writer = |part| Writer::new(language, part, seed);
        let (corpus, held_out) = (dir.join("corpus.txt"), dir.join("held-out.txt"));
        let counts = write_documents(&corpus, writer(Part::Pretraining), plan.documents)?;
        write_documents(&held_out, writer(Part::Test), plan.held_out_documents)?;
        let train = writer(Part::Labelled).examples(plan.labelled, plan.questions);
        let test = writer(Part::Test).examples(plan.tested, plan.tested);
        let reviews = |name: &str, examples| write_reviews(dir.join(name), examples);
        let names = |name: &str, examples| write_names(dir.join(name), examples);
        let questions = |name: &str, examples| write_questions(dir.join(name), examples);
        Ok(Self {
            corpus,
            held_out,
            counts,
            reviews: [
                reviews("reviews-train.tsv", train.texts)?,
                reviews("reviews-test.tsv", test.texts)?,
            ],
            names: [
                names("names-train.conll", train.sentences)?,
                names("names-test.conll", test.sentences)?,
            ],
            questions: [
                questions("questions-train.json", train.questions)?,
                questions("questions-test.json", test.questions)?,
            ],
        })
    }
}

/// One sentence a line, an empty line after a document.
fn write_documents(path: &Path, mut writer: Writer, count: usize) -> Result<Counts> {
    let mut text = String::new();
    let mut counts = Counts::default();
    for _ in 0..count {
        for sentence in writer.document().sentences {
            text.push_str(&sentence.text(writer.space()));
            text.push('\n');
            counts.sentences += 1;
        }
        text.push('\n');
        counts.documents += 1;
    }
    write_atomically(path, text.as_bytes())?;
    Ok(counts)
}

fn write_reviews(path: PathBuf, mut examples: Vec<TextExample>) -> Result<Dataset<TextExample>> {
    let mut text = "text\tlabel\n".to_owned();
    for example in &mut examples {
        example.line += 1; // the heading
        if let Target::Label(label) = &example.target {
            text.push_str(&format!("{}\t{label}\n", example.text));
        }
    }
    write_atomically(&path, text.as_bytes())?;
    Ok(Dataset { path, examples })
}

fn write_names(path: PathBuf, mut examples: Vec<TokenExample>) -> Result<Dataset<TokenExample>> {
    let (mut text, mut line) = (String::new(), 1);
    for example in &mut examples {
        example.line = line;
        for (word, tag) in example.words.iter().zip(example.tags.iter().flatten()) {
            text.push_str(&format!("{word} {tag}\n"));
        }
        text.push('\n');
        line += example.words.len() + 1;
    }
    write_atomically(&path, text.as_bytes())?;
    Ok(Dataset { path, examples })
}

/// The layout of SQuAD 1.1, a paragraph for each question.
fn write_questions(
    path: PathBuf,
    examples: Vec<QuestionExample>,
) -> Result<Dataset<QuestionExample>> {
    let paragraphs: Vec<Value> = examples
        .iter()
        .map(|example| {
            let answers = example.answers.iter();
            let answers = answers.map(|one| json!({"text": one.text, "answer_start": one.start}));
            json!({
                "context": example.context.as_ref(),
                "qas": [{
                    "id": example.id,
                    "question": example.question,
                    "answers": answers.collect::<Vec<_>>(),
                }],
            })
        })
        .collect();
    let all = json!({"version": "1.1", "data": [{"title": "", "paragraphs": paragraphs}]});
    let text = serde_json::to_string_pretty(&all).expect("questions are JSON");
    write_atomically(&path, format!("{text}\n").as_bytes())?;
    Ok(Dataset { path, examples })
}
