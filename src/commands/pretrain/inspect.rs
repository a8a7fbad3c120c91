//! `bert pretrain inspect`: prepared instances in words, and what they are made of.

use std::path::PathBuf;

use anyhow::Result;
use bert_core::tokenizer::BertTokenizer;
use bert_pretrain::instances::{Instance, InstanceStatistics, PreparedInstances};
use serde_json::{Value, json};

use crate::cli::output::Output;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Directory that `bert pretrain prepare` wrote.
    dir: PathBuf,
    /// Instances to show, from the first.
    #[arg(long, value_name = "N", default_value_t = 3)]
    show: usize,
    /// Read every instance first and compare all checksums.
    #[arg(long)]
    verify: bool,
    /// JSON on standard output.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: Args) -> Result<()> {
    let prepared = PreparedInstances::open(&args.dir)?;
    if args.verify {
        prepared.verify()?;
    }
    let tokenizer = prepared.tokenizer()?;
    let mut output = Output::stdout();
    let indices = 0..args.show.min(prepared.len());
    if args.json {
        let shown = indices
            .map(|index| Ok(instance_json(index, &prepared.get(index)?, &tokenizer)))
            .collect::<Result<Vec<Value>>>()?;
        output.json(&json!({
            "dir": args.dir,
            "documents": prepared.documents(),
            "options": prepared.options(),
            "vocabulary": prepared.vocabulary(),
            "statistics": statistics_json(prepared.statistics()),
            "instances": shown,
        }))?;
        return output.finish();
    }
    for index in indices {
        for line in instance_lines(index, &prepared.get(index)?, &tokenizer) {
            output.line(line)?;
        }
    }
    let mask = &tokenizer.special_tokens().mask;
    for line in statistics_lines(&prepared, mask) {
        output.line(line)?;
    }
    output.finish()
}

fn token(tokenizer: &BertTokenizer, id: u32) -> String {
    tokenizer.token(id).unwrap_or_else(|| format!("#{id}"))
}

fn instance_json(index: usize, instance: &Instance, tokenizer: &BertTokenizer) -> Value {
    let tokens =
        |ids: &[u32]| -> Vec<String> { ids.iter().map(|&id| token(tokenizer, id)).collect() };
    json!({
        "index": index,
        "tokens": tokens(&instance.ids),
        "ids": instance.ids,
        "type_ids": instance.type_ids(),
        "positions": instance.positions,
        "labels": tokens(&instance.labels),
        "label_ids": instance.labels,
        "is_random_next": instance.is_random_next,
    })
}

/// The tokens as the model sees them; one to predict is followed by its label in angle brackets.
fn instance_lines(index: usize, instance: &Instance, tokenizer: &BertTokenizer) -> [String; 3] {
    let mut tokens: Vec<String> = instance
        .ids
        .iter()
        .map(|&id| token(tokenizer, id))
        .collect();
    for (&position, &label) in instance.positions.iter().zip(&instance.labels) {
        let shown = &mut tokens[position as usize];
        *shown = format!("{shown}<{}>", token(tokenizer, label));
    }
    let next = match instance.is_random_next {
        None => "",
        Some(true) => ", second segment from elsewhere",
        Some(false) => ", second segment follows the first",
    };
    [
        format!(
            "instance {index}: {} tokens, {} to predict{next}",
            instance.ids.len(),
            instance.positions.len()
        ),
        format!("  {}", tokens.join(" ")),
        String::new(),
    ]
}

fn statistics_json(statistics: &InstanceStatistics) -> Value {
    let [by_mask, by_random, unchanged] = statistics.replacement_shares();
    json!({
        "counts": statistics,
        "mean_length": statistics.mean_length(),
        "mean_predictions": statistics.mean_predictions(),
        "predicted_share": statistics.predicted_share(),
        "mask_share": by_mask,
        "random_share": by_random,
        "unchanged_share": unchanged,
        "random_next_share": statistics.random_next_share(),
    })
}

fn statistics_lines(prepared: &PreparedInstances, mask: &str) -> Vec<String> {
    let (statistics, options) = (prepared.statistics(), prepared.options());
    let [by_mask, by_random, unchanged] = statistics.replacement_shares();
    let mut lines = vec![
        format!(
            "{} instances in {} file(s), made of {} documents gone through {} times, seed {}",
            statistics.instances,
            options.shards,
            prepared.documents(),
            options.duplicates,
            options.seed
        ),
        format!(
            "{} tokens, {:.1} per instance, at most {}",
            statistics.tokens,
            statistics.mean_length(),
            options.pair.max_seq_length
        ),
        format!(
            "{} to predict, {:.1} per instance, {:.2} % of all tokens",
            statistics.predictions,
            statistics.mean_predictions(),
            100.0 * statistics.predicted_share()
        ),
        format!(
            "of these {:.2} % are {mask}, {:.2} % another token, {:.2} % unchanged",
            100.0 * by_mask,
            100.0 * by_random,
            100.0 * unchanged
        ),
        format!(
            "{} instances have the most predictions allowed, {}",
            statistics.at_max_predictions, options.masking.max_predictions
        ),
        match statistics.pairs {
            0 => "no pairs: the instances are full sentences".to_owned(),
            pairs => format!(
                "{pairs} pairs, {:.2} % with a second segment from elsewhere",
                100.0 * statistics.random_next_share()
            ),
        },
    ];
    lines.push("tokens of an instance:".to_owned());
    lines.extend(histogram(&statistics.lengths));
    lines.push("predictions of an instance:".to_owned());
    lines.extend(histogram(&statistics.predictions_per_instance));
    lines
}

/// Counts by number in at most eight steps of equal width.
fn histogram(counts: &[u64]) -> Vec<String> {
    const STEPS: usize = 8;
    const BAR: usize = 40;
    let width = counts.len().div_ceil(STEPS).max(1);
    let steps: Vec<u64> = counts.chunks(width).map(|step| step.iter().sum()).collect();
    let all: u64 = steps.iter().sum();
    let largest = steps.iter().copied().max().unwrap_or(0).max(1);
    let line = |(step, &count): (usize, &u64)| {
        let first = step * width;
        let last = (first + width).min(counts.len()) - 1;
        let bar = "#".repeat((count as f64 / largest as f64 * BAR as f64).round() as usize);
        let share = 100.0 * count as f64 / all as f64;
        let line = format!("  {first:>5} to {last:>5} {count:>12} {share:>6.2} % {bar}");
        line.trim_end().to_owned()
    };
    steps.iter().enumerate().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_histogram_has_eight_steps_at_most_and_loses_nothing() {
        assert_eq!(
            histogram(&[0, 3, 1]),
            [
                "      0 to     0            0   0.00 %",
                "      1 to     1            3  75.00 % ########################################",
                "      2 to     2            1  25.00 % #############",
            ]
        );
        let lines = histogram(&[1; 129]);
        assert_eq!(lines.len(), 8);
        assert!(
            lines[7].starts_with("    119 to   128           10"),
            "{}",
            lines[7]
        );
        assert!(histogram(&[]).is_empty());
    }

    #[test]
    fn labels_stand_behind_the_tokens_to_predict() {
        let vocab = "[PAD] [UNK] [CLS] [SEP] [MASK] the cat sat"
            .split(' ')
            .map(String::from);
        let tokenizer = BertTokenizer::from_vocab(vocab, &Default::default()).unwrap();
        let instance = Instance {
            ids: vec![2, 5, 4, 3, 6, 3],
            segment_a_length: 4,
            positions: vec![2, 4],
            labels: vec![6, 7],
            is_random_next: Some(true),
        };
        let [title, text, _] = instance_lines(13, &instance, &tokenizer);
        assert_eq!(
            title,
            "instance 13: 6 tokens, 2 to predict, second segment from elsewhere"
        );
        assert_eq!(text, "  [CLS] the [MASK]<cat> [SEP] cat<sat> [SEP]");
        let json = instance_json(13, &instance, &tokenizer);
        assert_eq!(json["type_ids"], json!([0, 0, 0, 0, 1, 1]));
        assert_eq!(json["labels"], json!(["cat", "sat"]));
    }
}
