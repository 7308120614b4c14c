//! Errors of TLS in sentences that say what is wrong and what to do next.

use std::error::Error;

use rustls::{AlertDescription, CertificateError, InvalidMessage};

use crate::explain::causes;

/// The error of TLS in the chain of `error`, if there is one.
#[must_use]
pub fn tls_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    causes(error).find_map(|cause| cause.downcast_ref::<rustls::Error>())
}

/// What went wrong in a handshake with a server. `authorities` names the setting that lists the authorities this
/// side trusts.
#[must_use]
pub fn explain_tls(error: &rustls::Error, authorities: &str) -> String {
    match error {
        rustls::Error::InvalidCertificate(why) => of_certificate(why, authorities),
        rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
            "the server does not speak TLS on this port; use its TLS port, or an address without TLS"
                .to_owned()
        }
        rustls::Error::AlertReceived(alert) => of_alert(*alert),
        rustls::Error::PeerIncompatible(why) => {
            format!(
                "the server has no version or cipher of TLS that this side accepts ({why:?}); TLS 1.2 or 1.3 is needed"
            )
        }
        rustls::Error::NoCertificatesPresented => "the server shows no certificate".to_owned(),
        rustls::Error::InconsistentKeys(_) => {
            "the certificate and the key do not belong together; name the key of this certificate".to_owned()
        }
        other => other.to_string(),
    }
}

fn of_certificate(why: &CertificateError, authorities: &str) -> String {
    match why {
        CertificateError::UnknownIssuer => format!(
            "the server's certificate is signed by an authority that is not trusted here; name that authority's \
             certificate in {authorities}"
        ),
        CertificateError::NotValidForName => {
            "the server's certificate is for another host name; connect by a name that the certificate holds, or \
             have it issued for this one"
                .to_owned()
        }
        CertificateError::NotValidForNameContext { expected, presented } => {
            let expected = expected.to_str();
            let names = if presented.is_empty() { "no name".to_owned() } else { presented.join(", ") };
            format!(
                "the server's certificate is for {names}, not for {expected}; connect by a name that the \
                 certificate holds, or have it issued for {expected}"
            )
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "the server's certificate has expired; renew it, or correct this machine's clock".to_owned()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "the server's certificate is not valid yet; correct this machine's clock, or wait".to_owned()
        }
        CertificateError::Revoked => "the server's certificate is revoked; replace it".to_owned(),
        CertificateError::BadSignature => format!(
            "the signature of the server's certificate is wrong: it was not signed by the authority in \
             {authorities} that has the issuer's name"
        ),
        CertificateError::BadEncoding => "the server's certificate cannot be read".to_owned(),
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "the server's certificate is not for servers; have it issued with the extended key usage serverAuth"
                .to_owned()
        }
        other => of_other(&format!("{other:?}")),
    }
}

/// Errors that the library keeps behind a type of its own; their names are all that is to be had.
fn of_other(name: &str) -> String {
    if name.contains("CaUsedAsEndEntity") {
        return "the server shows the certificate of an authority as its own (basicConstraints CA:TRUE); give it a \
                certificate that is signed by an authority and has CA:FALSE"
            .to_owned();
    }
    if name.contains("UnsupportedCertVersion") {
        return "the server's certificate is not of X.509 version 3; have it issued anew with extensions"
            .to_owned();
    }
    if name.contains("UnsupportedSignatureAlgorithm") {
        return "the server's certificate is signed in a way that is not accepted here (such as SHA-1 or a short \
                RSA key); have it issued anew"
            .to_owned();
    }
    format!("the server's certificate is not accepted ({name})")
}

/// What the server said when it ended the handshake.
fn of_alert(alert: AlertDescription) -> String {
    match alert {
        AlertDescription::CertificateRequired => {
            "the server asks for a client certificate, and none is configured".to_owned()
        }
        AlertDescription::UnknownCA => {
            "the server does not trust the authority of this side's client certificate".to_owned()
        }
        AlertDescription::BadCertificate
        | AlertDescription::UnsupportedCertificate
        | AlertDescription::CertificateUnknown
        | AlertDescription::AccessDenied => "the server refuses this side's client certificate".to_owned(),
        AlertDescription::CertificateExpired => "this side's client certificate has expired; renew it".to_owned(),
        AlertDescription::CertificateRevoked => "this side's client certificate is revoked; replace it".to_owned(),
        AlertDescription::HandshakeFailure => {
            "the server refuses the handshake: it accepts no cipher of this side, or wants a client certificate"
                .to_owned()
        }
        AlertDescription::ProtocolVersion => {
            "the server speaks no version of TLS that this side accepts; TLS 1.2 or 1.3 is needed".to_owned()
        }
        AlertDescription::UnrecognisedName => "the server does not know this host name".to_owned(),
        other => format!("the server ended the handshake with the alert {other:?}"),
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Arc;

    use rustls::OtherError;

    use super::*;
    use crate::explain;

    fn of(why: CertificateError) -> String {
        explain_tls(&rustls::Error::InvalidCertificate(why), "redis.tls.ca_file")
    }

    #[test]
    fn certificates_are_judged_in_words() {
        for (why, part) in [
            (CertificateError::UnknownIssuer, "redis.tls.ca_file"),
            (CertificateError::NotValidForName, "another host name"),
            (CertificateError::Expired, "has expired; renew it"),
            (CertificateError::NotValidYet, "clock"),
            (CertificateError::BadSignature, "redis.tls.ca_file"),
        ] {
            let text = of(why.clone());
            assert!(text.contains(part) && !text.contains("Error"), "{why:?}: {text}");
        }
        let named = of(CertificateError::NotValidForNameContext {
            expected: rustls::pki_types::ServerName::try_from("redis.example").unwrap(),
            presented: vec!["cache.example".to_owned()],
        });
        assert!(named.contains("for cache.example, not for redis.example"), "{named}");
    }

    #[test]
    fn what_the_library_hides_is_found_by_its_name() {
        #[derive(Debug)]
        struct CaUsedAsEndEntity;
        impl std::fmt::Display for CaUsedAsEndEntity {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("CaUsedAsEndEntity")
            }
        }
        impl Error for CaUsedAsEndEntity {}
        let text = of(CertificateError::Other(OtherError(Arc::new(CaUsedAsEndEntity))));
        assert!(text.contains("certificate of an authority as its own"), "{text}");
    }

    #[test]
    fn an_error_of_tls_is_found_inside_of_others() {
        let inner = rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType);
        let error = io::Error::new(io::ErrorKind::InvalidData, inner);
        let text = explain(&error, "SSL_CERT_FILE");
        assert!(text.starts_with("the server does not speak TLS on this port"), "{text}");
    }
}
