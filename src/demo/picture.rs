//! Attention between tokens, as a picture.

use std::fmt::Write;

use bert_core::report::escape;
use burn::tensor::Tensor;

use super::error::Result;

/// Side of a square, and room for the tokens, in pixels.
const SQUARE: usize = 13;
const ROOM: usize = 84;

/// Heat maps of attention as HTML, one for each head of each layer: a row per query token, a column per key token, darker
/// where the probability is higher. Self-contained.
///
/// # Shapes
/// - attentions: for every layer `[1, heads, seq, seq]`, softmax over the last; `seq` tokens
///
/// # Errors
/// If the device does not give the numbers back.
pub fn attention_html(tokens: &[String], attentions: Vec<Tensor<4>>) -> Result<String> {
    let mut html = String::from("<div class=\"panels\">\n");
    for (layer, attention) in attentions.into_iter().enumerate() {
        let [_, heads, seq, _] = attention.dims();
        let shares: Vec<f32> = attention
            .try_into_vec_as()
            .map_err(bert_heads::Error::from)?;
        for (head, shares) in shares.chunks(seq * seq).take(heads).enumerate() {
            let title = format!("Layer {}, head {}", layer + 1, head + 1);
            html.push_str(&map(&title, tokens, shares));
        }
    }
    html.push_str("</div>\n");
    Ok(html)
}

fn map(title: &str, tokens: &[String], shares: &[f32]) -> String {
    let count = tokens.len();
    let side = ROOM + count * SQUARE;
    // The page gives the first figure of a group the whole width; here all are alike.
    let mut svg = format!(
        "<figure style=\"grid-column: auto\"><svg style=\"min-width: 0\" class=\"picture chart\" role=\"img\" aria-label=\"{title}: attention of each token to each other\" \
         viewBox=\"0 0 {side} {side}\" width=\"{side}\" height=\"{side}\">\n<title>{title}</title>\n"
    );
    let middle = SQUARE / 2 + 4;
    for (index, token) in tokens.iter().enumerate() {
        let (token, at) = (escape(token), ROOM + index * SQUARE);
        let _ = writeln!(
            svg,
            "<text class=\"small\" x=\"{}\" y=\"{}\" text-anchor=\"end\">{token}</text>\
             <text class=\"small\" transform=\"translate({} {}) rotate(-90)\">{token}</text>",
            ROOM - 4,
            at + middle,
            at + middle,
            ROOM - 4,
        );
    }
    for (row, shares) in shares.chunks(count.max(1)).enumerate() {
        for (column, share) in shares
            .iter()
            .enumerate()
            .filter(|(_, share)| **share > 0.02)
        {
            let _ = write!(
                svg,
                "<rect x=\"{}\" y=\"{}\" width=\"{SQUARE}\" height=\"{SQUARE}\" fill=\"var(--c0)\" opacity=\"{share:.2}\"/>",
                ROOM + column * SQUARE,
                ROOM + row * SQUARE,
            );
        }
        svg.push('\n');
    }
    let _ = writeln!(svg, "</svg><figcaption>{title}</figcaption></figure>");
    svg
}

#[cfg(test)]
mod tests {
    use super::*;
    use bert_core::device::test_devices;

    #[test]
    fn every_head_has_a_picture_that_is_text_safe() {
        let tokens = ["[CLS]".to_owned(), "<b>".to_owned()];
        for (_, device) in test_devices() {
            let shares = [[[[0.25, 0.75], [1.0, 0.0]], [[0.5, 0.5], [0.01, 0.99]]]];
            let layer = Tensor::<4>::from_data(shares, &device);
            let html = attention_html(&tokens, vec![layer.clone(), layer]).unwrap();
            assert_eq!(html.matches("<svg").count(), 4);
            // Those of next to nothing are left out.
            assert_eq!(html.matches("<rect").count(), 2 * (3 + 3));
            assert!(html.contains("opacity=\"0.75\"") && html.contains("Layer 2, head 2"));
            assert!(html.contains("&lt;b&gt;") && !html.contains("<b>"));
        }
    }
}
