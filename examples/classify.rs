//! Predictions of a fine-tuned classifier for texts: `classify MODEL_DIR TEXT…`.

use bert_core::device::DeviceSpec;
use bert_core::tokenizer::TextInput;
use bert_heads::runner::PredictOptions;
use bert_heads::tasks::sequence_classification::{Answer, TextClassifier};

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some((model, texts)) = arguments.split_first() else {
        anyhow::bail!("usage: classify MODEL_DIR TEXT…");
    };
    let device = DeviceSpec::resolve(None)?.open()?;
    let classifier = TextClassifier::from_dir(model, &PredictOptions::default(), &device)?;
    let inputs = texts.iter().map(|text| TextInput::Single(text));
    for (text, prediction) in texts.iter().zip(classifier.predict(inputs)?) {
        match classifier.answer(&prediction) {
            Answer::Label { label, score, .. } => println!("{label} ({score:.2})  {text}"),
            other => println!("{other:?}  {text}"),
        }
    }
    Ok(())
}
