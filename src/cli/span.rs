//! Times on the command line.

use std::ops::Range;

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// From when to when. Both may be left out.
#[derive(Debug, Clone, Copy, clap::Args)]
pub struct SpanArguments {
    /// From this time on, such as 2026-11-22T18:30:00Z or 2026-11-22T19:30:00+01:00 (RFC 3339)
    #[arg(long, value_name = "TIME")]
    from: Option<Timestamp>,
    /// Up to this time
    #[arg(long, value_name = "TIME")]
    to: Option<Timestamp>,
}

impl SpanArguments {
    /// Wall time, in microseconds; everything where a bound is missing.
    pub(super) fn micros(&self) -> Range<i64> {
        let from = self.from.map_or(i64::MIN, Timestamp::as_microsecond);
        let to = self.to.map_or(i64::MAX, Timestamp::as_microsecond);
        from..to
    }
}

/// A wall time in microseconds, as RFC 3339 with the offset of this machine's time zone then.
pub(super) fn rfc3339_local(wall_us: i64) -> String {
    rfc3339_in(wall_us, TimeZone::system())
}

fn rfc3339_in(wall_us: i64, zone: TimeZone) -> String {
    Timestamp::from_microsecond(wall_us).map_or_else(
        |_| format!("{wall_us} us"),
        |time| {
            let offset = time.to_zoned(zone).offset();
            time.display_with_offset(offset).to_string()
        },
    )
}

/// A wall time in microseconds, as RFC 3339 in UTC.
pub(super) fn rfc3339(wall_us: i64) -> String {
    Timestamp::from_microsecond(wall_us)
        .map_or_else(|_| format!("{wall_us} us"), |time| time.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR_US: i64 = 3_600_000_000;

    /// The hours of a day in Berlin, from one midnight to the next, as they are shown.
    fn day(midnight: &str, hours: i64) -> Vec<String> {
        let begin: Timestamp = midnight.parse().unwrap();
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        let hour = |hour| rfc3339_in(begin.as_microsecond() + hour * HOUR_US, zone.clone());
        (0..=hours).map(hour).collect()
    }

    #[test]
    fn days_of_23_and_25_hours_are_shown_right() {
        let short = day("2026-03-29T00:00:00+01:00", 23);
        assert_eq!(short[0], "2026-03-29T00:00:00+01:00");
        assert_eq!(short[1], "2026-03-29T01:00:00+01:00");
        assert_eq!(
            short[2], "2026-03-29T03:00:00+02:00",
            "the clock is put forward"
        );
        assert_eq!(short[23], "2026-03-30T00:00:00+02:00");
        let long = day("2026-10-25T00:00:00+02:00", 25);
        assert_eq!(long[2], "2026-10-25T02:00:00+02:00");
        assert_eq!(
            long[3], "2026-10-25T02:00:00+01:00",
            "the hour that comes twice"
        );
        assert_eq!(long[25], "2026-10-26T00:00:00+01:00");
        for (shown, next) in [short, long]
            .iter()
            .flat_map(|day| day.iter().zip(&day[1..]))
        {
            let us = |text: &str| text.parse::<Timestamp>().unwrap().as_microsecond();
            assert_eq!(us(next) - us(shown), HOUR_US, "{shown} {next}");
        }
    }
}
