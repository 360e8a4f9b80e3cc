//! One authenticated connection. The stream is ours (so TLS is rustls with ring, and trusts the configured authorities
//! only); the protocol is the crate's. Nothing is logged here: errors are told as [`Fault`], which names no secret.

use std::{path::Path, sync::Arc};

use ::redis::{
    AsyncConnectionConfig, ErrorKind, ProtocolVersion, RedisConnectionInfo, RedisError, ServerErrorKind,
    aio::MultiplexedConnection,
};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject as _},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::TlsConnector;
use zeroize::Zeroizing;

use super::{Fault, RedisOptions};

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// Who we are, read anew for each connection.
pub(super) async fn login(options: &RedisOptions) -> Result<RedisConnectionInfo, Fault> {
    // Version 3 lets one connection listen and be asked whether it lives.
    let mut info = RedisConnectionInfo::default().set_protocol(ProtocolVersion::RESP3).set_skip_set_lib_name();
    if let Some(user) = &options.user {
        info = info.set_username(user);
    }
    if let Some(file) = &options.password_file {
        let text = tokio::fs::read_to_string(file).await.map(Zeroizing::new).map_err(|_| Fault::PasswordFile)?;
        info = info.set_password(text.trim_end_matches(['\r', '\n']));
    }
    Ok(info)
}

/// Connects and logs in within the time of the options. The future drives the connection: it must be polled while the
/// connection is used, and ends with it.
pub(super) async fn connect<'a>(
    options: &RedisOptions,
    info: &'a RedisConnectionInfo,
    config: AsyncConnectionConfig,
) -> Result<(MultiplexedConnection, impl Future<Output = ()> + Send + use<'a>), Fault> {
    let work = async {
        let stream = open(options).await?;
        let config = config.set_response_timeout(Some(options.timeout));
        MultiplexedConnection::new_with_config(info, stream, config).await.map_err(|error| fault(&error))
    };
    timeout(options.timeout, work).await.unwrap_or(Err(Fault::Timeout))
}

async fn open(options: &RedisOptions) -> Result<Box<dyn Stream>, Fault> {
    let tcp = TcpStream::connect((options.host.as_str(), options.port)).await.map_err(|_| Fault::Unreachable)?;
    tcp.set_nodelay(true).map_err(|_| Fault::Unreachable)?;
    let Some(ca_file) = &options.ca_file else { return Ok(Box::new(tcp)) };
    let connector = TlsConnector::from(Arc::new(trust(ca_file).await?));
    let name = ServerName::try_from(options.host.clone()).map_err(|_| Fault::Tls)?;
    Ok(Box::new(connector.connect(name, tcp).await.map_err(|_| Fault::Tls)?))
}

async fn trust(ca_file: &Path) -> Result<ClientConfig, Fault> {
    let text = tokio::fs::read(ca_file).await.map_err(|_| Fault::CaFile)?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&text) {
        roots.add(certificate.map_err(|_| Fault::CaFile)?).map_err(|_| Fault::CaFile)?;
    }
    if roots.is_empty() {
        return Err(Fault::CaFile);
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|_| Fault::Tls)?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

/// What to do about an error. Its text stays here: servers may repeat arguments in it.
pub(super) fn fault(error: &RedisError) -> Fault {
    match error.code() {
        Some("WRONGPASS" | "NOAUTH") => return Fault::Credentials,
        Some("NOPERM") => return Fault::Forbidden,
        _ => {}
    }
    match error.kind() {
        ErrorKind::AuthenticationFailed => Fault::Credentials,
        ErrorKind::Server(ServerErrorKind::NoPerm) => Fault::Forbidden,
        _ if error.is_timeout() => Fault::Timeout,
        _ if error.is_io_error() || error.is_connection_dropped() => Fault::Lost,
        _ => Fault::Refused,
    }
}
