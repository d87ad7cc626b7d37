//! Numbers as a reader wants them.

pub(super) use crate::report::thousands;

/// Formats a share such as an accuracy with three digits.
pub(super) fn share(value: f64) -> String {
    format!("{:.3}", value + 0.0)
}

/// Formats a difference with its sign and three digits.
pub(super) fn signed(value: f64) -> String {
    // Adding zero turns -0 into 0.
    format!("{:+.3}", (value * 1000.0).round() / 1000.0 + 0.0)
}

/// Formats a share in per cent.
pub(super) fn percent(value: f64) -> String {
    format!("{:.1} %", value * 100.0)
}

/// Formats an interval of differences.
pub(super) fn signed_interval((low, high): (f64, f64)) -> String {
    format!("{} to {}", signed(low), signed(high))
}

/// Formats an interval of shares.
pub(super) fn interval((low, high): (f64, f64)) -> String {
    format!("{} to {}", share(low), share(high))
}

/// Formats a p-value.
pub(super) fn p_value(p: f64) -> String {
    if p < 0.0001 { "p < 0.0001".to_string() } else { format!("p = {p:.4}") }
}

/// Formats seconds in the largest fitting units.
pub(super) fn duration(seconds: f64) -> String {
    match seconds {
        s if s < 100.0 => format!("{s:.1} s"),
        s if s < 6000.0 => format!("{:.0} min", s / 60.0),
        s => format!("{:.1} h", s / 3600.0),
    }
}

/// Formats a large number in few characters, for axes.
pub(super) fn short(number: f64) -> String {
    match number {
        n if n >= 1e9 => format!("{:.3} G", n / 1e9),
        n if n >= 1e6 => format!("{:.2} M", n / 1e6),
        n if n >= 1e4 => format!("{:.0} k", n / 1e3),
        n if n.fract() == 0.0 => format!("{n:.0}"),
        n => format!("{n:.1}"),
    }
}

/// Returns a number with its noun.
pub(super) fn counted(number: usize, one: &str, many: &str) -> String {
    format!("{} {}", thousands(number as u64), if number == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_for_people() {
        assert_eq!([0, 12, 1234, 1_234_567].map(thousands), ["0", "12", "1,234", "1,234,567"]);
        assert_eq!((signed(0.4736), signed(-0.0001), share(-0.0)), ("+0.474".into(), "+0.000".into(), "0.000".into()));
        assert_eq!((p_value(0.5), p_value(1e-9)), ("p = 0.5000".into(), "p < 0.0001".into()));
        assert_eq!([5.04, 125.0, 7200.0].map(duration), ["5.0 s", "2 min", "2.0 h"]);
        assert_eq!([0.5, 7.0, 12_345.0, 2.5e6].map(short), ["0.5", "7", "12 k", "2.50 M"]);
        assert_eq!((counted(1, "case", "cases"), counted(2, "case", "cases")), ("1 case".into(), "2 cases".into()));
    }
}
