//! Configures and starts a lab.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::api::{self, Api, LoginLimit, Objects};
use crate::connection::Connections;
use crate::data::DataFolder;
use crate::error::LabError;
use crate::faults::Faults;
use crate::interceptor::Interceptor;
use crate::job_type::{JobTypeSpec, JobTypes};
use crate::lab::Lab;
use crate::request_log::RequestLog;
use crate::route::Side;
use crate::s3;
use crate::server::serve;
use crate::store::{JobStore, OLD, Time};
use crate::token::Tokens;

/// The region of a lab's S3 server.
const REGION: &str = "ap-southeast-2";

/// The access key and the secret key of a lab's S3 server.
const S3_KEY: &str = "minioadmin";

const HOUR: Duration = Duration::from_secs(60 * 60);

/// Configures a [`Lab`]. The defaults are the real server's values.
#[derive(Debug, Clone)]
pub struct LabBuilder {
    host: IpAddr,
    port: u16,
    s3_port: u16,
    data: Option<PathBuf>,
    bucket: String,
    job_types: Vec<JobTypeSpec>,
    any_job_type: bool,
    login_limit: u32,
    login_window: Duration,
    token_life: Duration,
    refresh_life: Duration,
    keep_alive: Duration,
    assign_race: Duration,
}

impl Default for LabBuilder {
    fn default() -> Self {
        Self {
            host: Ipv4Addr::LOCALHOST.into(),
            port: 0,
            s3_port: 0,
            data: None,
            bucket: "reefguide-dev".to_owned(),
            job_types: Vec::new(),
            any_job_type: false,
            login_limit: 5,
            login_window: HOUR / 4,
            token_life: HOUR / 6,
            refresh_life: HOUR * 48,
            keep_alive: Duration::from_secs(5),
            assign_race: Duration::from_millis(20),
        }
    }
}

impl Lab {
    /// Configures a lab.
    pub fn builder() -> LabBuilder {
        LabBuilder::default()
    }
}

impl LabBuilder {
    /// The address that both servers listen on (default 127.0.0.1). In a container use `0.0.0.0`, which is all of the
    /// container's addresses. The lab has no protection from anyone who can reach it there.
    #[must_use]
    pub fn host(mut self, address: impl Into<IpAddr>) -> Self {
        self.host = address.into();
        self
    }

    /// The API's port (default 0: any free port).
    #[must_use]
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// The S3 server's port (default 0: any free port).
    #[must_use]
    pub fn s3_port(mut self, port: u16) -> Self {
        self.s3_port = port;
        self
    }

    /// Keeps jobs and objects in `folder`, so that the next lab finds them. The folder is created if it does not exist, and
    /// only one lab can use it at a time. By default jobs are in memory, and objects in a temporary folder that is removed
    /// with the lab.
    #[must_use]
    pub fn data(mut self, folder: impl Into<PathBuf>) -> Self {
        self.data = Some(folder.into());
        self
    }

    /// The bucket that exists from the start (default `reefguide-dev`).
    #[must_use]
    pub fn bucket(mut self, name: impl Into<String>) -> Self {
        self.bucket = name.into();
        self
    }

    /// Adds a job type to upstream's five, or replaces the one with the same name.
    #[must_use]
    pub fn job_type(mut self, spec: JobTypeSpec) -> Self {
        self.job_types.push(spec);
        self
    }

    /// Accepts jobs of every type. Without this, the response for an unknown type is 400.
    #[must_use]
    pub fn any_job_type(mut self) -> Self {
        self.any_job_type = true;
        self
    }

    /// The number of logins that a client address has in one window, including successful ones (default 5).
    #[must_use]
    pub fn login_limit(mut self, limit: u32) -> Self {
        self.login_limit = limit;
        self
    }

    /// The length of the login limit's window (default 15 minutes).
    #[must_use]
    pub fn login_window(mut self, window: Duration) -> Self {
        self.login_window = window;
        self
    }

    /// How long an access token is valid, in whole seconds (default 10 minutes).
    #[must_use]
    pub fn token_life(mut self, life: Duration) -> Self {
        self.token_life = life;
        self
    }

    /// How long a refresh token is valid (default 48 hours).
    #[must_use]
    pub fn refresh_life(mut self, life: Duration) -> Self {
        self.refresh_life = life;
        self
    }

    /// How long the API announces that it keeps an idle connection (default 5 s). It closes the connection one second
    /// later than announced.
    #[must_use]
    pub fn keep_alive(mut self, limit: Duration) -> Self {
        self.keep_alive = limit;
        self
    }

    /// The longest time between the check that a job is PENDING and the write of its assignment, and between the check
    /// that an assignment is open and the write of its result (default 20 ms; the shortest is half of it). Claims within
    /// this time all succeed, as on the real server, and their ids ascend in the order of the writes. Cancelling a job
    /// takes a quarter to half of this time.
    #[must_use]
    pub fn assign_race(mut self, window: Duration) -> Self {
        self.assign_race = window;
        self
    }

    /// Starts both servers on the current tokio runtime. They run until the lab is shut down or dropped.
    ///
    /// # Errors
    /// When a port is in use, another lab uses the data folder, the folder cannot be used, or a schema is not a valid JSON
    /// Schema.
    pub async fn start(self) -> Result<Lab, LabError> {
        let types = JobTypes::new(&self.job_types, self.any_job_type)?;
        // Before the ports: if another lab has both, choosing other ports does not help.
        let folder = match &self.data {
            Some(path) => DataFolder::kept(path)?,
            None => DataFolder::temporary()?,
        };
        let (api_listener, api_address) = bind(Side::Api, self.host, self.port).await?;
        let (s3_listener, s3_address) = bind(Side::S3, self.host, self.s3_port).await?;
        let api_endpoint = format!("http://{api_address}");

        let changes = watch::Sender::new(0);
        let database = self
            .data
            .is_some()
            .then(|| folder.path().join("jobs.sqlite"));
        let store = JobStore::open(database.as_deref(), changes.clone())
            .map_err(|error| LabError::data(folder.path(), error))?;
        let store = Arc::new(store);
        let objects = s3::ObjectStore::open(&folder.path().join("s3"))
            .map_err(|error| LabError::data(folder.path(), error))?;
        objects
            .create_bucket(&self.bucket)
            .map_err(|error| LabError::data(folder.path(), error))?;
        let credentials = s3::Credentials {
            access_key: S3_KEY.to_owned(),
            secret_key: S3_KEY.to_owned(),
        };

        let (issuer, life) = (api_endpoint.clone(), self.token_life);
        let tokens = tokio::task::spawn_blocking(move || Tokens::new(issuer, life)).await;
        let tokens = Arc::new(
            tokens
                .map_err(|_| LabError::SigningKey)?
                .map_err(|_| LabError::SigningKey)?,
        );
        let faults = Faults::new(changes.clone());
        let log = Arc::new(RequestLog::new(changes.clone()));
        let api = Arc::new(Api {
            store: Arc::clone(&store),
            tokens: Arc::clone(&tokens),
            refresh_life: self.refresh_life,
            login_limit: LoginLimit::new(self.login_limit, self.login_window),
            types,
            race: self.assign_race,
            objects: Objects {
                store: Arc::clone(&objects),
                endpoint: format!("http://{s3_address}"),
                port: s3_address.port(),
                region: REGION,
                bucket: self.bucket,
                credentials: credentials.clone(),
            },
            faults: faults.clone(),
            log: Arc::clone(&log),
            changes: changes.clone(),
        });

        let connections = Connections::default();
        let interceptor = |side, keep_alive| {
            Arc::new(Interceptor {
                side,
                keep_alive,
                faults: faults.clone(),
                log: Arc::clone(&log),
                tokens: Arc::clone(&tokens),
                connections: connections.clone(),
            })
        };
        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();
        tasks.spawn(serve(
            api_listener,
            TowerToHyperService::new(api::service(Arc::clone(&api))),
            interceptor(Side::Api, Some(self.keep_alive)),
            stop.clone(),
        ));
        tasks.spawn(serve(
            s3_listener,
            TowerToHyperService::new(s3::service(objects, credentials)),
            interceptor(Side::S3, None),
            stop.clone(),
        ));
        let hourly = stop.clone();
        tasks.spawn(async move {
            hourly.run_until_cancelled(time_out_hourly(store)).await;
        });
        Ok(Lab {
            api,
            api_endpoint,
            tasks,
            stop: stop.drop_guard(),
            changes,
            connections,
            folder,
        })
    }
}

/// A listener, and its address for clients on this machine.
async fn bind(side: Side, host: IpAddr, port: u16) -> Result<(TcpListener, SocketAddr), LabError> {
    let address = SocketAddr::new(host, port);
    let failed = |source| LabError::Bind {
        side,
        address,
        source,
    };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let mut bound = listener.local_addr().map_err(failed)?;
    if host.is_unspecified() {
        bound.set_ip(match host {
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    Ok((listener, bound))
}

/// The real server's hourly task: jobs created over two hours ago become TIMED_OUT, assigned or not
/// (`docs/src/reference/api-contract.md`, "Expiry").
async fn time_out_hourly(store: Arc<JobStore>) {
    loop {
        tokio::time::sleep(HOUR).await;
        match store.time_out(Time::now().minus(OLD), None) {
            Ok(timed_out) => tracing::info!(jobs = timed_out.len(), "old jobs timed out"),
            Err(error) => tracing::error!(%error, "old jobs could not be timed out"),
        }
    }
}
