//! Text and tables inside SVG and HTML.

use maud::{Markup, html};

/// `text` for element content and quoted attributes, without the control characters that XML forbids.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\t' | '\n' | '\r' => escaped.push(letter),
            letter if letter.is_control() || matches!(letter, '\u{fffe}' | '\u{ffff}') => (),
            letter => escaped.push(letter),
        }
    }
    escaped
}

/// A table of text; the first column names the row.
///
/// Columns whose cells all begin with a digit are set to the right.
pub(crate) fn table(header: &[String], rows: &[Vec<String>]) -> Markup {
    let is_number = |cell: &str| {
        cell.trim_start_matches(['-', '+'])
            .starts_with(|letter: char| letter.is_ascii_digit())
    };
    let class = |column: usize| {
        let mut cells = rows
            .iter()
            .filter_map(|row| row.get(column))
            .filter(|cell| !cell.is_empty())
            .peekable();
        let numbers = column > 0 && cells.peek().is_some() && cells.all(|cell| is_number(cell));
        numbers.then_some("number")
    };
    let classes: Vec<_> = (0..header.len()).map(class).collect();
    let class = |column: usize| classes.get(column).copied().flatten();
    html! {
        div.scroll {
            table {
                thead {
                    tr {
                        @for (column, cell) in header.iter().enumerate() {
                            th scope="col" class=[class(column)] { (cell) }
                        }
                    }
                }
                tbody {
                    @for row in rows {
                        tr {
                            @for (column, cell) in row.iter().enumerate() {
                                @if column == 0 {
                                    th scope="row" { (cell) }
                                } @else {
                                    td class=[class(column)] { (cell) }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_becomes_text() {
        assert_eq!(
            escape("<b onclick=\"x('y')\">R&D\u{0}\u{1b}é</b>"),
            "&lt;b onclick=&quot;x(&#39;y&#39;)&quot;&gt;R&amp;Dé&lt;/b&gt;"
        );
    }
}
