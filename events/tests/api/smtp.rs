//! A tiny SMTP server (RFC 5321) that a test can make refuse, or fall silent.

use std::{
    collections::{HashMap, HashSet},
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use chassis::spawn;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
};

#[derive(Clone, Default)]
struct Mailbox {
    mails: Arc<Mutex<Vec<String>>>,
    /// By command and argument: what is answered instead of 250.
    refusals: Arc<Mutex<HashMap<String, String>>>,
    refused: Arc<Mutex<Vec<String>>>,
    /// Commands that get no answer.
    silence: Arc<watch::Sender<HashSet<String>>>,
    connections: Arc<AtomicUsize>,
}

pub(crate) struct SmtpServer {
    address: SocketAddr,
    mailbox: Mailbox,
    stop: watch::Sender<()>,
}

impl SmtpServer {
    pub(crate) async fn start() -> Self {
        Self::on("127.0.0.1:0".parse().unwrap()).await
    }

    /// Listens on an address that a server had before.
    pub(crate) async fn on(address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let (stop, mut stopped) = watch::channel(());
        let server = Self { address: listener.local_addr().unwrap(), mailbox: Mailbox::default(), stop };
        let mailbox = server.mailbox.clone();
        spawn(async move {
            loop {
                tokio::select! {
                    Ok((stream, _)) = listener.accept() => drop(spawn(talk(stream, mailbox.clone()))),
                    _ = stopped.changed() => return,
                }
            }
        });
        server
    }

    pub(crate) fn url(&self) -> String {
        format!("smtp://{}", self.address)
    }

    /// Answers lines that begin with `command` so from now on.
    pub(crate) fn refuse(&self, command: &str, answer: &str) {
        self.mailbox.refusals.lock().unwrap().insert(command.to_uppercase(), answer.into());
    }

    /// Answers lines that begin with `command` no more; `.` is the end of a mail, which it takes.
    pub(crate) fn fall_silent(&self, command: &str) {
        self.mailbox.silence.send_modify(|silent| {
            silent.insert(command.to_uppercase());
        });
    }

    /// Gives the answers to `command` that it has kept to itself.
    pub(crate) fn answer(&self, command: &str) {
        self.mailbox.silence.send_modify(|silent| {
            silent.remove(&command.to_uppercase());
        });
    }

    /// Refuses nothing any more, and gives the answers that it has kept to itself.
    pub(crate) fn relent(&self) {
        self.mailbox.refusals.lock().unwrap().clear();
        self.mailbox.silence.send_modify(HashSet::clear);
    }

    /// How many connections there ever were.
    pub(crate) fn connections(&self) -> usize {
        self.mailbox.connections.load(Ordering::SeqCst)
    }

    /// Nobody listens any more; the address, for another server.
    pub(crate) async fn stop(self) -> SocketAddr {
        self.stop.send_replace(());
        self.stop.closed().await;
        self.address
    }

    /// Mails that were accepted, headers and all.
    pub(crate) fn mails(&self) -> Vec<String> {
        self.mailbox.mails.lock().unwrap().clone()
    }

    /// How many commands were refused.
    pub(crate) fn refused(&self) -> usize {
        self.mailbox.refused.lock().unwrap().len()
    }
}

async fn talk(stream: TcpStream, mailbox: Mailbox) {
    mailbox.connections.fetch_add(1, Ordering::SeqCst);
    let (read, mut write) = stream.into_split();
    let mut lines = BufReader::new(read).lines();
    if say(&mut write, "220 test").await.is_err() {
        return;
    }
    while let Ok(Some(line)) = lines.next_line().await {
        let command = line.to_uppercase();
        let answer = match mailbox.refusal(&command) {
            Some(answer) => answer,
            None if command.starts_with("DATA") => match receive(&mut lines, &mut write, &mailbox).await {
                Some(answer) => answer,
                None => return,
            },
            None if command.starts_with("QUIT") => "221 bye".into(),
            None => "250 fine".into(),
        };
        // the mail has come, and its end waits for its answer
        mailbox.speak(if command.starts_with("DATA") { "." } else { &command }).await;
        if say(&mut write, &answer).await.is_err() {
            return;
        }
    }
}

async fn receive(lines: &mut Lines<BufReader<OwnedReadHalf>>, write: &mut OwnedWriteHalf, mailbox: &Mailbox) -> Option<String> {
    say(write, "354 go on").await.ok()?;
    let mut mail = String::new();
    loop {
        let line = lines.next_line().await.ok()??;
        if line == "." {
            mailbox.mails.lock().unwrap().push(mail);
            return Some("250 queued".into());
        }
        mail.push_str(&line);
        mail.push('\n');
    }
}

async fn say(write: &mut OwnedWriteHalf, line: &str) -> std::io::Result<()> {
    write.write_all(format!("{line}\r\n").as_bytes()).await
}

impl Mailbox {
    /// Waits while lines like this one get no answer.
    async fn speak(&self, command: &str) {
        let silent = |commands: &HashSet<String>| commands.iter().any(|begin| command.starts_with(begin.as_str()));
        drop(self.silence.subscribe().wait_for(|commands| !silent(commands)).await);
    }

    fn refusal(&self, command: &str) -> Option<String> {
        let refusals = self.refusals.lock().unwrap();
        let answer = refusals.iter().find(|(begin, _)| command.starts_with(begin.as_str())).map(|(_, answer)| answer.clone())?;
        self.refused.lock().unwrap().push(command.to_owned());
        Some(answer)
    }
}
