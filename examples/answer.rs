//! The answer to a question in a context: `answer MODEL QUESTION CONTEXT`.

use bert::prelude::*;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [model, question, context] = arguments.as_slice() else {
        anyhow::bail!("usage: answer MODEL QUESTION CONTEXT");
    };
    let device = DeviceSpec::default_device()?.open()?;
    let pipeline = Pipeline::open(model, &device, &PipelineOptions::default())?;
    let found = pipeline.answer(&[(question, context)])?;
    println!("{} ({:.2})", found[0].answer, found[0].score);
    Ok(())
}
