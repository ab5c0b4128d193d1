//! What the service says to Postgres, seen on the way: how many statements a call takes, and whether they wait for each other's answers.

use std::sync::{Arc, Mutex};

use chassis::{config::Secret, spawn};
use db::roles::Role;
use events::testing::eventually;
use futures::future::join;
use proto::orders::{GetOrderRequest, ListOrdersRequest};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
};
use uuid::Uuid;

use crate::shop::{Shop, customer, products};

/// A way to Postgres on which statements are counted, and on which answers can be held back.
struct Wire {
    url: String,
    /// Statements by connection: those of connections that have asked about orders count.
    connections: Arc<Mutex<Vec<Connection>>>,
    hold: watch::Sender<bool>,
}

#[derive(Default)]
struct Connection {
    asks_about_orders: bool,
    statements: usize,
}

impl Wire {
    async fn to(url: &str) -> Self {
        let upstream = url.split('@').nth(1).unwrap().split('/').next().unwrap().to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = url.replace(&upstream, &listener.local_addr().unwrap().to_string());
        let (hold, watcher) = watch::channel(false);
        let connections: Arc<Mutex<Vec<Connection>>> = Arc::default();
        let seen = Arc::clone(&connections);
        drop(spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(&upstream).await.unwrap();
                drop(spawn(carry(client, server, Arc::clone(&seen), watcher.clone())));
            }
        }));
        Self { url, connections, hold }
    }

    fn statements(&self) -> usize {
        self.connections.lock().unwrap().iter().filter(|it| it.asks_about_orders).map(|it| it.statements).sum()
    }

    /// Statements that `call` has made.
    async fn count<T>(&self, call: impl Future<Output = T>) -> (T, usize) {
        let before = self.statements();
        let answer = call.await;
        (answer, self.statements() - before)
    }
}

async fn carry(client: TcpStream, server: TcpStream, connections: Arc<Mutex<Vec<Connection>>>, mut held: watch::Receiver<bool>) {
    let index = {
        let mut all = connections.lock().unwrap();
        all.push(Connection::default());
        all.len() - 1
    };
    let ((mut from_client, mut to_client), (mut from_server, mut to_server)) = (client.into_split(), server.into_split());
    let ask = async {
        let (mut messages, mut buffer) = (Messages::default(), vec![0; 64 << 10]);
        while let Ok(length @ 1..) = from_client.read(&mut buffer).await {
            messages.push(&buffer[..length], &mut connections.lock().unwrap()[index]);
            to_server.write_all(&buffer[..length]).await.unwrap();
        }
    };
    let answer = async {
        let mut buffer = vec![0; 64 << 10];
        while let Ok(length @ 1..) = from_server.read(&mut buffer).await {
            held.wait_for(|held| !held).await.unwrap();
            if to_client.write_all(&buffer[..length]).await.is_err() {
                break;
            }
        }
    };
    // a client that has gone takes its connection with it
    tokio::select! { () = ask => {}, () = answer => {} }
}

/// Messages of a client: <https://www.postgresql.org/docs/current/protocol-message-formats.html>
#[derive(Default)]
struct Messages {
    begun: bool,
    rest: Vec<u8>,
}

impl Messages {
    fn push(&mut self, bytes: &[u8], connection: &mut Connection) {
        self.rest.extend_from_slice(bytes);
        loop {
            // only the first message, which greets, has no type
            let type_length = usize::from(self.begun);
            let Some(length) = self.rest.get(type_length..type_length + 4) else { return };
            let end = type_length + u32::from_be_bytes(length.try_into().unwrap()) as usize;
            if self.rest.len() < end {
                return;
            }
            let message: Vec<u8> = self.rest.drain(..end).collect();
            if self.begun {
                Self::note(&message, connection);
            }
            self.begun = true;
        }
    }

    /// Execute and Query are statements; Parse shows what it will be.
    fn note(message: &[u8], connection: &mut Connection) {
        let text = String::from_utf8_lossy(message).replace('"', "");
        connection.statements += usize::from(matches!(message[0], b'E' | b'Q'));
        connection.asks_about_orders |= message[0] == b'P' && text.contains("orders.orders");
    }
}

/// A shop whose requests have one connection, and whose relay keeps still.
async fn open() -> (Shop, Shop, Wire) {
    let direct = Shop::open().await;
    let wire = Wire::to(&direct.database.url(Role::Orders)).await;
    let url = wire.url.clone();
    let shop = Shop::open_with(|config| {
        config.database.url = Secret::new(url);
        config.database.pool_size = 1;
        config.relay.sweep_interval_ms = 3_600_000;
    })
    .await;
    (direct, shop, wire)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_order_of_fifty_lines_takes_as_many_statements_as_one_of_one_line_and_one_insert_for_all_lines() {
    let (direct, shop, wire) = open().await;
    let ada = customer();
    let all: [Uuid; 100] = products();
    let lines = |number: usize| all[..number].iter().map(|id| (*id, 2)).collect::<Vec<_>>();
    shop.place(&ada, &lines(1), "").await.unwrap();
    let audit = "CREATE SEQUENCE orders.inserts;
        CREATE FUNCTION orders.count() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
        BEGIN PERFORM nextval('orders.inserts'); RETURN NULL; END $$;
        CREATE TRIGGER count BEFORE INSERT ON orders.order_items FOR EACH STATEMENT EXECUTE FUNCTION orders.count()";
    direct.run_sql(audit).await;
    for (round, number) in (1..).zip([1, 50, 100]) {
        let (placed, statements) = wire.count(shop.place(&ada, &lines(number), "")).await;
        assert_eq!((placed.unwrap().order.unwrap().items.len(), statements), (number, 1));
        assert_eq!(direct.number("SELECT last_value FROM orders.inserts").await, round);
    }
    shop.close().await;
    direct.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_page_takes_two_statements_however_many_orders_are_on_it_and_so_does_an_order_with_its_customer() {
    let (direct, shop, wire) = open().await;
    let ([tea, pot], ada) = (products(), customer());
    let mut ids = Vec::new();
    for _ in 0..30 {
        ids.push(shop.place(&ada, &[(tea, 1), (pot, 1)], "").await.unwrap().order.unwrap().order_id);
    }
    for page_size in [1, 5, 30] {
        let (page, statements) = wire.count(shop.list_with(ListOrdersRequest { page_size, ..Default::default() })).await;
        assert_eq!((page.unwrap().orders.len(), statements), (page_size as usize, 2));
    }
    let ask = |customer, without_items| GetOrderRequest {
        order_id: ids[0].clone(),
        user_id: ada.user_id.clone(),
        include_customer: customer,
        without_items,
    };
    for (request, expected) in [(ask(true, false), 2), (ask(false, false), 2), (ask(true, true), 1), (ask(false, true), 1)] {
        let (order, statements) = wire.count(shop.get_with(request)).await;
        assert_eq!((order.unwrap().order_id.as_str(), statements), (ids[0].as_str(), expected));
    }
    shop.close().await;
    direct.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_order_its_customer_and_its_lines_are_asked_for_before_the_first_answer_has_come() {
    let (direct, shop, wire) = open().await;
    let ([tea], ada) = (products(), customer());
    let order = shop.place(&ada, &[(tea, 1)], "").await.unwrap().order.unwrap();
    let ask = || GetOrderRequest { order_id: order.order_id.clone(), include_customer: true, ..GetOrderRequest::default() };
    // both statements are prepared from here on
    shop.get_with(ask()).await.unwrap();
    let before = wire.statements();
    wire.hold.send_replace(true);
    let release = async {
        eventually("both are on their way", async || wire.statements() == before + 2).await;
        wire.hold.send_replace(false);
    };
    let (seen, ()) = join(shop.get_with(ask()), release).await;
    assert_eq!(seen.unwrap().items, order.items);
    shop.close().await;
    direct.close().await;
}
