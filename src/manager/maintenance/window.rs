//! One maintenance window: days of the week, and from when to when in UTC.

use std::{
    str::FromStr,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
const DAY_MINUTES: u64 = 24 * 60;
const WEEK_MINUTES: u64 = 7 * DAY_MINUTES;
/// 1970-01-01 was a Thursday.
const FIRST_DAY: u64 = 3;

/// A window that opens on some days of each week.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// On which days it opens, Monday first.
    days: [bool; 7],
    /// Minutes after midnight, UTC.
    from: u64,
    /// How long it is open, in minutes: one day at most.
    minutes: u64,
}

impl Window {
    /// Whether a disruptive step may begin.
    #[must_use]
    pub fn is_open(&self, now: SystemTime) -> bool {
        let at = minute_of_week(now);
        self.openings().any(|opening| (at + WEEK_MINUTES - opening) % WEEK_MINUTES < self.minutes)
    }

    /// When it opens next; `now` if it opens in this very minute.
    #[must_use]
    pub fn next_opening(&self, now: SystemTime) -> SystemTime {
        let at = minute_of_week(now);
        let wait = self.openings().map(|opening| (opening + WEEK_MINUTES - at) % WEEK_MINUTES);
        let begun = seconds(now) / 60 * 60;
        UNIX_EPOCH + Duration::from_secs(begun + wait.min().unwrap_or(0) * 60)
    }

    /// Minutes of the week at which it opens.
    fn openings(&self) -> impl Iterator<Item = u64> {
        let from = self.from;
        let days = (0..7).zip(self.days).filter(|(_, opens)| *opens);
        days.map(move |(day, _)| day * DAY_MINUTES + from)
    }
}

impl FromStr for Window {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let (days, hours) = match words[..] {
            [days, hours, "UTC"] => (days, hours),
            [_, _, zone] => return Err(format!("the time zone {zone:?} is not `UTC`")),
            _ => return Err("it is not of the form `DAYS HH:MM-HH:MM UTC`".to_owned()),
        };
        let days = read_days(days)?;
        let (from, to) = hours
            .split_once('-')
            .ok_or_else(|| format!("{hours:?} is not from when to when, as `02:00-04:00`"))?;
        let (from, to) = (read_time(from)?, read_time(to)?);
        if from == DAY_MINUTES {
            return Err("a window does not begin at 24:00 but at 00:00".to_owned());
        }
        if from == to {
            return Err("it opens and closes at the same minute".to_owned());
        }
        let minutes = (to + DAY_MINUTES - from) % DAY_MINUTES;
        // From 00:00 to 24:00.
        let minutes = if minutes == 0 { DAY_MINUTES } else { minutes };
        Ok(Self { days, from, minutes })
    }
}

fn read_days(text: &str) -> Result<[bool; 7], String> {
    if text.eq_ignore_ascii_case("daily") {
        return Ok([true; 7]);
    }
    let day = |name: &str| {
        let found = DAYS.iter().position(|day| day.eq_ignore_ascii_case(name));
        found.ok_or_else(|| format!("{name:?} is no day: use `daily` or {}", DAYS.join(", ")))
    };
    let mut days = [false; 7];
    for part in text.split(',') {
        let (first, last) = match part.split_once('-') {
            Some((first, last)) => (day(first)?, day(last)?),
            None => (day(part)?, day(part)?),
        };
        let count = (last + 7 - first) % 7 + 1;
        for at in first..first + count {
            days[at % 7] = true;
        }
    }
    Ok(days)
}

/// Minutes after midnight.
fn read_time(text: &str) -> Result<u64, String> {
    let wrong = || format!("{text:?} is no time of day, as `02:00`");
    let (hours, minutes) = text.split_once(':').ok_or_else(wrong)?;
    let two = |part: &str| {
        let is_two = part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit());
        part.parse::<u64>().ok().filter(|_| is_two).ok_or_else(wrong)
    };
    let (hours, minutes) = (two(hours)?, two(minutes)?);
    let at = hours * 60 + minutes;
    if minutes > 59 || at > DAY_MINUTES { Err(wrong()) } else { Ok(at) }
}

fn seconds(now: SystemTime) -> u64 {
    now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

fn minute_of_week(now: SystemTime) -> u64 {
    (seconds(now) / 60 + FIRST_DAY * DAY_MINUTES) % WEEK_MINUTES
}

#[cfg(test)]
mod tests {
    use base::Clock;

    use super::*;

    fn at(text: &str) -> SystemTime {
        humantime::parse_rfc3339_weak(text).unwrap()
    }

    fn window(text: &str) -> Window {
        text.parse().unwrap()
    }

    #[test]
    fn a_window_is_open_on_its_days_from_its_first_minute_to_its_last() {
        // 2026-11-28 is a Saturday.
        let saturday = window("Sat 02:00-04:00 UTC");
        assert!(!saturday.is_open(at("2026-11-28T01:59:59Z")));
        assert!(saturday.is_open(at("2026-11-28T02:00:00Z")));
        assert!(saturday.is_open(at("2026-11-28T03:59:59Z")));
        assert!(!saturday.is_open(at("2026-11-28T04:00:00Z")));
        assert!(!saturday.is_open(at("2026-11-27T03:00:00Z")), "a Friday");
        assert!(window("Fri-Mon 02:00-04:00 UTC").is_open(at("2026-11-30T03:00:00Z")));
        assert!(!window("Mon,Wed 02:00-04:00 UTC").is_open(at("2026-11-24T03:00:00Z")));
        assert!(window("daily 00:00-24:00 UTC").is_open(at("2026-11-24T13:13:00Z")));
    }

    #[test]
    fn a_window_over_midnight_belongs_to_the_day_on_which_it_opens() {
        let sunday = window("Sun 23:00-01:00 UTC");
        assert!(sunday.is_open(at("2026-11-29T23:30:00Z")));
        assert!(sunday.is_open(at("2026-11-30T00:59:00Z")), "on Monday, over the end of the week");
        assert!(!sunday.is_open(at("2026-11-29T00:30:00Z")), "a Sunday's first hour");
    }

    #[test]
    fn the_next_opening_is_told_from_any_time_of_the_week() {
        let next = |text: &str, now: &str| window(text).next_opening(at(now));
        let saturday = "Sat 02:00-04:00 UTC";
        assert_eq!(next(saturday, "2026-11-23T14:00:30Z"), at("2026-11-28T02:00:00Z"));
        assert_eq!(next(saturday, "2026-11-28T04:00:00Z"), at("2026-12-05T02:00:00Z"));
        assert_eq!(
            next("daily 02:00-04:00 UTC", "2026-12-31T04:00:00Z"),
            at("2027-01-01T02:00:00Z")
        );
    }

    /// Time that a test moves.
    #[derive(Debug)]
    struct HeldClock(parking_lot::Mutex<SystemTime>);

    impl Clock for HeldClock {
        fn now(&self) -> std::time::Instant {
            base::SystemClock.now()
        }

        fn wall(&self) -> SystemTime {
            *self.0.lock()
        }

        fn sleep(&self, duration: Duration) {
            *self.0.lock() += duration;
        }
    }

    #[test]
    fn disruptive_steps_wait_until_the_first_window_opens() {
        let clock = HeldClock(parking_lot::Mutex::new(at("2026-11-27T23:00:00Z")));
        let windows = [window("Sun 02:00-04:00 UTC"), window("Sat 02:00-04:00 UTC")];
        let until = |clock: &HeldClock| super::super::closed_until(&windows, clock.wall());
        assert_eq!(until(&clock), Some(at("2026-11-28T02:00:00Z")));
        clock.sleep(Duration::from_secs(3 * 3600));
        assert_eq!(until(&clock), None);
        clock.sleep(Duration::from_secs(2 * 3600));
        assert_eq!(until(&clock), Some(at("2026-11-29T02:00:00Z")));
        assert_eq!(super::super::closed_until(&[], clock.wall()), None, "without windows any time");
    }

    #[test]
    fn what_is_no_window_is_refused_with_a_reason() {
        for (text, words) in [
            ("Sat 02:00-04:00", "DAYS HH:MM-HH:MM UTC"),
            ("Sat 02:00-04:00 CET", "UTC"),
            ("Caturday 02:00-04:00 UTC", "Caturday"),
            ("Sat 2:00-04:00 UTC", "2:00"),
            ("Sat 02:00-25:00 UTC", "25:00"),
            ("Sat 02:60-04:00 UTC", "02:60"),
            ("Sat 02:00 UTC", "from when to when"),
            ("Sat 02:00-02:00 UTC", "same minute"),
            ("Sat 24:00-02:00 UTC", "00:00"),
        ] {
            let error = text.parse::<Window>().unwrap_err();
            assert!(error.contains(words), "{text}: {error}");
        }
    }
}
