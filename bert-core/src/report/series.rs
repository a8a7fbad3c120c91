//! Lines and marks of a chart.

use std::fmt::Write;

use super::markup::escape;

/// Colours that [`STYLE`](super::chart::STYLE) has.
const COLOURS: usize = 6;

/// Style of a series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// A line.
    Line,
    /// A thin pale line, for what is behind a smoother one.
    Faint,
    /// A line with a mark at every point, which shows its values under the pointer.
    Marks,
}

/// Points under one name.
#[derive(Clone, Debug)]
pub struct Series {
    /// For the legend; none without a name.
    pub name: String,
    /// Points from left to right; where one is not finite the line has a gap.
    pub points: Vec<(f64, f64)>,
    /// Style.
    pub look: Look,
    /// Which of the six colours it has; after the sixth they repeat in dashed lines.
    pub colour: usize,
}

impl Series {
    pub(super) fn colour(&self) -> usize {
        self.colour % COLOURS
    }

    pub(super) fn class(&self) -> &'static str {
        match (self.look, self.colour < COLOURS) {
            (Look::Line | Look::Marks, true) => "line",
            (Look::Line | Look::Marks, false) => "line dashed",
            (Look::Faint, true) => "line faint",
            (Look::Faint, false) => "line faint dashed",
        }
    }

    pub(super) fn draw(
        &self,
        out: &mut String,
        x: &impl Fn(f64) -> Option<f64>,
        y: &impl Fn(f64) -> Option<f64>,
    ) {
        let places: Vec<_> = self.points.iter().map(|point| place(point, x, y)).collect();
        let mut path = String::new();
        let mut alone = Vec::new();
        for stretch in places.split(Option::is_none) {
            for (index, (x, y)) in stretch.iter().flatten().enumerate() {
                let command = if index == 0 { 'M' } else { 'L' };
                let _ = write!(path, "{command}{x:.1} {y:.1}");
            }
            if let [Some(point)] = stretch {
                alone.push(*point);
            }
        }
        if path.is_empty() {
            return;
        }
        let _ = write!(
            out,
            "<path class=\"{} c{}\" d=\"{path}\"/>",
            self.class(),
            self.colour()
        );
        if self.look == Look::Line {
            // A line of one point would not be seen.
            for (x, y) in alone {
                self.mark(out, x, y, "");
            }
        }
        if self.look == Look::Marks {
            for (place, point) in places.iter().zip(&self.points) {
                if let Some((x, y)) = place {
                    let text = format!("{}: {} at {}", self.name, number(point.1), number(point.0));
                    self.mark(out, *x, *y, &text);
                }
            }
        }
    }

    /// A filled circle with a text that shows under the pointer.
    pub(super) fn mark(&self, out: &mut String, x: f64, y: f64, text: &str) {
        let colour = self.colour();
        let _ = write!(
            out,
            "<circle class=\"mark c{colour}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\">"
        );
        if !text.is_empty() {
            let _ = write!(out, "<title>{}</title>", escape(text));
        }
        out.push_str("</circle>");
    }
}

/// Position of a point, if it can be drawn.
pub(super) fn place(
    (x_value, y_value): &(f64, f64),
    x: &impl Fn(f64) -> Option<f64>,
    y: &impl Fn(f64) -> Option<f64>,
) -> Option<(f64, f64)> {
    Some((x(*x_value)?, y(*y_value)?))
}

/// Four digits that matter.
pub(super) fn number(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        size if !(1e-3..1e7).contains(&size) => format!("{value:.3e}"),
        _ if value.fract() == 0.0 => format!("{value}"),
        size => {
            let digits = (3.0 - size.log10().floor()).clamp(0.0, 6.0);
            format!("{value:.*}", digits as usize)
        }
    }
}
