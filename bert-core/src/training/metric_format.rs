//! Display names and number formats of metrics.

/// Parts of names that are abbreviations.
const ABBREVIATIONS: [&str; 9] = ["mlm", "nsp", "sop", "f1", "em", "auc", "mcc", "mse", "id"];

/// Parts of names whose quantity is better when it is smaller.
const SMALLER_IS_BETTER: [&str; 5] = ["loss", "perplexity", "error", "mse", "wait"];

/// A heading: "MLM accuracy" for `mlm_accuracy`.
pub(super) fn title(name: &str) -> String {
    let text = match name {
        "tokens_per_second" => return "Tokens per second".to_owned(),
        "data_wait" => return "Waiting for data".to_owned(),
        name => words(name, |word| word.to_owned()),
    };
    let mut letters = text.chars();
    match letters.next() {
        Some(first) => first.to_uppercase().chain(letters).collect(),
        None => text,
    }
}

/// Short name, for a line that has little room: "MLM acc" for `mlm_accuracy`.
pub(super) fn short(name: &str) -> String {
    match name {
        "learning_rate" => "lr".to_owned(),
        "gradient_norm" => "grad".to_owned(),
        "tokens_per_second" => "tokens/s".to_owned(),
        "data_wait" => "wait".to_owned(),
        name => words(name, |word| match word {
            "accuracy" => "acc".to_owned(),
            "perplexity" => "ppl".to_owned(),
            word => word.to_owned(),
        }),
    }
}

fn words(name: &str, write: impl Fn(&str) -> String) -> String {
    let word = |word: &str| match ABBREVIATIONS.contains(&word) {
        true => word.to_uppercase(),
        false => write(word),
    };
    name.split('_').map(word).collect::<Vec<_>>().join(" ")
}

/// True if smaller values are better, so that the best value is the smallest.
pub(super) fn smaller_is_better(name: &str) -> bool {
    name.split('_')
        .any(|word| SMALLER_IS_BETTER.contains(&word))
}

/// A value as people read it: `9.80e-5`, `12.3k`, `3 %`, `5.4321`.
pub(super) fn text(name: &str, value: f64) -> String {
    match name {
        _ if !value.is_finite() => "not finite".to_owned(),
        _ if value == 0.0 => "0".to_owned(),
        "learning_rate" => format!("{value:.2e}"),
        "tokens_per_second" => with_prefix(value),
        "data_wait" | "padding" if value < 0.01 => format!("{:.1} %", value * 100.0),
        "data_wait" | "padding" => format!("{:.0} %", value * 100.0),
        _ if value.abs() < 1e-3 || value.abs() >= 1e15 => format!("{value:.2e}"),
        _ if value.fract() == 0.0 => format!("{value:.0}"),
        _ if value.abs() >= 1e4 => format!("{value:.1}"),
        _ => format!("{value:.4}"),
    }
}

/// Three digits and a prefix: `12.3k`, `4.56M`.
pub(super) fn with_prefix(value: f64) -> String {
    let size = value.abs();
    let (scaled, prefix) = match size {
        _ if size >= 999.5e9 => return format!("{value:.2e}"),
        _ if size >= 999.5e6 => (value / 1e9, "G"),
        _ if size >= 999.5e3 => (value / 1e6, "M"),
        _ if size >= 999.5 => (value / 1e3, "k"),
        _ => (value, ""),
    };
    match scaled.abs() {
        size if size >= 99.95 => format!("{scaled:.0}{prefix}"),
        size if size >= 9.995 => format!("{scaled:.1}{prefix}"),
        _ => format!("{scaled:.2}{prefix}"),
    }
}

/// A count with its thousands apart: `1,000,000`.
pub(super) fn count(count: u64) -> String {
    let digits = count.to_string();
    let groups: Vec<_> = digits.as_bytes().rchunks(3).rev().collect();
    String::from_utf8_lossy(&groups.join(&b',')).into_owned()
}

/// A length of time: `45 s`, `12 min 5 s`, `3 h 20 min`, `2 d 4 h`.
pub(super) fn duration(seconds: f64) -> String {
    let seconds = seconds.max(0.0).round() as u64;
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min {} s", seconds % 60),
        (0, _, _) => format!("{hours} h {} min", minutes % 60),
        _ => format!("{days} d {} h", hours % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_spelled_for_people() {
        assert_eq!(title("loss"), "Loss");
        assert_eq!(title("mlm_accuracy"), "MLM accuracy");
        assert_eq!(title("tokens_per_second"), "Tokens per second");
        assert_eq!(title(""), "");
        assert_eq!(short("nsp_accuracy"), "NSP acc");
        assert_eq!(short("learning_rate"), "lr");
    }

    #[test]
    fn values_have_their_units() {
        assert_eq!(text("learning_rate", 9.8e-5), "9.80e-5");
        assert_eq!(text("tokens_per_second", 12_345.6), "12.3k");
        assert_eq!(text("learning_rate", 0.0), "0");
        assert_eq!(text("data_wait", 0.031), "3 %");
        assert_eq!(text("data_wait", 0.0012), "0.1 %");
        assert_eq!(text("loss", 5.432_14), "5.4321");
        assert_eq!(text("examples", 872.0), "872");
        assert_eq!(text("loss", 1e-7), "1.00e-7");
        assert_eq!(text("loss", f64::NAN), "not finite");
    }

    #[test]
    fn prefixes_change_where_three_digits_end() {
        let texts = [0.0, 7.0, 999.4, 999.6, 12_345.0, 999_600.0, 3.2e9].map(with_prefix);
        assert_eq!(
            texts,
            ["0.00", "7.00", "999", "1.00k", "12.3k", "1.00M", "3.20G"]
        );
    }

    #[test]
    fn thousands_are_set_apart() {
        assert_eq!(
            [0, 999, 1000, 1_234_567].map(count),
            ["0", "999", "1,000", "1,234,567"]
        );
    }

    #[test]
    fn durations_have_two_units_at_most() {
        let texts = [0.4, 59.0, 725.0, 12_000.0, 190_000.0].map(duration);
        assert_eq!(
            texts,
            ["0 s", "59 s", "12 min 5 s", "3 h 20 min", "2 d 4 h"]
        );
        assert_eq!(duration(f64::NAN), "0 s");
    }

    #[test]
    fn the_better_direction_is_in_the_name() {
        assert!(smaller_is_better("mlm_loss") && smaller_is_better("perplexity"));
        assert!(!smaller_is_better("f1") && !smaller_is_better("mlm_accuracy"));
    }
}
