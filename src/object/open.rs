//! From a URL to a store: the one place that knows the vendors.

use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey, Checksum, S3ConditionalPut};
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use object_store::{ClientOptions, ObjectStore, RetryConfig};
use url::Url;

use crate::config::objects::ObjectSettings;

/// Why an object store can not be opened. Each is a sentence that says what to change.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// The URL is not one we understand.
    #[error("object store URL '{url}' is not usable: {reason}")]
    Url {
        /// As given, without its query.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The URL is fine, the store behind it is not.
    #[error("object store '{url}' can not be opened: {reason}")]
    Backend {
        /// As given, without its query.
        url: String,
        /// What went wrong.
        reason: String,
    },
}

/// A store and where in it to work.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) store: Arc<dyn ObjectStore>,
    /// Below which all keys lie; empty for none.
    pub(crate) prefix: String,
    /// `scheme://bucket`, for sentences.
    pub(crate) root: String,
    /// Whether it lists in order of key.
    pub(crate) lists_sorted: bool,
    /// What to add when it does not answer; may be empty.
    pub(crate) hint: &'static str,
}

/// Builds the store that `url` names. Makes no request, but for a folder that it creates.
pub(crate) fn open(url: &str, settings: &ObjectSettings) -> Result<Opened, OpenError> {
    let shown = url.split('?').next().unwrap_or_default().to_owned();
    let unusable = |reason: String| OpenError::Url { url: shown.clone(), reason };
    let parsed = Url::parse(url).map_err(|error| unusable(error.to_string()))?;
    if !parsed.username().is_empty() || parsed.password().is_some() {
        return Err(OpenError::Url {
            url: format!("{}://…", parsed.scheme()),
            reason: "credentials belong in the environment, not in the URL".to_owned(),
        });
    }
    if parsed.path().contains('%') {
        return Err(unusable("a prefix of letters, digits and '-', '_', '.', '/' is needed".to_owned()));
    }
    let options = Options::of(&parsed, allowed_options(parsed.scheme())).map_err(&unusable)?;
    let backend = |error: object_store::Error| OpenError::Backend { url: shown.clone(), reason: error.to_string() };
    let bucket = || {
        let host = parsed.host_str().filter(|host| !host.is_empty());
        host.map(str::to_owned).ok_or_else(|| unusable(format!("write {}://bucket/prefix", parsed.scheme())))
    };
    let mut hint = "";
    let (store, lists_sorted): (Arc<dyn ObjectStore>, bool) = match parsed.scheme() {
        "s3" => {
            let bucket = bucket()?;
            // Directory buckets list in no order.
            let lists_sorted = !bucket.ends_with("--x-s3");
            let builder = s3(&bucket, &options, settings);
            if !options.anonymous && builder.get_config_value(&AmazonS3ConfigKey::AccessKeyId).is_none() {
                hint = " (AWS_ACCESS_KEY_ID is not set: the credentials are asked of this machine's role)";
            }
            (Arc::new(builder.build().map_err(backend)?), lists_sorted)
        }
        "gs" => (Arc::new(google(&bucket()?, settings).map_err(backend)?), true),
        "az" => (Arc::new(azure(&bucket()?, &options, settings).map_err(backend)?), true),
        "memory" => (Arc::new(InMemory::new()), true),
        "file" => {
            let (store, root) = (folder(&parsed, &shown)?, shown.trim_end_matches('/').to_owned());
            return Ok(Opened { store: Arc::new(store), prefix: String::new(), root, lists_sorted: false, hint });
        }
        other => return Err(unusable(format!("'{other}:' is none of s3:, gs:, az:, file:, memory:"))),
    };
    let prefix = parsed.path().trim_matches('/').to_owned();
    let root = match parsed.host_str() {
        Some(host) => format!("{}://{host}", parsed.scheme()),
        None => format!("{}:", parsed.scheme()),
    };
    Ok(Opened { store, prefix, root, lists_sorted, hint })
}

/// What may stand behind the `?`.
fn allowed_options(scheme: &str) -> &'static [&'static str] {
    match scheme {
        "s3" => &["endpoint", "region", "anonymous"],
        "az" => &["endpoint", "account"],
        _ => &[],
    }
}

#[derive(Debug, Default)]
struct Options {
    endpoint: Option<String>,
    region: Option<String>,
    account: Option<String>,
    anonymous: bool,
}

impl Options {
    fn of(url: &Url, allowed: &[&str]) -> Result<Self, String> {
        let mut options = Self::default();
        for (name, value) in url.query_pairs() {
            if !allowed.contains(&name.as_ref()) {
                let allowed = if allowed.is_empty() { "none".to_owned() } else { allowed.join(", ") };
                return Err(format!("option '{name}' is not known; known are: {allowed}"));
            }
            match name.as_ref() {
                "endpoint" => options.endpoint = Some(value.into_owned()),
                "region" => options.region = Some(value.into_owned()),
                "anonymous" if value == "true" => options.anonymous = true,
                "anonymous" => return Err("option 'anonymous' knows only the value true".to_owned()),
                _ => options.account = Some(value.into_owned()),
            }
        }
        let scheme_ok = |endpoint: &str| endpoint.starts_with("http://") || endpoint.starts_with("https://");
        match &options.endpoint {
            Some(endpoint) if !scheme_ok(endpoint) => {
                Err(format!("endpoint '{endpoint}' begins with neither http:// nor https://"))
            }
            _ => Ok(options),
        }
    }
}

/// Credentials come from the environment (AWS_ACCESS_KEY_ID and its like), a web identity, or the machine's role.
fn s3(bucket: &str, options: &Options, settings: &ObjectSettings) -> AmazonS3Builder {
    install_tls();
    let mut builder = AmazonS3Builder::from_env()
        .with_bucket_name(bucket)
        // Hashing the body with SHA-256 would cost as much CPU as the rest of the way; TLS and the CRC protect it.
        .with_config(AmazonS3ConfigKey::UnsignedPayload, "true")
        .with_checksum_algorithm(Checksum::CRC64NVME)
        .with_conditional_put(S3ConditionalPut::ETagMatch)
        .with_skip_signature(options.anonymous)
        .with_retry(no_retries())
        .with_client_options(client_options(options, settings));
    if let Some(endpoint) = &options.endpoint {
        builder = builder.with_endpoint(endpoint).with_virtual_hosted_style_request(false);
        builder = builder.with_allow_http(endpoint.starts_with("http://"));
    }
    if let Some(region) = &options.region {
        builder = builder.with_region(region);
    }
    builder
}

fn google(bucket: &str, settings: &ObjectSettings) -> object_store::Result<impl ObjectStore> {
    install_tls();
    GoogleCloudStorageBuilder::from_env()
        .with_bucket_name(bucket)
        .with_retry(no_retries())
        .with_client_options(client_options(&Options::default(), settings))
        .build()
}

fn azure(container: &str, options: &Options, settings: &ObjectSettings) -> object_store::Result<impl ObjectStore> {
    install_tls();
    let mut builder = MicrosoftAzureBuilder::from_env()
        .with_container_name(container)
        .with_retry(no_retries())
        .with_client_options(client_options(options, settings));
    if let Some(account) = &options.account {
        builder = builder.with_account(account);
    }
    if let Some(endpoint) = &options.endpoint {
        builder = builder.with_config(AzureConfigKey::Endpoint, endpoint);
        builder = builder.with_allow_http(endpoint.starts_with("http://"));
    }
    builder.build()
}

fn folder(url: &Url, shown: &str) -> Result<LocalFileSystem, OpenError> {
    let path = url
        .to_file_path()
        .map_err(|()| OpenError::Url { url: shown.to_owned(), reason: "write file:///absolute/path".to_owned() })?;
    let backend = |reason: String| OpenError::Backend { url: shown.to_owned(), reason };
    std::fs::create_dir_all(&path).map_err(|error| backend(error.to_string()))?;
    let store = LocalFileSystem::new_with_prefix(&path).map_err(|error| backend(error.to_string()))?;
    Ok(store.with_fsync(true))
}

/// We retry ourselves: a second layer would hide what was applied, and stretch every deadline.
fn no_retries() -> RetryConfig {
    RetryConfig { max_retries: 0, ..RetryConfig::default() }
}

fn client_options(options: &Options, settings: &ObjectSettings) -> ClientOptions {
    let plain_http = options.endpoint.as_ref().is_some_and(|endpoint| endpoint.starts_with("http://"));
    ClientOptions::new()
        .with_allow_http(plain_http)
        .with_connect_timeout(Duration::from_secs(5).min(settings.attempt_timeout()))
        // Only requests that pass by our own deadlines (the embedded metastore's) live to see this one.
        .with_timeout(settings.call_timeout())
}

/// The HTTP client takes its cryptography from the process; the first caller provides it.
fn install_tls() {
    let already_there = rustls::crypto::ring::default_provider().install_default();
    drop(already_there);
}
