//! Pages of HTML in one file.

use std::fmt::Write;

use super::chart::STYLE;
use super::markup::{escape, table};

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
    /// Markup that goes into the page as it is: [`escape`] what is text in it.
    Html(String),
}

/// A page of HTML with colours for charts: `title`, then `lead`, which is markup, then the sections.
///
/// It is one file without scripts and without anything from outside, as long as `lead` and the sections are.
pub fn document(title: &str, lead: &str, sections: &[Section]) -> String {
    let title = escape(title);
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title}</title>\n<style>\n{PAGE_STYLE}{STYLE}</style>\n</head>\n<body>\n<h1>{title}</h1>\n{lead}"
    );
    for section in sections {
        let _ = writeln!(page, "<h2>{}</h2>", escape(&section.title));
        match &section.body {
            SectionBody::Table { header, rows } => table(&mut page, header, rows),
            SectionBody::Html(html) => {
                page.push_str(html);
                page.push('\n');
            }
        }
    }
    let _ = writeln!(
        page,
        "<footer>Written by bert {}.</footer>\n</body>\n</html>",
        env!("CARGO_PKG_VERSION")
    );
    page
}
