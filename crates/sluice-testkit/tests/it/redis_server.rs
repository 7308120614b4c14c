//! A real redis-server, started, asked, killed, hung and restarted.

use std::time::Duration;

use anyhow::Result;
use sluice_testkit::{RedisCli, RedisServer};

#[tokio::test]
async fn answers_the_real_redis_cli() -> Result<()> {
    let redis = RedisServer::start().await?;
    assert_eq!(redis.url(), format!("redis://127.0.0.1:{}", redis.port()));
    assert_eq!(redis.cli(&["SET", "key", "two words"]).await?, "OK");
    assert_eq!(redis.cli(&["GET", "key"]).await?, "two words");
    assert_eq!(redis.cli_with_stdin(&["-x", "SET", "key"], b"line\nline").await?, "OK");
    assert_eq!(redis.cli(&["GET", "key"]).await?, "line\nline");
    assert_eq!(redis.cli(&["CONFIG", "GET", "save"]).await?, "save\n");
    Ok(())
}

#[tokio::test]
async fn an_error_reply_is_an_error() -> Result<()> {
    let redis = RedisServer::start().await?;
    let error = redis.cli(&["NOSUCHCOMMAND"]).await.unwrap_err().to_string();
    assert!(error.contains("unknown command"), "{error}");
    let script = tempfile::NamedTempFile::new()?;
    std::fs::write(script.path(), "return redis.error_reply('ERR from the script')")?;
    let error = redis.cli(&["--eval", &script.path().display().to_string()]).await.unwrap_err().to_string();
    assert!(error.contains("from the script"), "{error}");
    let nobody = RedisCli::new("127.0.0.1:1".parse()?).run(&["PING"]).await;
    assert!(nobody.is_err());
    Ok(())
}

#[tokio::test]
async fn forgets_over_a_kill_unless_it_appends() -> Result<()> {
    for (appendonly, kept) in [(false, ""), (true, "value")] {
        let mut redis =
            RedisServer::builder().appendonly(appendonly).arg("maxmemory", "64mb").start().await?;
        let url = redis.url();
        redis.cli(&["SET", "key", "value"]).await?;
        redis.kill()?;
        assert!(redis.cli(&["PING"]).await.is_err());
        redis.restart().await?;
        assert_eq!(redis.url(), url);
        assert_eq!(redis.cli(&["GET", "key"]).await?, kept);
        assert_eq!(redis.cli(&["CONFIG", "GET", "maxmemory"]).await?, "maxmemory\n67108864");
    }
    Ok(())
}

#[tokio::test]
async fn terminates_with_its_exit_code() -> Result<()> {
    let mut redis = RedisServer::start().await?;
    assert_eq!(redis.terminate().await?, 0);
    assert!(redis.kill().is_err());
    redis.restart().await?;
    assert_eq!(redis.cli(&["PING"]).await?, "PONG");
    Ok(())
}

#[tokio::test]
async fn a_paused_server_answers_nobody_until_it_is_resumed() -> Result<()> {
    let redis = RedisServer::start().await?;
    redis.pause()?;
    let impatient = RedisCli::new(redis.addr()).within(Duration::from_millis(200));
    assert!(impatient.run(&["PING"]).await.is_err());
    redis.resume()?;
    assert_eq!(redis.cli(&["PING"]).await?, "PONG");
    Ok(())
}

#[tokio::test]
async fn a_password_is_in_the_url_and_asked_for() -> Result<()> {
    let redis = RedisServer::builder().password("open-sesame").start().await?;
    assert_eq!(redis.url(), format!("redis://:open-sesame@127.0.0.1:{}", redis.port()));
    assert_eq!(redis.cli(&["PING"]).await?, "PONG");
    assert!(RedisCli::new(redis.addr()).run(&["PING"]).await.is_err());
    Ok(())
}

#[tokio::test]
async fn a_server_that_cannot_start_says_why() {
    let error = RedisServer::builder().arg("no-such-directive", "1").start().await.err().unwrap();
    assert!(format!("{error:#}").contains("no-such-directive"), "{error:#}");
}

#[tokio::test]
async fn dropping_frees_port_and_directory() -> Result<()> {
    let redis = RedisServer::start().await?;
    let address = redis.addr();
    let directory = redis.cli(&["CONFIG", "GET", "dir"]).await?.split_once('\n').unwrap().1.to_owned();
    assert!(std::fs::exists(&directory)?);
    drop(redis);
    assert!(!std::fs::exists(&directory)?);
    std::net::TcpListener::bind(address)?;
    Ok(())
}

#[tokio::test]
async fn tls_lets_in_only_who_has_a_certificate_of_its_authority() -> Result<()> {
    let redis = RedisServer::builder().tls().start().await?;
    assert_eq!(redis.url(), format!("rediss://127.0.0.1:{}", redis.port()));
    assert_eq!(redis.cli(&["PING"]).await?, "PONG");
    assert!(RedisCli::new(redis.addr()).run(&["PING"]).await.is_err(), "it answers without TLS");
    let ca = redis.ca_file().display().to_string();
    let nobody = ["--tls", "--cacert", &ca, "PING"];
    assert!(RedisCli::new(redis.addr()).run(&nobody).await.is_err(), "it answers nobody in particular");

    let open = RedisServer::builder().tls_without_client_certificates().start().await?;
    let trusted = open.ca_file().display().to_string();
    let cli = RedisCli::new(open.addr());
    assert_eq!(cli.run(&["--tls", "--cacert", &trusted, "PING"]).await?, "PONG");
    assert!(cli.run(&["--tls", "--cacert", &ca, "PING"]).await.is_err(), "its authority is another's");
    Ok(())
}

#[tokio::test]
async fn an_acl_user_may_do_what_its_rules_say() -> Result<()> {
    let redis = RedisServer::builder().acl_user("sluice", "secret", "~sluice:* +@read").start().await?;
    assert_eq!(redis.url(), format!("redis://sluice:secret@127.0.0.1:{}", redis.port()));
    assert_eq!(redis.cli(&["SET", "sluice:a", "1"]).await?, "OK");
    let user = RedisCli::new(redis.addr()).user("sluice").password("secret");
    assert_eq!(user.run(&["GET", "sluice:a"]).await?, "1");
    assert!(user.run(&["GET", "other"]).await.is_err());
    assert!(user.run(&["SET", "sluice:a", "2"]).await.is_err());
    assert!(RedisCli::new(redis.addr()).run(&["PING"]).await.is_err(), "the default user is on");
    Ok(())
}

#[tokio::test]
async fn what_a_script_wrote_survives_where_the_default_user_is_off() -> Result<()> {
    let users = RedisServer::builder().acl_user("sluice", "secret", "~* +@all").appendonly(true);
    let mut redis = users.arg("appendfsync", "always").start().await?;
    let script = "redis.call('SET', KEYS[1], 1) return redis.call('SET', KEYS[2], 2)";
    redis.cli(&["EVAL", script, "2", "first", "second"]).await?;
    redis.kill()?;
    redis.restart().await?;
    assert_eq!(redis.cli(&["MGET", "first", "second"]).await?, "1\n2");
    Ok(())
}
