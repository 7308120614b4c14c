//! What `sluice doctor` says of certificates, keys and secrets in files.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use sluice_testkit::Certificates;

use super::Visit;

fn set_mode(file: &Path, mode: u32) {
    fs::set_permissions(file, Permissions::from_mode(mode)).unwrap();
}

async fn visit(settings: &[(&str, &Path)]) -> Visit {
    let mut args = vec!["dev".to_owned(), "--set".to_owned(), "redis.url=memory://".to_owned()];
    for (key, path) in settings {
        args.extend(["--set".to_owned(), format!("{key}={}", path.display())]);
    }
    Visit::pay(&args.iter().map(String::as_str).collect::<Vec<_>>()).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_that_cannot_be_served_with_or_are_open_to_others_are_told() {
    let directory = tempfile::tempdir().unwrap();
    let certificates = Certificates::create_in(directory.path()).unwrap();
    let (cert, key) = (certificates.server_cert_file(), certificates.server_key_file());
    let secret = directory.path().join("secret");
    fs::write(&secret, "a secret of thirty-two characters").unwrap();
    set_mode(&key, 0o640);
    set_mode(&secret, 0o600);
    let good =
        [("tls.cert_file", &*cert), ("tls.key_file", &*key), ("auth.jwt.secret_file", secret.as_path())];
    let well = visit(&good).await;
    assert_eq!(
        (well.level("files.certificate"), well.level("files.modes")),
        ("ok", "ok"),
        "{}",
        well.printed
    );
    assert!(well.complaints("files.").is_empty(), "{}", well.printed);

    set_mode(&key, 0o644);
    set_mode(&secret, 0o606);
    let open = visit(&good).await;
    assert_eq!(open.complaints("files.modes").len(), 2, "{}", open.printed);
    assert!(open.seen("files.modes").contains("may read tls.key_file"), "{}", open.printed);
    assert!(!open.printed.contains("thirty-two"), "{}", open.printed);

    let other = certificates.client_key_file();
    let mixed = visit(&[("tls.cert_file", &*cert), ("tls.key_file", &*other)]).await;
    assert_eq!((mixed.code, mixed.level("files.certificate")), (1, "error"), "{}", mixed.printed);
    let missing = directory.path().join("missing");
    let gone = visit(&[("tls.cert_file", &*cert), ("tls.key_file", &*missing)]).await;
    assert_eq!((gone.code, gone.level("files.readable")), (1, "error"), "{}", gone.printed);
    let of_redis = [("redis.tls.cert_file", &*cert), ("redis.tls.key_file", &*other)];
    assert_eq!(visit(&of_redis).await.level("files.redis-certificate"), "error");
}
