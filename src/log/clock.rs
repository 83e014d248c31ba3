//! The wall clock, as events and records carry it.
#![forbid(unsafe_code)]

use std::time::UNIX_EPOCH;

use super::event::Micros;

/// Now; 0 where the clock stands before the epoch.
pub fn now() -> Micros {
    let since = UNIX_EPOCH.elapsed().unwrap_or_default();
    Micros::try_from(since.as_micros()).unwrap_or(Micros::MAX)
}

/// A length of time in its largest unit.
pub fn age(micros: Micros) -> String {
    let seconds = micros / 1_000_000;
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3_600 => format!("{}m", seconds / 60),
        3_600..172_800 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_is_told_in_its_largest_unit() {
        let seconds = [0, 59, 60, 3_599, 3_600, 172_799, 172_800];
        let ages: Vec<_> = seconds.iter().map(|seconds| age(seconds * 1_000_000)).collect();
        assert_eq!(ages, ["0s", "59s", "1m", "59m", "1h", "47h", "2d"]);
    }
}
