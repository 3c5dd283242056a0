//! Time, and every timestamp format we read.

use std::fmt;
use std::time::Duration;

/// A moment: nanoseconds since the Unix epoch, UTC.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(pub i64);

impl Time {
    /// Before everything.
    pub const MIN: Time = Time(i64::MIN);
    /// After everything.
    pub const MAX: Time = Time(i64::MAX);

    /// The moment of a civil UTC date and time; `None` where a field is out of range.
    pub fn from_civil(date: (i64, u32, u32), clock: (u32, u32, u32), nanos: u32) -> Option<Time> {
        let (year, month, day) = date;
        let (hour, minute, second) = clock;
        let in_range = (1970..=2200).contains(&year)
            && (1..=12).contains(&month)
            && (1..=days_in_month(year, month)).contains(&day)
            && hour < 24
            && minute < 60
            && second <= 60
            && nanos < 1_000_000_000;
        if !in_range {
            return None;
        }
        let seconds = days_from_civil(year, month, day) * 86_400 + i64::from(hour * 3_600 + minute * 60 + second);
        Some(Time(seconds * 1_000_000_000 + i64::from(nanos)))
    }

    /// The moment of a Unix time in seconds.
    pub fn from_unix(seconds: i64) -> Time {
        Time(seconds.saturating_mul(1_000_000_000))
    }

    /// How long after `earlier` this is; zero where it is not.
    pub fn since(self, earlier: Time) -> Duration {
        Duration::from_nanos(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// This moment moved forward.
    pub fn plus(self, span: Duration) -> Time {
        Time(self.0.saturating_add(i64::try_from(span.as_nanos()).unwrap_or(i64::MAX)))
    }

    /// As people read it, to the second: `2026-11-21T03:38:13Z`.
    pub fn to_second(self) -> String {
        let text = self.to_string();
        text.split_once('.').map_or(text.clone(), |(seconds, _)| format!("{seconds}Z"))
    }

    /// This moment moved back.
    pub fn minus(self, span: Duration) -> Time {
        Time(self.0.saturating_sub(i64::try_from(span.as_nanos()).unwrap_or(i64::MAX)))
    }
}

impl fmt::Display for Time {
    /// RFC 3339 in UTC with milliseconds: `2026-11-21T03:38:13.842Z`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.div_euclid(1_000_000_000);
        let millis = self.0.rem_euclid(1_000_000_000) / 1_000_000;
        let (year, month, day) = civil_from_days(seconds.div_euclid(86_400));
        let second = seconds.rem_euclid(86_400);
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{millis:03}Z",
            second / 3_600,
            second / 60 % 60,
            second % 60
        )
    }
}

impl fmt::Debug for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Reads an RFC 3339 date and time at the start of `text`: `2026-11-21T03:38:13[.frac](Z|+hh:mm)`, also with a blank
/// in place of `T`, a comma before the fraction and without a zone (then UTC). Returns the time and how many bytes it took.
pub fn rfc3339(text: &[u8]) -> Option<(Time, usize)> {
    let number = |from: usize, to: usize| -> Option<u32> {
        let digits = text.get(from..to)?;
        digits.iter().try_fold(0u32, |sum, d| d.is_ascii_digit().then(|| sum * 10 + u32::from(d - b'0')))
    };
    let mark = |at: usize, wanted: &[u8]| text.get(at).is_some_and(|c| wanted.contains(c));
    let shaped = mark(4, b"-/") && mark(7, b"-/") && mark(10, b"T tT") && mark(13, b":") && mark(16, b":");
    if !shaped {
        return None;
    }
    let date = (i64::from(number(0, 4)?), number(5, 7)?, number(8, 10)?);
    let clock = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    let mut used = 19;
    let mut nanos = 0u32;
    if mark(used, b".,") {
        let digits = text[used + 1..].iter().take_while(|c| c.is_ascii_digit()).count();
        if digits > 0 {
            for place in 0..9 {
                let digit = if place < digits { u32::from(text[used + 1 + place] - b'0') } else { 0 };
                nanos = nanos * 10 + digit;
            }
            used += 1 + digits;
        }
    }
    let time = Time::from_civil(date, clock, nanos)?;
    if mark(used, b"Zz") {
        return Some((time, used + 1));
    }
    if mark(used, b"+-") && mark(used + 3, b":") {
        let (hours, minutes) = (number(used + 1, used + 3)?, number(used + 4, used + 6)?);
        let offset = Duration::from_secs(u64::from(hours * 3_600 + minutes * 60));
        let utc = if text[used] == b'+' { time.minus(offset) } else { time.plus(offset) };
        return Some((utc, used + 6));
    }
    Some((time, used))
}

/// Reads the time of a klog header, `0102 15:04:05.000000`, which has no year: `year` fills it in.
pub fn klog(text: &[u8], year: i64) -> Option<(Time, usize)> {
    let number = |from: usize, to: usize| -> Option<u32> {
        let digits = text.get(from..to)?;
        digits.iter().try_fold(0u32, |sum, d| d.is_ascii_digit().then(|| sum * 10 + u32::from(d - b'0')))
    };
    let shaped = text.get(4) == Some(&b' ') && text.get(7) == Some(&b':') && text.get(10) == Some(&b':');
    if !shaped || text.get(13) != Some(&b'.') {
        return None;
    }
    let micros = number(14, 20)?;
    let time = Time::from_civil(
        (year, number(0, 2)?, number(2, 4)?),
        (number(5, 7)?, number(8, 10)?, number(11, 13)?),
        micros * 1_000,
    )?;
    Some((time, 20))
}

/// Reads a Go or Rust duration: `24.735483751s`, `1m0.5s`, `751.439µs`, `10001ms`, `1h2m3s`.
pub fn duration(text: &str) -> Option<Duration> {
    let mut rest = text.trim_start_matches('-');
    let mut nanos = 0f64;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let split = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let value: f64 = rest[..split].parse().ok()?;
        let tail = &rest[split..];
        let end = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
        let unit = match &tail[..end] {
            "h" => 3.6e12,
            "m" => 6e10,
            "s" => 1e9,
            "ms" => 1e6,
            "µs" | "μs" | "us" => 1e3,
            "ns" => 1.0,
            _ => return None,
        };
        nanos += value * unit;
        rest = &tail[end..];
    }
    (nanos.is_finite() && nanos < 1e18).then(|| Duration::from_nanos(nanos as u64))
}

fn days_in_month(year: i64, month: u32) -> u32 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

/// Days since 1970-01-01 of a date in the proleptic Gregorian calendar.
fn days_from_civil(year: i64, month: u32, day: u32) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((i64::from(month) + 9) % 12) + 2) / 5 + i64::from(day) - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// The date that many days after 1970-01-01.
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_index = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_index + 2) / 5 + 1;
    let month = if month_index < 10 { month_index + 3 } else { month_index - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_rfc_3339_time_is_read_and_printed() {
        let cases = [
            ("2026-11-21T03:38:13.842131Z rest", "2026-11-21T03:38:13.842Z", 27),
            ("2025-12-04T22:09:22.474517123Z", "2025-12-04T22:09:22.474Z", 30),
            ("2024-02-29T23:59:60Z", "2024-03-01T00:00:00.000Z", 20),
            ("2025-07-22T11:14:19.407+02:00", "2025-07-22T09:14:19.407Z", 29),
            ("2021-12-08 16:18:49", "2021-12-08T16:18:49.000Z", 19),
        ];
        for (text, printed, used) in cases {
            let (time, took) = rfc3339(text.as_bytes()).expect(text);
            assert_eq!((time.to_string().as_str(), took), (printed, used), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "2026-13-21T03:38:13Z",
            "2026-11-31T03:38:13Z",
            "2026-11-2",
            "20261121T033813Z",
            "9026-11-21T03:38:13Z",
        ] {
            assert_eq!(rfc3339(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn a_klog_time_takes_the_given_year() {
        let (time, used) = klog(b"0102 15:04:05.678901       1 file.go:1]", 2026).expect("klog time");
        assert_eq!((time.to_string().as_str(), used), ("2026-01-02T15:04:05.678Z", 20));
    }

    #[test]
    fn durations_of_go_and_rust_are_read() {
        let cases = [("24.5s", 24_500), ("1m0.5s", 60_500), ("10001ms", 10_001), ("1h2m3s", 3_723_000), ("0s", 0)];
        for (text, millis) in cases {
            assert_eq!(duration(text), Some(Duration::from_millis(millis)), "{text}");
        }
        assert_eq!(duration("751.439µs"), Some(Duration::from_nanos(751_439)));
        assert_eq!(duration("soon"), None);
    }
}
