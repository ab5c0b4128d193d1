//! Somebody who types and reads.

use std::{
    io::{Read, Result, Write},
    sync::mpsc::{Receiver, Sender, channel},
    time::Duration,
};

/// What is typed: a read waits for it.
pub(super) struct Keyboard {
    lines: Receiver<String>,
    rest: Vec<u8>,
}

impl Keyboard {
    pub(super) fn new() -> (Sender<String>, Self) {
        let (typist, lines) = channel();
        (typist, Self { lines, rest: Vec::new() })
    }
}

impl Read for Keyboard {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        if self.rest.is_empty() {
            self.rest = self.lines.recv().unwrap_or_default().into_bytes();
        }
        let count = self.rest.len().min(buffer.len());
        for (to, from) in buffer.iter_mut().zip(self.rest.drain(..count)) {
            *to = from;
        }
        Ok(count)
    }
}

/// What is printed, line by line.
pub(super) struct Screen(Sender<String>, String);

impl Screen {
    pub(super) fn new() -> (Receiver<String>, Self) {
        let (sender, reader) = channel();
        (reader, Self(sender, String::new()))
    }
}

impl Write for Screen {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        self.1.push_str(std::str::from_utf8(bytes).unwrap());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> Result<()> {
        let _unread = self.0.send(std::mem::take(&mut self.1));
        Ok(())
    }
}

/// The next thing that is printed.
pub(super) fn next(reader: &Receiver<String>) -> String {
    reader.recv_timeout(Duration::from_secs(20)).unwrap_or_else(|error| panic!("nothing is printed: {error}"))
}
