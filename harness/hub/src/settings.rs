//! What the environment says about the hub: the variables that the hub's other clients read, and what intact adds.
//!
//! A token is a password. It goes to `https://huggingface.co` without being asked for, and to any other host that
//! `HF_ENDPOINT` names only when that is allowed by name, and never unencrypted, except to this machine.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use intact_format::regular;

use super::HubError;

/// The hub, unless `HF_ENDPOINT` names another.
pub const DEFAULT_ENDPOINT: &str = "https://huggingface.co";

const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);

/// How the hub is reached, and where its files are kept.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Address of the hub, without a slash at its end.
    pub endpoint: String,
    /// The token, or why there is none to send.
    pub token: Token,
    /// Folder of the hub's cache.
    pub cache: PathBuf,
    /// Whether requests are forbidden.
    pub offline: bool,
    /// How long the hub may keep silent.
    pub timeout: Duration,
}

/// The token that is sent.
#[derive(Clone, PartialEq, Eq)]
pub enum Token {
    /// This one.
    Sent(String),
    /// There is one, but it is not sent to this host.
    Withheld,
    /// There is none.
    None,
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.told())
    }
}

impl Token {
    /// In words, without the token.
    #[must_use]
    pub fn told(&self) -> &'static str {
        match self {
            Self::Sent(_) => "a token was sent",
            Self::Withheld => {
                "your token was not sent, because HF_ENDPOINT names another host; --send-token allows it"
            }
            Self::None => "no token was sent",
        }
    }
}

impl Settings {
    /// As the environment has it. `offline` and `send_token` are what the command line says.
    ///
    /// # Errors
    /// [`HubError::Setting`].
    pub fn of_environment(offline: bool, send_token: bool) -> Result<Self, HubError> {
        Self::read(&|name| std::env::var(name).ok().filter(|text| !text.is_empty()), offline, send_token)
    }

    fn read(
        variable: &dyn Fn(&str) -> Option<String>,
        offline: bool,
        send_token: bool,
    ) -> Result<Self, HubError> {
        let endpoint = variable("HF_ENDPOINT").unwrap_or_else(|| DEFAULT_ENDPOINT.into());
        let endpoint = endpoint.trim_end_matches('/').to_owned();
        if host(&endpoint).is_none_or(str::is_empty) {
            return Err(HubError::Setting {
                name: "HF_ENDPOINT",
                text: endpoint,
                expected: "an address that starts with https:// or http://",
            });
        }
        let set = |name| variable(name).is_some_and(|text| is_on(&text));
        let home = home_of_hub(variable);
        let token = match token(variable, &home) {
            Some(token) if may_have_token(&endpoint, send_token) => Token::Sent(token),
            Some(_) => Token::Withheld,
            None => Token::None,
        };
        let cache = variable("HF_HUB_CACHE").or_else(|| variable("HUGGINGFACE_HUB_CACHE"));
        Ok(Self {
            endpoint,
            token,
            cache: cache.map_or_else(|| home.join("hub"), PathBuf::from),
            offline: offline || set("INTACT_OFFLINE") || set("HF_HUB_OFFLINE"),
            timeout: timeout(variable)?,
        })
    }
}

fn is_on(text: &str) -> bool {
    !matches!(text.to_ascii_lowercase().as_str(), "0" | "false" | "no" | "off")
}

fn timeout(variable: &dyn Fn(&str) -> Option<String>) -> Result<Duration, HubError> {
    let name = "HF_HUB_DOWNLOAD_TIMEOUT";
    let Some(text) = variable(name) else { return Ok(DEFAULT_TIMEOUT) };
    match text.parse::<u32>() {
        Ok(seconds) if seconds > 0 => Ok(Duration::from_secs(seconds.into())),
        _ => Err(HubError::Setting { name, text, expected: "a number of seconds above 0" }),
    }
}

fn home_of_hub(variable: &dyn Fn(&str) -> Option<String>) -> PathBuf {
    if let Some(home) = variable("HF_HOME") {
        return home.into();
    }
    let cache = variable("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| std::env::home_dir().map(|home| home.join(".cache")));
    cache.unwrap_or_else(std::env::temp_dir).join("huggingface")
}

fn token(variable: &dyn Fn(&str) -> Option<String>, home: &std::path::Path) -> Option<String> {
    if variable("HF_HUB_DISABLE_IMPLICIT_TOKEN").is_some_and(|text| is_on(&text)) {
        return None;
    }
    let of_file = || {
        let path = variable("HF_TOKEN_PATH").map_or_else(|| home.join("token"), PathBuf::from);
        regular::read_text(path).ok()
    };
    let token = variable("HF_TOKEN").or_else(of_file)?;
    let token = token.trim();
    (!token.is_empty()).then(|| token.to_owned())
}

fn may_have_token(endpoint: &str, allowed: bool) -> bool {
    let encrypted = endpoint.starts_with("https://");
    let local = host(endpoint).is_some_and(|host| matches!(host, "127.0.0.1" | "localhost" | "[::1]"));
    endpoint == DEFAULT_ENDPOINT || (allowed && (encrypted || local))
}

/// The host of an address, without its port.
fn host(endpoint: &str) -> Option<&str> {
    let rest = endpoint.strip_prefix("https://").or_else(|| endpoint.strip_prefix("http://"))?;
    let authority = rest.split('/').next()?;
    let authority = authority.rsplit('@').next()?;
    match authority.strip_prefix('[') {
        Some(address) => authority.get(..address.find(']')? + 2),
        None => authority.split(':').next(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)], send_token: bool) -> Result<Settings, HubError> {
        let home = ("HF_HOME", "/hf");
        let find = |name: &str| {
            let mut all = variables.iter().chain([&home]);
            all.find(|(other, _)| *other == name).map(|(_, text)| (*text).to_owned())
        };
        Settings::read(&find, false, send_token)
    }

    #[test]
    fn the_token_goes_to_the_official_hub_and_elsewhere_only_when_allowed() {
        let sent = Token::Sent("secret".into());
        for (endpoint, allowed, expected) in [
            ("https://huggingface.co", false, &sent),
            ("https://huggingface.co/", false, &sent),
            ("http://huggingface.co", false, &Token::Withheld),
            ("http://huggingface.co", true, &Token::Withheld),
            ("https://huggingface.co.example.org", false, &Token::Withheld),
            ("https://huggingface.co@example.org", false, &Token::Withheld),
            ("https://mirror.example.org", false, &Token::Withheld),
            ("https://mirror.example.org", true, &sent),
            ("http://mirror.example.org", true, &Token::Withheld),
            ("http://127.0.0.1:8080", false, &Token::Withheld),
            ("http://127.0.0.1:8080", true, &sent),
            ("http://[::1]:8080", true, &sent),
            ("http://localhost@example.org", true, &Token::Withheld),
        ] {
            let settings =
                read(&[("HF_ENDPOINT", endpoint), ("HF_TOKEN", "secret")], allowed).expect(endpoint);
            assert_eq!(settings.token, *expected, "{endpoint}, allowed: {allowed}");
        }
    }

    #[test]
    fn the_token_is_never_printed() {
        let settings = read(&[("HF_TOKEN", "secret")], false).expect("sound");
        assert!(!format!("{settings:?}").contains("secret"));
    }

    #[test]
    fn the_cache_is_where_the_other_clients_have_it() {
        for (variables, cache) in [
            (&[][..], "/hf/hub"),
            (&[("HF_HUB_CACHE", "/cache")], "/cache"),
            (&[("HUGGINGFACE_HUB_CACHE", "/old")], "/old"),
        ] {
            assert_eq!(read(variables, false).expect("sound").cache, PathBuf::from(cache));
        }
    }

    #[test]
    fn offline_and_timeout_come_from_the_environment() {
        let settings =
            read(&[("HF_HUB_OFFLINE", "1"), ("HF_HUB_DOWNLOAD_TIMEOUT", "7")], false).expect("sound");
        assert!(settings.offline);
        assert_eq!(settings.timeout, Duration::from_secs(7));
        assert!(!read(&[("INTACT_OFFLINE", "0")], false).expect("sound").offline);
        for (name, text) in [
            ("HF_ENDPOINT", "huggingface.co"),
            ("HF_ENDPOINT", "https://"),
            ("HF_HUB_DOWNLOAD_TIMEOUT", "soon"),
        ] {
            let message = read(&[(name, text)], false).expect_err(text).to_string();
            assert!(message.contains(name) && message.contains(text), "{message}");
        }
    }
}
