//! Times of dumps as RFC 3339 text in UTC.

/// 100 ns units between 1601-01-01 and 1970-01-01 (`FILETIME`).
const FILETIME_UNIX_EPOCH: u64 = 116_444_736_000_000_000;
const UNITS_PER_SECOND: u64 = 10_000_000;
const SECONDS_PER_DAY: u64 = 86_400;

/// `2026-11-20T21:05:21Z`.
pub(crate) fn from_unix(seconds: u64) -> String {
    let (year, month, day) = civil(seconds / SECONDS_PER_DAY);
    let rest = seconds % SECONDS_PER_DAY;
    let (hour, minute, second) = (rest / 3600, rest % 3600 / 60, rest % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// `2026-11-20T21:05:21.123456Z`; `None` for 0, which means "not known", and before 1970.
pub(crate) fn from_filetime(units: u64) -> Option<String> {
    let since_epoch = units.checked_sub(FILETIME_UNIX_EPOCH).filter(|_| units != 0)?;
    let whole = from_unix(since_epoch / UNITS_PER_SECOND);
    let microseconds = since_epoch % UNITS_PER_SECOND / 10;
    Some(format!("{}.{microseconds:06}Z", whole.trim_end_matches('Z')))
}

/// A span in units of 100 ns, in seconds.
#[allow(clippy::cast_precision_loss)] // centuries fit exactly enough
pub(crate) fn seconds_of(units: u64) -> f64 {
    units as f64 / UNITS_PER_SECOND as f64
}

/// Year, month and day of a day counted from 1970-01-01 (proleptic Gregorian calendar).
///
/// Counted in eras of 400 years that begin on 1 March, so that the leap day is a year's last.
#[allow(clippy::arithmetic_side_effects)] // days come from u64 seconds / 86,400: far from overflow
fn civil(days_since_epoch: u64) -> (u64, u64, u64) {
    let days = days_since_epoch + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_become_dates() {
        // date -u -d @SECONDS +%FT%TZ
        assert_eq!(from_unix(0), "1970-01-01T00:00:00Z");
        assert_eq!(from_unix(951_782_400), "2000-02-29T00:00:00Z");
        assert_eq!(from_unix(1_795_208_721), "2026-11-20T21:05:21Z");
        assert_eq!(from_unix(4_107_542_399), "2100-02-28T23:59:59Z");
        assert_eq!(from_unix(4_107_542_400), "2100-03-01T00:00:00Z");
        assert!(from_unix(u64::MAX).ends_with('Z'));
    }

    #[test]
    fn filetimes_become_dates() {
        assert_eq!(from_filetime(0), None);
        assert_eq!(from_filetime(1), None);
        let now = FILETIME_UNIX_EPOCH + 1_795_208_721 * UNITS_PER_SECOND + 1_234_567;
        assert_eq!(from_filetime(now).as_deref(), Some("2026-11-20T21:05:21.123456Z"));
    }
}
