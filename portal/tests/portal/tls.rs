//! The certificate: made when there is none, kept private, read again when its files change.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path, time::Duration};

use gitmoor_portal::{Error, Portal, TlsError};
use rcgen::{CertificateParams, KeyPair};
use tempfile::TempDir;
use tokio::time::sleep;

use super::server::{CLUSTER, Server, client, settings, versioned_list, within};

/// Writes a certificate for localhost that is its own CA, and gives it.
fn write_certificate(directory: &Path) -> String {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
    let certificate = params.self_signed(&key).unwrap().pem();
    fs::write(directory.join("tls.crt"), &certificate).unwrap();
    fs::write(directory.join("tls.key"), key.serialize_pem()).unwrap();
    certificate
}

async fn answers(server: &Server, ca: &str) -> bool {
    let url = format!("{}/healthz", server.url);
    client(ca).build().unwrap().get(url).send().await.is_ok()
}

#[tokio::test]
async fn what_is_private_is_readable_by_its_owner_alone() {
    let server = Server::start().await;
    server
        .contributor()
        .await
        .get(&versioned_list(CLUSTER))
        .await;
    for file in ["portal.db", "portal.db-wal", "portal.db-shm", "ca.key"] {
        let mode = fs::metadata(server.directory().join(file))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
    let ca = fs::read_to_string(server.directory().join("ca.pem")).unwrap();
    assert_eq!(Some(ca), server.ca);
}

#[tokio::test]
async fn the_ca_outlives_the_portal() {
    let server = Server::start().await;
    let ca = server.ca.clone().unwrap();
    let directory = server.stop().await;
    let server = Server::start_in(directory, |_| {}).await;
    assert!(answers(&server, &ca).await);
    let stranger = Server::start().await;
    assert!(!answers(&stranger, &ca).await);
}

#[tokio::test]
async fn a_certificate_that_changed_is_served_without_a_restart() {
    let files = TempDir::new().unwrap();
    let first = write_certificate(files.path());
    let server = Server::start_with(|settings| {
        settings.tls.certificate = Some(files.path().join("tls.crt"));
        settings.tls.key = Some(files.path().join("tls.key"));
        settings.tls.reload_seconds = 1.try_into().unwrap();
    })
    .await;
    assert_eq!(server.ca, None);
    assert!(answers(&server, &first).await);

    let served = async |certificate: &str| {
        within(async {
            while !answers(&server, certificate).await {
                sleep(Duration::from_millis(50)).await;
            }
        })
        .await;
    };
    let second = write_certificate(files.path());
    served(&second).await;
    // One that does not serve changes nothing, and the next one that does is found.
    fs::write(files.path().join("tls.key"), "no key").unwrap();
    for _ in 0..15 {
        assert!(answers(&server, &second).await);
        sleep(Duration::from_millis(100)).await;
    }
    let third = write_certificate(files.path());
    served(&third).await;
}

#[tokio::test]
async fn without_a_certificate_and_leave_to_make_one_nothing_starts() {
    let directory = TempDir::new().unwrap();
    let mut neither = settings(directory.path());
    neither.tls.generate = false;
    let mut half = settings(directory.path());
    half.tls.certificate = Some(directory.path().join("tls.crt"));
    for settings in [neither, half] {
        let error = Portal::bind(settings).await.map(drop).unwrap_err();
        assert!(matches!(error, Error::Tls(TlsError::Missing)), "{error:?}");
    }
}
