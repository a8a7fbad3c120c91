//! Texts to vectors, and how alike they are: `embed MODEL_DIR TEXT…`.

use bert::prelude::*;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some((model, texts)) = arguments.split_first() else {
        anyhow::bail!("usage: embed MODEL_DIR TEXT…");
    };
    // A GPU if this build has one, or what BERT_DEVICE says.
    let device = DeviceSpec::default_device()?.open()?;
    let embedder = SentenceEmbedder::from_dir(model, &EmbedderOptions::default(), &device)?;
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let vectors = embedder.embed(&texts)?;
    for (text, vector) in texts.iter().zip(&vectors) {
        let cosine = cosine_similarity(&vectors[0].values, &vector.values);
        println!("{cosine:.3}  {text}");
    }
    Ok(())
}
