//! Pages of HTML in one file.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::chart::STYLE;
use super::markup::table;

const PAGE_STYLE: &str = include_str!("page.css");

/// A part of the report that the task adds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// Its heading, as text.
    pub title: String,
    /// Its content.
    pub body: SectionBody,
}

/// Content of a [`Section`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SectionBody {
    /// Rows of text under headings; the first column names the row.
    Table {
        /// One heading per column.
        header: Vec<String>,
        /// The cells, row by row.
        rows: Vec<Vec<String>>,
    },
    /// Markup that goes into the page as it is.
    Html(String),
}

/// A page of HTML with colours for charts: `title`, then `lead`, then the sections.
///
/// It is one file without scripts and without anything from outside, as long as `lead` and the sections are.
pub fn document(title: &str, lead: &Markup, sections: &[Section]) -> String {
    let body = html! {
        (lead)
        @for section in sections {
            h2 { (section.title) }
            @match &section.body {
                SectionBody::Table { header, rows } => (table(header, rows)),
                SectionBody::Html(html) => (PreEscaped(html)),
            }
        }
    };
    page(title, &format!("{PAGE_STYLE}{STYLE}"), &body)
}

/// A page of HTML in one file, with `title` in its head and as its heading, and the program's version at its foot.
pub fn page(title: &str, style: &str, body: &Markup) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) }
                style { (PreEscaped(style)) }
            }
            body {
                h1 { (title) }
                (body)
                footer { "Written by bert " (env!("CARGO_PKG_VERSION")) "." }
            }
        }
    };
    page.into_string()
}
