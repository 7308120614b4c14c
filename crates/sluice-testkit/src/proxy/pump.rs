//! One direction of one connection: a reader and a writer with a short queue between them.
//!
//! The queue gives every chunk the moment at which it is due, so that a delay adds latency without taking
//! bandwidth; it is bounded, so that a narrow or silent link pushes back on the sender as a real one does.

use std::io;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until};

use super::{Direction, Faults, Shared};

const QUEUE_CHUNKS: usize = 16;
const CHUNK_BYTES: usize = 16 * 1024;
/// Throttled bytes leave in this many portions a second.
const PORTIONS_PER_SECOND: u64 = 50;

struct Chunk {
    read_at: Instant,
    bytes: Vec<u8>,
}

/// Forwards until the source ends, then ends the sink.
pub(super) async fn run(
    source: ReadHalf<'_>,
    sink: WriteHalf<'_>,
    shared: &Shared,
    direction: Direction,
) -> io::Result<()> {
    let (sender, receiver) = mpsc::channel(QUEUE_CHUNKS);
    tokio::try_join!(read(source, sender), write(sink, receiver, shared, direction))?;
    Ok(())
}

async fn read(mut source: ReadHalf<'_>, queue: mpsc::Sender<Chunk>) -> io::Result<()> {
    let mut buffer = vec![0; CHUNK_BYTES];
    loop {
        // Room first: a chunk that waited outside the queue would be stamped too late.
        let Ok(room) = queue.reserve().await else { return Ok(()) };
        let read = source.read(&mut buffer).await?;
        if read == 0 {
            return Ok(());
        }
        room.send(Chunk { read_at: Instant::now(), bytes: buffer[..read].to_vec() });
    }
}

async fn write(
    mut sink: WriteHalf<'_>,
    mut queue: mpsc::Receiver<Chunk>,
    shared: &Shared,
    direction: Direction,
) -> io::Result<()> {
    let mut faults = shared.faults.subscribe();
    let delivered = &shared.bytes[direction.index()];
    while let Some(chunk) = queue.recv().await {
        let mut rest = &chunk.bytes[..];
        while !rest.is_empty() {
            let now = passable(&mut faults, direction, chunk.read_at).await;
            let portion;
            (portion, rest) = rest.split_at(portion_bytes(&now, rest.len()));
            if let Some(rate) = now.bytes_per_second {
                sleep(Duration::from_secs_f64(portion.len() as f64 / rate as f64)).await;
            }
            sink.write_all(portion).await?;
            delivered.fetch_add(portion.len() as u64, Ordering::Relaxed);
        }
    }
    passable(&mut faults, direction, Instant::now()).await;
    sink.shutdown().await
}

/// Waits until the link speaks and what was read at `read_at` is due, both at once; returns the faults then.
async fn passable(faults: &mut watch::Receiver<Faults>, direction: Direction, read_at: Instant) -> Faults {
    loop {
        let now = faults.borrow_and_update().clone();
        let due = read_at + now.delay;
        if now.silent[direction.index()] {
            // The sender lives in `Shared`, which the caller holds: this cannot fail.
            let _ = faults.changed().await;
        } else if due > Instant::now() {
            tokio::select! {
                () = sleep_until(due) => {}
                _ = faults.changed() => {}
            }
        } else {
            return now;
        }
    }
}

fn portion_bytes(faults: &Faults, available: usize) -> usize {
    let Some(rate) = faults.bytes_per_second else { return available };
    usize::try_from((rate / PORTIONS_PER_SECOND).max(1)).unwrap_or(usize::MAX).min(available)
}
