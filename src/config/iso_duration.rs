//! Durations as ISO 8601 writes them and Kafka takes them: `PnDTnHnMn.nS`, not negative.

use std::time::Duration;

/// The duration that `text` names; `None` when it is not one, or longer than 64 bits of seconds.
#[must_use]
pub fn parse_duration(text: &str) -> Option<Duration> {
    let rest = text.strip_prefix('P')?;
    let (days, time) = rest.split_once('T').map_or((rest, None), |(days, time)| (days, Some(time)));
    let mut total = Duration::ZERO;
    let day_count = add_units(days, &[('D', 86_400)], &mut total)?;
    match time {
        None => (day_count > 0).then_some(total),
        Some(time) => {
            let time_count = add_units(time, &[('H', 3_600), ('M', 60), ('S', 1)], &mut total)?;
            (time_count > 0).then_some(total)
        }
    }
}

/// Adds numbers with their units, in this order, each at most once; says how many there were. Only seconds may have
/// a fraction.
fn add_units(mut text: &str, units: &[(char, u64)], total: &mut Duration) -> Option<usize> {
    let mut count = 0;
    for (unit, seconds) in units {
        let Some((number, after)) = text.split_once(*unit) else { continue };
        let (whole, fraction) = match number.split_once('.') {
            Some((whole, fraction)) if *unit == 'S' => (whole, Some(fraction)),
            Some(_) => return None,
            None => (number, None),
        };
        let whole = Duration::from_secs(digits(whole)?.checked_mul(*seconds)?);
        let fraction = fraction.map_or(Some(Duration::ZERO), nanoseconds)?;
        *total = total.checked_add(whole)?.checked_add(fraction)?;
        count += 1;
        text = after;
    }
    text.is_empty().then_some(count)
}

fn digits(text: &str) -> Option<u64> {
    (!text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok()).flatten()
}

/// What stands behind the point of a number of seconds; digits beyond the ninth are cut off, none at all are zero.
fn nanoseconds(text: &str) -> Option<Duration> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let nine: String = text.chars().chain(std::iter::repeat('0')).take(9).collect();
    if digits { nine.parse().ok().map(Duration::from_nanos) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_iso_8601_writes_them() {
        let check = |text: &str, expected: Option<Duration>| assert_eq!(parse_duration(text), expected, "{text}");
        check("PT1H", Some(Duration::from_secs(3_600)));
        check("P2D", Some(Duration::from_secs(2 * 86_400)));
        check("P1DT2H3M4.5S", Some(Duration::from_millis(93_784_500)));
        check("PT0S", Some(Duration::ZERO));
        check("PT0.0000000019S", Some(Duration::from_nanos(1)));
        check("PT5.S", Some(Duration::from_secs(5)));
        for text in
            ["", "P", "PT", "-PT1H", "PT-1H", "PT1", "PT1.5H", "PT1.2.3S", "PTS", "P1DT", "PT1M1H", "1H", "pt1h"]
        {
            check(text, None);
        }
        check("P99999999999999999999D", None);
        check("PT18446744073709551615S", Some(Duration::from_secs(u64::MAX)));
        check("P1DT18446744073709551615S", None);
    }
}
