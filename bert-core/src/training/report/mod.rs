//! A run as a picture and as a page.

mod curves;
mod page;
mod summary;

use std::path::PathBuf;

use super::observe::{Event, RunInfo};
use crate::error::Result;
use crate::files::write_atomically;
use crate::report::{Frame, Section, standalone};

/// Size of the first panel and of the others, two abreast, and the space between, in pixels.
const WIDE: (f64, f64) = (1080.0, 330.0);
const HALF: (f64, f64) = (532.0, 250.0);
const GAP: f64 = 16.0;

/// The curves of a run as one SVG picture: loss, accuracies and what else the task measures, learning rate, gradient
/// norm, tokens per second and the wait for data, each in a panel of its own.
///
/// The picture needs nothing from outside and follows the reader's choice of a light or dark background. Runs of
/// millions of events make pictures of some hundred kilobytes: curves are thinned to their extremes.
pub fn curves_svg(events: &[Event]) -> String {
    let panels = curves::panels(events);
    let frame = |index: usize| match index {
        0 => Frame {
            x: GAP,
            y: GAP,
            width: WIDE.0,
            height: WIDE.1,
        },
        index => {
            let (row, column) = ((index - 1) / 2, (index - 1) % 2);
            Frame {
                x: GAP + column as f64 * (HALF.0 + GAP),
                y: 2.0 * GAP + WIDE.1 + row as f64 * (HALF.1 + GAP),
                width: HALF.0,
                height: HALF.1,
            }
        }
    };
    let placed: Vec<_> = panels
        .iter()
        .enumerate()
        .map(|(index, chart)| (chart, frame(index)))
        .collect();
    let bottom = placed
        .last()
        .map_or(GAP, |(_, frame)| frame.y + frame.height);
    standalone(&placed, WIDE.0 + 2.0 * GAP, bottom + GAP)
}

/// Writes the report of a run to `path`: an HTML page with its curves, its settings, its last and best evaluation and
/// the `extra` sections of the task.
///
/// The page is one file without scripts and without anything from outside.
///
/// # Errors
/// [`Error::Io`](crate::Error::Io) naming the file.
pub fn write_report(
    path: impl Into<PathBuf>,
    run: &RunInfo,
    events: &[Event],
    extra: &[Section],
) -> Result<()> {
    write_atomically(path, page::page(run, events, extra).as_bytes())
}
