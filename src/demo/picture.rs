//! Attention between tokens, as a picture.

use burn::tensor::Tensor;
use maud::{Markup, html};

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
    let mut maps = Vec::new();
    for (layer, attention) in attentions.into_iter().enumerate() {
        let [_, heads, seq, _] = attention.dims();
        let shares: Vec<f32> = attention
            .try_into_vec_as()
            .map_err(bert_heads::Error::from)?;
        for (head, shares) in shares.chunks(seq * seq).take(heads).enumerate() {
            let title = format!("Layer {}, head {}", layer + 1, head + 1);
            maps.push(map(&title, tokens, shares));
        }
    }
    let html = html! {
        div.panels {
            @for map in maps { (map) }
        }
    };
    Ok(html.into_string())
}

fn map(title: &str, tokens: &[String], shares: &[f32]) -> Markup {
    let count = tokens.len();
    let side = ROOM + count * SQUARE;
    let middle = SQUARE / 2 + 4;
    let label = format!("{title}: attention of each token to each other");
    let cells = shares.iter().enumerate();
    let cells = cells.map(|(index, share)| (index / count.max(1), index % count.max(1), share));
    // The page gives the first figure of a group the whole width; here all are alike.
    html! {
        figure style="grid-column: auto" {
            svg style="min-width: 0" class="picture chart" role="img" aria-label=(label)
                viewBox=(format!("0 0 {side} {side}")) width=(side) height=(side) {
                title { (title) }
                @for (index, token) in tokens.iter().enumerate() {
                    @let at = ROOM + index * SQUARE;
                    @let turned = format!("translate({} {}) rotate(-90)", at + middle, ROOM - 4);
                    text class="small" x=(ROOM - 4) y=(at + middle) text-anchor="end" { (token) }
                    text class="small" transform=(turned) { (token) }
                }
                @for (row, column, share) in cells.filter(|(.., share)| **share > 0.02) {
                    rect x=(ROOM + column * SQUARE) y=(ROOM + row * SQUARE) width=(SQUARE) height=(SQUARE)
                        fill="var(--c0)" opacity=(format!("{share:.2}")) {}
                }
            }
            figcaption { (title) }
        }
    }
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
