//! Line charts as SVG.

use std::fmt::Write;

use super::axis::Axis;
use super::axis::Scale;
use super::markup::escape;
use super::series::{Look, Series, number, place};

/// Colours of series, fonts and lines, for a light and a dark background; goes into a `<style>` once per document.
pub const STYLE: &str = include_str!("chart.css");

/// Width of a letter of the small print, in pixels, on average.
const LETTER: f64 = 6.3;

/// A chart of lines over one pair of axes.
#[derive(Clone, Debug, Default)]
pub struct Chart {
    /// The heading.
    pub title: String,
    /// Quantity of the horizontal axis, with its unit.
    pub x_label: String,
    /// Unit of the vertical axis, beside the heading; empty for none.
    pub unit: String,
    /// Scale of the horizontal axis.
    pub x_scale: Scale,
    /// Scale of the vertical axis.
    pub y_scale: Scale,
    /// Plotted series, later ones on top.
    pub series: Vec<Series>,
}

/// A place in a picture, in pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Frame {
    /// Left edge.
    pub x: f64,
    /// Upper edge.
    pub y: f64,
    /// Width; some 300 at least for the labels to fit.
    pub width: f64,
    /// Height; some 160 at least.
    pub height: f64,
}

impl Chart {
    /// The chart as an `<svg>` element of `width` times `height` pixels for a page that has [`STYLE`].
    pub fn svg(&self, width: f64, height: f64) -> String {
        let frame = Frame {
            x: 0.0,
            y: 0.0,
            width,
            height,
        };
        picture(width, height, &self.description(), "", &self.group(frame))
    }

    /// The chart as a picture of its own, in a file.
    pub fn svg_file(&self, width: f64, height: f64) -> String {
        standalone(
            &[(
                self,
                Frame {
                    x: 0.0,
                    y: 0.0,
                    width,
                    height,
                },
            )],
            width,
            height,
        )
    }

    /// Description of the chart in words, for readers who do not see it.
    pub fn description(&self) -> String {
        let mut text = format!("Line chart: {} by {}.", self.title, self.x_label);
        for series in &self.series {
            let finite = || series.points.iter().filter(|(_, y)| y.is_finite());
            let (Some(first), Some(last)) = (finite().next(), finite().next_back()) else {
                continue;
            };
            if series.name.is_empty() || series.look == Look::Faint {
                continue;
            }
            let _ = write!(
                text,
                " {}: from {} at {} to {} at {}.",
                series.name,
                number(first.1),
                number(first.0),
                number(last.1),
                number(last.0)
            );
        }
        text
    }

    /// The chart as a `<g>` element inside `frame` of a larger picture.
    pub fn group(&self, frame: Frame) -> String {
        let values = self.series.iter().flat_map(|series| &series.points);
        let x_axis = Axis::new(self.x_scale, values.clone().map(|(x, _)| *x), false);
        let y_axis = Axis::new(self.y_scale, values.clone().map(|(_, y)| *y), true);
        let y_ticks = y_axis.ticks((frame.height / 55.0) as usize);
        let longest = y_ticks.iter().map(|(_, text)| text.len()).max();
        let left = longest.unwrap_or(0) as f64 * LETTER + 14.0;
        let mut out = String::from("<g class=\"chart\">");
        let top = self.heading(&mut out, frame);
        let plot = Frame {
            x: frame.x + left,
            y: frame.y + top,
            width: (frame.width - left - 16.0).max(1.0),
            height: (frame.height - top - 40.0).max(1.0),
        };
        let x = |value: f64| Some(plot.x + x_axis.position(value)? * plot.width);
        let y = |value: f64| Some(plot.y + (1.0 - y_axis.position(value)?) * plot.height);

        let (right, bottom) = (plot.x + plot.width, plot.y + plot.height);
        for (tick, text) in &y_ticks {
            let Some(y) = y(*tick) else { continue };
            let _ = write!(
                out,
                "<path class=\"grid\" d=\"M{:.1} {y:.1}H{right:.1}\"/>\
                 <text class=\"small\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{text}</text>",
                plot.x,
                plot.x - 7.0,
                y + 4.0,
            );
        }
        for (tick, text) in x_axis.ticks((plot.width / 90.0) as usize) {
            let Some(x) = x(tick) else { continue };
            let _ = write!(
                out,
                "<path class=\"axis\" d=\"M{x:.1} {bottom:.1}v4\"/>\
                 <text class=\"small\" x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{text}</text>",
                bottom + 17.0,
            );
        }
        let _ = write!(
            out,
            "<path class=\"axis\" d=\"M{:.1} {bottom:.1}H{right:.1}\"/>\
             <text class=\"small\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
            plot.x,
            plot.x + plot.width / 2.0,
            bottom + 33.0,
            escape(&self.x_label),
        );
        let empty = values.clone().all(|point| place(point, &x, &y).is_none());
        if empty {
            let _ = write!(
                out,
                "<text class=\"small\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">nothing to draw</text>",
                plot.x + plot.width / 2.0,
                plot.y + plot.height / 2.0,
            );
        }
        for series in &self.series {
            series.draw(&mut out, &x, &y);
        }
        out.push_str("</g>");
        out
    }

    /// Title and unit on the left, legend on the right or, where it does not fit, in lines below; returns where the plot
    /// begins.
    fn heading(&self, out: &mut String, frame: Frame) -> f64 {
        const LINE: f64 = 17.0;
        let (left, right) = (frame.x + 8.0, frame.x + frame.width - 8.0);
        let mut baseline = frame.y + LINE;
        let _ = write!(
            out,
            "<text class=\"title\" x=\"{left:.1}\" y=\"{baseline:.1}\">{}",
            escape(&self.title),
        );
        if !self.unit.is_empty() {
            let _ = write!(out, " <tspan class=\"unit\">{}</tspan>", escape(&self.unit));
        }
        out.push_str("</text>");

        let named = || self.series.iter().filter(|series| !series.name.is_empty());
        let width = |series: &Series| series.name.chars().count() as f64 * LETTER + 36.0;
        let total: f64 = named().map(width).sum();
        let title = self.title.chars().count() as f64 * 8.5 + 30.0;
        let unit = self.unit.chars().count() as f64 * LETTER;
        let below = title + unit + total > right - left;
        let mut x = if below { left } else { right - total };
        if below {
            baseline += LINE;
        }
        for series in named() {
            if x > left && x + width(series) > right + 12.0 {
                x = left;
                baseline += LINE;
            }
            let middle = baseline - 4.0;
            let colour = series.colour();
            let _ = write!(
                out,
                "<path class=\"{} c{colour}\" d=\"M{x:.1} {middle:.1}h18\"/>",
                series.class(),
            );
            if series.look == Look::Marks {
                series.mark(out, x + 9.0, middle, "");
            }
            let _ = write!(
                out,
                "<text class=\"small\" x=\"{:.1}\" y=\"{baseline:.1}\">{}</text>",
                x + 23.0,
                escape(&series.name),
            );
            x += width(series);
        }
        baseline - frame.y + 21.0
    }
}

/// Several charts as one picture in a file, on a background of its own.
pub fn standalone(charts: &[(&Chart, Frame)], width: f64, height: f64) -> String {
    let descriptions: Vec<_> = charts
        .iter()
        .map(|(chart, _)| chart.description())
        .collect();
    let content: String = charts
        .iter()
        .map(|(chart, frame)| chart.group(*frame))
        .collect();
    let before =
        format!("<style>{STYLE}</style><rect class=\"paper\" width=\"100%\" height=\"100%\"/>");
    let description = descriptions.join(" ");
    let mut svg = picture(width, height, &description, &before, &content);
    svg.push('\n');
    svg
}

fn picture(width: f64, height: f64, description: &str, before: &str, content: &str) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"picture\" viewBox=\"0 0 {width} {height}\" \
         width=\"{width}\" height=\"{height}\" role=\"img\" aria-label=\"{}\">{before}{content}</svg>",
        escape(description)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(points: &[(f64, f64)], look: Look) -> Chart {
        Chart {
            title: "Loss & <more>".to_owned(),
            x_label: "step".to_owned(),
            series: vec![Series {
                name: "training".to_owned(),
                points: points.to_vec(),
                look,
                colour: 7,
            }],
            ..Chart::default()
        }
    }

    /// The path of the series; a `d` that begins at the plot's left edge is an axis.
    fn path(svg: &str) -> &str {
        let (_, rest) = svg
            .rsplit_once("<path class=\"line dashed c1\" d=\"")
            .unwrap();
        rest.split('"').next().unwrap()
    }

    #[test]
    fn larger_values_are_higher_and_later_ones_further_right() {
        let svg = chart(&[(0.0, 1.0), (10.0, 3.0)], Look::Line).svg(400.0, 200.0);
        let numbers: Vec<f64> = path(&svg)
            .split(['M', 'L', ' '])
            .filter_map(|number| number.parse().ok())
            .collect();
        assert!(numbers[2] > numbers[0] && numbers[3] < numbers[1], "{svg}");
        assert!(numbers[2] <= 400.0 && numbers[1] <= 200.0);
    }

    #[test]
    fn text_is_escaped_and_the_picture_has_words() {
        let svg = chart(&[(0.0, 1.0), (10.0, 3.0)], Look::Line).svg(400.0, 200.0);
        assert!(svg.contains("Loss &amp; &lt;more&gt;</text>"), "{svg}");
        assert!(svg.contains("training: from 1 at 0 to 3 at 10."), "{svg}");
        assert!(!svg.contains("<style>"));
    }

    #[test]
    fn what_is_not_finite_is_a_gap() {
        let points = [(0.0, 1.0), (1.0, 2.0), (2.0, f64::NAN), (3.0, 1.0)];
        let svg = chart(&points, Look::Line).svg(400.0, 200.0);
        assert_eq!(path(&svg).matches('M').count(), 2);
        assert_eq!(svg.matches("<circle").count(), 1, "a point alone is a dot");
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    }

    #[test]
    fn nothing_and_one_point_can_be_drawn() {
        let svg = chart(&[], Look::Line).svg(400.0, 200.0);
        assert!(svg.contains("nothing to draw"));
        let svg = chart(&[(5.0, f64::NAN)], Look::Marks).svg(400.0, 200.0);
        assert!(svg.contains("nothing to draw"));
        let svg = chart(&[(5.0, 7.0)], Look::Marks).svg(400.0, 200.0);
        assert!(svg.contains("<title>training: 7 at 5</title>"), "{svg}");
    }

    #[test]
    fn a_long_legend_is_broken_into_lines() {
        let mut chart = chart(&[(0.0, 1.0)], Look::Line);
        let baselines = |chart: &Chart| {
            let svg = chart.svg(400.0, 200.0);
            let legend = svg
                .split("<text class=\"small\" x=\"")
                .filter(|text| text.contains("training<"));
            let lines = legend.map(|text| text.split('"').nth(2).unwrap().to_owned());
            lines.collect::<std::collections::BTreeSet<_>>().len()
        };
        assert_eq!(baselines(&chart), 1);
        for _ in 0..4 {
            chart.series.push(chart.series[0].clone());
        }
        assert_eq!(baselines(&chart), 2);
    }

    #[test]
    fn a_file_brings_its_colours() {
        let frame = Frame {
            x: 0.0,
            y: 0.0,
            width: 400.0,
            height: 200.0,
        };
        let svg = standalone(&[(&chart(&[(0.0, 1.0)], Look::Line), frame)], 400.0, 200.0);
        assert!(svg.contains("<style>") && svg.contains("prefers-color-scheme: dark"));
        assert!(!svg.contains("http://www.w3.org/2000/svg\" href"));
        assert_eq!(svg.matches("http").count(), 1, "nothing from outside");
    }
}
