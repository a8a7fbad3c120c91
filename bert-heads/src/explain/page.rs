//! An explanation as a page of HTML that needs nothing from outside.

use std::fmt::Write;

use bert_core::report::escape;
use serde_json::json;

use super::{Attribution, Explanation};

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
        let title = escape(&title);
        let mut page = format!(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<h1>{title}</h1>\n\
             <p class=\"soft\">{}</p>\n<blockquote>{}</blockquote>\n",
            escape(&self.model),
            escape(&self.text)
        );
        if let Some(pair) = &self.pair {
            let _ = writeln!(page, "<blockquote>{}</blockquote>", escape(pair));
        }
        match &self.attribution {
            Some(attribution) => self.push_attribution(&mut page, attribution),
            None => page.push_str(
                "<p>The model has no classifier of texts, so there is no output to attribute: \
                 attention alone is shown.</p>\n",
            ),
        }
        self.push_attention(&mut page);
        let _ = writeln!(
            page,
            "<footer>Written by bert {}.</footer>\n</body>\n</html>",
            env!("CARGO_PKG_VERSION")
        );
        page
    }

    fn push_attribution(&self, page: &mut String, attribution: &Attribution) {
        page.push_str("<h2>Outputs</h2>\n<table class=\"outputs\">\n");
        for output in &attribution.outputs {
            let probability = output.probability;
            let _ = writeln!(
                page,
                "<tr{}><th scope=\"row\">{}</th><td class=\"number\">{:.4}</td>\
                 <td class=\"number\">{}</td><td class=\"bar\"><span style=\"width:{:.1}%\"></span></td></tr>",
                if output.label == attribution.label {
                    " class=\"chosen\""
                } else {
                    ""
                },
                escape(&output.label),
                output.logit,
                probability.map_or(String::new(), |p| format!("{:.1} %", 100.0 * p)),
                100.0 * probability.unwrap_or(0.0)
            );
        }
        let _ = write!(
            page,
            "</table>\n<h2>What <q>{}</q> rests on</h2>\n\
             <p class=\"key\"><span class=\"for\">for it</span> <span class=\"against\">against it</span></p>\n",
            escape(&attribution.label)
        );
        self.push_tokens(
            page,
            "Integrated gradients",
            &attribution.integrated_gradients,
        );
        let error = match attribution.relative_error {
            Some(error) => format!("{:.3} % of it", 100.0 * error),
            None => "not to be had, for both scores are equal".to_owned(),
        };
        let _ = writeln!(
            page,
            "<p class=\"soft\">They sum to {:.6} in {} steps. The logit is {:.6}, and {:.6} with [PAD] in place of the \
             words: a difference of {:.6}. The error is {error}.</p>",
            attribution.sum,
            attribution.steps,
            attribution.score,
            attribution.baseline_score,
            attribution.score - attribution.baseline_score,
        );
        self.push_tokens(page, "Gradient × input", &attribution.gradient_times_input);
        page.push_str(
            "<details><summary>Numbers</summary><div class=\"scroll\"><table><thead><tr><th scope=\"col\">Token</th>\
             <th scope=\"col\" class=\"number\">Integrated gradients</th>\
             <th scope=\"col\" class=\"number\">Gradient × input</th></tr></thead><tbody>\n",
        );
        let numbers = attribution
            .integrated_gradients
            .iter()
            .zip(&attribution.gradient_times_input);
        for (token, (integrated, gradient)) in self.tokens.iter().zip(numbers) {
            let _ = writeln!(
                page,
                "<tr><th scope=\"row\">{}</th><td class=\"number\">{integrated:+.5}</td>\
                 <td class=\"number\">{gradient:+.5}</td></tr>",
                escape(token)
            );
        }
        page.push_str("</tbody></table></div></details>\n");
    }

    /// The tokens, coloured in relation to the strongest of them.
    fn push_tokens(&self, page: &mut String, heading: &str, values: &[f32]) {
        let strongest = values
            .iter()
            .fold(0.0_f32, |most, value| most.max(value.abs()));
        let _ = write!(page, "<h3>{heading}</h3>\n<p class=\"tokens\">");
        for (token, value) in self.tokens.iter().zip(values) {
            let share = if strongest > 0.0 {
                value.abs() / strongest
            } else {
                0.0
            };
            let side = if *value < 0.0 { "against" } else { "for" };
            let _ = write!(
                page,
                "<span class=\"{side}\" style=\"--share:{share:.3}\" title=\"{value:+.5}\">{}</span> ",
                escape(token)
            );
        }
        page.push_str("</p>\n");
    }

    fn push_attention(&self, page: &mut String) {
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
            "attention": base64(&bytes),
        });
        // Nothing in a token may end the element.
        let data = data.to_string().replace('<', "\\u003c");
        let _ = write!(
            page,
            "<h2>Attention</h2>\n\
             <p class=\"soft\">Rows attend to columns; the stronger the colour, the more. It shows where information may flow, not \
             what the output rests on.</p>\n<noscript><p>Attention is drawn by a script of this page.</p></noscript>\n\
             <form id=\"choice\"><label>Layer <select id=\"layer\"></select></label> \
             <label>Head <select id=\"head\"></select></label> <output id=\"cell\"></output></form>\n\
             <div class=\"attention\"><div class=\"scroll\"><canvas id=\"matrix\" role=\"img\" \
             aria-label=\"Attention probabilities of the chosen head\"></canvas></div>\n\
             <figure><div class=\"scroll\"><canvas id=\"overview\" role=\"img\" aria-label=\"All heads\"></canvas></div>\
             <figcaption class=\"soft\">All heads: a row per layer. Click on one to see it.</figcaption></figure></div>\n\
             <script type=\"application/json\" id=\"data\">{data}</script>\n<script>\n{SCRIPT}</script>\n"
        );
    }
}

/// RFC 4648, with padding.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let byte = |index: usize| u32::from(group.get(index).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for digit in 0..4 {
            text.push(match digit <= group.len() {
                true => char::from(DIGITS[(bits >> (18 - 6 * digit)) as usize & 63]),
                false => '=',
            });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::OutputScore;
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
    fn base64_is_that_of_the_rfc() {
        for (text, expected) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(text.as_bytes()), expected);
        }
        assert_eq!(base64(&[255, 254, 253]), "//79");
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
