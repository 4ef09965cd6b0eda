//! Connections to S3 and to providers of credentials.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use aws_sdk_s3::config::{HttpClient, RuntimeComponents};
use aws_smithy_http_client::Connector;
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::result::ConnectorError;

use super::answer;
use reefguide_transport::http_client::{
    NoCertificates, certificates, needs_certificates, no_proxies,
};
use reefguide_transport::open_files::{MANY, at_once};
use reefguide_transport::s3_answer::Asked;

/// Connections by their timeouts for connecting and reading.
type Made = HashMap<(Option<Duration>, Option<Duration>), SharedHttpConnector>;

/// Creates connections when they are needed. The SDK's own client loads certificates when it is created, and gives no
/// reason if there are none.
#[derive(Clone, Debug, Default)]
pub(super) struct Connections {
    made: Arc<Mutex<Made>>,
}

impl HttpClient for Connections {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        _: &RuntimeComponents,
    ) -> SharedHttpConnector {
        let timeouts = (settings.connect_timeout(), settings.read_timeout());
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || {
            SharedHttpConnector::new(Connection {
                settings: settings.clone(),
                plain: OnceLock::new(),
                encrypted: OnceLock::new(),
            })
        };
        made.entry(timeouts).or_insert_with(new).clone()
    }
}

/// The connections with the same timeouts.
#[derive(Debug)]
struct Connection {
    settings: HttpConnectorSettings,
    plain: OnceLock<Connector>,
    encrypted: OnceLock<Connector>,
}

impl Connection {
    fn connector(&self, url: &str) -> Result<&Connector, NoCertificates> {
        let made = match url.starts_with("https:") {
            true => &self.encrypted,
            false => &self.plain,
        };
        match made.get() {
            Some(connector) => Ok(connector),
            None => {
                let connector = self.connect(needs_certificates(url))?;
                Ok(made.get_or_init(|| connector))
            }
        }
    }

    fn connect(&self, encrypted: bool) -> Result<Connector, NoCertificates> {
        let mut trusted = TrustStore::empty();
        if encrypted {
            certificates()?;
            trusted = TrustStore::default();
        }
        let tls = TlsContext::builder().with_trust_store(trusted).build();
        let proxies = match no_proxies() {
            true => ProxyConfig::disabled(),
            false => ProxyConfig::from_env(),
        };
        let mut connector = Connector::builder()
            .connector_settings(self.settings.clone())
            .proxy_config(proxies)
            .pool_max_idle_per_host(at_once(MANY))
            .tls_provider(Provider::rustls(CryptoMode::AwsLc));
        // Building this context never fails.
        if let Ok(tls) = tls {
            connector = connector.tls_context(tls);
        }
        Ok(connector.build())
    }
}

impl HttpConnector for Connection {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        match self.connector(request.uri()) {
            Ok(connector) => connector.call(request),
            Err(error) => HttpConnectorFuture::ready(Err(ConnectorError::user(error.into()))),
        }
    }
}

/// Connections that turn answers of other servers than S3 into errors.
#[derive(Clone, Debug, Default)]
pub(super) struct ToS3(pub(super) Connections);

impl HttpClient for ToS3 {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(Checked(self.0.http_connector(settings, components)))
    }
}

#[derive(Debug)]
struct Checked(SharedHttpConnector);

impl HttpConnector for Checked {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let asked = Asked::by(request.method(), request.uri());
        let answer = self.0.call(request);
        HttpConnectorFuture::new(async move {
            let mut answer = answer.await?;
            match answer::check(asked, &mut answer).await {
                Ok(()) => Ok(answer),
                // To the SDK it is a broken connection, so that it tries again.
                Err(foreign) => Err(ConnectorError::io(foreign.into())),
            }
        })
    }
}
