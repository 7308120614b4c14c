//! Clients of HTTP/2 that open their windows late, seldom or never, against hyper on a virtual clock.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::pending;
use std::sync::Weak;

use axum::body::Body;
use h2::RecvStream;
use h2::client::SendRequest;
use http::{Request, Response};
use http_body::{Body as HttpBody, Frame};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use sluice_access::{Grants, Identity, Pressure};
use sluice_wire::sse::Frame as SseFrame;
use tokio_util::task::TaskTracker;

use super::super::connection::Tasks;
use super::super::outgoing::Outgoing;
use super::super::{ListenerSettings, http2_limits};
use super::*;
use crate::admission::{Admission, Applicant, Place, Sentence};
use crate::settings::Limits;
use crate::tallies::Tallies;

const STALL: Duration = Duration::from_secs(60);
const SECOND: Duration = Duration::from_secs(1);

/// A body that has some pieces, and then its end or nothing more.
struct Pieces {
    left: VecDeque<Bytes>,
    ends: bool,
    _held: Arc<()>,
}

impl HttpBody for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.left.pop_front() {
            Some(piece) => Poll::Ready(Some(Ok(Frame::data(piece)))),
            None if self.ends => Poll::Ready(None),
            None => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.ends && self.left.is_empty()
    }
}

/// An answer at its client.
struct Received {
    body: RecvStream,
    /// Lives as long as the server has the answer's body.
    held: Weak<()>,
    /// When the last bytes came.
    last: Instant,
    /// The connection ends when nobody can use it.
    _requests: SendRequest<Bytes>,
}

/// An answer of these pieces to a client with a window of so many bytes.
async fn answer(pieces: &[usize], ends: bool, window: u32) -> Received {
    let (ours, theirs) = tokio::io::duplex(1 << 20);
    let held = Arc::new(());
    let weak = Arc::downgrade(&held);
    let left = pieces.iter().map(|bytes| Bytes::from(vec![b'x'; *bytes])).collect();
    let body = Mutex::new(Some(Body::new(Pieces { left, ends, _held: held })));
    let service = service_fn(move |_| {
        let body = body.lock().unwrap().take().unwrap();
        async { Ok::<_, Infallible>(Response::new(Outgoing::new(body, Transit::of_this_task(), None))) }
    });
    let tracker = TaskTracker::new();
    let tasks = Tasks::new(&tracker, STALL);
    let server = http2_limits::builder(tasks, &ListenerSettings::default());
    tracker.spawn(server.serve_connection(TokioIo::new(ours), service));
    let (mut requests, connection) = h2::client::Builder::new()
        .initial_window_size(window)
        .initial_connection_window_size(1 << 20)
        .handshake::<_, Bytes>(theirs)
        .await
        .unwrap();
    tracker.spawn(connection);
    let (response, _) = requests.send_request(Request::new(()), true).unwrap();
    let body = response.await.unwrap().into_body();
    Received { body, held: weak, last: Instant::now(), _requests: requests }
}

impl Received {
    /// The next bytes, how many they are; `None` at the orderly end.
    async fn next(&mut self) -> Option<Result<usize, h2::Error>> {
        let read = tokio::time::timeout(2 * STALL, self.body.data()).await.expect("bytes or an end")?;
        self.last = Instant::now();
        Some(read.map(|bytes| bytes.len()))
    }

    fn open_window(&mut self, bytes: usize) {
        self.body.flow_control().release_capacity(bytes).unwrap();
    }

    /// Reads `bytes` without opening the window again, then waits to be given up, which is to be `after` that.
    async fn expect_given_up(mut self, bytes: usize, after: Duration) {
        let mut read = 0;
        while read < bytes {
            read += self.next().await.unwrap().unwrap();
        }
        assert_eq!(read, bytes);
        let last = self.last;
        assert_eq!(self.held.strong_count(), 1);
        let error = self.next().await.unwrap().unwrap_err();
        assert_eq!(error.reason(), Some(h2::Reason::CANCEL));
        let waited = last.elapsed();
        assert!((after..after + SECOND).contains(&waited), "{waited:?}");
        assert_eq!(self.held.strong_count(), 0, "nothing of it is kept");
    }
}

#[tokio::test(start_paused = true)]
async fn a_window_that_is_never_opened() {
    answer(&[1_000], false, 0).await.expect_given_up(0, STALL).await;
}

#[tokio::test(start_paused = true)]
async fn a_window_that_is_not_opened_again() {
    answer(&[300, 40_000, 40_000], false, 20_000).await.expect_given_up(20_000, STALL).await;
}

/// h2 has all of it by then, its end included.
#[tokio::test(start_paused = true)]
async fn a_window_that_is_too_small_for_the_end() {
    answer(&[30_000], true, 29_999).await.expect_given_up(29_999, STALL).await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_is_slow_and_moves() {
    let mut received = answer(&[30_000; 4], true, 1_000).await;
    let (began, mut read) = (Instant::now(), 0);
    while let Some(bytes) = received.next().await {
        let bytes = bytes.unwrap();
        read += bytes;
        tokio::time::sleep(STALL - SECOND).await;
        received.open_window(bytes);
    }
    assert_eq!(read, 120_000);
    assert!(began.elapsed() > 100 * STALL, "{:?}", began.elapsed());
    assert_eq!(received.held.strong_count(), 0);
}

/// Waits for the end of what is attended to while something moves now and then.
async fn ends_of(transit: Transit, mut parcel: Parcel, every: Duration) -> (GivenUp, Duration) {
    let began = Instant::now();
    let mut attended =
        Attended { task: Box::pin(pending::<()>()), transit: transit.clone(), stall_max: STALL, clock: None };
    loop {
        tokio::select! {
            ended = &mut attended => {
                let why = ended.unwrap_err();
                assert_eq!(transit.given_up(), Some(why));
                return (why, began.elapsed());
            }
            () = tokio::time::sleep(every) => parcel.advance(1),
        }
    }
}

fn place(admission: &Admission) -> Place {
    let nobody = Identity::anonymous(Arc::new(Grants::default()));
    let identity = Identity { subject: Some("mallory".into()), ..nobody };
    let applicant = Applicant { identity: Some(&identity), ..Applicant::default() };
    admission.admit(Instant::now().into_std(), &applicant, || Ok(None)).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_to_be_ended_and_takes_its_time() {
    let now = Instant::now().into_std();
    let admission = Admission::new(&Limits::default(), Pressure::default(), Tallies::register(), now);
    let place = place(&admission);
    let term = |ends_at| Term { standing: place.standing(), ends_at };

    let transit = Transit::new();
    transit.ends_with(term(Some(now + 100 * SECOND)));
    let parcel = transit.parcel(Bytes::from_static(&[0; 1_000]));
    let (why, after) = ends_of(transit, parcel, SECOND).await;
    assert_eq!(why, GivenUp::Cut);
    assert!((100 * SECOND..100 * SECOND + 2 * GRACE + SECOND).contains(&after), "{after:?}");

    let transit = Transit::new();
    transit.ends_with(term(None));
    admission.sentence(|_| true, &Sentence::new("revoked", |_| SseFrame::comment("go")));
    let parcel = transit.parcel(Bytes::from_static(&[0; 1_000]));
    let (why, after) = ends_of(transit, parcel, SECOND).await;
    assert_eq!(why, GivenUp::Cut);
    assert!((GRACE..2 * GRACE + SECOND).contains(&after), "{after:?}");
}

#[tokio::test(start_paused = true)]
async fn no_clock_runs_where_nothing_is_in_transit() {
    let transit = Transit::new();
    let mut attended =
        Attended { task: Box::pin(pending::<()>()), transit: transit.clone(), stall_max: STALL, clock: None };
    let mut runs = || {
        let polled = Pin::new(&mut attended).poll(&mut Context::from_waker(Waker::noop()));
        assert!(polled.is_pending());
        attended.clock.is_some()
    };
    assert!(!runs());
    let parcel = transit.parcel(Bytes::from_static(b"x"));
    assert!(runs());
    drop(parcel);
    tokio::time::advance(STALL).await;
    assert!(!runs());
}
