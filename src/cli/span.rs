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
    Timestamp::from_microsecond(wall_us).map_or_else(
        |_| format!("{wall_us} us"),
        |time| {
            let offset = time.to_zoned(TimeZone::system()).offset();
            time.display_with_offset(offset).to_string()
        },
    )
}

/// A wall time in microseconds, as RFC 3339 in UTC.
pub(super) fn rfc3339(wall_us: i64) -> String {
    Timestamp::from_microsecond(wall_us)
        .map_or_else(|_| format!("{wall_us} us"), |time| time.to_string())
}
