//! Lines as they come, and the JSON documents in them.

use std::{
    io::{self, BufRead as _, BufReader, Read},
    thread,
};

use serde_json::{Deserializer, Value};
use tokio::sync::mpsc;

use super::failure::Failure;

/// Lines of text. Read on a thread of its own, which nobody waits for: a read of a terminal cannot be ended.
pub(super) struct Lines(mpsc::Receiver<io::Result<String>>);

impl Lines {
    pub(super) fn of(source: Box<dyn Read + Send>) -> Result<Self, Failure> {
        let (sender, lines) = mpsc::channel(1);
        let read = move || {
            for line in BufReader::new(source).lines() {
                let is_last = line.is_err();
                if sender.blocking_send(line).is_err() || is_last {
                    return;
                }
            }
        };
        let thread = thread::Builder::new().name("input".to_owned()).spawn(read);
        thread.map_err(|error| Failure::Unreachable(format!("cannot read standard input: {error}")))?;
        Ok(Self(lines))
    }

    /// None at the end.
    pub(super) async fn next(&mut self) -> Result<Option<String>, Failure> {
        let line = self.0.recv().await.transpose();
        line.map_err(|error| Failure::Usage(format!("standard input is not text: {error}")))
    }

    /// All that is left.
    pub(super) async fn all(&mut self) -> Result<String, Failure> {
        let mut text = String::new();
        while let Some(line) = self.next().await? {
            text.push_str(&line);
            text.push('\n');
        }
        Ok(text)
    }
}

/// Puts lines together until they are JSON documents: usually one is.
#[derive(Default)]
pub(super) struct Documents {
    text: String,
    depth: i64,
    in_string: bool,
    escaped: bool,
}

impl Documents {
    /// The documents that this line completes.
    pub(super) fn push(&mut self, line: &str) -> serde_json::Result<Vec<Value>> {
        line.bytes().for_each(|byte| self.look_at(byte));
        self.text.push_str(line);
        self.text.push('\n');
        // no string goes on in the next line
        if self.depth > 0 && !self.in_string { Ok(Vec::new()) } else { self.end() }
    }

    /// What is left. One that is not complete is a mistake.
    pub(super) fn end(&mut self) -> serde_json::Result<Vec<Value>> {
        read(&std::mem::take(self).text)
    }

    fn look_at(&mut self, byte: u8) {
        match byte {
            _ if self.escaped => self.escaped = false,
            b'\\' if self.in_string => self.escaped = true,
            b'"' => self.in_string = !self.in_string,
            b'{' | b'[' if !self.in_string => self.depth += 1,
            b'}' | b']' if !self.in_string => self.depth -= 1,
            _ => {}
        }
    }
}

/// Documents one after the other.
pub(super) fn read(text: &str) -> serde_json::Result<Vec<Value>> {
    Deserializer::from_str(text).into_iter().collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_document_comes_with_the_line_that_completes_it() {
        let mut documents = Documents::default();
        let mut push = |line: &str| documents.push(line).unwrap();
        assert_eq!(push(r#"{"a": "}\" {"}"#), [json!({ "a": "}\" {" })]);
        assert_eq!(push(""), [json!(null); 0]);
        assert_eq!(push(r#"{"a": ["#), [json!(null); 0]);
        assert_eq!(push(r#"1, "[""#), [json!(null); 0]);
        assert_eq!(push("]} {}"), [json!({ "a": [1, "["] }), json!({})]);
        assert_eq!(push("5"), [json!(5)]);
    }

    #[test]
    fn what_is_no_json_is_told_at_once() {
        for line in ["}", "{\"a", "join", "{\"a\": x}", "{}]"] {
            assert!(Documents::default().push(line).is_err(), "{line}");
        }
        let mut documents = Documents::default();
        assert!(documents.push("{").unwrap().is_empty());
        assert!(documents.end().is_err());
        assert!(Documents::default().end().unwrap().is_empty());
    }
}
