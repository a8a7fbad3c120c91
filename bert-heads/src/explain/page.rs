//! An explanation as a page of HTML that needs nothing from outside.

use base64::prelude::{BASE64_STANDARD, Engine};
use bert_core::report::page;
use maud::{Markup, PreEscaped, html};
use serde_json::json;

use super::{Attribution, Explanation, OutputScore};

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

impl Explanation {
    /// The page: the outputs, the tokens coloured by what they contribute, how complete the
    /// attribution is, and the attention of every head.
    ///
    /// It holds one byte per attention probability, in base64: some megabytes for a hundred tokens in
    /// BERT-base, and the square of that for longer texts.
    pub fn page(&self) -> String {
        let title = match &self.attribution {
            Some(attribution) => format!("Why {}?", attribution.label),
            None => "Attention".to_owned(),
        };
        let body = html! {
            p.soft { (self.model) }
            blockquote { (self.text) }
            @if let Some(pair) = &self.pair {
                blockquote { (pair) }
            }
            @match &self.attribution {
                Some(attribution) => (self.attribution_part(attribution)),
                None => p {
                    "The model has no classifier of texts, so there is no output to attribute: attention alone is shown."
                },
            }
            (self.attention_part())
        };
        page(&title, STYLE, &body)
    }

    fn attribution_part(&self, attribution: &Attribution) -> Markup {
        let error = match attribution.relative_error {
            Some(error) => format!("{:.3} % of it", 100.0 * error),
            None => "not to be had, for both scores are equal".to_owned(),
        };
        let numbers = attribution
            .integrated_gradients
            .iter()
            .zip(&attribution.gradient_times_input);
        html! {
            h2 { "Outputs" }
            table.outputs {
                @for output in &attribution.outputs {
                    (output_row(output, output.label == attribution.label))
                }
            }
            h2 { "What " q { (attribution.label) } " rests on" }
            p.key { span.for { "for it" } " " span.against { "against it" } }
            (self.tokens_part("Integrated gradients", &attribution.integrated_gradients))
            p.soft {
                "They sum to " (format!("{:.6}", attribution.sum)) " in " (attribution.steps) " steps. The logit is "
                (format!("{:.6}", attribution.score)) ", and " (format!("{:.6}", attribution.baseline_score))
                " with [PAD] in place of the words: a difference of "
                (format!("{:.6}", attribution.score - attribution.baseline_score)) ". The error is " (error) "."
            }
            (self.tokens_part("Gradient × input", &attribution.gradient_times_input))
            details {
                summary { "Numbers" }
                div.scroll {
                    table {
                        thead {
                            tr {
                                th scope="col" { "Token" }
                                th scope="col" class="number" { "Integrated gradients" }
                                th scope="col" class="number" { "Gradient × input" }
                            }
                        }
                        tbody {
                            @for (token, (integrated, gradient)) in self.tokens.iter().zip(numbers) {
                                tr {
                                    th scope="row" { (token) }
                                    td.number { (format!("{integrated:+.5}")) }
                                    td.number { (format!("{gradient:+.5}")) }
                                }
                            }
                        }
                    }
                }
            }
        }
    }

    /// The tokens, coloured in relation to the strongest of them.
    fn tokens_part(&self, heading: &str, values: &[f32]) -> Markup {
        let strongest = values
            .iter()
            .fold(0.0_f32, |most, value| most.max(value.abs()));
        let share = |value: f32| match strongest > 0.0 {
            true => value.abs() / strongest,
            false => 0.0,
        };
        html! {
            h3 { (heading) }
            p.tokens {
                @for (token, value) in self.tokens.iter().zip(values) {
                    @let side = if *value < 0.0 { "against" } else { "for" };
                    @let style = format!("--share:{:.3}", share(*value));
                    span class=(side) style=(style) title=(format!("{value:+.5}")) { (token) } " "
                }
            }
        }
    }

    fn attention_part(&self) -> Markup {
        let bytes: Vec<u8> = self
            .attentions
            .iter()
            .flatten()
            .flatten()
            .flatten()
            .map(|probability| (255.0 * probability).round() as u8)
            .collect();
        let data = json!({
            "tokens": self.tokens,
            "layers": self.attentions.len(),
            "heads": self.attentions.first().map_or(0, Vec::len),
            "attention": BASE64_STANDARD.encode(&bytes),
        });
        // Nothing in a token may end the element.
        let data = data.to_string().replace('<', "\\u003c");
        html! {
            h2 { "Attention" }
            p.soft {
                "Rows attend to columns; the stronger the colour, the more. It shows where information may flow, not what \
                 the output rests on."
            }
            noscript { p { "Attention is drawn by a script of this page." } }
            form #choice {
                label { "Layer " select #layer {} } " "
                label { "Head " select #head {} } " "
                output #cell {}
            }
            div.attention {
                div.scroll {
                    canvas #matrix role="img" aria-label="Attention probabilities of the chosen head" {}
                }
                figure {
                    div.scroll { canvas #overview role="img" aria-label="All heads" {} }
                    figcaption.soft { "All heads: a row per layer. Click on one to see it." }
                }
            }
            script type="application/json" id="data" { (PreEscaped(data)) }
            script { (PreEscaped(SCRIPT)) }
        }
    }
}

/// An output's label, logit and probability.
fn output_row(output: &OutputScore, is_chosen: bool) -> Markup {
    let percent = output
        .probability
        .map(|share| format!("{:.1} %", 100.0 * share));
    let width = format!("width:{:.1}%", 100.0 * output.probability.unwrap_or(0.0));
    html! {
        tr class=[is_chosen.then_some("chosen")] {
            th scope="row" { (output.label) }
            td.number { (format!("{:.4}", output.logit)) }
            td.number { (percent.unwrap_or_default()) }
            td.bar { span style=(width) {} }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn explanation(attribution: Option<Attribution>) -> Explanation {
        Explanation {
            model: "models/<x>".to_owned(),
            text: "</script> & co".to_owned(),
            pair: None,
            tokens: ["[CLS]", "</script>", "[SEP]"].map(str::to_owned).to_vec(),
            attribution,
            attentions: vec![vec![vec![vec![0.25, 0.75, 0.0]; 3]; 2]; 2],
        }
    }

    fn attribution() -> Attribution {
        Attribution {
            outputs: vec![OutputScore {
                label: "<good>".to_owned(),
                logit: 1.5,
                probability: Some(0.75),
            }],
            label: "<good>".to_owned(),
            gradient_times_input: vec![0.0, 0.5, -0.25],
            integrated_gradients: vec![0.0, 1.25, -0.5],
            steps: 7,
            score: 1.5,
            baseline_score: 0.5,
            sum: 0.75,
            relative_error: Some(0.25),
        }
    }

    #[test]
    fn the_page_needs_nothing_from_outside_and_holds_text_as_text() {
        let page = explanation(Some(attribution())).page();
        for outside in ["src=", "href=", "@import", "url(", "http", "<link"] {
            assert!(!page.contains(outside), "{outside}");
        }
        assert_eq!(page.matches("</script>").count(), 2, "{page}");
        assert!(page.contains("&lt;/script&gt; &amp; co") && page.contains("\\u003c/script>"));
        assert!(page.contains("prefers-color-scheme: dark"));
        assert!(!page.contains("<good>") && !page.contains("<x>"));
    }

    #[test]
    fn tokens_are_coloured_by_their_share_of_the_strongest() {
        let page = explanation(Some(attribution())).page();
        assert!(
            page.contains("class=\"for\" style=\"--share:1.000\" title=\"+1.25000\">&lt;/script")
        );
        assert!(
            page.contains("class=\"against\" style=\"--share:0.400\" title=\"-0.50000\">[SEP]")
        );
        assert!(
            page.contains("They sum to 0.750000 in 7 steps") && page.contains("25.000 % of it")
        );
        assert!(page.contains("\"layers\":2") && page.contains("\"heads\":2"));
    }

    #[test]
    fn without_a_classifier_there_is_attention_alone() {
        let page = explanation(None).page();
        assert!(page.contains("attention alone is shown") && page.contains("id=\"matrix\""));
        assert!(!page.contains("Integrated gradients"));
    }
}
