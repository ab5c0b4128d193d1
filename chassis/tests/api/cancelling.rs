//! Nobody works for a caller who has gone.

use std::time::Duration;

use chassis::{grpc::within, testing::eventually};
use futures::{StreamExt, stream};

use crate::probe::{ASK, MODELS, Probe, Server, Work, ask, process, watch};

const LONG: Duration = Duration::from_mins(10);

#[tokio::test]
async fn work_ends_on_every_hop_when_the_caller_goes_away() {
    for model in MODELS {
        let work = Work::default();
        let back = Server::start(process(model), work.endless());
        let (to_back, in_front) = (back.url(), Work::default());
        let own = in_front.clone();
        let front = Server::start(
            process(model),
            Probe::answering(move |_| {
                let (to_back, piece) = (to_back.clone(), own.begin());
                async move {
                    let _piece = piece;
                    let channel = chassis::grpc::channel(&to_back).unwrap();
                    within(LONG, String::new(), |request| ask(channel, ASK, request)).await
                }
            }),
        );
        let channel = front.channel();
        let call = chassis::spawn(within(LONG, String::new(), |request| ask(channel, ASK, request)));
        eventually("both work", async || (work.running(), in_front.running()) == (1, 1)).await;
        call.abort();
        eventually("neither works", async || (work.running(), in_front.running()) == (0, 0)).await;
        assert_eq!((work.begun(), in_front.begun()), (1, 1));
    }
}

#[tokio::test]
async fn a_stream_ends_when_its_reader_goes_away() {
    for model in MODELS {
        let work = Work::default();
        let own = work.clone();
        let server = Server::start(
            process(model),
            Probe::streaming(move |_| {
                let piece = own.begin();
                stream::once(async { Ok("first".to_owned()) }).chain(stream::pending().inspect(move |_| _ = &piece)).boxed()
            }),
        );
        let mut answers = watch(server.channel(), "").await.unwrap();
        assert_eq!(answers.message().await.unwrap().unwrap(), "first");
        assert_eq!(work.running(), 1);
        drop(answers);
        eventually("the stream is dropped", async || work.running() == 0).await;
    }
}
