//! The certificate authority of one cluster: the API server's certificate, and one for whoever
//! wants to be a user. Kubernetes reads the user from the subject: its common name is the user's
//! name, each of its organizations a group.

use std::{fs, io, path::Path};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PublicKeyData as _, SigningKey as _,
};
use sha2::{Digest as _, Sha256};
use yasna::{DERWriter, DERWriterSeq, Tag, models::ObjectIdentifier};

use crate::directory::{DirectoryError, write_private};

const NAME: &str = "gitmoor-cluster";

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say what the variants are")]
pub enum AuthorityError {
    #[error("make a certificate")]
    Make(#[from] rcgen::Error),
    #[error("read the cluster's keys")]
    Read(#[source] io::Error),
    #[error("write the cluster's keys")]
    Write(#[from] DirectoryError),
}

/// A certificate and its key, both as PEM.
pub(crate) struct Pair {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

/// Signs certificates.
pub(crate) struct Authority {
    key: KeyPair,
    pem: String,
    der: Vec<u8>,
}

impl Authority {
    /// The authority whose files are in `directory`, or a new one. Writes there `ca.pem`, `ca.key`,
    /// `serving.pem`, `serving.key`, `service-account.key` and `service-account.pub`.
    pub(crate) fn open(directory: &Path) -> Result<Self, AuthorityError> {
        let key = key(&directory.join("ca.key"))?;
        let service_accounts = self::key(&directory.join("service-account.key"))?;
        write_private(
            &directory.join("service-account.pub"),
            &service_accounts.public_key_pem(),
        )?;
        let certificate = own_parameters()?.self_signed(&key)?;
        let authority = Self {
            pem: certificate.pem(),
            der: certificate.der().to_vec(),
            key,
        };
        let serving = authority.serving_certificate()?;
        write_private(&directory.join("ca.pem"), &authority.pem)?;
        write_private(&directory.join("serving.pem"), &serving.certificate)?;
        write_private(&directory.join("serving.key"), &serving.key)?;
        Ok(authority)
    }

    pub(crate) fn pem(&self) -> &str {
        &self.pem
    }

    pub(crate) fn der(&self) -> &[u8] {
        &self.der
    }

    fn serving_certificate(&self) -> Result<Pair, AuthorityError> {
        let names = ["127.0.0.1", "localhost", "kubernetes.default.svc"].map(str::to_owned);
        let mut parameters = CertificateParams::new(names)?;
        parameters
            .distinguished_name
            .push(DnType::CommonName, "kube-apiserver");
        parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let own = own_parameters()?;
        let issuer = Issuer::from_params(&own, &self.key);
        let key = KeyPair::generate()?;
        let certificate = parameters.signed_by(&key, &issuer)?;
        Ok(Pair {
            certificate: certificate.pem(),
            key: key.serialize_pem(),
        })
    }

    /// A certificate with which the API server takes its holder for `user` in `groups`.
    pub(crate) fn client_certificate(
        &self,
        user: &str,
        groups: &[&str],
    ) -> Result<Pair, AuthorityError> {
        let key = KeyPair::generate()?;
        let public = key.subject_public_key_info();
        let content = yasna::construct_der(|writer| {
            writer.write_sequence(|writer| write_content(writer, user, groups, &public));
        });
        let signature = self.key.sign(&content)?;
        let certificate = yasna::construct_der(|writer| {
            writer.write_sequence(|writer| {
                writer.next().write_der(&content);
                write_algorithm(writer.next());
                writer
                    .next()
                    .write_bitvec_bytes(&signature, signature.len() * 8);
            });
        });
        Ok(Pair {
            certificate: pem(&certificate),
            key: key.serialize_pem(),
        })
    }
}

fn own_parameters() -> Result<CertificateParams, rcgen::Error> {
    let mut parameters = CertificateParams::new([])?;
    parameters.distinguished_name = DistinguishedName::new();
    parameters.distinguished_name.push(DnType::CommonName, NAME);
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    parameters.key_usages = vec![
        KeyUsagePurpose::KeyCertSign,
        KeyUsagePurpose::DigitalSignature,
    ];
    Ok(parameters)
}

/// The key in this file, which is made if it is not there.
fn key(path: &Path) -> Result<KeyPair, AuthorityError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(KeyPair::from_pem(&text)?),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let key = KeyPair::generate()?;
            write_private(path, &key.serialize_pem())?;
            Ok(key)
        }
        Err(error) => Err(AuthorityError::Read(error)),
    }
}

// What follows writes a client's certificate by hand (RFC 5280, section 4.1): rcgen holds a subject
// as a map from kind to value, so it cannot name two organizations, and a user has many groups.

const COMMON_NAME: &[u64] = &[2, 5, 4, 3];
const ORGANIZATION: &[u64] = &[2, 5, 4, 10];
const ECDSA_WITH_SHA256: &[u64] = &[1, 2, 840, 10045, 4, 3, 2];
const EXTENDED_KEY_USAGE: &[u64] = &[2, 5, 29, 37];
const CLIENT_AUTHENTICATION: &[u64] = &[1, 3, 6, 1, 5, 5, 7, 3, 2];

/// From 2000 on, so that no clock is too slow, as the DER of a UTCTime.
const NOT_BEFORE: &[u8] = b"\x17\x0d000101000000Z";
/// For ever (RFC 5280, section 4.1.2.5), as the DER of a GeneralizedTime.
const NOT_AFTER: &[u8] = b"\x18\x0f99991231235959Z";

fn write_content(writer: &mut DERWriterSeq<'_>, user: &str, groups: &[&str], public: &[u8]) {
    // Version 3 counts from 0.
    writer
        .next()
        .write_tagged(Tag::context(0), |writer| writer.write_u8(2));
    let digest = Sha256::digest(public);
    writer.next().write_bigint_bytes(&digest[..16], true);
    write_algorithm(writer.next());
    write_name(writer.next(), &[(COMMON_NAME, NAME)]);
    writer.next().write_sequence(|writer| {
        writer.next().write_der(NOT_BEFORE);
        writer.next().write_der(NOT_AFTER);
    });
    let groups = groups.iter().map(|group| (ORGANIZATION, *group));
    let subject: Vec<_> = groups.chain([(COMMON_NAME, user)]).collect();
    write_name(writer.next(), &subject);
    writer.next().write_der(public);
    writer.next().write_tagged(Tag::context(3), |writer| {
        writer.write_sequence(|writer| writer.next().write_sequence(write_client_usage));
    });
}

fn write_client_usage(writer: &mut DERWriterSeq<'_>) {
    let usages = yasna::construct_der(|writer| {
        writer.write_sequence(|writer| write_identifier(writer.next(), CLIENT_AUTHENTICATION));
    });
    write_identifier(writer.next(), EXTENDED_KEY_USAGE);
    writer.next().write_bytes(&usages);
}

fn write_name(writer: DERWriter<'_>, parts: &[(&[u64], &str)]) {
    writer.write_sequence(|writer| {
        for (kind, value) in parts {
            writer.next().write_set(|writer| {
                writer.next().write_sequence(|writer| {
                    write_identifier(writer.next(), kind);
                    writer.next().write_utf8_string(value);
                });
            });
        }
    });
}

fn write_algorithm(writer: DERWriter<'_>) {
    writer.write_sequence(|writer| write_identifier(writer.next(), ECDSA_WITH_SHA256));
}

fn write_identifier(writer: DERWriter<'_>, identifier: &[u64]) {
    writer.write_oid(&ObjectIdentifier::from_slice(identifier));
}

fn pem(der: &[u8]) -> String {
    let text = BASE64_STANDARD.encode(der);
    let lines = text
        .as_bytes()
        .chunks(64)
        .map(|line| String::from_utf8_lossy(line));
    let mut pem = "-----BEGIN CERTIFICATE-----\n".to_owned();
    for line in lines {
        pem.push_str(&line);
        pem.push('\n');
    }
    pem + "-----END CERTIFICATE-----\n"
}
