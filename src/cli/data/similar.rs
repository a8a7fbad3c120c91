//! Texts to be compared.

use std::path::Path;

use anyhow::{Context, Result, bail};
use bert_heads::datasets::{
    Dataset, Layout, Part, Place, SimilarColumns, SimilarExample, SimilarFormat, read_similar,
};
use bert_heads::tasks::sequence_classification::REGRESS;

use super::{DataArgs, unknown_layout};

impl DataArgs {
    /// Texts with similar and dissimilar ones, without scores.
    pub(crate) fn similar(&self, path: &Path) -> Result<Dataset<SimilarExample>> {
        if let Some(preset) = self.preset()? {
            bail!("{} is not about texts without a score", preset.name());
        }
        let columns = self.text_column.clone().map(|text| {
            let like = self.pair_column.clone();
            let like = like.context("--pair-column is needed beside --text-column")?;
            let unlike = Vec::new();
            anyhow::Ok(SimilarColumns { text, like, unlike })
        });
        const COLUMNS: [&str; 4] = [
            "--text-column",
            "--pair-column",
            "--separator",
            "--no-header",
        ];
        let layout = self.layout(path)?.with_context(|| unknown_layout(path))?;
        match layout {
            Layout::Delimited(_) => self.only(&COLUMNS, "a table of texts that are alike")?,
            Layout::JsonLines => self.only(&COLUMNS[..2], "a file of JSON lines")?,
        }
        let format = SimilarFormat {
            layout,
            columns: columns.transpose()?,
        };
        self.read(path, read_similar(path, &format, self.bad_rows())?)
    }

    /// Pairs of texts with a score.
    pub(crate) fn scored_pairs(&self, path: &Path, part: Part) -> Result<Dataset<SimilarExample>> {
        let texts = self.texts(path, part, &REGRESS, None)?;
        let pairs = texts.examples.into_iter().map(|example| {
            let line = example.line;
            SimilarExample::try_from(example).map_err(|fault| bert_heads::Error::BadRow {
                path: path.to_owned(),
                place: Place::Line(line),
                fault: fault.into(),
            })
        });
        Ok(Dataset {
            path: path.to_owned(),
            examples: pairs.collect::<Result<_, _>>()?,
        })
    }
}
