//! A small SVG writer. Colours and dashes come from the page's style by class, so that a picture
//! follows dark mode and print; texts are escaped here.

use minijinja::Value;
use std::fmt::Write;

/// An SVG that is being written.
pub(super) struct Svg(String);

impl Svg {
    /// An empty picture of that size with a description for those who cannot see it. One without a
    /// description is an ornament.
    pub(super) fn new((width, height): (f64, f64), class: &str, label: &str) -> Self {
        let mut svg = Self(String::new());
        let said = match label {
            "" => r#"aria-hidden="true""#.to_string(),
            label => format!(r#"role="img" aria-label="{}""#, escaped(label)),
        };
        let size = format!(r#"width="{width:.0}" height="{height:.0}" viewBox="0 0 {width:.0} {height:.0}""#);
        svg.put(format_args!(r#"<svg class="{class}" {size} {said}>"#));
        svg
    }

    fn put(&mut self, text: std::fmt::Arguments<'_>) {
        writeln!(self.0, "{text}").expect("writing to a string does not fail");
    }

    /// Draws a path.
    pub(super) fn path(&mut self, class: &str, data: &str) {
        self.put(format_args!(r#"<path class="{class}" d="{data}"/>"#));
    }

    /// Draws a straight line.
    pub(super) fn line(&mut self, class: &str, (x1, y1): (f64, f64), (x2, y2): (f64, f64)) {
        self.path(class, &format!("M{x1:.1} {y1:.1}L{x2:.1} {y2:.1}"));
    }

    /// Draws a box with round corners.
    pub(super) fn rect(&mut self, class: &str, (x, y): (f64, f64), (width, height): (f64, f64)) {
        self.put(format_args!(
            r#"<rect class="{class}" x="{x:.1}" y="{y:.1}" width="{width:.1}" height="{height:.1}" rx="6"/>"#
        ));
    }

    /// Writes a text; `anchor` is `start`, `middle` or `end`.
    pub(super) fn text(&mut self, class: &str, (x, y): (f64, f64), anchor: &str, text: &str) {
        self.put(format_args!(
            r#"<text class="{class}" x="{x:.1}" y="{y:.1}" text-anchor="{anchor}">{}</text>"#,
            escaped(text)
        ));
    }

    /// Draws a mark whose shape says which series it belongs to.
    pub(super) fn mark(&mut self, series: usize, (x, y): (f64, f64)) {
        let shape = match series % 4 {
            0 => format!("M{:.1} {y:.1}a3 3 0 1 0 6 0a3 3 0 1 0 -6 0z", x - 3.0),
            1 => format!("M{:.1} {:.1}h6v6h-6z", x - 3.0, y - 3.0),
            2 => format!("M{x:.1} {:.1}l3.8 6.6h-7.6z", y - 4.2),
            _ => format!("M{x:.1} {:.1}l4 4l-4 4l-4 -4z", y - 4.0),
        };
        self.path(&format!("mark s{}", series % SERIES), &shape);
    }

    /// Ends the picture.
    pub(super) fn end(mut self) -> Value {
        self.0.push_str("</svg>");
        Value::from_safe_string(self.0)
    }
}

/// The number of series that the page's style tells apart by colour and dashes.
pub(super) const SERIES: usize = 6;

/// Escapes a text for an element or for an attribute in double quotes.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&#39;")
}
