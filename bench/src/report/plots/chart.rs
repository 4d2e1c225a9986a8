//! One plot as SVG: axes, lines, and who is which.

use std::{collections::BTreeSet, error::Error};

use anyhow::{Result, anyhow};
use plotters::{coord::Shift, prelude::*};

use super::{Line, Plot, axis::Axis};

/// Same colour for the same contender in all plots.
const COLORS: [(&str, RGBColor); 11] = [
    ("drop (generator)", RGBColor(190, 190, 190)),
    ("bare XDP redirect", RGBColor(0, 0, 0)),
    ("redirect + one lookup", RGBColor(80, 80, 80)),
    ("bare XDP_TX", RGBColor(0, 0, 0)),
    ("kernel routing", RGBColor(130, 130, 130)),
    ("nft masquerade", RGBColor(213, 94, 0)),
    ("nft flowtable", RGBColor(230, 159, 0)),
    ("snat-ctl xdp", RGBColor(0, 114, 178)),
    ("snat-ctl xdp-generic", RGBColor(86, 180, 233)),
    ("snat-ctl tc", RGBColor(0, 158, 115)),
    ("snat-ctl tc, second packet", RGBColor(150, 210, 180)),
];

/// Draws it.
pub(super) fn svg(plot: &Plot, lines: &[Line]) -> Result<String> {
    let mut svg = String::new();
    let area = SVGBackend::with_string(&mut svg, (940, 520)).into_drawing_area();
    draw_in(&area, plot, lines).map_err(|error| anyhow!("drawing {}: {error}", plot.file))?;
    drop(area);
    Ok(svg)
}

fn draw_in(
    area: &DrawingArea<SVGBackend<'_>, Shift>,
    plot: &Plot,
    lines: &[Line],
) -> Result<(), Box<dyn Error>> {
    area.fill(&WHITE)?;
    let (area, legend) = area.split_horizontally(690);
    draw_legend(&legend, lines)?;
    let ats = ats(lines);
    let along = |at| (plot.along)(at, &ats);
    let ticks = ats.iter().map(|at| (along(*at), (plot.label)(*at)));
    let points = lines.iter().flat_map(|(_, points)| points);
    let most = points.map(|(_, value)| *value).fold(0.0, f64::max);
    let mut chart = ChartBuilder::on(&area)
        .caption(plot.title, ("sans-serif", 20))
        .margin(14)
        .x_label_area_size(44)
        .y_label_area_size(64)
        .build_cartesian_2d(Axis::new(ticks.collect()), 0.0..most * 1.05)?;
    let [x, y] = plot.axes;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(TRANSPARENT)
        .x_desc(x)
        .y_desc(y)
        .y_label_formatter(&|value| format!("{value}"))
        .label_style(("sans-serif", 14))
        .draw()?;
    for (who, points) in lines {
        let color = color(who);
        let points: Vec<_> = points
            .iter()
            .map(|(at, value)| (along(*at), *value))
            .collect();
        let dots = points
            .iter()
            .map(|point| Circle::new(*point, 3, color.filled()));
        chart.draw_series(dots)?;
        chart.draw_series(LineSeries::new(points, color.stroke_width(2)))?;
    }
    Ok(())
}

/// The best of the last point comes first, so that names are about in the order of the lines.
fn draw_legend(
    area: &DrawingArea<SVGBackend<'_>, Shift>,
    lines: &[Line],
) -> Result<(), Box<dyn Error>> {
    let last = |line: &Line| line.1.last().map_or(0.0, |(_, value)| *value);
    let mut lines: Vec<_> = lines.iter().collect();
    lines.sort_by(|a, b| last(b).total_cmp(&last(a)));
    for (line, y) in lines.into_iter().zip((60..).step_by(26)) {
        let color = color(&line.0);
        let stroke = [(0, y), (26, y)];
        area.draw(&PathElement::new(stroke, color.stroke_width(3)))?;
        let style = ("sans-serif", 14).into_font();
        area.draw(&Text::new(line.0.clone(), (34, y - 7), style))?;
    }
    Ok(())
}

/// Where there is a value, from left to right.
fn ats(lines: &[Line]) -> Vec<u64> {
    let points = lines.iter().flat_map(|(_, points)| points);
    points
        .map(|(at, _)| *at)
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect()
}

fn color(who: &str) -> RGBColor {
    let known = COLORS.iter().find(|(name, _)| *name == who);
    known.map_or(RGBColor(150, 110, 200), |(_, color)| *color)
}
