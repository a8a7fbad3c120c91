//! A head of one's own: it counts the words of a text, and is trained with the encoder: `own_head MODEL_DIR`.

use bert_core::batch::{BertBatcher, BertInput};
use bert_core::checkpoint::Checkpoint;
use bert_core::device::DeviceSpec;
use bert_core::models::BertModel;
use bert_core::nn::BertInit;
use bert_core::tokenizer::{BertTokenizer, EncodeOptions, TextInput};
use bert_core::training::{Optimizer, ParameterGradients, Recipe};
use burn::module::Module;
use burn::nn::Linear;
use burn::optim::GradientsParams;
use burn::tensor::{Tensor, TensorData};

/// The encoder in a field named `bert`, so that its parameters have the names of checkpoints, and one number per text.
#[derive(Module, Debug)]
struct WordCounter {
    bert: BertModel,
    counter: Linear,
}

impl WordCounter {
    /// # Shapes
    ///
    /// - input: `[batch, seq]` ids, segments and padding
    /// - output: `[batch, 1]`
    fn forward(&self, input: BertInput) -> Tensor<2> {
        let [batch, _] = input.dims();
        let output = self.bert.forward(input).sequence_output; // [batch, seq, hidden]
        let [_, _, hidden] = output.dims();
        let first = output.narrow(1, 0, 1).reshape([batch, hidden]); // [batch, hidden]
        self.counter.forward(first)
    }
}

fn main() -> anyhow::Result<()> {
    let Some(dir) = std::env::args().nth(1) else {
        anyhow::bail!("usage: own_head MODEL_DIR");
    };
    // Gradients, and dropout, are there on an autodiff device and nowhere else.
    let device = DeviceSpec::resolve(None)?.open()?.autodiff();
    let checkpoint = Checkpoint::open(&dir)?;
    let tokenizer = BertTokenizer::from_dir(&dir)?;
    let config = checkpoint.config();
    let mut model = WordCounter {
        bert: BertModel::from_dir(&dir, &device)?,
        counter: BertInit::new(config, 0, &device).head(config.hidden_size, 1),
    };

    let texts: Vec<String> = (1..=12).map(|count| "the ".repeat(count)).collect();
    let inputs = texts.iter().map(|text| TextInput::Single(text));
    let encodings = tokenizer.encode_batch(inputs, &EncodeOptions::default())?;
    let input = BertBatcher::new(&tokenizer).batch(&encodings, &device)?;
    let counts: Vec<f32> = (1..=12).map(|count| count as f32).collect();
    let counts = Tensor::<2>::from_data(TensorData::new(counts, [12, 1]), &device);

    let mut optimizer = Optimizer::new(Recipe::HuggingFace.optimizer());
    for step in 0..=100 {
        let error = model.forward(input.clone()) - counts.clone();
        let loss = (error.clone() * error).mean();
        if step % 20 == 0 {
            let value: Vec<f64> = loss.clone().inner().to_data().iter::<f64>().collect();
            println!("step {step}: mean squared error {:.3}", value[0]);
        }
        let gradients = GradientsParams::from_grads(loss.backward(), &model);
        let gradients = ParameterGradients::take(&model, gradients);
        (model, _) = optimizer.step(model, gradients, 1e-3);
    }
    Ok(())
}
