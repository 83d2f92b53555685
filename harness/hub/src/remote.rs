//! The hub over HTTP, through the crate `hf-hub`.
//!
//! Content comes through its streams, which know the hub's storage behind the redirects. What it lacks is added here: it
//! has no time limits, so every step is given one; it falls back on the environment's token when it is given none, so it
//! is given one that cannot be sent; it is given a client that leaves the token behind where a redirect leads elsewhere
//! (`redirect`); and its metadata call follows the redirect to the storage and so loses the headers that name commit and
//! SHA-256, so that one request is made here.

use std::error::Error;
use std::ops::ControlFlow;
use std::time::Duration;

use futures_util::StreamExt;
use hf_hub::{HFClient, HFError};
use reqwest::header::{AUTHORIZATION, CONTENT_LENGTH, ETAG, HeaderMap, LOCATION, RETRY_AFTER};
use reqwest::{Method, Response, StatusCode, Url};
use tokio::runtime::{Builder, Runtime};
use tokio::time::{sleep, timeout};

use super::address::is_sha256;
use super::fetch::Take;
use super::redirect;
use super::{Address, Commit, Described, HubError, Remote, Settings, Token};

/// Redirects that are followed on the hub itself: a renamed repository, another spelling.
const REDIRECTS: usize = 5;
/// Repetitions of a request that the hub was too busy for.
const REPETITIONS: u32 = 2;
const REST: Duration = Duration::from_millis(200);
/// Not a header value, so `hf-hub` sends none.
const NO_TOKEN: &str = "\n";
const AGENT: &str = concat!("intact/", env!("CARGO_PKG_VERSION"));

/// The hub that the settings name.
pub(super) struct HuggingFace {
    settings: Settings,
    runtime: Runtime,
    client: HFClient,
    head: reqwest::Client,
}

impl HuggingFace {
    /// Makes the clients; nothing is requested.
    pub(super) fn new(settings: Settings, address: &Address) -> Result<Self, HubError> {
        let failed = |error: &dyn Error| unreachable(&settings, address, chain(error));
        let token = match &settings.token {
            Token::Sent(token) => token,
            Token::Withheld | Token::None => NO_TOKEN,
        };
        let runtime = Builder::new_current_thread().enable_all().build().map_err(|error| failed(&error))?;
        let content = reqwest::Client::builder()
            .redirect(redirect::policy())
            .user_agent(AGENT)
            .connect_timeout(settings.timeout)
            .read_timeout(settings.timeout)
            .build()
            .map_err(|error| failed(&error))?;
        let client = HFClient::builder()
            .client(content)
            .endpoint(&settings.endpoint)
            .token(token)
            .cache_enabled(false)
            .retry_max_attempts(REPETITIONS as usize)
            .build()
            .map_err(|error| failed(&error))?;
        let head = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(AGENT)
            .timeout(settings.timeout)
            .build()
            .map_err(|error| failed(&error))?;
        Ok(Self { settings, runtime, client, head })
    }

    async fn head(&self, address: &Address) -> Result<Response, HubError> {
        let mut url = self.url(address)?;
        for _ in 0..=REDIRECTS {
            let response = self.patient_head(&url, address).await?;
            match moved(&url, &response) {
                Some(next) => url = next,
                None => return Ok(response),
            }
        }
        Err(self.not_a_hub(address, format!("it redirects more than {REDIRECTS} times")))
    }

    async fn patient_head(&self, url: &Url, address: &Address) -> Result<Response, HubError> {
        let mut repetition = 0;
        loop {
            let mut request = self.head.request(Method::HEAD, url.clone());
            if let Token::Sent(token) = &self.settings.token {
                request = request.header(AUTHORIZATION, format!("Bearer {token}"));
            }
            let outcome = request.send().await;
            let busy = match &outcome {
                Ok(response) => response.status().is_server_error(),
                Err(error) => error.is_connect(),
            };
            if !busy || repetition == REPETITIONS {
                return outcome.map_err(|error| self.unreachable(address, &error.without_url()));
            }
            sleep(REST * 2_u32.pow(repetition)).await;
            repetition += 1;
        }
    }

    fn url(&self, address: &Address) -> Result<Url, HubError> {
        let base = format!("{}/{}/resolve", self.settings.endpoint, address.repo);
        let mut url = Url::parse(&base).map_err(|error| self.not_a_hub(address, error.to_string()))?;
        let segments = [address.revision.as_str()].into_iter().chain(address.file.split('/'));
        if let Ok(mut path) = url.path_segments_mut() {
            path.extend(segments);
        }
        Ok(url)
    }

    fn described(&self, response: &Response, address: &Address) -> Result<Described, HubError> {
        let headers = response.headers();
        let missing = |what: &str| self.not_a_hub(address, format!("its answer has no {what} header"));
        let commit = text(headers, "x-repo-commit").ok_or_else(|| missing("X-Repo-Commit"))?;
        let commit = Commit::new(commit).ok_or_else(|| {
            self.not_a_hub(address, format!("its X-Repo-Commit `{commit}` is not a commit"))
        })?;
        let length = || text(headers, CONTENT_LENGTH.as_str()).filter(|_| response.status().is_success());
        let size = text(headers, "x-linked-size").or_else(length);
        let size = size.and_then(|size| size.parse().ok()).ok_or_else(|| missing("X-Linked-Size"))?;
        let tag = text(headers, "x-linked-etag").or_else(|| text(headers, ETAG.as_str()));
        let sha256 = tag.map(|tag| tag.trim_start_matches("W/").trim_matches('"').to_owned());
        Ok(Described { commit, size, sha256: sha256.filter(|sha256| is_sha256(sha256)) })
    }

    async fn stream(
        &self,
        address: &Address,
        from: u64,
        size: u64,
        take: &mut Take<'_>,
    ) -> Result<(), HubError> {
        let (owner, name) = hf_hub::split_id(&address.repo);
        let repository = self.client.model(owner, name);
        let request = repository
            .download_file_stream()
            .filename(&address.file)
            .revision(&address.revision)
            .maybe_range((from > 0).then_some(from..size))
            .send();
        // It is a HEAD and a GET, each repeated.
        let limit = self.settings.timeout * 2 * (REPETITIONS + 1);
        let (_, mut stream) = timeout(limit, request)
            .await
            .map_err(|_| self.silent(address, limit))?
            .map_err(|error| self.told(address, error))?;
        loop {
            let next = timeout(self.settings.timeout, stream.next()).await;
            match next.map_err(|_| self.silent(address, self.settings.timeout))? {
                None => return Ok(()),
                Some(Err(error)) => return Err(self.told(address, error)),
                Some(Ok(bytes)) => {
                    if take(&bytes)? == ControlFlow::Break(()) {
                        return Ok(());
                    }
                }
            }
        }
    }

    fn told(&self, address: &Address, error: HFError) -> HubError {
        let (context, wait) = match error {
            HFError::AuthRequired { context }
            | HFError::Forbidden { context }
            | HFError::Conflict { context }
            | HFError::Http { context }
            | HFError::EntryNotFound { context: Some(context), .. }
            | HFError::RepoNotFound { context: Some(context), .. }
            | HFError::RevisionNotFound { context: Some(context), .. } => (context, None),
            HFError::RateLimited { retry_after, context } => (context, retry_after),
            HFError::MalformedResponse { what, .. } => return self.not_a_hub(address, what),
            HFError::Request { source, .. } => return self.unreachable(address, &source.without_url()),
            other => return self.unreachable(address, &other),
        };
        self.refused(address, context.status, context.server_message, wait)
    }

    fn refused(
        &self,
        address: &Address,
        status: StatusCode,
        said: Option<String>,
        wait: Option<Duration>,
    ) -> HubError {
        HubError::Refused {
            endpoint: self.settings.endpoint.clone(),
            address: Box::new(address.clone()),
            status: status.as_u16(),
            said: said
                .map(|said| said.chars().filter(|character| !character.is_control()).take(200).collect()),
            wait,
            token: self.settings.token.told(),
        }
    }

    fn unreachable(&self, address: &Address, error: &dyn Error) -> HubError {
        unreachable(&self.settings, address, chain(error))
    }

    fn silent(&self, address: &Address, limit: Duration) -> HubError {
        unreachable(&self.settings, address, format!("it was silent for {} seconds", limit.as_secs()))
    }

    fn not_a_hub(&self, address: &Address, reason: String) -> HubError {
        HubError::NotAHub {
            endpoint: self.settings.endpoint.clone(),
            address: Box::new(address.clone()),
            reason,
        }
    }
}

impl Remote for HuggingFace {
    fn describe(&self, address: &Address) -> Result<Described, HubError> {
        self.runtime.block_on(async {
            let response = self.head(address).await?;
            let status = response.status();
            if status.is_success() || status.is_redirection() {
                return self.described(&response, address);
            }
            let said = text(response.headers(), "x-error-message").map(str::to_owned);
            let wait = text(response.headers(), RETRY_AFTER.as_str()).and_then(|wait| wait.parse().ok());
            Err(self.refused(address, status, said, wait.map(Duration::from_secs)))
        })
    }

    fn read(&self, address: &Address, from: u64, size: u64, take: &mut Take<'_>) -> Result<(), HubError> {
        self.runtime.block_on(self.stream(address, from, size, take))
    }
}

/// Where the hub itself has the file under another name. A redirect to its storage, or to anybody else, is not followed:
/// what the hub says of the file is in the answer that redirects.
fn moved(from: &Url, response: &Response) -> Option<Url> {
    let location = text(response.headers(), LOCATION.as_str())?;
    response.status().is_redirection().then(|| redirect::on_the_hub(from, location)).flatten()
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn unreachable(settings: &Settings, address: &Address, reason: String) -> HubError {
    HubError::Unreachable { endpoint: settings.endpoint.clone(), address: Box::new(address.clone()), reason }
}

/// An error with what caused it.
pub(super) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
