//! Bars on the time line of a trace, an eighth of a column exact.

use super::{duration, paint::Paint};
use crate::trace::model::Span;

/// Blocks that fill one to seven eighths of a column from the left.
const PARTIAL: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
const EIGHTHS: u64 = 8;

/// Maps moments of a trace onto columns.
pub(super) struct Timeline {
    start_us: u64,
    duration_us: u64,
    columns: usize,
}

impl Timeline {
    pub(super) fn new(start_us: u64, duration_us: u64, columns: usize) -> Self {
        Self { start_us, duration_us: duration_us.max(1), columns: columns.max(1) }
    }

    /// The scale over the bars: 0 on the left, the duration on the right, and half of it between where there is room.
    pub(super) fn scale(&self) -> String {
        let end = duration(self.duration_us);
        let half = duration(self.duration_us / 2);
        let columns = self.columns;
        let (end_width, half_width) = (end.chars().count(), half.chars().count());
        if columns < end_width + 2 {
            return String::new();
        }
        let middle = columns / 2;
        if columns >= 2 * (end_width + half_width) {
            let before = format!("{:<middle$}{half}", "0");
            let rest = columns - before.chars().count();
            return format!("{before}{end:>rest$}");
        }
        let rest = columns - 1;
        format!("0{end:>rest$}")
    }

    /// The bar of a span, in the colour of its service or that of errors. Never empty: the shortest is a thin line.
    pub(super) fn bar(&self, span: &Span, paint: &Paint) -> String {
        let last = self.columns as u64 * EIGHTHS - 1;
        let start = self.eighths(span.start_us).min(last);
        let end = self.eighths(span.end_us()).clamp(start + 1, last + 1);
        let bar = blocks(start % EIGHTHS, end - start);
        let blank = " ".repeat(usize::try_from(start / EIGHTHS).unwrap_or(0));
        let painted = if span.failed() { paint.error(&bar) } else { paint.service(&span.service, &bar) };
        format!("{blank}{painted}")
    }

    fn eighths(&self, at_us: u64) -> u64 {
        let since = u128::from(at_us.saturating_sub(self.start_us));
        let total = self.columns as u128 * u128::from(EIGHTHS);
        u64::try_from(since * total / u128::from(self.duration_us)).unwrap_or(u64::MAX)
    }
}

/// `length` eighths of a column, beginning `offset` eighths into the first one. There are no blocks that fill from the
/// right but the half one, so the beginning is exact to half a column, the end to an eighth.
fn blocks(offset: u64, length: u64) -> String {
    let end = offset + length;
    if end <= EIGHTHS {
        return match (offset, end) {
            (4.., _) if length <= 2 => "▕".to_owned(),
            (4.., 8) => "▐".to_owned(),
            _ => partial(length.max(1)).to_owned(),
        };
    }
    let first = if offset >= EIGHTHS / 2 { "▐" } else { "█" };
    let full = usize::try_from(end / EIGHTHS - 1).unwrap_or(0);
    format!("{first}{}{}", "█".repeat(full), partial(end % EIGHTHS))
}

fn partial(eighths: u64) -> &'static str {
    usize::try_from(eighths).ok().and_then(|eighths| PARTIAL.get(eighths)).copied().unwrap_or("█")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bar(start_us: u64, duration_us: u64) -> String {
        let span = Span { start_us, duration_us, ..Span::example("1", &[]) };
        Timeline::new(1000, 800, 10).bar(&span, &Paint::new(false, &[]))
    }

    #[test]
    fn bars_lie_where_their_time_lies() {
        assert_eq!(bar(1000, 800), "██████████");
        assert_eq!(bar(1000, 400), "█████");
        assert_eq!(bar(1400, 400), "     █████");
        assert_eq!(bar(1040, 80), "▐▌");
        assert_eq!(bar(1400, 0), "     ▏");
        assert_eq!(bar(1800, 0), "         ▕");
        assert_eq!(bar(5000, 9), "         ▕");
        assert_eq!(bar(0, 10), "▏");
    }

    #[test]
    fn the_scale_fills_the_columns_and_gives_way() {
        let scale = |columns| Timeline::new(0, 24_600, columns).scale();
        assert_eq!(scale(40), "0                   12.3 ms      24.6 ms");
        assert_eq!(scale(20), "0            24.6 ms");
        assert_eq!(scale(5), "");
    }
}
