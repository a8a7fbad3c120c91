//! Inspection of the pretrained model: words with two meanings, attention.

use bert_core::batch::BertBatcher;
use bert_core::nn::{BertModel, OutputOptions};
use bert_core::tokenizer::{BertTokenizer, EncodeOptions, Encoding, TextInput};
use serde::Serialize;

use super::directory::Demo;
use super::error::Result;
use super::picture::attention_html;
use super::text::{Part, Senses, Writer};

/// Inspection of a pretrained model, without labels.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Inspection {
    /// Words with two meanings.
    pub words: Vec<Meanings>,
    /// Picture of the attention between the tokens of a passage.
    #[serde(skip)]
    pub attention: String,
}

/// Vectors of one word in many sentences.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Meanings {
    /// The word.
    pub word: &'static str,
    /// Its two meanings.
    pub meanings: [&'static str; 2],
    /// Mean cosine between the word's vectors in two sentences where it means the same.
    pub same: f64,
    /// Mean cosine where it means something else.
    pub other: f64,
    /// Share of the sentences whose nearest neighbour has the same meaning, 0 to 1.
    pub nearest: f64,
    /// A sentence of either meaning.
    pub examples: [String; 2],
}

impl Demo {
    /// Inspects the pretrained model with texts of the test.
    ///
    /// # Errors
    /// Those of model and device.
    pub fn inspect(&self) -> Result<Inspection> {
        let (dir, device) = (self.pretrained(), self.device());
        let mut writer = Writer::new(self.language(), Part::Test, self.seed());
        let count = self.plan().inspected;

        let tokenizer = BertTokenizer::from_dir(&dir)?;
        let model = BertModel::from_dir(&dir, device)?;
        let batcher = BertBatcher::new(&tokenizer);
        let encode = |texts: &[String]| -> Result<Vec<Encoding>> {
            let texts = texts.iter().map(|text| TextInput::Single(text));
            let options = EncodeOptions::truncated(self.plan().seq_length);
            Ok(tokenizer.encode_batch(texts, &options)?)
        };
        let mut words = Vec::new();
        for senses in writer.senses(count) {
            let pieces = tokenizer.encode_words(&[senses.word])?;
            let mut vectors = Vec::new();
            for sentences in &senses.sentences {
                let encodings = encode(sentences)?;
                let output = model.forward(batcher.batch(&encodings, device)?);
                let [_, seq, hidden] = output.sequence_output.dims();
                let flat: Vec<f32> = output
                    .sequence_output
                    .try_into_vec_as()
                    .map_err(bert_heads::Error::from)?;
                let rows = encodings.iter().zip(flat.chunks(seq * hidden));
                vectors.push(
                    rows.filter_map(|(encoding, row)| {
                        word_vector(encoding.ids(), pieces.ids(), row, hidden)
                    })
                    .collect(),
                );
            }
            words.push(meanings(senses, &vectors));
        }

        let encodings = encode(&[writer.passage()])?;
        let options = OutputOptions {
            attentions: true,
            ..OutputOptions::default()
        };
        let input = batcher.batch(&encodings, device)?;
        let layers = model.forward_with(input, options).attentions;
        Ok(Inspection {
            words,
            attention: attention_html(encodings[0].tokens(), layers.unwrap_or_default())?,
        })
    }
}

/// The mean of the vectors of the word's pieces, of length one; none if the row does not hold the word.
fn word_vector(ids: &[u32], word: &[u32], row: &[f32], hidden: usize) -> Option<Vec<f64>> {
    let start = ids.windows(word.len()).position(|window| window == word)?;
    let mut sum = vec![0.0; hidden];
    for vector in row.chunks(hidden).skip(start).take(word.len()) {
        for (sum, value) in sum.iter_mut().zip(vector) {
            *sum += f64::from(*value);
        }
    }
    let norm = sum.iter().map(|value| value * value).sum::<f64>().sqrt();
    Some(sum.into_iter().map(|value| value / norm).collect())
}

/// Compares every sentence with every other one; `vectors` are of length one, by meaning.
fn meanings(senses: Senses, vectors: &[Vec<Vec<f64>>]) -> Meanings {
    let all: Vec<(usize, &Vec<f64>)> = vectors
        .iter()
        .enumerate()
        .flat_map(|(meaning, vectors)| vectors.iter().map(move |vector| (meaning, vector)))
        .collect();
    let (mut sums, mut counts, mut near) = ([0.0; 2], [0_usize; 2], 0);
    for (place, (meaning, vector)) in all.iter().enumerate() {
        let mut nearest = (f64::NEG_INFINITY, false);
        for (other_place, (other, neighbour)) in all.iter().enumerate() {
            // Equal sentences have equal vectors, which would say nothing.
            if place == other_place || vector == neighbour {
                continue;
            }
            let cosine: f64 = vector.iter().zip(*neighbour).map(|(a, b)| a * b).sum();
            sums[usize::from(meaning != other)] += cosine;
            counts[usize::from(meaning != other)] += 1;
            if cosine > nearest.0 {
                nearest = (cosine, meaning == other);
            }
        }
        near += usize::from(nearest.1);
    }
    let mean = |index: usize| sums[index] / counts[index].max(1) as f64;
    Meanings {
        word: senses.word,
        meanings: senses.meanings,
        same: mean(0),
        other: mean(1),
        nearest: near as f64 / all.len().max(1) as f64,
        examples: senses
            .sentences
            .map(|sentences| sentences.into_iter().next().unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_of_several_pieces_is_their_mean() {
        let row = [9.0, 9.0, 3.0, 0.0, 0.0, 4.0, 9.0, 9.0];
        let vector = word_vector(&[2, 7, 8, 3], &[7, 8], &row, 2).unwrap();
        assert_eq!(vector, [0.6, 0.8]);
        assert_eq!(word_vector(&[2, 7, 3], &[8], &row, 2), None);
    }

    #[test]
    fn cosines_are_told_apart_by_meaning() {
        let senses = Senses {
            word: "bank",
            meanings: ["a", "b"],
            sentences: [vec!["x".to_owned()], Vec::new()],
        };
        let vectors = [
            vec![vec![1.0, 0.0], vec![0.8, 0.6]],
            vec![vec![0.0, 1.0], vec![-0.6, 0.8]],
        ];
        let found = meanings(senses, &vectors);
        assert!((found.same - 0.8).abs() < 1e-12, "{found:?}");
        assert!((found.other - 0.0).abs() < 0.2, "{found:?}");
        assert_eq!((found.nearest, found.examples[0].as_str()), (1.0, "x"));
    }
}
