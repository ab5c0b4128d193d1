//! What may be said on the command line.

use anyhow::Result;
use chrono::{DateTime, TimeDelta, Utc};
use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand};
use events::dlq::{Filter, LetterId, State};
use events::kafka::{BROKERS, NAME, are_brokers, is_name};

use crate::failure::usage;

/// Most rows of one list.
const MOST_ROWS: i64 = 1_000_000;

#[derive(Debug, Args)]
pub(crate) struct DlqArgs {
    #[command(flatten)]
    pub(super) source: Source,
    #[command(subcommand)]
    pub(super) command: DlqCommand,
}

/// Whose letters.
#[derive(Debug, Args)]
pub(super) struct Source {
    /// Ask this broker, HOST:PORT, several separated by commas [default: that of the mesh, which has to be up]
    #[arg(long, global = true, value_name = "HOST:PORT", value_parser = brokers)]
    pub(super) brokers: Option<String>,
    /// What the names of its topics end with, where several meshes share the broker
    #[arg(long, global = true, value_name = "SUFFIX", value_parser = suffix)]
    pub(super) topic_suffix: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(super) enum DlqCommand {
    /// Show which letters there are, the newest last
    List(ListArgs),
    /// Show one letter: why it is there, what happened to it before, headers and value
    Show(ShowArgs),
    /// Send letters to the topics that they are from, once more
    Replay(ReplayArgs),
    /// Give letters up for good
    Purge(PurgeArgs),
}

/// Which letters; all that is given has to hold.
#[derive(Debug, Clone, Args)]
pub(super) struct FilterArgs {
    /// Topic that the record was in
    #[arg(long, value_name = "NAME")]
    topic: Option<String>,
    /// Who gave it up: a consumer group, or a relay such as orders-relay
    #[arg(long, value_name = "NAME")]
    consumer: Option<String>,
    /// Kind of failure
    #[arg(long, value_name = "TYPE", value_parser = PossibleValuesParser::new(["permanent", "transient", "uncertain"]))]
    error_type: Option<String>,
    /// Part of the reason, in whatever case
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// The record's key; in base64 where it is no text
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// Given up then or later: a time ago such as 90s, 15m, 1h, 2d, or a time such as 2026-01-31T12:00:00Z
    #[arg(long, value_name = "WHEN", value_parser = instant)]
    since: Option<DateTime<Utc>>,
    /// Given up before that
    #[arg(long, value_name = "WHEN", value_parser = instant)]
    before: Option<DateTime<Utc>>,
    /// What was done about it [default: open]
    #[arg(long, value_name = "STATE", value_parser = PossibleValuesParser::new(["open", "replayed", "purged", "all"]))]
    state: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct ListArgs {
    #[command(flatten)]
    filter: FilterArgs,
    /// Show the newest of them and no more
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(i64).range(1..=MOST_ROWS))]
    limit: i64,
}

#[derive(Debug, Args)]
pub(super) struct ShowArgs {
    /// PARTITION:OFFSET, as `dlq list` shows it
    #[arg(value_name = "ID")]
    pub(super) id: LetterId,
}

/// Letters that something is done about.
#[derive(Debug, Args)]
pub(super) struct Selection {
    /// PARTITION:OFFSET, as `dlq list` shows it
    #[arg(value_name = "ID")]
    ids: Vec<LetterId>,
    #[command(flatten)]
    filter: FilterArgs,
    /// All that are open
    #[arg(long)]
    all: bool,
    /// Say what would be done, and do nothing
    #[arg(long)]
    pub(super) dry_run: bool,
}

#[derive(Debug, Args)]
pub(super) struct ReplayArgs {
    #[command(flatten)]
    pub(super) selection: Selection,
    /// Change the values by this JSON merge patch (RFC 7396), an object: null takes a member away
    #[arg(long, value_name = "JSON", value_parser = patch)]
    pub(super) patch: Option<serde_json::Value>,
    /// Also those that were replayed or purged before
    #[arg(long)]
    pub(super) again: bool,
}

#[derive(Debug, Args)]
pub(super) struct PurgeArgs {
    #[command(flatten)]
    pub(super) selection: Selection,
    /// Do not ask
    #[arg(long, short)]
    pub(super) yes: bool,
}

impl FilterArgs {
    fn is_empty(&self) -> bool {
        let texts = [&self.topic, &self.consumer, &self.error_type, &self.reason, &self.key, &self.state];
        texts.iter().all(|text| text.is_none()) && self.since.is_none() && self.before.is_none()
    }

    fn filter(&self) -> Filter {
        Filter {
            topic: self.topic.clone(),
            consumer: self.consumer.clone(),
            error_type: self.error_type.clone(),
            reason: self.reason.clone(),
            key: self.key.clone(),
            since: self.since,
            before: self.before,
            state: match self.state.as_deref() {
                None | Some("open") => Some(State::Open),
                Some("replayed") => Some(State::Replayed),
                Some("purged") => Some(State::Purged),
                Some(_) => None,
            },
            ..Filter::default()
        }
    }
}

impl ListArgs {
    pub(super) fn filter(&self) -> Filter {
        self.filter.filter()
    }

    pub(super) fn limit(&self) -> usize {
        usize::try_from(self.limit).unwrap_or(usize::MAX)
    }
}

impl Selection {
    /// What is meant: ids, a filter or `--all`, and only one of these.
    pub(super) fn filter(&self) -> Result<Filter> {
        match (self.ids.is_empty(), self.filter.is_empty(), self.all) {
            (false, true, false) => Ok(Filter { ids: self.ids.iter().copied().collect(), ..Filter::default() }),
            (true, false, false) | (true, true, true) => Ok(self.filter.filter()),
            (true, true, false) => {
                Err(usage("which letters? Name ids (./mesh dlq list shows them), a filter such as --topic NAME, or --all"))
            }
            _ => Err(usage("ids, filters and --all exclude each other: say one of them")),
        }
    }
}

fn brokers(text: &str) -> Result<String, &'static str> {
    if are_brokers(text) { Ok(text.to_owned()) } else { Err(BROKERS) }
}

fn suffix(text: &str) -> Result<String, &'static str> {
    if is_name(text) { Ok(text.to_owned()) } else { Err(NAME) }
}

fn patch(text: &str) -> Result<serde_json::Value, String> {
    let wanted = "a JSON object, for example '{\"data\":{\"currency\":\"EUR\"}}'";
    match serde_json::from_str(text) {
        Ok(value @ serde_json::Value::Object(_)) => Ok(value),
        Ok(_) => Err(wanted.to_owned()),
        Err(error) => Err(format!("{wanted}: {error}")),
    }
}

/// `1h30m` ago, or RFC 3339.
fn instant(text: &str) -> Result<DateTime<Utc>, String> {
    if let Ok(at) = DateTime::parse_from_rfc3339(text) {
        return Ok(at.to_utc());
    }
    let ago = duration(text).and_then(|ago| Utc::now().checked_sub_signed(ago));
    ago.ok_or_else(|| "a time ago such as 90s, 15m, 1h or 2d, or a time such as 2026-01-31T12:00:00Z".to_owned())
}

fn duration(text: &str) -> Option<TimeDelta> {
    let (mut rest, mut sum) = (text, TimeDelta::zero());
    while !rest.is_empty() {
        let end = rest.find(|sign: char| !sign.is_ascii_digit())?;
        let count: i64 = rest[..end].parse().ok()?;
        let seconds = match rest.as_bytes()[end] {
            b's' => 1,
            b'm' => 60,
            b'h' => 3_600,
            b'd' => 86_400,
            _ => return None,
        };
        sum = sum.checked_add(&TimeDelta::try_seconds(count.checked_mul(seconds)?)?)?;
        rest = &rest[end + 1..];
    }
    (sum > TimeDelta::zero()).then_some(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_one_ago_or_one_of_rfc_3339() {
        assert_eq!(duration("1h30m"), TimeDelta::try_minutes(90));
        assert_eq!(duration("2d"), TimeDelta::try_days(2));
        for wrong in ["", "0s", "1", "h", "1w", "-1h", "99999999999999999999d", "9223372036854775807d", "1é"] {
            assert!(instant(wrong).is_err(), "{wrong}");
        }
        assert_eq!(instant("2026-01-31T13:00:00+01:00").unwrap().to_rfc3339(), "2026-01-31T12:00:00+00:00");
    }

    #[test]
    fn a_patch_is_an_object() {
        assert!(patch(r#"{"a":null}"#).is_ok());
        for wrong in ["", "{", "1", "[]", "null", "\"a\""] {
            assert!(patch(wrong).is_err(), "{wrong}");
        }
    }
}
