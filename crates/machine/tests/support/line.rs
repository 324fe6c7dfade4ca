//! A line of a scenario: a verb, bare words, and `name=value` fields. Values with spaces stand in double quotes.

use bytes::Bytes;
use std::collections::{BTreeMap, HashMap};
use steadfast_api::v1::common::{Payload, Payloads, RetryPolicy};
use steadfast_machine::duration::{self, DAY, HOUR, MILLISECOND, MINUTE, SECOND};

#[derive(Debug)]
pub struct Line {
    pub text: String,
    pub verb: String,
    words: std::collections::VecDeque<String>,
    fields: BTreeMap<String, String>,
}

impl Line {
    pub fn parse(text: &str) -> Result<Line, String> {
        let mut words = split(text)?.into_iter();
        let verb = words.next().ok_or("an empty line")?;
        let (mut bare, mut fields) = (std::collections::VecDeque::new(), BTreeMap::new());
        for word in words {
            match word.split_once('=') {
                Some((name, value)) => {
                    fields.insert(name.to_owned(), value.to_owned());
                }
                None => bare.push_back(word),
            }
        }
        Ok(Line { text: text.to_owned(), verb, words: bare, fields })
    }

    /// Every word must have been understood.
    pub fn end(self) -> Result<(), String> {
        if self.words.is_empty() && self.fields.is_empty() {
            return Ok(());
        }
        Err(format!("{}: unknown words {:?} {:?}", self.verb, self.words, self.fields))
    }

    pub fn word(&mut self) -> Result<String, String> {
        self.words.pop_front().ok_or_else(|| format!("{}: a word is missing", self.verb))
    }

    /// A word that may stand anywhere, such as `eager`.
    pub fn flag(&mut self, name: &str) -> bool {
        let found = self.words.iter().position(|word| word == name);
        found.map(|index| self.words.remove(index)).is_some()
    }

    pub fn field(&mut self, name: &str) -> Option<String> {
        self.fields.remove(name)
    }

    /// All fields that nobody asked for.
    pub fn rest(&mut self) -> BTreeMap<String, String> {
        std::mem::take(&mut self.fields)
    }

    pub fn text(&mut self, name: &str, default: &str) -> String {
        self.field(name).unwrap_or_else(|| default.to_owned())
    }

    pub fn number(&mut self, name: &str, default: i64) -> Result<i64, String> {
        match self.field(name) {
            Some(text) => text.parse().map_err(|_| format!("{name}: {text} is no number")),
            None => Ok(default),
        }
    }

    /// Nanoseconds, 0 if it is not there.
    pub fn nanos(&mut self, name: &str) -> Result<i64, String> {
        self.field(name).map_or(Ok(0), |text| nanos(&text))
    }

    pub fn duration(&mut self, name: &str) -> Result<Option<prost_types::Duration>, String> {
        self.field(name)
            .map(|text| nanos(&text).map(|value| duration::proto(value).unwrap_or_default()))
            .transpose()
    }

    pub fn payloads(&mut self, name: &str) -> Option<Payloads> {
        self.field(name).map(|text| Payloads { payloads: vec![payload(&text)] })
    }

    /// `retry=1s,2,10s,3`: first interval, coefficient, longest interval, attempts; the rest may be left out. `types=`
    /// lists failures that are not retried.
    pub fn retry(&mut self) -> Result<Option<RetryPolicy>, String> {
        let Some(text) = self.field("retry") else { return Ok(None) };
        let mut parts = text.split(',');
        let interval = |part: Option<&str>| part.map_or(Ok(0), nanos).map(duration::proto);
        let initial_interval = interval(parts.next())?;
        let bad = |_| format!("retry: {text}");
        let backoff_coefficient =
            parts.next().map_or(Ok(2.0), str::parse).map_err(|_| format!("retry: {text}"))?;
        let maximum_interval = interval(parts.next())?;
        let maximum_attempts = parts.next().map_or(Ok(0), str::parse).map_err(bad)?;
        let types = self.text("types", "");
        Ok(Some(RetryPolicy {
            initial_interval,
            backoff_coefficient,
            maximum_interval,
            maximum_attempts,
            non_retryable_error_types: types
                .split(',')
                .filter(|t| !t.is_empty())
                .map(str::to_owned)
                .collect(),
        }))
    }
}

pub fn payload(text: &str) -> Payload {
    Payload {
        metadata: HashMap::from([("encoding".to_owned(), Bytes::from_static(b"json/plain"))]),
        data: Bytes::copy_from_slice(text.as_bytes()),
        ..Payload::default()
    }
}

/// `1h`, `90s`, `1.5s`, `20ms`, `2d`, `3m`.
pub fn nanos(text: &str) -> Result<i64, String> {
    let end = text.find(|c: char| c.is_ascii_alphabetic()).ok_or_else(|| format!("{text} is no duration"))?;
    let (number, unit) = text.split_at(end);
    let unit = match unit {
        "ms" => MILLISECOND,
        "s" => SECOND,
        "m" => MINUTE,
        "h" => HOUR,
        "d" => DAY,
        _ => return Err(format!("{text} is no duration")),
    };
    let number: f64 = number.parse().map_err(|_| format!("{text} is no duration"))?;
    Ok((number * unit as f64).round() as i64)
}

fn split(text: &str) -> Result<Vec<String>, String> {
    let (mut words, mut word, mut quoted, mut any) = (Vec::new(), String::new(), false, false);
    for c in text.trim().chars() {
        match c {
            '"' => {
                quoted = !quoted;
                any = true;
            }
            ' ' if !quoted => {
                if any {
                    words.push(std::mem::take(&mut word));
                }
                any = false;
            }
            c => {
                word.push(c);
                any = true;
            }
        }
    }
    if quoted {
        return Err(format!("an open quote: {text}"));
    }
    if any {
        words.push(word);
    }
    Ok(words)
}
