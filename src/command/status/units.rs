//! Numbers in five columns, with the unit that leaves the most to see.

/// Up to 99,999 as it is, above that in thousands and more.
pub fn count(count: u64) -> String {
    if count < 100_000 { count.to_string() } else { scaled(count as f64, &["", "k", "M", "G", "T", "P", "E"]) }
}

/// Requests per second: as many digits as say something.
pub fn rate(rate: f64) -> String {
    if rate > 0.0 && rate < 9.95 { format!("{rate:.1}") } else { count(rate.round() as u64) }
}

pub fn bytes(bytes: u64) -> String {
    scaled(bytes as f64, &["B", "kB", "MB", "GB", "TB", "PB", "EB"])
}

/// How long requests take.
pub fn latency(seconds: f64) -> String {
    let micros = (seconds * 1e6).round();
    match micros {
        ..1e3 => format!("{micros}µs"),
        ..1e6 => format!("{}ms", micros / 1e3),
        _ => format!("{}s", micros / 1e6),
    }
}

/// How long ago or how long until: the two largest units.
pub fn duration(seconds: f64) -> String {
    let whole = seconds.max(0.0) as u64;
    match whole {
        0..10 => format!("{:.1} s", seconds.max(0.0)),
        10..60 => format!("{whole} s"),
        60..3_600 => format!("{} min {} s", whole / 60, whole % 60),
        3_600..86_400 => format!("{} h {} min", whole / 3_600, whole / 60 % 60),
        _ => format!("{} d {} h", whole / 86_400, whole / 3_600 % 24),
    }
}

/// Three digits at most and a unit.
fn scaled(mut value: f64, units: &[&str]) -> String {
    let mut units = units.iter();
    let mut unit = units.next();
    let mut decimals = 0;
    // 999.5 would be printed as 1000.
    while value >= 999.5
        && let Some(next) = units.next()
    {
        value /= 1000.0;
        unit = Some(next);
        decimals = usize::from(value < 9.95);
    }
    format!("{value:.decimals$}{}", unit.unwrap_or(&""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_at_most_five_columns() {
        for power in 0..64 {
            for number in [1u64 << power, (1 << power) - 1, u64::MAX] {
                for text in [count(number), rate(number as f64), bytes(number)] {
                    assert!(text.len() <= 5, "{number}: {text}");
                }
            }
        }
        for bound in crate::scoreboard::BUCKETS {
            let text = latency(bound as f64 / 1e6);
            assert!(text.chars().count() <= 5, "{bound}: {text}");
        }
    }

    #[test]
    fn units_are_those_that_people_use() {
        assert_eq!([count(99_999), count(123_456), count(1_500_000)], ["99999", "123k", "1.5M"]);
        assert_eq!([rate(0.0), rate(0.04), rate(9.94), rate(9.96), rate(812.4)], ["0", "0.0", "9.9", "10", "812"]);
        assert_eq!([bytes(0), bytes(999), bytes(20_971_520), bytes(1_000)], ["0B", "999B", "21MB", "1.0kB"]);
        assert_eq!([latency(0.00001), latency(0.0015), latency(0.3), latency(70.0)], ["10µs", "1.5ms", "300ms", "70s"]);
        let durations = [duration(3.21), duration(59.9), duration(61.0), duration(3_723.4), duration(90_000.0)];
        assert_eq!(durations, ["3.2 s", "59 s", "1 min 1 s", "1 h 2 min", "1 d 1 h"]);
    }
}
