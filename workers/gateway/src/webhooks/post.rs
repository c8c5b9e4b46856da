//! One request to a receiver: to an address that was looked at, without redirects, in limited time.

use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use axum::body::Body;
use axum::http::{Request, StatusCode};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::target::Target;
use crate::seats::Seats;

/// Everything together: name, connection, request and the head of the answer.
const WHOLE: Duration = Duration::from_secs(15);
/// One address of several.
const CONNECT: Duration = Duration::from_secs(5);
/// Largest head of an answer, in bytes. Its body is not read.
const HEAD: usize = 16 << 10;

/// Why a receiver has not heard.
#[derive(Debug)]
pub(super) enum Unheard {
    /// Another try may help.
    Later(String),
    /// It never will.
    Never(String),
}

/// Names of one caller that are looked up at a time. A lookup keeps a thread as long as a resolver takes, also
/// when nobody waits for it any more, and other parts of the process need these threads.
const LOOKUPS: usize = 32;

/// Sends requests.
pub(super) struct Sender {
    tls: TlsConnector,
    lookups: Seats,
}

impl Sender {
    /// With the certificates that this machine trusts.
    ///
    /// # Errors
    /// There is no way to speak TLS.
    pub(super) fn new() -> anyhow::Result<Self> {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if roots.is_empty() {
            tracing::warn!("this machine trusts no certificate authority; webhooks over https fail");
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        let tls = TlsConnector::from(Arc::new(config.with_root_certificates(roots).with_no_client_auth()));
        Ok(Self { tls, lookups: Seats::new(LOOKUPS) })
    }

    /// Sends a request of a caller; any answer of the 200s means that it was heard.
    pub(super) async fn send(&self, caller: &str, target: &Target, request: Request<Body>) -> Result<(), Unheard> {
        let sending = async {
            let found = self.look_up(caller, target).await?;
            let allowed = target.allowed(found.into_iter());
            if allowed.is_empty() {
                return Err(Unheard::Never("its name leads to a private address".into()));
            }
            self.exchange(target, &allowed, request).await.map_err(|error| Unheard::Later(format!("{error:#}")))
        };
        let status = tokio::time::timeout(WHOLE, sending).await;
        let status =
            status.unwrap_or_else(|_| Err(Unheard::Later(format!("no answer within {} s", WHOLE.as_secs()))))?;
        match status {
            status if status.is_success() => Ok(()),
            // The receiver wants to hear nothing more (Standard Webhooks).
            StatusCode::GONE => Err(Unheard::Never("it answers 410".into())),
            status if status.is_redirection() => {
                Err(Unheard::Later(format!("it answers {}, and redirects are not followed", status.as_u16())))
            }
            status => Err(Unheard::Later(format!("it answers {}", status.as_u16()))),
        }
    }

    async fn look_up(&self, caller: &str, target: &Target) -> Result<Vec<SocketAddr>, Unheard> {
        let busy = || Unheard::Later("too many names of its caller are being looked up".into());
        let (place, name) = (self.lookups.take(caller).ok_or_else(busy)?, (target.host.clone(), target.port));
        let looking = tokio::task::spawn_blocking(move || {
            let _place = place;
            name.to_socket_addrs().map(Vec::from_iter)
        });
        let found = looking.await.ok().and_then(Result::ok);
        found.ok_or_else(|| Unheard::Later("its name has no address".into()))
    }

    async fn exchange(
        &self,
        target: &Target,
        addresses: &[SocketAddr],
        request: Request<Body>,
    ) -> anyhow::Result<StatusCode> {
        let stream = connect(addresses).await?;
        if !target.tls {
            return over(stream, request).await;
        }
        let name = ServerName::try_from(target.host.clone()).context("its name is none for a certificate")?;
        over(self.tls.connect(name, stream).await.context("no TLS")?, request).await
    }
}

async fn connect(addresses: &[SocketAddr]) -> anyhow::Result<TcpStream> {
    let mut met = anyhow!("it has no address");
    for address in addresses {
        match tokio::time::timeout(CONNECT, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => met = error.into(),
            Err(_) => met = anyhow!("no connection within {} s", CONNECT.as_secs()),
        }
    }
    Err(met.context("cannot connect"))
}

async fn over(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: Request<Body>,
) -> anyhow::Result<StatusCode> {
    let (mut sender, connection) =
        http1::Builder::new().max_buf_size(HEAD).handshake(TokioIo::new(stream)).await.context("no HTTP")?;
    let answer = sender.send_request(request);
    tokio::pin!(answer, connection);
    let answer = tokio::select! {
        biased;
        answer = &mut answer => answer,
        ended = &mut connection => match ended {
            Ok(()) => answer.await,
            Err(error) => Err(error),
        },
    };
    match answer {
        Ok(answer) => Ok(answer.status()),
        Err(error) if error.is_parse() => bail!("what it answers is no HTTP"),
        Err(error) => Err(anyhow!("the connection ends without an answer").context(error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn s11_one_caller_cannot_have_all_names_looked_up() {
        let sender = Sender::new().unwrap();
        let _slow: Vec<_> = (0..LOOKUPS).map(|_| sender.lookups.take("anna").unwrap()).collect();
        let target = Target::parse("https://localhost/", &[]).unwrap();
        let send = |caller: &'static str| sender.send(caller, &target, Request::new(Body::empty()));
        let (anna, ben) = (send("anna").await, send("ben").await);
        assert!(matches!(&anna, Err(Unheard::Later(reason)) if reason.contains("looked up")), "{anna:?}");
        assert!(matches!(&ben, Err(Unheard::Never(reason)) if reason.contains("private")), "{ben:?}");
    }
}
