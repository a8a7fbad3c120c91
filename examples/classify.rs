//! Predictions of a fine-tuned model for texts: `classify MODEL TEXT…`.

use bert::prelude::*;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some((model, texts)) = arguments.split_first() else {
        anyhow::bail!("usage: classify MODEL TEXT…");
    };
    // A GPU if this build has one, or what BERT_DEVICE says.
    let device = DeviceSpec::default_device()?.open()?;
    let pipeline = Pipeline::open(model, &device, &PipelineOptions::default())?;
    for (text, prediction) in texts.iter().zip(pipeline.predict(texts)?) {
        match prediction {
            Prediction::Answer(Answer::Label { label, score, .. }) => {
                println!("{label} ({score:.2})  {text}");
            }
            // A number, entities, a vector: as the head has it.
            other => println!("{other:?}  {text}"),
        }
    }
    Ok(())
}
