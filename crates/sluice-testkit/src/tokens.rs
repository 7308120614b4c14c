//! Signed tokens, as an identity provider makes them, and the key sets that say who has signed them.
//!
//! Signing is done here by hand on `ring`, so that what reads tokens is not tested by its own other half.

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result, anyhow};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair,
    KeyPair as _, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_SHA256, RSA_PSS_SHA384,
    RSA_PSS_SHA512, RsaEncoding, RsaKeyPair,
};
use ring::{hmac, rsa};
use serde_json::{Value, json};

/// Made once for tests, and good for nothing else.
const RSA_PKCS8: &[u8] = include_bytes!("tokens/rsa.pkcs8");
const RSA_PUBLIC_PEM: &str = include_str!("tokens/rsa.pub.pem");

/// Somebody who signs tokens.
#[derive(Clone)]
pub struct TokenSigner {
    alg: &'static str,
    kid: Option<String>,
    key: Arc<SigningKey>,
}

enum SigningKey {
    Hmac(hmac::Key),
    Rsa(RsaKeyPair, &'static dyn RsaEncoding),
    Ec(EcdsaKeyPair),
    Ed(Ed25519KeyPair),
}

impl TokenSigner {
    /// Whoever shares `secret`; `alg` is HS256, HS384 or HS512.
    pub fn secret(alg: &'static str, secret: &[u8]) -> Result<Self> {
        let hash = match alg {
            "HS256" => hmac::HMAC_SHA256,
            "HS384" => hmac::HMAC_SHA384,
            "HS512" => hmac::HMAC_SHA512,
            _ => return Err(anyhow!("{alg} is not for secrets")),
        };
        Ok(Self::of(alg, SigningKey::Hmac(hmac::Key::new(hash, secret))))
    }

    /// A key pair of an algorithm: new, but for RSA, where it is always the same.
    pub fn pair(alg: &'static str) -> Result<Self> {
        let random = SystemRandom::new();
        let rejected = |error| anyhow!("{alg}: {error}");
        let rsa = |encoding: &'static dyn RsaEncoding| {
            RsaKeyPair::from_pkcs8(RSA_PKCS8).map(|pair| SigningKey::Rsa(pair, encoding)).map_err(rejected)
        };
        let key = match alg {
            "RS256" => rsa(&RSA_PKCS1_SHA256)?,
            "RS384" => rsa(&RSA_PKCS1_SHA384)?,
            "RS512" => rsa(&RSA_PKCS1_SHA512)?,
            "PS256" => rsa(&RSA_PSS_SHA256)?,
            "PS384" => rsa(&RSA_PSS_SHA384)?,
            "PS512" => rsa(&RSA_PSS_SHA512)?,
            "ES256" | "ES384" => {
                let curve = if alg == "ES256" {
                    &ECDSA_P256_SHA256_FIXED_SIGNING
                } else {
                    &ECDSA_P384_SHA384_FIXED_SIGNING
                };
                let made =
                    EcdsaKeyPair::generate_pkcs8(curve, &random).map_err(|_| anyhow!("no randomness"))?;
                SigningKey::Ec(EcdsaKeyPair::from_pkcs8(curve, made.as_ref(), &random).map_err(rejected)?)
            }
            "EdDSA" => {
                let made = Ed25519KeyPair::generate_pkcs8(&random).map_err(|_| anyhow!("no randomness"))?;
                SigningKey::Ed(Ed25519KeyPair::from_pkcs8(made.as_ref()).map_err(rejected)?)
            }
            _ => return Err(anyhow!("nothing is known of {alg}")),
        };
        Ok(Self::of(alg, key))
    }

    fn of(alg: &'static str, key: SigningKey) -> Self {
        Self { alg, kid: None, key: Arc::new(key) }
    }

    /// The same, under this name.
    #[must_use]
    pub fn named(mut self, kid: &str) -> Self {
        self.kid = Some(kid.to_owned());
        self
    }

    /// A token with these claims.
    pub fn token(&self, claims: &Value) -> Result<String> {
        let mut header = json!({"typ": "JWT", "alg": self.alg});
        if let Some(kid) = &self.kid {
            header["kid"] = json!(kid);
        }
        self.token_with(&header.to_string(), &claims.to_string())
    }

    /// A token of this header and these claims, whatever they are: signed, and perhaps wrong.
    pub fn token_with(&self, header: &str, claims: &str) -> Result<String> {
        let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
        let signature = self.sign(message.as_bytes())?;
        Ok(format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>> {
        let random = SystemRandom::new();
        Ok(match self.key.as_ref() {
            SigningKey::Hmac(key) => hmac::sign(key, message).as_ref().to_vec(),
            SigningKey::Ed(pair) => pair.sign(message).as_ref().to_vec(),
            SigningKey::Ec(pair) => {
                pair.sign(&random, message).map_err(|_| anyhow!("no randomness"))?.as_ref().to_vec()
            }
            SigningKey::Rsa(pair, encoding) => {
                let mut signature = vec![0; pair.public().modulus_len()];
                let signed = pair.sign(*encoding, &random, message, &mut signature);
                signed.map_err(|_| anyhow!("RSA does not sign"))?;
                signature
            }
        })
    }

    /// Its public key as a JSON Web Key.
    pub fn jwk(&self) -> Result<Value> {
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let mut jwk = match self.key.as_ref() {
            SigningKey::Hmac(_) => return Err(anyhow!("a secret is in no set")),
            SigningKey::Rsa(pair, _) => {
                let rsa::PublicKeyComponents::<Vec<u8>> { n, e } = pair.public().into();
                json!({"kty": "RSA", "n": text(&n), "e": text(&e)})
            }
            SigningKey::Ec(pair) => {
                let point = pair.public_key().as_ref();
                let (x, y) = point[1..].split_at(point.len() / 2);
                let crv = if self.alg == "ES256" { "P-256" } else { "P-384" };
                json!({"kty": "EC", "crv": crv, "x": text(x), "y": text(y)})
            }
            SigningKey::Ed(pair) => {
                json!({"kty": "OKP", "crv": "Ed25519", "x": text(pair.public_key().as_ref())})
            }
        };
        jwk["alg"] = json!(self.alg);
        jwk["use"] = json!("sig");
        if let Some(kid) = &self.kid {
            jwk["kid"] = json!(kid);
        }
        Ok(jwk)
    }

    /// Its public key as PEM.
    pub fn public_pem(&self) -> Result<String> {
        let (prefix, key): (&[u8], Vec<u8>) = match self.key.as_ref() {
            SigningKey::Hmac(_) => return Err(anyhow!("a secret has no public key")),
            SigningKey::Rsa(..) => return Ok(RSA_PUBLIC_PEM.to_owned()),
            SigningKey::Ec(pair) if self.alg == "ES256" => (P256_INFO, pair.public_key().as_ref().to_vec()),
            SigningKey::Ec(pair) => (P384_INFO, pair.public_key().as_ref().to_vec()),
            SigningKey::Ed(pair) => (ED25519_INFO, pair.public_key().as_ref().to_vec()),
        };
        let lines = STANDARD.encode([prefix, &key].concat());
        let lines: Vec<&str> =
            lines.as_bytes().chunks(64).filter_map(|l| std::str::from_utf8(l).ok()).collect();
        Ok(format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", lines.join("\n")))
    }
}

/// What stands before the key in a `SubjectPublicKeyInfo`. Source: RFC 5480, RFC 8410.
const P256_INFO: &[u8] = &[
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86,
    0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];
const P384_INFO: &[u8] = &[
    0x30, 0x76, 0x30, 0x10, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x05, 0x2b, 0x81,
    0x04, 0x00, 0x22, 0x03, 0x62, 0x00,
];
const ED25519_INFO: &[u8] = &[0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// A JSON Web Key Set of these signers.
pub fn key_set(signers: &[&TokenSigner]) -> Result<String> {
    let keys = signers.iter().map(|signer| signer.jwk()).collect::<Result<Vec<_>>>()?;
    Ok(json!({ "keys": keys }).to_string())
}

/// Serves one document by HTTP on a port of its own: what an identity provider's key set is to others.
pub struct DocumentServer {
    address: std::net::SocketAddr,
    shared: Arc<Mutex<Document>>,
    _stop: tokio_util::sync::DropGuard,
}

struct Document {
    status: u16,
    text: String,
    requests: usize,
}

impl DocumentServer {
    /// Begins to serve `text`.
    pub async fn start(text: String) -> Result<Self> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.context("a port for a document")?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Mutex::new(Document { status: 200, text, requests: 0 }));
        let stop = tokio_util::sync::CancellationToken::new();
        let serving = serve(listener, shared.clone());
        tokio_util::task::TaskTracker::new().spawn(stop.clone().run_until_cancelled_owned(serving));
        Ok(Self { address, shared, _stop: stop.drop_guard() })
    }

    /// Where it is.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}/jwks.json", self.address)
    }

    /// Serves something else from now on.
    pub fn set(&self, status: u16, text: &str) {
        let mut document = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        document.status = status;
        text.clone_into(&mut document.text);
    }

    /// How often it was asked for.
    #[must_use]
    pub fn requests(&self) -> usize {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner).requests
    }
}

async fn serve(listener: tokio::net::TcpListener, shared: Arc<Mutex<Document>>) {
    use http_body_util::Full;
    let tracker = tokio_util::task::TaskTracker::new();
    while let Ok((socket, _)) = listener.accept().await {
        let shared = shared.clone();
        let answer = hyper::service::service_fn(move |_| {
            let mut document = shared.lock().unwrap_or_else(PoisonError::into_inner);
            document.requests += 1;
            let answer = hyper::Response::builder()
                .status(document.status)
                .header("content-type", "application/json")
                .body(Full::new(bytes::Bytes::from(document.text.clone())));
            std::future::ready(answer)
        });
        let io = hyper_util::rt::TokioIo::new(socket);
        tracker.spawn(async move {
            // Who hangs up early hangs up.
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(io, answer).await;
        });
    }
}
