//! What Redis and the mail folder hold.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Write},
    net::TcpStream,
};

use uuid::Uuid;

use crate::{running::Mesh, truth};

/// Units by product id.
pub(crate) fn leaderboard(mesh: &Mesh) -> BTreeMap<String, i64> {
    let mut connection = TcpStream::connect(mesh.endpoint("redis").trim_start_matches("redis://")).unwrap();
    connection.write_all(b"ZRANGE throughline:leaderboard:products 0 -1 WITHSCORES\r\n").unwrap();
    // an array of bulk strings, each after a line with its length: https://redis.io/docs/latest/develop/reference/protocol-spec/
    let mut lines = BufReader::new(connection).lines().map(Result::unwrap);
    let count: usize = lines.next().unwrap().trim_start_matches('*').parse().unwrap();
    let texts: Vec<String> = (0..count).map(|_| lines.by_ref().nth(1).unwrap()).collect();
    texts.chunks(2).map(|pair| (pair[0].clone(), pair[1].parse().unwrap())).collect()
}

/// The event id in the Message-ID of each mail that was sent.
pub(crate) fn mails(mesh: &Mesh) -> Vec<Uuid> {
    let id =
        |line: &String| line.split(['<', '@']).nth(1).and_then(|id| id.parse().ok()).unwrap_or_else(|| panic!("no event id in {line}"));
    truth::mails(mesh).iter().map(id).collect()
}
