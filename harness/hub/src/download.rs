//! A file of the web, in one piece: for archives that are pinned by what came the first time.

use std::error::Error;
use std::thread::sleep;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use reqwest::header::{ETAG, IF_RANGE, RANGE};
use reqwest::{Client, Response, StatusCode};
use thiserror::Error;
use tokio::runtime::Builder;

use super::pace::Pace;
use super::redirect;

/// Longest silence.
const PATIENCE: Duration = Duration::from_secs(30);
/// Attempts in a row that may bring nothing.
const ATTEMPTS: u32 = 4;
/// Rest before the second of them; each further rest is twice as long.
const REST: Duration = Duration::from_millis(250);
const AGENT: &str = concat!("intact/", env!("CARGO_PKG_VERSION"));

/// Why a file could not be had.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DownloadError {
    /// The server answers with another status than that it has it, or that it has not.
    #[error("{url} answered with status {status}; try again later, or name another address")]
    Refused {
        /// The address.
        url: String,
        /// The status.
        status: u16,
    },
    /// There is no server, or it broke off as often as it was asked.
    #[error("{url} cannot be fetched: {reason}; is there a connection, and is the address right?")]
    Unreachable {
        /// The address.
        url: String,
        /// What was seen.
        reason: String,
    },
    /// It is longer than any such file.
    #[error("{url} has more than {most} bytes, which no such file has; nothing of it was kept")]
    TooLong {
        /// The address.
        url: String,
        /// Bytes at most.
        most: u64,
    },
}

/// Brings a file, in as many attempts as it takes; `None` where the server says that there is none.
///
/// # Errors
/// [`DownloadError`].
pub fn download(url: &str, most: u64) -> Result<Option<Vec<u8>>, DownloadError> {
    let failed = |error: &dyn Error| unreachable(url, super::remote::chain(error));
    let runtime = Builder::new_current_thread().enable_all().build().map_err(|error| failed(&error))?;
    let client = Client::builder()
        .redirect(redirect::policy())
        .user_agent(AGENT)
        .connect_timeout(PATIENCE)
        .read_timeout(PATIENCE)
        .build()
        .map_err(|error| failed(&error))?;
    let mut coming = Coming { url, most, bytes: Vec::new(), tag: None };
    let mut fruitless = 0;
    loop {
        let before = coming.bytes.len();
        let reason = match runtime.block_on(coming.go_on(&client)) {
            Ok(Step::Whole) => return Ok(Some(coming.bytes)),
            Ok(Step::Missing) => return Ok(None),
            Ok(Step::Cut(reason)) => reason,
            Err(error) => return Err(error),
        };
        fruitless = if coming.bytes.len() > before { 0 } else { fruitless + 1 };
        if fruitless == ATTEMPTS {
            return Err(unreachable(url, reason));
        }
        sleep(REST * 2_u32.pow(fruitless));
    }
}

/// What has come of a file.
struct Coming<'u> {
    url: &'u str,
    most: u64,
    bytes: Vec<u8>,
    /// The version of the file that these bytes are of.
    tag: Option<String>,
}

enum Step {
    Whole,
    Missing,
    Cut(String),
}

impl Coming<'_> {
    async fn go_on(&mut self, client: &Client) -> Result<Step, DownloadError> {
        let mut request = client.get(self.url);
        // Without a name for what is here the rest could be another file's.
        match &self.tag {
            Some(tag) if !self.bytes.is_empty() => {
                request = request.header(RANGE, format!("bytes={}-", self.bytes.len())).header(IF_RANGE, tag);
            }
            _ => self.bytes.clear(),
        }
        let response = match request.send().await {
            Ok(response) => response,
            Err(error) => return Ok(Step::Cut(super::remote::chain(&error.without_url()))),
        };
        match response.status() {
            StatusCode::OK => self.bytes.clear(),
            StatusCode::PARTIAL_CONTENT => {}
            StatusCode::NOT_FOUND | StatusCode::GONE => return Ok(Step::Missing),
            status if status.is_server_error() => return Ok(Step::Cut(format!("it answers {status}"))),
            status => {
                return Err(DownloadError::Refused { url: self.url.to_owned(), status: status.as_u16() });
            }
        }
        self.take(response).await
    }

    async fn take(&mut self, response: Response) -> Result<Step, DownloadError> {
        let tag = response.headers().get(ETAG).and_then(|tag| tag.to_str().ok());
        // A weak one names no bytes.
        self.tag = tag.filter(|tag| !tag.starts_with("W/")).map(str::to_owned);
        let announced = response.content_length();
        let already = self.bytes.len() as u64;
        let too_long = || DownloadError::TooLong { url: self.url.to_owned(), most: self.most };
        if announced.is_some_and(|length| length.saturating_add(already) > self.most) {
            return Err(too_long());
        }
        let mut pace = Pace::new(PATIENCE, Instant::now());
        let mut pieces = response.bytes_stream();
        while let Some(piece) = pieces.next().await {
            let piece = match piece {
                Ok(piece) => piece,
                Err(error) => return Ok(Step::Cut(super::remote::chain(&error.without_url()))),
            };
            self.bytes.extend_from_slice(&piece);
            if self.bytes.len() as u64 > self.most {
                return Err(too_long());
            }
            if let Err(slow) = pace.note(piece.len(), Instant::now()) {
                let reason = format!("{} bytes came in {} seconds", slow.bytes, slow.seconds);
                return Err(unreachable(self.url, reason));
            }
        }
        let whole = announced.is_none_or(|length| length.saturating_add(already) == self.bytes.len() as u64);
        Ok(if whole { Step::Whole } else { Step::Cut("the connection was closed too early".to_owned()) })
    }
}

fn unreachable(url: &str, reason: String) -> DownloadError {
    DownloadError::Unreachable { url: url.to_owned(), reason }
}
