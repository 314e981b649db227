//! Times as text.

use std::time::{Duration, UNIX_EPOCH};

/// RFC 3339 in UTC with milliseconds.
pub(crate) fn time_text(time_ns: u64) -> String {
    let since = UNIX_EPOCH.checked_add(Duration::from_nanos(time_ns)).unwrap_or(UNIX_EPOCH);
    let elapsed = since.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (seconds, milliseconds) = (elapsed.as_secs(), elapsed.subsec_millis());
    let (days, of_day) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, day) = civil_date(days);
    let (hour, minute) = (of_day.div_euclid(3600), of_day.div_euclid(60).rem_euclid(60));
    let second = of_day.rem_euclid(60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milliseconds:03}Z")
}

/// `YYMMDD` and `HHMMSS` of a time where this machine stands; UTC where that is not known.
pub(crate) fn local_date_and_time(time_ns: u64) -> (String, String) {
    let seconds = i64::try_from(time_ns.div_euclid(1_000_000_000)).unwrap_or(0);
    // SAFETY: zero is a valid value; both places are ours.
    let time = unsafe {
        let mut time: libc::tm = std::mem::zeroed();
        if libc::localtime_r(&raw const seconds, &raw mut time).is_null() {
            libc::gmtime_r(&raw const seconds, &raw mut time);
        }
        time
    };
    let year = time.tm_year.rem_euclid(100);
    let month = time.tm_mon.saturating_add(1);
    (
        format!("{year:02}{month:02}{:02}", time.tm_mday),
        format!("{:02}{:02}{:02}", time.tm_hour, time.tm_min, time.tm_sec),
    )
}

/// Year, month, day of a day counted from 1970-01-01.
fn civil_date(days: u64) -> (u64, u64, u64) {
    let is_leap = |y: u64| y.is_multiple_of(4) && (!y.is_multiple_of(100) || y.is_multiple_of(400));
    let mut left = days;
    let mut year = 1970_u64;
    loop {
        let length = if is_leap(year) { 366 } else { 365 };
        if left < length {
            break;
        }
        left = left.saturating_sub(length);
        year = year.saturating_add(1);
    }
    let february = if is_leap(year) { 29 } else { 28 };
    let mut month = 1_u64;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if left < length {
            break;
        }
        left = left.saturating_sub(length);
        month = month.saturating_add(1);
    }
    (year, month, left.saturating_add(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_rfc_3339_in_utc() {
        assert_eq!(time_text(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(time_text(1_709_210_096_789_000_000), "2024-02-29T12:34:56.789Z");
        assert_eq!(time_text(1_798_761_599_000_000_000), "2026-12-31T23:59:59.000Z");
    }
}
