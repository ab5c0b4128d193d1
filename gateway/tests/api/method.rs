//! One method of a neighbour, as a test wants it.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use tonic::{Request, Response, Status, metadata::MetadataMap};

type Answer<M, T> = Arc<dyn Fn(&M) -> Result<T, Status> + Send + Sync>;

/// One method: what it answers, when, and what it was called with.
pub(crate) struct Method<M, T> {
    answer: Mutex<Answer<M, T>>,
    delay: Mutex<Duration>,
    calls: Mutex<Vec<(M, MetadataMap)>>,
}

impl<M, T> Default for Method<M, T> {
    fn default() -> Self {
        let answer: Answer<M, T> = Arc::new(|_| Err(Status::unimplemented("this test did not say what to answer")));
        Self { answer: Mutex::new(answer), delay: Mutex::default(), calls: Mutex::default() }
    }
}

impl<M: Clone, T> Method<M, T> {
    pub(crate) fn answers(&self, answer: impl Fn(&M) -> Result<T, Status> + Send + Sync + 'static) {
        *self.answer.lock().unwrap() = Arc::new(answer);
    }

    pub(crate) fn fails(&self, status: &Status) {
        let status = status.clone();
        self.answers(move |_| Err(status.clone()));
    }

    pub(crate) fn takes(&self, delay: Duration) {
        *self.delay.lock().unwrap() = delay;
    }

    /// The messages so far.
    pub(crate) fn messages(&self) -> Vec<M> {
        self.calls.lock().unwrap().iter().map(|(message, _)| message.clone()).collect()
    }

    /// A metadata value of the last call.
    pub(crate) fn last_metadata(&self, key: &str) -> Option<String> {
        let calls = self.calls.lock().unwrap();
        calls.last().and_then(|(_, metadata)| metadata.get(key)).map(|value| value.to_str().unwrap().to_owned())
    }

    pub(crate) async fn handle(&self, request: Request<M>) -> Result<Response<T>, Status> {
        let (metadata, _, message) = request.into_parts();
        self.calls.lock().unwrap().push((message.clone(), metadata));
        let (answer, delay) = (Arc::clone(&self.answer.lock().unwrap()), *self.delay.lock().unwrap());
        tokio::time::sleep(delay).await;
        answer(&message).map(Response::new)
    }
}
