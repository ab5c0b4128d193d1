//! The waterfall in a terminal: who called whom, how it spoke, how long it took, and when.

mod bar;
mod paint;
mod tree;

use console::{measure_text_width, pad_str, truncate_str};

use self::{bar::Timeline, paint::Paint, tree::Row};
use super::model::{Span, Trace};

/// The narrowest layout; a narrower terminal wraps.
const MIN_WIDTH: usize = 72;
const MAX_WIDTH: usize = 240;
/// `ERRORS` shows this many failed spans.
const MAX_ERRORS: usize = 8;
const PROTOCOL: usize = 5;
const DURATION: usize = 7;
/// What a name keeps of its column however deep it stands.
const MIN_NAME: usize = 8;
const GAP: &str = "  ";

/// Renders a trace for a terminal of `width` columns (clamped to 72..=240), with ANSI colours where wanted.
///
/// One line a span, indented under its parent: service, span name, protocol, duration, and a bar on the time line of
/// the trace. `✗` marks a failed span, `?` one whose parent is missing. Below: what failed, and a summary.
pub fn render(trace: &Trace, width: usize, colour: bool) -> String {
    let paint = Paint::new(colour, &trace.services());
    let rows = tree::rows(trace);
    let layout = Layout::of(&rows, width.clamp(MIN_WIDTH, MAX_WIDTH));
    let timeline = Timeline::new(trace.start_us(), trace.duration_us(), layout.bar);
    let mut lines = vec![header(&layout, &timeline, &paint)];
    lines.extend(rows.iter().map(|row| line(row, &layout, &timeline, &paint)));
    lines.push(String::new());
    lines.extend(errors(trace, layout.width, &paint));
    lines.extend(summary(trace, layout.width, &paint));
    lines.iter().map(|line| format!("{}\n", line.trim_end())).collect()
}

/// Widths of the columns that depend on the trace and the terminal.
struct Layout {
    width: usize,
    service: usize,
    name: usize,
    bar: usize,
}

impl Layout {
    /// The span names get what they need up to two thirds of the room, the bars the rest.
    fn of(rows: &[Row<'_>], width: usize) -> Self {
        let widest = |of: fn(&Row<'_>) -> usize| rows.iter().map(of).max().unwrap_or(0);
        let service = widest(|row| measure_text_width(&row.span.service)).clamp(7, 18);
        let fixed = service + PROTOCOL + DURATION + 4 * GAP.len() + 1;
        let room = width.saturating_sub(fixed);
        let name = widest(|row| measure_text_width(&row.tree) + measure_text_width(&row.name)).clamp(4, room * 2 / 3);
        Self { width, service, name, bar: room - name }
    }
}

fn header(layout: &Layout, timeline: &Timeline, paint: &Paint) -> String {
    let cells = [pad("SERVICE", layout.service), pad("SPAN", layout.name), pad("PROTO", PROTOCOL), format!("{:>DURATION$}", "TIME")];
    paint.dim(&format!("{}{GAP} {}", cells.join(GAP), timeline.scale()))
}

fn line(row: &Row<'_>, layout: &Layout, timeline: &Timeline, paint: &Paint) -> String {
    let span = row.span;
    let tree = last_columns(&row.tree, layout.name.saturating_sub(MIN_NAME.min(measure_text_width(&row.name))));
    let name_room = layout.name.saturating_sub(measure_text_width(&tree));
    let name = pad(&row.name, name_room);
    let name = if span.failed() { paint.error(&name) } else { name };
    let protocol = span.protocol().map_or_else(|| "-".to_owned(), |protocol| protocol.to_string());
    let mark = match (span.failed(), row.orphan) {
        (true, _) => paint.error("✗"),
        (false, true) => paint.warning("?"),
        (false, false) => " ".to_owned(),
    };
    format!(
        "{}{GAP}{}{name}{GAP}{}{GAP}{:>DURATION$}{GAP}{mark}{}",
        paint.service(&span.service, &pad(&span.service, layout.service)),
        paint.dim(&tree),
        pad(&protocol, PROTOCOL),
        duration(span.duration_us),
        timeline.bar(span, paint),
    )
}

fn errors(trace: &Trace, width: usize, paint: &Paint) -> Vec<String> {
    let failed: Vec<_> = trace.errors().collect();
    let mut lines: Vec<_> = failed
        .iter()
        .take(MAX_ERRORS)
        .map(|span| {
            let text = format!("✗ {}  {}: {}", span.service, plain(&span.name), reason(span));
            paint.error(&truncate_str(&text, width, "…"))
        })
        .collect();
    if failed.len() > MAX_ERRORS {
        lines.push(paint.dim(&format!("  and {} more", failed.len() - MAX_ERRORS)));
    }
    if !lines.is_empty() {
        lines.push(String::new());
    }
    lines
}

/// The status message, else what the conventions say about the failure.
fn reason(span: &Span) -> String {
    let event = |key: &str| span.events.iter().find_map(|event| event.attributes.get(key)?.as_str().map(str::to_owned));
    let text = span
        .status_message
        .clone()
        .or_else(|| event("exception.message"))
        .or_else(|| span.text("error.type"))
        .or_else(|| span.text("rpc.response.status_code"))
        .or_else(|| span.text("http.response.status_code"));
    text.map_or_else(|| "failed".to_owned(), |text| plain(&text))
}

fn summary(trace: &Trace, width: usize, paint: &Paint) -> Vec<String> {
    let count = |number: usize, one: &str| match number {
        0 => format!("no {one}s"),
        1 => format!("1 {one}"),
        more => format!("{more} {one}s"),
    };
    let protocols: Vec<_> = trace.protocols().iter().map(ToString::to_string).collect();
    let (failed, orphans) = (trace.errors().count(), trace.orphans().count());
    let failures = count(failed, "error");
    let missing = count(orphans, "orphan");
    let parts = [
        paint.bold(trace.id()),
        count(trace.spans().len(), "span"),
        count(trace.services().len(), "service"),
        if protocols.is_empty() { "no protocols".to_owned() } else { protocols.join(" ") },
        if failed > 0 { paint.error(&failures) } else { failures },
        duration(trace.duration_us()),
        if orphans > 0 { paint.warning(&missing) } else { missing },
    ];
    wrap(&parts, " · ", width)
}

/// Joins the parts into as few lines as fit.
fn wrap(parts: &[String], separator: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for part in parts {
        match lines.last_mut() {
            Some(line) if measure_text_width(line) + separator.chars().count() + measure_text_width(part) <= width => {
                line.push_str(separator);
                line.push_str(part);
            }
            _ => lines.push(part.clone()),
        }
    }
    lines
}

/// The branches nearest to the name, where the tree is deeper than the room for it.
fn last_columns(tree: &str, room: usize) -> String {
    let width = tree.chars().count();
    if width <= room {
        return tree.to_owned();
    }
    let kept: String = tree.chars().skip(width - room.saturating_sub(2)).collect();
    format!("… {kept}")
}

fn pad(text: &str, width: usize) -> String {
    pad_str(text, width, console::Alignment::Left, Some("…")).into_owned()
}

/// Text on one line: names come from the network, and a control character in one could take over the terminal.
fn plain(text: &str) -> String {
    text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

/// A duration of microseconds in at most seven columns: `640 µs`, `12.3 ms`, `4.56 s`, `12m 5s`.
#[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
pub(crate) fn duration(us: u64) -> String {
    match us {
        0..1_000 => format!("{us} µs"),
        1_000..9_995 => format!("{:.2} ms", us as f64 / 1e3),
        9_995..99_950 => format!("{:.1} ms", us as f64 / 1e3),
        99_950..999_500 => format!("{:.0} ms", us as f64 / 1e3),
        999_500..9_995_000 => format!("{:.2} s", us as f64 / 1e6),
        9_995_000..59_950_000 => format!("{:.1} s", us as f64 / 1e6),
        _ => format!("{}m {}s", us / 60_000_000, us / 1_000_000 % 60),
    }
}

#[cfg(test)]
#[path = "render/tests.rs"]
mod tests;
