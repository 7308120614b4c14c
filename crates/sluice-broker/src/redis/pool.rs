//! Connections for commands. Each lane keeps one connection of a deadpool pool and multiplexes commands over
//! it, so that a request costs one round trip and concurrent requests share packets; the pool itself dials,
//! with its timeouts and the script loaded, whenever a lane's connection broke.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use deadpool_redis::{Connection, Hook, HookError, Manager, PoolError, Runtime};
use redis::aio::MultiplexedConnection;
use redis::{Cmd, Pipeline, ProtocolVersion, RedisError, ServerErrorKind, Value};
use tokio::sync::Mutex;

use super::dial::Dialler;
use super::{failure, scripts};
use crate::BrokerError;
use crate::url::Address;

/// Whoever waited for a lane while another dialled in vain shares that failure instead of waiting again.
const FAILURE_SHARED_FOR: Duration = Duration::from_millis(100);

pub(super) struct Pool {
    dialler: Dialler,
    address: Address,
    /// Dials with what was read from files last; made anew when that has changed.
    pool: std::sync::Mutex<Option<(u64, deadpool_redis::Pool)>>,
    lanes: Box<[Lane]>,
}

#[derive(Default)]
struct Lane {
    kept: Mutex<Kept>,
    under_way: AtomicUsize,
    /// The number of the last connection that was found broken.
    broken: AtomicU64,
}

#[derive(Default)]
struct Kept {
    connection: Option<Connection>,
    /// Tells a connection from the one before it.
    number: u64,
    failed: Option<(Instant, BrokerError)>,
}

impl Pool {
    /// A pool of at most `lanes` connections to the server at `address`.
    pub(super) fn new(dialler: &Dialler, address: &Address, lanes: usize) -> Self {
        let lanes = (0..lanes.max(1)).map(|_| Lane::default()).collect();
        Self { dialler: dialler.clone(), address: address.clone(), pool: std::sync::Mutex::default(), lanes }
    }

    /// A new connection, with the credentials and certificates of this moment.
    async fn dial(&self) -> Result<Connection, BrokerError> {
        let pool = self.current()?;
        pool.get().await.map_err(|error| self.of_dialling(error))
    }

    fn current(&self) -> Result<deadpool_redis::Pool, BrokerError> {
        let template = self.dialler.template();
        let mut kept = self.pool.lock().unwrap_or_else(sluice_failure::poisoned);
        if let Some((_, pool)) = kept.as_ref().filter(|(number, _)| *number == template.number) {
            return Ok(pool.clone());
        }
        let config = self.dialler.config().set_pipeline_buffer_size(1024);
        let (connect_timeout, response_timeout) = self.dialler.timeouts();
        let info = template.info(&self.address, ProtocolVersion::RESP2);
        let manager =
            Manager::new_with_config(info, config).map_err(|error| failure::of(&error, &self.address))?;
        let pool = deadpool_redis::Pool::builder(manager)
            .max_size(self.lanes.len())
            .runtime(Runtime::Tokio1)
            .wait_timeout(Some(connect_timeout))
            .create_timeout(Some(connect_timeout + response_timeout))
            .recycle_timeout(Some(response_timeout))
            .post_create(Hook::async_fn(|connection, _| Box::pin(load_scripts(connection))))
            .build()
            .map_err(|error| BrokerError::Refused(error.to_string()))?;
        *kept = Some((template.number, pool.clone()));
        Ok(pool)
    }

    fn of_dialling(&self, error: PoolError) -> BrokerError {
        let address = &self.address;
        match error {
            PoolError::Backend(error) | PoolError::PostCreateHook(HookError::Backend(error)) => {
                match failure::of(&error, address) {
                    BrokerError::Unexpected(why) => BrokerError::Unavailable(why),
                    other => other,
                }
            }
            PoolError::Timeout(_) => {
                BrokerError::Unavailable(format!("Redis at {address} takes too long to connect to"))
            }
            other => {
                BrokerError::Unavailable(format!("the connection to Redis at {address} failed: {other}"))
            }
        }
    }

    /// Sends all commands of `pipeline` over one connection, in their order, and returns an answer to each, errors among them.
    pub(super) async fn pipeline(&self, pipeline: &Pipeline) -> Result<Vec<Value>, Failure> {
        if pipeline.is_empty() {
            return Ok(Vec::new());
        }
        Ok(self.pipeline_and_connection(pipeline).await?.0)
    }

    /// As [`Pool::pipeline`]; and the connection, over which a WAIT for what it changed can be sent. It is not dialled
    /// again: on another connection WAIT would know of no change and confirm at once.
    pub(super) async fn pipeline_and_connection(
        &self,
        pipeline: &Pipeline,
    ) -> Result<(Vec<Value>, MultiplexedConnection), Failure> {
        let request = async |connection: &mut MultiplexedConnection| {
            let answers = connection.send_packed_commands(pipeline, 0, pipeline.len()).await?;
            Ok((answers, connection.clone()))
        };
        let spent = |(answers, _): &(Vec<Value>, _)| answers.iter().any(is_read_only);
        let (answers, connection) = self.with_lane(request, spent).await?;
        if answers.len() == pipeline.len() {
            return Ok((answers, connection));
        }
        let why = format!(
            "Redis at {} gave {} answers to {} commands",
            self.address,
            answers.len(),
            pipeline.len()
        );
        Err(Failure { why: BrokerError::Unexpected(why), dropped: false, sent: true })
    }

    /// Sends one command; an error it was answered with is one here.
    pub(super) async fn command(&self, command: &Cmd) -> Result<Value, BrokerError> {
        let request =
            async |connection: &mut MultiplexedConnection| connection.send_packed_command(command).await;
        let answer = self.with_lane(request, is_read_only).await.map_err(|failure| failure.why)?;
        failure::checked(answer)
    }

    /// Sends `request` over a lane's connection, which is not used again when `spent` says so of the answer.
    async fn with_lane<T>(
        &self,
        request: impl AsyncFnOnce(&mut MultiplexedConnection) -> Result<T, RedisError>,
        spent: impl FnOnce(&T) -> bool,
    ) -> Result<T, Failure> {
        let Some(lane) = self.lanes.iter().min_by_key(|lane| lane.under_way.load(Ordering::Relaxed)) else {
            let why = BrokerError::Unavailable("no connections to Redis are configured".to_owned());
            return Err(Failure::before_sending(why));
        };
        let _passing = Passing::begin(&lane.under_way);
        let found = lane.connection(self).await.map_err(Failure::before_sending)?;
        let Found { number, mut connection, kept } = found;
        match request(&mut connection).await {
            Ok(answer) => {
                if spent(&answer) {
                    lane.discard(number);
                }
                Ok(answer)
            }
            Err(error) => {
                if error.is_unrecoverable_error() || error.is_io_error() {
                    lane.discard(number);
                }
                let dropped = kept && error.is_io_error() && !error.is_timeout();
                Err(Failure { why: failure::of(&error, &self.address), dropped, sent: true })
            }
        }
    }
}

/// Why a request has no answers.
#[derive(Debug, Clone)]
pub(super) struct Failure {
    pub(super) why: BrokerError,
    /// It was sent over a connection that had stood for a while, and turned out to be closed.
    pub(super) dropped: bool,
    /// It may have reached the server.
    pub(super) sent: bool,
}

impl Failure {
    pub(super) fn before_sending(why: BrokerError) -> Self {
        Self { why, dropped: false, sent: false }
    }
}

/// A lane's connection.
struct Found {
    number: u64,
    connection: MultiplexedConnection,
    /// It stood before.
    kept: bool,
}

/// The server has become a replica: its name may lead to another one by now.
fn is_read_only(answer: &Value) -> bool {
    matches!(answer, Value::ServerError(error) if error.kind() == Some(ServerErrorKind::ReadOnly))
}

impl Lane {
    /// The lane's connection, dialled first if there is none.
    async fn connection(&self, pool: &Pool) -> Result<Found, BrokerError> {
        let mut kept = self.kept.lock().await;
        if kept.number == self.broken.load(Ordering::Acquire)
            && let Some(connection) = kept.connection.take()
        {
            drop(Connection::take(connection));
        }
        if let Some(connection) = &kept.connection {
            let connection = MultiplexedConnection::clone(connection);
            return Ok(Found { number: kept.number, connection, kept: true });
        }
        if let Some((at, why)) = &kept.failed
            && at.elapsed() < FAILURE_SHARED_FOR
        {
            return Err(why.clone());
        }
        match pool.dial().await {
            Ok(connection) => {
                let clone = MultiplexedConnection::clone(&connection);
                kept.number += 1;
                kept.failed = None;
                kept.connection = Some(connection);
                Ok(Found { number: kept.number, connection: clone, kept: false })
            }
            Err(why) => {
                kept.failed = Some((Instant::now(), why.clone()));
                Err(why)
            }
        }
    }

    /// The connection with this number is not to be used again.
    fn discard(&self, number: u64) {
        self.broken.fetch_max(number, Ordering::AcqRel);
    }
}

/// Counts a request as under way on its lane, also when its caller goes away.
struct Passing<'a>(&'a AtomicUsize);

impl<'a> Passing<'a> {
    fn begin(under_way: &'a AtomicUsize) -> Self {
        under_way.fetch_add(1, Ordering::Relaxed);
        Self(under_way)
    }
}

impl Drop for Passing<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Loaded on every new connection, because a server that restarted knows no scripts, and a pipeline of which
/// the first half met an unknown script would otherwise be appended out of order.
async fn load_scripts(connection: &mut MultiplexedConnection) -> Result<(), HookError> {
    // Redis closes a connection without credentials on a long argument or many, so that whoever sends some is not told NOAUTH.
    match redis::cmd("PING").exec_async(connection).await {
        Err(error) if error.is_io_error() || error.code() == Some("NOAUTH") => {
            return Err(HookError::Backend(error));
        }
        _ => {}
    }
    match scripts::publish().load_async(connection).await {
        Err(error) if error.is_io_error() => Err(HookError::Backend(error)),
        // A user that may only read cannot load scripts, and needs none.
        _ => Ok(()),
    }
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pool")
            .field("address", &self.address)
            .field("lanes", &self.lanes.len())
            .finish_non_exhaustive()
    }
}
