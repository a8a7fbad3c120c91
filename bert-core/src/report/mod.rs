//! Charts and pages, for training, explanations, measurements and the demonstration.

mod axis;
mod chart;
mod document;
mod markup;
mod series;
mod thin;

pub use axis::Scale;
pub use chart::{Chart, Frame, STYLE, standalone};
pub use document::{Section, SectionBody, document, page};
pub use markup::escape;
pub(crate) use markup::table;
pub use series::{Look, Series};
pub(crate) use thin::{extremes, smoothed};
