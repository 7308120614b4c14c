//! Faults, as the real redis-cli and plain sockets feel them.

use std::time::Duration;

use anyhow::Result;
use sluice_testkit::{Direction, Proxy, RedisCli, RedisServer, eventually};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

const SOON: Duration = Duration::from_secs(5);
const A_WHILE: Duration = Duration::from_millis(300);

async fn link() -> Result<(RedisServer, Proxy, RedisCli)> {
    let redis = RedisServer::start().await?;
    let proxy = Proxy::start(redis.addr()).await?;
    let cli = RedisCli::new(proxy.addr());
    Ok((redis, proxy, cli))
}

/// A connection through the proxy that has answered one PING.
async fn connected(proxy: &Proxy) -> Result<TcpStream> {
    let mut connection = TcpStream::connect(proxy.addr()).await?;
    connection.write_all(b"PING\r\n").await?;
    expect_pong(&mut connection).await?;
    Ok(connection)
}

async fn expect_pong(connection: &mut TcpStream) -> Result<()> {
    let mut pong = [0; 7];
    timeout(SOON, connection.read_exact(&mut pong)).await??;
    assert_eq!(&pong, b"+PONG\r\n");
    Ok(())
}

#[tokio::test]
async fn passes_everything_and_counts_it() -> Result<()> {
    let (_redis, proxy, cli) = link().await?;
    let large = "x".repeat(1_000_000);
    assert_eq!(cli.run_with_stdin(&["-x", "SET", "large"], large.as_bytes()).await?, "OK");
    assert_eq!(cli.run(&["GET", "large"]).await?, large);
    assert_eq!(proxy.connections(), 2);
    assert!(proxy.bytes(Direction::ToServer) > 1_000_000);
    assert!(proxy.bytes(Direction::ToClient) > 1_000_000);
    eventually("both connections to close", SOON, async || proxy.open() == 0).await
}

#[tokio::test]
async fn a_cut_closes_refuses_and_heals() -> Result<()> {
    let (_redis, proxy, cli) = link().await?;
    let mut connection = connected(&proxy).await?;
    proxy.cut().await;
    assert_eq!(proxy.open(), 0);
    assert!(matches!(timeout(SOON, connection.read(&mut [0; 1])).await?, Ok(0) | Err(_)));
    let refused = TcpStream::connect(proxy.addr()).await.unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    proxy.restore().await?;
    assert_eq!(cli.run(&["PING"]).await?, "PONG");
    Ok(())
}

#[tokio::test]
async fn silence_keeps_the_connection_and_holds_the_bytes_back() -> Result<()> {
    for direction in [Direction::ToClient, Direction::ToServer] {
        let (_redis, proxy, cli) = link().await?;
        let mut connection = connected(&proxy).await?;
        proxy.swallow(direction);
        connection.write_all(b"PING\r\n").await?;
        let answered = timeout(A_WHILE, connection.read(&mut [0; 1])).await;
        assert!(answered.is_err(), "{direction:?} delivered {answered:?}");
        assert!(cli.clone().within(A_WHILE).run(&["PING"]).await.is_err());
        proxy.restore().await?;
        expect_pong(&mut connection).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_reset_is_felt_as_one_and_new_connections_work() -> Result<()> {
    let (_redis, proxy, cli) = link().await?;
    let mut connection = connected(&proxy).await?;
    proxy.reset();
    let error = timeout(SOON, connection.read(&mut [0; 1])).await?.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    assert_eq!(cli.run(&["PING"]).await?, "PONG");
    Ok(())
}

#[tokio::test]
async fn a_delay_is_paid_each_way_and_takes_no_bandwidth() -> Result<()> {
    let (_redis, proxy, _) = link().await?;
    let mut connection = connected(&proxy).await?;
    proxy.delay(Duration::from_millis(100));
    let started = Instant::now();
    for _ in 0..20 {
        connection.write_all(b"PING\r\n").await?;
        tokio::task::yield_now().await;
    }
    for _ in 0..20 {
        expect_pong(&mut connection).await?;
    }
    assert!(started.elapsed() >= Duration::from_millis(200), "{:?}", started.elapsed());
    // One after the other, twenty questions would have taken four seconds.
    assert!(started.elapsed() < Duration::from_secs(4), "{:?}", started.elapsed());
    Ok(())
}

#[tokio::test]
async fn a_throttle_sets_the_pace() -> Result<()> {
    let (redis, proxy, cli) = link().await?;
    redis.cli_with_stdin(&["-x", "SET", "large"], &[b'x'; 50_000]).await?;
    proxy.throttle(100_000);
    let started = Instant::now();
    assert_eq!(cli.run(&["GET", "large"]).await?.len(), 50_000);
    assert!(started.elapsed() >= Duration::from_millis(450), "{:?}", started.elapsed());
    Ok(())
}

#[tokio::test]
async fn half_closing_is_passed_on() -> Result<()> {
    let (_redis, proxy, _) = link().await?;
    let mut connection = TcpStream::connect(proxy.addr()).await?;
    connection.write_all(b"PING\r\n").await?;
    expect_pong(&mut connection).await?;
    connection.shutdown().await?;
    let mut rest = Vec::new();
    timeout(SOON, connection.read_to_end(&mut rest)).await??;
    assert_eq!(rest, b"");
    Ok(())
}

#[tokio::test]
async fn an_upstream_that_is_down_ends_the_client() -> Result<()> {
    let (mut redis, _proxy, cli) = link().await?;
    redis.kill()?;
    assert!(cli.run(&["PING"]).await.is_err());
    redis.restart().await?;
    assert_eq!(cli.run(&["PING"]).await?, "PONG");
    Ok(())
}

#[tokio::test]
async fn dropping_the_proxy_ends_its_connections() -> Result<()> {
    let (_redis, proxy, _) = link().await?;
    let mut connection = connected(&proxy).await?;
    drop(proxy);
    assert!(matches!(timeout(SOON, connection.read(&mut [0; 1])).await?, Ok(0) | Err(_)));
    Ok(())
}
