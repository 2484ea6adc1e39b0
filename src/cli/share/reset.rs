//! `towpath share reset`.

use std::collections::{BTreeMap, BTreeSet};

use clap::Args;
use serde::Serialize;

use crate::base::clock::Timestamp;
use crate::cli::context::{ClientArgs, Context};
use crate::cli::error::{CliError, Result};
use crate::cli::kafka::consumer::{TopicPartition, positions_of};
use crate::cli::kafka::offsets::{OffsetChoice, TimeChoice};
use crate::cli::kafka::share_admin::{alter, find, positions};
use crate::cli::output::table::{Align, Table};

/// Move a share group that has no members
#[derive(Args, Clone, Debug)]
pub struct ResetArgs {
    #[command(flatten)]
    client: ClientArgs,
    /// Name of the group
    group: String,
    #[command(flatten)]
    to: To,
    /// Which topics
    #[arg(short, long = "topic", value_name = "TOPIC", required_unless_present = "all_topics")]
    topics: Vec<String>,
    /// All topics that the group knows
    #[arg(long, conflicts_with = "topics")]
    all_topics: bool,
    /// Do it; without this a plan is shown
    #[arg(long)]
    execute: bool,
}

#[derive(Args, Clone, Debug)]
#[group(required = true, multiple = false)]
struct To {
    /// To the first record that is kept
    #[arg(long)]
    to_earliest: bool,
    /// To the next record that is produced
    #[arg(long)]
    to_latest: bool,
    /// To the first record since then, like 2026-01-31T12:00:00.000 (in UTC, or with an offset like +02:00)
    #[arg(long, value_name = "TIME", value_parser = moment)]
    to_datetime: Option<Timestamp>,
    /// To this offset
    #[arg(long, value_name = "OFFSET", value_parser = clap::value_parser!(i64).range(0..))]
    to_offset: Option<i64>,
}

impl To {
    fn choice(&self) -> OffsetChoice {
        match (self.to_offset, self.to_datetime) {
            (Some(offset), _) => OffsetChoice::At(offset),
            (None, Some(moment)) => OffsetChoice::Time(TimeChoice::At(moment)),
            (None, None) if self.to_latest => OffsetChoice::End,
            (None, None) => OffsetChoice::Beginning,
        }
    }
}

#[derive(Debug, Serialize)]
struct Row {
    group: String,
    topic: String,
    partition: i32,
    new_offset: i64,
}

/// Runs the command.
///
/// # Errors
/// When the group has members, or the cluster does not answer.
pub async fn run(context: &mut Context, args: &ResetArgs) -> Result<()> {
    let cluster = context.connect(&args.client).await?;
    let topics: BTreeSet<String> = if args.all_topics {
        let known = positions(&cluster, &args.group).await?;
        known.keys().map(|partition| partition.topic.to_string()).collect()
    } else {
        args.topics.iter().cloned().collect()
    };
    if topics.is_empty() {
        let group = &args.group;
        return Err(CliError::Usage(format!("share group '{group}' knows no topics yet; name them with --topic")));
    }
    let topics: Vec<String> = topics.into_iter().collect();
    let wanted = positions_of(&cluster, &topics, &[], args.to.choice(), context.clock.as_ref()).await?;
    if args.execute {
        alter(&cluster, &args.group, &wanted).await?;
    }
    context.printer.listing(&rows(&args.group, &wanted), draw)?;
    if !args.execute {
        // A group that does not exist yet has no members.
        let described = find(&cluster, &args.group).await?;
        context.printer.note(&plan_note(described.map_or(0, |described| described.members.len())));
    }
    Ok(())
}

/// What is to be known of a plan for a group with so many members.
fn plan_note(members: usize) -> String {
    let then = match members {
        0 => "--execute does it".to_owned(),
        count => format!("--execute refuses while the group has members (now {count}): stop them first"),
    };
    format!("this is a plan, nothing has moved yet; {then}")
}

fn rows(group: &str, wanted: &BTreeMap<TopicPartition, i64>) -> Vec<Row> {
    let row = |(partition, offset): (&TopicPartition, &i64)| Row {
        group: group.to_owned(),
        topic: partition.topic.to_string(),
        partition: partition.partition,
        new_offset: *offset,
    };
    wanted.iter().map(row).collect()
}

fn draw(rows: &[Row]) -> Table {
    let mut table = Table::new(&[
        ("GROUP", Align::Left),
        ("TOPIC", Align::Left),
        ("PARTITION", Align::Right),
        ("NEW-OFFSET", Align::Right),
    ]);
    for row in rows {
        table.row([row.group.clone(), row.topic.clone(), row.partition.to_string(), row.new_offset.to_string()]);
    }
    table
}

/// Reads `2026-01-31T12:00:00.000`, with or without an offset from UTC.
fn moment(text: &str) -> std::result::Result<Timestamp, String> {
    let wrong = || format!("'{text}' is not a time; write 2026-01-31T12:00:00.000 or 2026-01-31T12:00:00+02:00");
    let (date, rest) = text.split_once('T').ok_or_else(wrong)?;
    let split = rest.find(['Z', '+', '-']).unwrap_or(rest.len());
    let (time, zone) = rest.split_at(split);
    let numbers = |text: &str, separator: char| -> Option<Vec<i64>> {
        text.split(separator).map(|part| part.parse::<u32>().ok().map(i64::from)).collect()
    };
    let (time, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let fraction = format!("{fraction:0<3}");
    let (date, time) = (numbers(date, '-').ok_or_else(wrong)?, numbers(time, ':').ok_or_else(wrong)?);
    let (&[year, month, day], &[hour, minute, second]) = (date.as_slice(), time.as_slice()) else {
        return Err(wrong());
    };
    let millisecond: i64 =
        fraction.get(..3).and_then(|digits| digits.parse::<u16>().ok()).map(i64::from).ok_or_else(wrong)?;
    let in_range = (1970..=9999).contains(&year)
        && (1..=12).contains(&month)
        && (1..=days_of(year, month)).contains(&day)
        && hour < 24
        && minute < 60
        && second < 60;
    let ahead = match zone.split_at_checked(1) {
        None | Some(("Z", "")) => Some(0),
        Some((sign, offset)) => numbers(offset, ':').and_then(|parts| match parts.as_slice() {
            &[hours, minutes] if hours < 24 && minutes < 60 => {
                Some((hours * 60 + minutes) * if sign == "-" { -1 } else { 1 })
            }
            _ => None,
        }),
    };
    let ahead = ahead.filter(|_| in_range).ok_or_else(wrong)?;
    let days = (1970..year).map(|year| (1..=12).map(|month| days_of(year, month)).sum::<i64>()).sum::<i64>()
        + (1..month).map(|month| days_of(year, month)).sum::<i64>()
        + day
        - 1;
    Ok(Timestamp((((days * 24 + hour) * 60 + minute - ahead) * 60 + second) * 1000 + millisecond))
}

fn days_of(year: i64, month: i64) -> i64 {
    let leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    match month {
        2 => 28 + i64::from(leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_or_refused_with_an_example() {
        let check = |text: &str, ms: i64| assert_eq!(moment(text), Ok(Timestamp(ms)), "{text}");
        check("1970-01-01T00:00:00", 0);
        check("2024-02-29T12:30:15.250", 1_709_209_815_250);
        check("2024-02-29T12:30:15.25Z", 1_709_209_815_250);
        check("2024-02-29T14:30:15.250+02:00", 1_709_209_815_250);
        check("2024-02-29T10:00:15.250-02:30", 1_709_209_815_250);
        for wrong in ["", "2024-02-30T00:00:00", "2023-02-29T00:00:00", "2024-01-01", "2024-01-01T24:00:00", "noon"] {
            assert!(moment(wrong).unwrap_err().contains("2026-01-31T12:00:00"), "{wrong}");
        }
    }

    #[test]
    fn a_plan_that_can_not_be_carried_out_says_so() {
        assert!(plan_note(0).ends_with("--execute does it"));
        assert!(plan_note(2).contains("refuses") && plan_note(2).contains("(now 2)"), "{}", plan_note(2));
    }

    #[test]
    fn a_plan_is_a_table() {
        let partition = TopicPartition { topic: "logs".into(), partition: 3 };
        let rows = rows("crew", &BTreeMap::from([(partition, 42)]));
        assert_eq!(draw(&rows).to_string(), "GROUP  TOPIC  PARTITION  NEW-OFFSET\ncrew   logs           3          42");
    }
}
