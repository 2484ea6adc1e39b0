//! What is known of one of Kafka's configuration names: type, default, bounds, and whether it does anything here.

use std::fmt::Write as _;

use crate::config::iso_duration::parse_duration;

/// Kafka's types of configuration values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueType {
    /// `true` or `false`.
    Boolean,
    /// Text.
    String,
    /// 16 bits.
    Short,
    /// 32 bits.
    Int,
    /// 64 bits.
    Long,
    /// A floating-point number.
    Double,
    /// Texts, joined by commas.
    List,
}

impl ValueType {
    /// Kafka's name for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Boolean => "BOOLEAN",
            Self::String => "STRING",
            Self::Short => "SHORT",
            Self::Int => "INT",
            Self::Long => "LONG",
            Self::Double => "DOUBLE",
            Self::List => "LIST",
        }
    }
}

/// Which values of the type are allowed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Bounds {
    /// All.
    Any,
    /// At least this number.
    AtLeast(i64),
    /// From the first number to the second.
    Between(i64, i64),
    /// From the first number to the second, or −1 for "the codec's own default".
    LevelOrDefault(i64, i64),
    /// From 0 to 1.
    Ratio,
    /// From the first number to the second, fractions allowed.
    Range(f64, f64),
    /// One of these texts, or a list of them.
    OneOf(&'static [&'static str]),
    /// Only this value; the sentence says why.
    Only(&'static str, &'static str),
    /// `latest`, `earliest` or `by_duration:<ISO 8601>` (KIP-932).
    OffsetReset,
}

/// What setting a value does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It is obeyed.
    Enforced,
    /// It is stored and shown; the sentence says why it changes nothing.
    Stored(&'static str),
}

/// One configuration name.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Definition {
    /// Kafka's name.
    pub name: &'static str,
    /// The values' type.
    pub value_type: ValueType,
    /// The value that holds when nothing is set; `None` shows as null.
    pub default: Option<&'static str>,
    /// Allowed values.
    pub bounds: Bounds,
    /// A sentence for people.
    pub documentation: &'static str,
    /// What setting it does.
    pub effect: Effect,
    /// The broker-wide name of the same setting, for a topic's or a group's configuration.
    pub broker_name: Option<&'static str>,
}

impl Definition {
    /// The sentence for people, with a note when the setting changes nothing.
    #[must_use]
    pub fn described(&self) -> String {
        let mut text = self.documentation.to_owned();
        if let Effect::Stored(reason) = self.effect {
            // Writing to a String can not fail.
            let _ = write!(text, " No effect: {reason}.");
        }
        text
    }

    /// Judges a value by type and bounds.
    ///
    /// # Errors
    /// A sentence like Kafka's, naming value, configuration and what is allowed.
    pub fn check(&self, value: &str) -> Result<(), String> {
        let value = if self.value_type == ValueType::String { value } else { value.trim() };
        match self.value_type {
            ValueType::Boolean if !matches!(value.to_ascii_lowercase().as_str(), "true" | "false") => {
                return Err(self.refusal(value, "Expected value to be either true or false"));
            }
            ValueType::Boolean => {}
            ValueType::String => self.check_text(value, value)?,
            ValueType::List => {
                for item in items(value) {
                    self.check_text(item, value)?;
                }
            }
            ValueType::Short => self.check_number(value, i64::from(i16::MIN), i64::from(i16::MAX))?,
            ValueType::Int => self.check_number(value, i64::from(i32::MIN), i64::from(i32::MAX))?,
            ValueType::Long => self.check_number(value, i64::MIN, i64::MAX)?,
            ValueType::Double => {
                let number: f64 = value.parse().map_err(|_| self.refusal(value, "Not a number of type DOUBLE"))?;
                let allowed = match self.bounds {
                    Bounds::Ratio => Some((0.0, 1.0)),
                    Bounds::Range(least, most) => Some((least, most)),
                    _ => None,
                };
                if let Some((least, most)) = allowed.filter(|(least, most)| !(*least..=*most).contains(&number)) {
                    return Err(self.refusal(value, &format!("Value must be between {least} and {most}")));
                }
            }
        }
        match self.bounds {
            Bounds::Only(allowed, reason) if !value.eq_ignore_ascii_case(allowed) => Err(self.refusal(value, reason)),
            _ => Ok(()),
        }
    }

    fn check_number(&self, value: &str, least: i64, most: i64) -> Result<(), String> {
        let number = value.parse::<i64>().ok().filter(|number| (least..=most).contains(number));
        let Some(number) = number else {
            return Err(self.refusal(value, &format!("Not a number of type {}", self.value_type.as_str())));
        };
        match self.bounds {
            Bounds::AtLeast(least) if number < least => {
                Err(self.refusal(value, &format!("Value must be at least {least}")))
            }
            Bounds::Between(least, most) if !(least..=most).contains(&number) => {
                Err(self.refusal(value, &format!("Value must be between {least} and {most}")))
            }
            Bounds::LevelOrDefault(least, most) if number != -1 && !(least..=most).contains(&number) => {
                Err(self.refusal(value, &format!("Value must be between {least} and {most} or equal to -1")))
            }
            _ => Ok(()),
        }
    }

    fn check_text(&self, text: &str, whole: &str) -> Result<(), String> {
        match self.bounds {
            Bounds::OneOf(allowed) if !allowed.contains(&text) => {
                Err(self.refusal(whole, &format!("String must be one of: {}", allowed.join(", "))))
            }
            Bounds::OffsetReset if !is_offset_reset(text) => Err(self.refusal(
                whole,
                "String must be latest, earliest or by_duration: followed by an ISO 8601 duration such as PT1H",
            )),
            _ => Ok(()),
        }
    }

    fn refusal(&self, value: &str, reason: &str) -> String {
        format!("Invalid value {value} for configuration {}: {reason}", self.name)
    }
}

/// The items of a list value; an empty value is an empty list.
pub fn items(value: &str) -> impl Iterator<Item = &str> {
    value.split(',').map(str::trim).filter(|item| !item.is_empty())
}

fn is_offset_reset(text: &str) -> bool {
    matches!(text, "latest" | "earliest")
        || text.strip_prefix("by_duration:").is_some_and(|text| parse_duration(text).is_some())
}

/// The definition of `name` in `table`.
#[must_use]
pub fn find(table: &'static [Definition], name: &str) -> Option<&'static Definition> {
    table.iter().find(|definition| definition.name == name)
}

/// Words for a name that `table` does not have, with the nearest one that it has.
#[must_use]
pub fn unknown(kind: &str, table: &'static [Definition], name: &str) -> String {
    let nearest = table
        .iter()
        .map(|definition| (strsim::damerau_levenshtein(definition.name, name), definition.name))
        .min()
        .filter(|(distance, _)| *distance <= 4 && *distance < name.len());
    match nearest {
        Some((_, suggestion)) => format!("Unknown {kind} config name: {name}; did you mean {suggestion}?"),
        None => format!("Unknown {kind} config name: {name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Definition = Definition {
        name: "x",
        value_type: ValueType::Int,
        default: None,
        bounds: Bounds::Any,
        documentation: "A number.",
        effect: Effect::Enforced,
        broker_name: None,
    };

    #[track_caller]
    fn check(value_type: ValueType, bounds: Bounds, value: &str, expected: Result<(), &str>) {
        let definition = Definition { value_type, bounds, ..PLAIN };
        assert_eq!(definition.check(value), expected.map_err(str::to_owned));
    }

    #[test]
    fn values_are_judged_by_type_and_bounds() {
        check(ValueType::Int, Bounds::Any, " 5 ", Ok(()));
        check(
            ValueType::Int,
            Bounds::Any,
            "3000000000",
            Err("Invalid value 3000000000 for configuration x: Not a number of type INT"),
        );
        check(
            ValueType::Long,
            Bounds::AtLeast(-1),
            "-2",
            Err("Invalid value -2 for configuration x: Value must be at least -1"),
        );
        check(ValueType::Int, Bounds::LevelOrDefault(1, 9), "-1", Ok(()));
        check(
            ValueType::Int,
            Bounds::LevelOrDefault(1, 9),
            "0",
            Err("Invalid value 0 for configuration x: Value must be between 1 and 9 or equal to -1"),
        );
        check(ValueType::Boolean, Bounds::Any, "TRUE", Ok(()));
        check(
            ValueType::Boolean,
            Bounds::Any,
            "yes",
            Err("Invalid value yes for configuration x: Expected value to be either true or false"),
        );
        check(ValueType::List, Bounds::OneOf(&["a", "b"]), "a, b", Ok(()));
        check(ValueType::List, Bounds::OneOf(&["a", "b"]), "", Ok(()));
        check(
            ValueType::List,
            Bounds::OneOf(&["a", "b"]),
            "a,c",
            Err("Invalid value a,c for configuration x: String must be one of: a, b"),
        );
        check(
            ValueType::Double,
            Bounds::Ratio,
            "1.5",
            Err("Invalid value 1.5 for configuration x: Value must be between 0 and 1"),
        );
        check(
            ValueType::Boolean,
            Bounds::Only("false", "there is no such thing"),
            "true",
            Err("Invalid value true for configuration x: there is no such thing"),
        );
    }

    #[test]
    fn offset_resets_are_three_words_or_a_duration() {
        for text in ["latest", "earliest", "by_duration:PT1H", "by_duration:P2D", "by_duration:P1DT2H3M4.5S"] {
            assert!(is_offset_reset(text), "{text}");
        }
        for text in ["none", "by_duration:", "by_duration:P", "by_duration:PT", "by_duration:-PT1H", "by_duration:PT1"]
        {
            assert!(!is_offset_reset(text), "{text}");
        }
    }

    #[test]
    fn a_stored_setting_says_why_it_does_nothing() {
        let definition = Definition { effect: Effect::Stored("there are no disks"), ..PLAIN };
        assert_eq!(definition.described(), "A number. No effect: there are no disks.");
        assert_eq!(PLAIN.described(), "A number.");
    }
}
