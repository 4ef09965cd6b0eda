//! The API's calls, typed.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::Method;
use secrecy::SecretString;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::answer::Answer;
use crate::clock::Clock;
use crate::error::{ApiError, Issue};
use crate::http::{Http, encode, with_json};
use crate::job::{AssignmentId, JobId, JobStatus, JobType};
use crate::raw;
use crate::session::{Credential, Session, TokenObserver};
use crate::wire::{
    AssignmentRecord, CreatedJob, Download, JobDetails, JobList, JobRecord, Profile, TimedOutJobs,
};
use reefguide_transport::address;
use reefguide_transport::http_client;

/// A client of the ReefGuide web API, for one account.
///
/// It logs in when it must, refreshes its token before that ends (one task at a time, however many
/// use it), and repeats a call once when the API no longer accepts the token. Any other failure is
/// returned: whether to try again is the caller's to decide, see [`ApiError::is_retryable`].
///
/// Cheap to clone; clones share connections and token. Every call is cancel safe for the client
/// itself; a call that changes something may have done so when it is dropped.
#[derive(Clone, Debug)]
pub struct Client {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    http: Http,
    session: Session,
    /// What the last poll for each type skipped.
    skipped: Mutex<BTreeMap<Option<JobType>, BTreeSet<String>>>,
}

/// Sets up a [`Client`].
#[derive(Debug)]
#[must_use]
pub struct ClientBuilder {
    endpoint: String,
    email: String,
    credential: Credential,
    timeout: Duration,
    user_agent: String,
    token_observer: Option<Arc<dyn TokenObserver>>,
}

/// Which jobs to list; all of them by default.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct JobFilter {
    /// Only those with this status.
    pub status: Option<JobStatus>,
    /// Only those of this user.
    pub user_id: Option<i64>,
}

impl JobFilter {
    /// Only jobs with this status.
    #[must_use]
    pub fn status(mut self, status: JobStatus) -> Self {
        self.status = Some(status);
        self
    }

    /// Only jobs of this user.
    #[must_use]
    pub fn user(mut self, user_id: i64) -> Self {
        self.user_id = Some(user_id);
        self
    }
}

impl ClientBuilder {
    /// How long a call may take unless [`timeout`](Self::timeout) says otherwise.
    pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);

    fn new(endpoint: String, email: String, credential: Credential) -> Self {
        let user_agent = concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION")).into();
        Self {
            endpoint,
            email,
            credential,
            timeout: Self::DEFAULT_TIMEOUT,
            user_agent,
            token_observer: None,
        }
    }

    /// How long a call may take in all; 30 s by default.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// What the client calls itself; this crate's name and version by default.
    pub fn user_agent(mut self, user_agent: impl Into<String>) -> Self {
        self.user_agent = user_agent.into();
        self
    }

    /// Who learns of each new access token; by default no one.
    pub fn token_observer(mut self, observer: impl TokenObserver + 'static) -> Self {
        self.token_observer = Some(Arc::new(observer));
        self
    }

    /// Makes the client. Nothing is sent yet.
    ///
    /// # Errors
    /// [`ApiError::Endpoint`] if the endpoint is no [address](address::parse), and [`ApiError::Client`] if it is an
    /// `https` URL and this system has no certificates.
    pub fn build(self) -> Result<Client, ApiError> {
        let endpoint = address::parse(&self.endpoint).map_err(|error| ApiError::Endpoint {
            endpoint: address::shown(&self.endpoint),
            reason: error.to_string(),
        })?;
        let client = http_client::client(&endpoint, |client| {
            client
                .user_agent(&self.user_agent)
                .timeout(self.timeout)
                .connect_timeout(self.timeout.min(Duration::from_secs(10)))
                // The server closes idle connections after 5 s; one reused at that moment is reset
                // (contract, section 4).
                .pool_idle_timeout(Duration::from_secs(4))
        });
        let client = client.map_err(|source| ApiError::Client {
            endpoint: endpoint.clone(),
            source,
        })?;
        Ok(Client {
            inner: Arc::new(Inner {
                http: Http {
                    client,
                    endpoint,
                    clock: Clock::default(),
                },
                session: Session::new(self.email, self.credential, self.token_observer),
                skipped: Mutex::default(),
            }),
        })
    }
}

impl Client {
    /// Begins a client of the API at `endpoint` (without `/api`) for one account.
    ///
    /// ```
    /// use reefguide_client::Client;
    ///
    /// let client = Client::builder("http://localhost:5000", "worker@email.com", "password").build()?;
    /// # Ok::<(), reefguide_client::ApiError>(())
    /// ```
    pub fn builder(
        endpoint: impl Into<String>,
        email: impl Into<String>,
        password: impl Into<SecretString>,
    ) -> ClientBuilder {
        ClientBuilder::new(
            endpoint.into(),
            email.into(),
            Credential::Password(password.into()),
        )
    }

    /// Begins a client that goes on with an earlier login, for as long as its refresh token lasts (48
    /// hours by default); see [`log_in`](Self::log_in).
    pub fn resume(
        endpoint: impl Into<String>,
        email: impl Into<String>,
        refresh_token: impl Into<SecretString>,
    ) -> ClientBuilder {
        let credential = Credential::RefreshToken(refresh_token.into());
        ClientBuilder::new(endpoint.into(), email.into(), credential)
    }

    /// Logs in now and returns the refresh token, with which [`resume`](Self::resume) goes on later:
    /// refreshing is not limited, logins are (five in 15 minutes for all that share an IP address).
    pub async fn log_in(&self) -> Result<SecretString, ApiError> {
        self.inner.session.start(&self.inner.http).await
    }

    /// The API's endpoint, without `/api`.
    pub fn endpoint(&self) -> &str {
        &self.inner.http.endpoint
    }

    /// The account's email address.
    pub fn email(&self) -> &str {
        self.inner.session.email()
    }

    /// How far this machine's clock is ahead of the API's, at the least, by the latest answer; `None`
    /// before the first. A warning is logged once it is over a minute, either way.
    pub fn clock_ahead(&self) -> Option<jiff::SignedDuration> {
        self.inner.http.clock.ahead()
    }

    /// Whether the API answers at all; needs no account.
    pub async fn health(&self) -> Result<(), ApiError> {
        let http = &self.inner.http;
        let answer = http
            .send(http.request(Method::GET, "/"), "GET /", self.email())
            .await?
            .success()?;
        let health: Greeting = answer.json()?;
        match health.message.as_str() {
            "API healthy." => Ok(()),
            _ => Err(answer.foreign("another greeting")),
        }
    }

    /// Who the account is.
    pub async fn profile(&self) -> Result<Profile, ApiError> {
        let answer = self.get("GET /auth/profile", "/auth/profile", &[]).await?;
        Ok(answer.json::<OfUser>()?.user)
    }

    /// Submits a job. An equal payload may be answered by a job that exists ([`CreatedJob::cached`]).
    pub async fn create_job(
        &self,
        job_type: &JobType,
        payload: &Value,
    ) -> Result<CreatedJob, ApiError> {
        let body = job_body(job_type, payload);
        self.post("POST /jobs", "/jobs", Some(&body)).await?.json()
    }

    /// Whether [`create_job`](Self::create_job) could send this: its size, and NUL characters. Nothing is
    /// sent; whether the payload fits its type, the API decides.
    ///
    /// # Errors
    /// [`ApiError::TooLarge`] and [`ApiError::Nul`].
    pub fn check_job(job_type: &JobType, payload: &Value) -> Result<(), ApiError> {
        encode("POST /jobs", &job_body(job_type, payload)).map(drop)
    }

    /// The oldest jobs that wait for a worker, at most ten, of one type or of any. What is no job that could be named is
    /// skipped with a warning.
    pub async fn poll(&self, job_type: Option<&JobType>) -> Result<Vec<JobRecord>, ApiError> {
        let query: Vec<_> = job_type
            .iter()
            .map(|job_type| ("jobType", job_type.to_string()))
            .collect();
        let answer = self.get("GET /jobs/poll", "/jobs/poll", &query).await?;
        let (jobs, skipped) = raw::each(&answer.json::<Jobs>()?.jobs);
        self.warn_of(job_type, skipped);
        Ok(jobs.into_iter().map(|details| details.job).collect())
    }

    /// Warns of what polls for a type skip, each time that it is new.
    fn warn_of(&self, job_type: Option<&JobType>, skipped: Vec<String>) {
        let skipped = BTreeSet::from_iter(skipped);
        let known = &self.inner.skipped;
        let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
        let known = known.entry(job_type.cloned()).or_default();
        for what in skipped.difference(known) {
            tracing::warn!(error = what, "polled what is no job, skipped");
        }
        *known = skipped;
    }

    /// Assigns a job to a task. Several callers may each get an assignment (contract, section 3):
    /// [`ReefGuide`](super::ReefGuide) has the fence that decides.
    pub async fn assign(
        &self,
        job: &JobId,
        task_arn: &str,
        cluster_arn: &str,
    ) -> Result<AssignmentRecord, ApiError> {
        let body = json!({
            "jobId": number(job.as_number(), job)?,
            "ecsTaskArn": task_arn,
            "ecsClusterArn": cluster_arn,
        });
        let answer = self
            .post("POST /jobs/assign", "/jobs/assign", Some(&body))
            .await?;
        let OfAssignment { assignment } = answer.json()?;
        match assignment.job_id == *job {
            true => Ok(assignment),
            false => Err(answer.foreign("an assignment of another job")),
        }
    }

    /// Posts the result of an assignment.
    pub async fn post_result(
        &self,
        assignment: &AssignmentId,
        status: &JobStatus,
        payload: Option<&Value>,
    ) -> Result<(), ApiError> {
        let path = format!(
            "/jobs/assignments/{}/result",
            number(assignment.as_number(), assignment)?
        );
        self.post(
            &format!("POST {path}"),
            &path,
            Some(&result_body(status, payload)),
        )
        .await?
        .empty()
    }

    /// Whether [`post_result`](Self::post_result) could send this and the API would check it: its size, NUL characters,
    /// nesting, and that it is none of the values that the API takes for any type.
    pub fn check_result(status: &JobStatus, payload: &Value) -> Result<(), ApiError> {
        if is_falsy(payload) {
            let value = payload.to_string();
            return Err(ApiError::Unchecked { value });
        }
        encode("POST result", &result_body(status, Some(payload)))?;
        match raw::is_too_deep(&payload.to_string()) {
            true => Err(ApiError::TooDeep),
            false => Ok(()),
        }
    }

    /// One job with its assignments.
    pub async fn job(&self, job: &JobId) -> Result<JobDetails, ApiError> {
        let path = format!("/jobs/{}", number(job.as_number(), job)?);
        let answer = self.get(&format!("GET {path}"), &path, &[]).await?;
        let details: JobDetails = answer.json::<OfJob<_>>()?.job;
        // Who was given a job decides who runs it: without that, it says nothing.
        answer.json::<OfJob<Assigned>>()?;
        answer.expect_job(&details.job, job)?;
        Ok(details)
    }

    /// Jobs, at most 50: everybody's for an administrator, otherwise the account's own.
    pub async fn jobs(&self, filter: &JobFilter) -> Result<JobList, ApiError> {
        self.list("GET /jobs", "/jobs", filter).await
    }

    /// The account's own jobs, at most 50.
    pub async fn my_jobs(&self, status: Option<JobStatus>) -> Result<JobList, ApiError> {
        let filter = JobFilter {
            status,
            user_id: None,
        };
        self.list("GET /jobs/mine", "/jobs/mine", &filter).await
    }

    async fn list(&self, call: &str, path: &str, filter: &JobFilter) -> Result<JobList, ApiError> {
        let answer = self.get(call, path, &query(filter)).await?;
        let Listed { jobs, total } = answer.json()?;
        let (jobs, skipped) = raw::each(&jobs);
        Ok(JobList {
            jobs,
            total,
            skipped,
        })
    }

    /// Withdraws a job that no worker has claimed.
    pub async fn cancel(&self, job: &JobId) -> Result<JobRecord, ApiError> {
        let path = format!("/jobs/{}/cancel", number(job.as_number(), job)?);
        let answer = self.post(&format!("POST {path}"), &path, None).await?;
        let record: JobRecord = answer.json::<OfJob<_>>()?.job;
        answer.expect_job(&record, job)?;
        Ok(record)
    }

    /// Presigned URLs of a job's outputs, those whose path begins with `prefix`, for `expiry`.
    pub async fn download(
        &self,
        job: &JobId,
        expiry: Option<Duration>,
        prefix: Option<&str>,
    ) -> Result<Download, ApiError> {
        let path = format!("/jobs/{}/download", number(job.as_number(), job)?);
        let mut query = Vec::new();
        query.extend(expiry.map(|expiry| ("expirySeconds", expiry.as_secs().to_string())));
        query.extend(prefix.map(|prefix| ("filterPrefix", prefix.to_owned())));
        let answer = self.get(&format!("GET {path}"), &path, &query).await?;
        // What it is about, and the files.
        let (OfJob::<Named> { job: named }, files) = (answer.json()?, answer.json()?);
        match named.id == *job {
            true => Ok(files),
            false => Err(answer.foreign("the files of another job")),
        }
    }

    /// Replaces the data specification (administrators): regions and their criteria, as the API wants
    /// them. Returns what the API says it updated. Absent fields must be absent, not `null`.
    pub async fn update_data_specification(
        &self,
        specification: &Value,
    ) -> Result<Value, ApiError> {
        let path = "/admin/data-specification";
        let answer = self
            .post("POST /admin/data-specification", path, Some(specification))
            .await?;
        let updated = answer.json::<Updated>()?.updated;
        Ok(Value::Object(updated))
    }

    /// Sets jobs older than `threshold` to `TIMED_OUT` (administrators): of some types, or of all. The API takes a
    /// threshold of any length but zero, which is refused unsent with [`ApiError::Invalid`].
    pub async fn timeout_jobs(
        &self,
        threshold: Duration,
        job_types: &[JobType],
    ) -> Result<TimedOutJobs, ApiError> {
        let (call, path) = ("POST /admin/timeout-jobs", "/admin/timeout-jobs");
        let name = "timeoutThresholdMinutes";
        if threshold.is_zero() {
            return Err(ApiError::Invalid {
                call: call.to_owned(),
                issues: vec![Issue::at(name, "0 is not above 0; give a longer threshold")],
            });
        }
        let mut body = json!({ name: threshold.as_secs_f64() / 60.0 });
        if !job_types.is_empty() {
            body["jobTypes"] = json!(job_types);
        }
        self.post(call, path, Some(&body)).await?.json()
    }

    async fn get(
        &self,
        call: &str,
        path: &str,
        query: &[(&str, String)],
    ) -> Result<Answer, ApiError> {
        self.authorized(call, || {
            self.inner.http.request(Method::GET, path).query(query)
        })
        .await
    }

    async fn post(&self, call: &str, path: &str, body: Option<&Value>) -> Result<Answer, ApiError> {
        let body = body.map(|body| encode(call, body)).transpose()?;
        self.authorized(call, || {
            let request = self.inner.http.request(Method::POST, path);
            match &body {
                Some(body) => with_json(request, body.clone()),
                None => request,
            }
        })
        .await
    }

    /// Sends a request with a token, and once more with a fresh one if that token is refused.
    async fn authorized(
        &self,
        call: &str,
        request: impl Fn() -> reqwest::RequestBuilder,
    ) -> Result<Answer, ApiError> {
        let Inner { http, session, .. } = &*self.inner;
        let token = session.token(http).await?;
        let answer = http
            .send(request().bearer_auth(token.access()), call, self.email())
            .await?;
        match answer.success() {
            Err(ApiError::TokenRejected { .. }) => {
                let token = session.replace(http, Some(token)).await?;
                let request = request().bearer_auth(token.access());
                http.send(request, call, self.email()).await?.success()
            }
            answer => answer,
        }
    }
}

/// The API wraps what it returns in an object.
#[derive(Deserialize)]
struct OfJob<T> {
    job: T,
}

#[derive(Deserialize)]
struct OfUser {
    user: Profile,
}

#[derive(Deserialize)]
struct OfAssignment {
    assignment: AssignmentRecord,
}

#[derive(Deserialize)]
struct Jobs {
    jobs: Vec<Box<RawValue>>,
}

#[derive(Deserialize)]
struct Listed {
    jobs: Vec<Box<RawValue>>,
    total: u64,
}

#[derive(Deserialize)]
struct Updated {
    updated: serde_json::Map<String, Value>,
}

#[derive(Deserialize)]
struct Greeting {
    message: String,
}

/// A job of which the id will do.
#[derive(Deserialize)]
struct Named {
    id: JobId,
}

/// A job that says who was given it.
#[derive(Deserialize)]
struct Assigned {
    #[serde(rename = "assignments")]
    _assignments: Vec<IgnoredAny>,
}

impl Answer {
    /// Makes sure that the answer is about the job that was asked for, and not a cached one about another.
    fn expect_job(&self, record: &JobRecord, job: &JobId) -> Result<(), ApiError> {
        match record.id == *job {
            true => Ok(()),
            false => Err(self.foreign("another job")),
        }
    }
}

/// Whether the API takes a result without checking it, as JavaScript has it.
fn is_falsy(result: &Value) -> bool {
    match result {
        Value::Null => true,
        Value::Bool(value) => !value,
        Value::Number(value) => value.as_f64() == Some(0.0),
        Value::String(value) => value.is_empty(),
        Value::Array(_) | Value::Object(_) => false,
    }
}

fn job_body(job_type: &JobType, payload: &Value) -> Value {
    json!({ "type": job_type, "inputPayload": payload })
}

fn result_body(status: &JobStatus, payload: Option<&Value>) -> Value {
    match payload {
        Some(payload) => json!({ "status": status, "resultPayload": payload }),
        None => json!({ "status": status }),
    }
}

/// An id as the number the API wants; it answers anything else with a 500.
fn number(number: Option<i64>, id: &impl fmt::Display) -> Result<i32, ApiError> {
    number
        .and_then(|number| i32::try_from(number).ok())
        .filter(|number| *number > 0)
        .ok_or_else(|| ApiError::ForeignId { id: id.to_string() })
}

fn query(filter: &JobFilter) -> Vec<(&'static str, String)> {
    let status = filter
        .status
        .as_ref()
        .map(|status| ("status", status.to_string()));
    let user = filter.user_id.map(|user| ("userId", user.to_string()));
    status.into_iter().chain(user).collect()
}
