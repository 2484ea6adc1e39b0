//! Numbers as people read them.

use std::time::Duration;

/// `1536` as `1.5 KiB`.
#[must_use]
pub fn bytes(count: u64) -> String {
    const UNITS: [&str; 6] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
    let mut value = count as f64;
    let mut unit = 0;
    while value >= 1023.95 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{count} B") } else { format!("{value:.1} {}", UNITS[unit]) }
}

/// `1234567` as `1,234,567`.
#[must_use]
pub fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A latency in milliseconds with three meaningful digits.
#[must_use]
pub fn milliseconds(duration: Duration) -> String {
    let ms = duration.as_secs_f64() * 1e3;
    match ms {
        ms if ms < 10.0 => format!("{ms:.2}"),
        ms if ms < 100.0 => format!("{ms:.1}"),
        ms => format!("{ms:.0}"),
    }
}

/// An amount of money: two digits after the point, more when it is tiny.
#[must_use]
pub fn dollars(amount: f64) -> String {
    match amount.abs() {
        0.0 => "$0.00".to_owned(),
        small if small < 0.01 => format!("${amount:.6}"),
        small if small < 1.0 => format!("${amount:.4}"),
        small if small < 1000.0 => format!("${amount:.2}"),
        _ => format!("{}${}", if amount < 0.0 { "-" } else { "" }, grouped(amount.abs().round() as u64)),
    }
}

/// Reads `64`, `1k`, `16KiB`, `1MB` as a number of bytes; all letters mean powers of 1024.
///
/// # Errors
/// A sentence, when the text is no size.
pub fn parse_bytes(text: &str) -> Result<u64, String> {
    let wrong = || format!("'{text}' is not a size; write 512, 16KiB or 1MiB");
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let number: u64 = text[..digits].parse().map_err(|_| wrong())?;
    let shift = match text[digits..].trim().to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        _ => return Err(wrong()),
    };
    number.checked_mul(1 << shift).ok_or_else(wrong)
}

/// Reads `250ms`, `10s`, `5m`, `2h`, `1d` as a duration; a bare number means seconds.
///
/// # Errors
/// A sentence, when the text is no duration.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("'{text}' is not a duration; write 250ms, 10s, 5m, 2h or 1d");
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let number: u64 = text[..digits].parse().map_err(|_| wrong())?;
    let factor_ms: u64 = match &text[digits..] {
        "ms" => 1,
        "" | "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(wrong()),
    };
    number.checked_mul(factor_ms).map(Duration::from_millis).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_readable() {
        let check = |value: u64, expected: &str| assert_eq!(bytes(value), expected);
        check(0, "0 B");
        check(1023, "1023 B");
        check(1536, "1.5 KiB");
        check(8 << 20, "8.0 MiB");
        check(u64::MAX, "16384.0 PiB");
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!(milliseconds(Duration::from_micros(1_234)), "1.23");
        assert_eq!(milliseconds(Duration::from_millis(250)), "250");
        assert_eq!(dollars(52.56), "$52.56");
        assert_eq!(dollars(0.000_005), "$0.000005");
        assert_eq!(dollars(25_700.4), "$25,700");
    }

    #[test]
    fn sizes_and_durations_are_read_or_refused_with_an_example() {
        assert_eq!(parse_bytes("16KiB"), Ok(16 << 10));
        assert_eq!(parse_bytes("1 MB"), Ok(1 << 20));
        assert_eq!(parse_bytes("77"), Ok(77));
        assert!(parse_bytes("much").unwrap_err().contains("16KiB"));
        assert!(parse_bytes("99999999999999999999g").is_err());
        assert!(parse_bytes("18446744073709551615k").is_err());
        assert_eq!(parse_duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(parse_duration("7"), Ok(Duration::from_secs(7)));
        assert_eq!(parse_duration("2h"), Ok(Duration::from_secs(7200)));
        assert!(parse_duration("soon").is_err());
        assert!(parse_duration("1ms1").is_err());
    }
}
