//! The fields of a row with quotes, line by line (RFC 4180).

use super::fault::{RowFault, shown};

/// A row in the making.
pub(super) struct QuotedRow {
    separator: char,
    fields: Vec<String>,
    field: String,
    state: State,
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    /// Nothing of the field has been read.
    Start,
    /// In a field without quotes, where they are ordinary characters.
    Plain,
    /// Between quotes.
    Quoted,
    /// Behind a quote that closes the field unless another follows.
    Closed,
}

impl QuotedRow {
    pub(super) fn new(separator: char) -> Self {
        Self {
            separator,
            fields: Vec::new(),
            field: String::new(),
            state: State::Start,
        }
    }

    /// Adds a line; whether the row ends with it.
    pub(super) fn line(&mut self, text: &str) -> Result<bool, RowFault> {
        for c in text.chars() {
            self.state = match (self.state, c) {
                (State::Start, '"') => State::Quoted,
                (State::Quoted, '"') => State::Closed,
                (State::Start | State::Plain | State::Closed, c) if c == self.separator => {
                    self.end_field();
                    State::Start
                }
                (State::Quoted | State::Closed, c) if self.state == State::Quoted || c == '"' => {
                    self.field.push(c);
                    State::Quoted
                }
                (State::Closed, _) => {
                    let field = shown(&self.field);
                    let reason = format!("text follows the closing quote of `{field}`");
                    return Err(RowFault::Quotes { reason });
                }
                (_, c) => {
                    self.field.push(c);
                    State::Plain
                }
            };
        }
        if self.state == State::Quoted {
            self.field.push('\n');
            return Ok(false);
        }
        self.end_field();
        Ok(true)
    }

    /// Number of fields that have ended.
    pub(super) fn ended_fields(&self) -> usize {
        self.fields.len()
    }

    /// The fields of a row that has ended.
    pub(super) fn into_fields(self) -> Vec<String> {
        self.fields
    }

    fn end_field(&mut self) {
        self.fields.push(std::mem::take(&mut self.field));
    }

    pub(super) fn unclosed(&self) -> RowFault {
        let field = shown(self.field.trim_end());
        RowFault::Quotes {
            reason: format!("the quote before `{field}` is never closed"),
        }
    }
}
