//! Times as people say them.

use jiff::{SignedDuration, Timestamp};

/// `0.4 s`, `12.3 s`, `2 min 5 s`, `3 h 10 min`.
pub fn took(duration: SignedDuration) -> String {
    let seconds = duration.as_secs().max(0);
    match seconds {
        0..60 => format!("{:.1} s", duration.as_secs_f64().max(0.0)),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}

/// `now`, `12 s ago`, `3 min ago`, `5 h ago`, `8 days ago`.
pub fn ago(then: Timestamp, now: Timestamp) -> String {
    match span(then, now) {
        Some(span) => format!("{span} ago"),
        None => "now".to_owned(),
    }
}

/// The time from one moment to another in its largest unit; `None` for less than a second.
pub fn span(from: Timestamp, to: Timestamp) -> Option<String> {
    let seconds = to.duration_since(from).as_secs();
    let text = match seconds {
        ..=0 => return None,
        1..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        3600..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    };
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_in_words() {
        let took = |seconds: f64| took(SignedDuration::from_millis((seconds * 1000.0) as i64));
        assert_eq!([took(0.44), took(12.0), took(125.0), took(11_400.0)], ["0.4 s", "12.0 s", "2 min 5 s", "3 h 10 min"]);
        let now = Timestamp::from_second(1_000_000).expect("timestamp");
        let ago = |seconds: i64| ago(now - SignedDuration::from_secs(seconds), now);
        assert_eq!([ago(0), ago(59), ago(200), ago(7200), ago(800_000)], ["now", "59 s ago", "3 min ago", "2 h ago", "9 days ago"]);
        assert_eq!(ago(-5), "now", "the server's clock may be ahead");
    }
}
