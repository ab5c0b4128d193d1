//! What `strace -f -yy` wrote, read as: which thread used which connection, in which order.

use std::collections::{BTreeMap, BTreeSet};

/// One read or write of a socket.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Use {
    thread: u32,
    /// `local->remote`
    connection: String,
    peer: Peer,
    writes: bool,
}

/// What a connection is for.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Peer {
    /// Somebody called us.
    Caller,
    /// We called somebody, by name.
    Callee(String),
}

/// The socket calls of one process.
#[derive(Debug)]
pub(super) struct Syscalls(Vec<Use>);

impl Syscalls {
    /// Reads a log; `ports` are names with their ports, `own` is the name of the process.
    pub(super) fn read(text: &str, ports: &[(String, String)], own: &str) -> Self {
        Self(text.lines().filter_map(|line| Use::read(line, ports, own)).collect())
    }

    /// Where one thread per request is not what was seen, given that each of `requests` requests calls all of `callees`.
    pub(super) fn broken(&self, callees: &[&str], requests: usize) -> Vec<String> {
        let mut broken = Vec::new();
        let serving: BTreeSet<u32> = self.0.iter().filter(|call| call.peer == Peer::Caller).map(|call| call.thread).collect();
        for (connection, threads) in self.threads_by_connection(|call| call.peer == Peer::Caller || serving.contains(&call.thread)) {
            if threads.len() > 1 {
                broken.push(format!("{connection} is used by {} threads", threads.len()));
            }
        }
        for callee in callees {
            let served = self.requests_that_call(callee);
            if served < requests {
                broken.push(format!("only {served} of {requests} requests wrote to {callee} on their own thread"));
            }
        }
        broken
    }

    /// All threads of the connections of which at least one use is wanted.
    fn threads_by_connection(&self, wanted: impl Fn(&Use) -> bool) -> BTreeMap<&str, BTreeSet<u32>> {
        let chosen: BTreeSet<&str> = self.0.iter().filter(|call| wanted(call)).map(|call| call.connection.as_str()).collect();
        let mut threads: BTreeMap<&str, BTreeSet<u32>> = BTreeMap::new();
        for call in self.0.iter().filter(|call| chosen.contains(call.connection.as_str())) {
            threads.entry(&call.connection).or_default().insert(call.thread);
        }
        threads
    }

    /// How often a thread read from its caller and then wrote to `callee`, before it read from its caller for another
    /// request: once for each request that called it on its own thread.
    fn requests_that_call(&self, callee: &str) -> usize {
        let mut asked: BTreeMap<u32, bool> = BTreeMap::new();
        let mut count = 0;
        for call in &self.0 {
            let open = asked.entry(call.thread).or_default();
            match &call.peer {
                Peer::Caller if !call.writes => *open = true,
                Peer::Callee(name) if call.writes && name == callee && *open => {
                    *open = false;
                    count += 1;
                }
                _ => {}
            }
        }
        count
    }
}

impl Use {
    /// `1234 recvfrom(10<TCP:[127.0.0.1:50053->127.0.0.1:43210]>, ...`
    fn read(line: &str, ports: &[(String, String)], own: &str) -> Option<Self> {
        let (thread, call) = line.trim_start().split_once(' ')?;
        let (name, rest) = call.trim_start().split_once('(')?;
        let connection = rest.split_once("<TCP:[")?.1.split_once("]>")?.0;
        let (local, remote) = connection.split_once("->")?;
        let port = |address: &str| address.rsplit(':').next().unwrap_or_default().to_owned();
        let (local_port, remote_port) = (port(local), port(remote));
        let named = |port: &str| ports.iter().find(|(_, known)| *known == port).map(|(name, _)| name.clone());
        let peer = match (named(&local_port), named(&remote_port)) {
            (Some(name), _) if name == own => Peer::Caller,
            (_, Some(name)) => Peer::Callee(name),
            _ => return None,
        };
        let writes = matches!(name, "write" | "writev" | "sendto" | "sendmsg");
        Some(Self { thread: thread.parse().ok()?, connection: connection.to_owned(), peer, writes })
    }
}

#[test]
fn a_request_on_one_thread_keeps_the_promise_and_one_on_two_breaks_it() {
    let ports = [("orders".to_owned(), "5".to_owned()), ("postgres".to_owned(), "9".to_owned())];
    let one = "1 recvfrom(7<TCP:[h:5->h:4001]>, \"\"..., 9, 0, NULL, NULL) = 9\n\
        1 sendto(8<TCP:[h:4002->h:9]>, \"\"..., 9, 0, NULL, 0 <unfinished ...>\n\
        2 read(3<TCP:[h:5555->h:4317]>, \"\"..., 9) = 9\n\
        1 writev(7<TCP:[h:5->h:4001]>, [], 1) = 9\n";
    assert_eq!(Syscalls::read(one, &ports, "orders").broken(&["postgres"], 1), Vec::<String>::new());
    let delegated = one.replace("1 sendto", "2 sendto");
    assert_eq!(
        Syscalls::read(&delegated, &ports, "orders").broken(&["postgres"], 1),
        ["only 0 of 1 requests wrote to postgres on their own thread"]
    );
    let mixed = one.replace("1 writev", "2 writev");
    assert_eq!(Syscalls::read(&mixed, &ports, "orders").broken(&["postgres"], 1), ["h:5->h:4001 is used by 2 threads"]);
}
