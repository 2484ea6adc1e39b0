//! An S3 server inside the test process: what Towpath uses of S3, with faults on demand.
//!
//! PUT (If-None-Match, If-Match, CRC-64/NVME check), GET (ranges, suffixes), HEAD, DELETE, DeleteObjects,
//! ListObjectsV2 (prefix, delimiter, start-after, pages), multi-part uploads. Signatures are not checked.

#![allow(dead_code, reason = "each test binary uses its own part of the kit")]

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, Response, StatusCode};
use bytes::{Bytes, BytesMut};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// The one bucket.
pub(crate) const BUCKET: &str = "towpath";

const LAST_MODIFIED: &str = "Mon, 01 Jan 2024 00:00:00 GMT";
const LAST_MODIFIED_ISO: &str = "2024-01-01T00:00:00.000Z";

/// What goes wrong with one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Answers 503 SlowDown; nothing is applied.
    SlowDown,
    /// Answers 500 InternalError; nothing is applied.
    ErrorBefore,
    /// Applies the request, then answers 500.
    ErrorAfter,
    /// Applies the request, then never answers.
    LoseAnswer,
    /// Never answers and never applies.
    Stall,
    /// Waits before it does anything.
    Delay(Duration),
    /// Sends only so many bytes of the body, then cuts the connection.
    Truncate(usize),
}

/// How the server is, all the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// As S3 is.
    Sound,
    /// Takes conditional writes and ignores their conditions.
    IgnoresConditions,
    /// Refuses every request of this method for want of rights.
    Forbids(&'static str),
    /// Has no bucket.
    NoBucket,
    /// Lists nothing, as if listings were late.
    StaleListing,
}

#[derive(Debug)]
struct Inner {
    objects: BTreeMap<String, (Bytes, u64)>,
    uploads: BTreeMap<String, BTreeMap<u32, Bytes>>,
    version: u64,
    checked: usize,
    mode: Mode,
    faults: VecDeque<(Method, Fault)>,
    log: Vec<String>,
    page_entries: usize,
}

type Shared = Arc<Mutex<Inner>>;

/// The server. Dropping it closes the port.
#[derive(Debug)]
pub(crate) struct S3Server {
    address: SocketAddr,
    shared: Shared,
    task: JoinHandle<()>,
}

impl Drop for S3Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl S3Server {
    /// Listens on a free port.
    pub(crate) async fn start() -> Self {
        let shared = Arc::new(Mutex::new(Inner {
            objects: BTreeMap::new(),
            uploads: BTreeMap::new(),
            version: 0,
            checked: 0,
            mode: Mode::Sound,
            faults: VecDeque::new(),
            log: Vec::new(),
            page_entries: 1000,
        }));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        let router = Router::new().fallback(serve).with_state(Arc::clone(&shared));
        #[allow(clippy::disallowed_methods, reason = "a test's own task")]
        let task = tokio::spawn(async move {
            axum::serve(listener, router).await.expect("the server runs until it is dropped");
        });
        Self { address, shared, task }
    }

    /// The URL of a prefix here, as Towpath takes it.
    pub(crate) fn url(&self, prefix: &str) -> String {
        format!("s3://{BUCKET}/{prefix}?endpoint=http://{}&region=us-east-1&anonymous=true", self.address)
    }

    /// Changes how the server is.
    pub(crate) fn set_mode(&self, mode: Mode) {
        self.lock().mode = mode;
    }

    /// The next request of `method` goes wrong; several faults of one method are used up one by one.
    pub(crate) fn inject(&self, method: Method, fault: Fault) {
        self.lock().faults.push_back((method, fault));
    }

    /// Entries per page of a listing.
    pub(crate) fn set_page_entries(&self, entries: usize) {
        self.lock().page_entries = entries;
    }

    /// All requests so far, as `METHOD key`.
    pub(crate) fn log(&self) -> Vec<String> {
        self.lock().log.clone()
    }

    /// How many requests of `method` came.
    pub(crate) fn count(&self, method: &str) -> usize {
        self.lock().log.iter().filter(|line| line.split(' ').next() == Some(method)).count()
    }

    /// How many bodies came with a checksum, and the right one.
    pub(crate) fn checked(&self) -> usize {
        self.lock().checked
    }

    /// What is stored.
    pub(crate) fn objects(&self) -> BTreeMap<String, Bytes> {
        self.lock().objects.iter().map(|(key, (body, _))| (key.clone(), body.clone())).collect()
    }

    /// Stores an object from behind.
    pub(crate) fn plant(&self, key: &str, body: impl Into<Bytes>) {
        self.lock().store(key, body.into());
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.shared.lock().expect("no test panics while it holds this")
    }
}

impl Inner {
    fn store(&mut self, key: &str, body: Bytes) -> u64 {
        self.version += 1;
        self.objects.insert(key.to_owned(), (body, self.version));
        self.version
    }

    fn take_fault(&mut self, method: &Method) -> Option<Fault> {
        let index = self.faults.iter().position(|(wanted, _)| wanted == method)?;
        self.faults.remove(index).map(|(_, fault)| fault)
    }
}

async fn serve(State(shared): State<Shared>, request: Request) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path().trim_start_matches('/');
    let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
    let query: BTreeMap<String, String> =
        url::form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes()).into_owned().collect();
    let body = to_bytes(body, 1 << 30).await.unwrap_or_default();
    let (fault, mode) = {
        let mut inner = shared.lock().expect("no test panics while it holds this");
        inner.log.push(format!("{} {key}", parts.method));
        (inner.take_fault(&parts.method), inner.mode)
    };
    match fault {
        Some(Fault::SlowDown) => return failure(StatusCode::SERVICE_UNAVAILABLE, "SlowDown"),
        Some(Fault::ErrorBefore) => return failure(StatusCode::INTERNAL_SERVER_ERROR, "InternalError"),
        Some(Fault::Stall) => return std::future::pending().await,
        Some(Fault::Delay(duration)) => tokio::time::sleep(duration).await,
        _ => {}
    }
    let answer = if bucket != BUCKET || mode == Mode::NoBucket {
        failure(StatusCode::NOT_FOUND, "NoSuchBucket")
    } else if matches!(mode, Mode::Forbids(method) if forbids(method, &parts.method, key)) {
        failure(StatusCode::FORBIDDEN, "AccessDenied")
    } else {
        let mut inner = shared.lock().expect("no test panics while it holds this");
        apply(&mut inner, &parts.method, key, &parts.headers, &query, body)
    };
    match fault {
        Some(Fault::ErrorAfter) => failure(StatusCode::INTERNAL_SERVER_ERROR, "InternalError"),
        Some(Fault::LoseAnswer) => std::future::pending().await,
        Some(Fault::Truncate(bytes)) => truncated(answer, bytes).await,
        _ => answer,
    }
}

/// `LIST` and `DELETE` stand for rights, however they are sent.
fn forbids(right: &str, method: &Method, key: &str) -> bool {
    match (method.as_str(), key) {
        ("GET", "") => right == "LIST",
        ("POST", "") => right == "DELETE",
        (method, _) => right == method,
    }
}

fn apply(
    inner: &mut Inner,
    method: &Method,
    key: &str,
    headers: &HeaderMap,
    query: &BTreeMap<String, String>,
    body: Bytes,
) -> Response<Body> {
    match method.as_str() {
        "PUT" if query.contains_key("uploadId") => put_part(inner, query, body),
        "PUT" => put(inner, key, headers, body),
        "GET" if key.is_empty() => list(inner, query),
        "GET" => get(inner, key, headers, true),
        "HEAD" => get(inner, key, headers, false),
        "DELETE" => {
            match query.get("uploadId") {
                Some(upload) => drop(inner.uploads.remove(upload)),
                None => drop(inner.objects.remove(key)),
            }
            answer(StatusCode::NO_CONTENT, Body::empty())
        }
        "POST" if query.contains_key("delete") => delete_many(inner, &body),
        "POST" => post_upload(inner, key, query),
        _ => failure(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed"),
    }
}

fn put(inner: &mut Inner, key: &str, headers: &HeaderMap, body: Bytes) -> Response<Body> {
    if let Some(claimed) = header(headers, "x-amz-checksum-crc64nvme") {
        let crc = crc_fast::crc64_nvme(&body);
        if claimed != base64_of(&crc.to_be_bytes()) {
            return failure(StatusCode::BAD_REQUEST, "BadDigest");
        }
        inner.checked += 1;
    }
    let current = inner.objects.get(key).map(|(_, version)| etag(*version));
    if inner.mode != Mode::IgnoresConditions {
        if header(headers, "if-none-match") == Some("*") && current.is_some() {
            return failure(StatusCode::PRECONDITION_FAILED, "PreconditionFailed");
        }
        match (header(headers, "if-match"), &current) {
            (Some(_), None) => return failure(StatusCode::NOT_FOUND, "NoSuchKey"),
            (Some(wanted), Some(current)) if wanted != current => {
                return failure(StatusCode::PRECONDITION_FAILED, "PreconditionFailed");
            }
            _ => {}
        }
    }
    let version = inner.store(key, body);
    with_header(answer(StatusCode::OK, Body::empty()), "etag", &etag(version))
}

fn get(inner: &Inner, key: &str, headers: &HeaderMap, with_body: bool) -> Response<Body> {
    let Some((body, version)) = inner.objects.get(key) else {
        return failure(StatusCode::NOT_FOUND, "NoSuchKey");
    };
    let size = body.len();
    let (status, part, range) = match header(headers, "range").map(|range| range_of(range, size)) {
        None => (StatusCode::OK, body.clone(), None),
        Some(Some((start, end))) => (
            StatusCode::PARTIAL_CONTENT,
            body.slice(start..end),
            Some(format!("bytes {start}-{}/{size}", end.saturating_sub(1))),
        ),
        Some(None) => return failure(StatusCode::RANGE_NOT_SATISFIABLE, "InvalidRange"),
    };
    let length = part.len().to_string();
    let mut response = answer(status, if with_body { Body::from(part) } else { Body::empty() });
    response = with_header(response, "etag", &etag(*version));
    response = with_header(response, "last-modified", LAST_MODIFIED);
    response = with_header(response, "content-length", &length);
    match range {
        Some(range) => with_header(response, "content-range", &range),
        None => response,
    }
}

/// Start and end of `bytes=3-7`, `bytes=3-` or `bytes=-5`.
fn range_of(range: &str, size: usize) -> Option<(usize, usize)> {
    let (start, last) = range.strip_prefix("bytes=")?.split_once('-')?;
    if start.is_empty() {
        return Some((size.saturating_sub(last.parse().ok()?), size));
    }
    let start: usize = start.parse().ok()?;
    let end = if last.is_empty() { size } else { last.parse::<usize>().ok()?.saturating_add(1).min(size) };
    (start < end).then_some((start, end))
}

fn list(inner: &Inner, query: &BTreeMap<String, String>) -> Response<Body> {
    let text = |name: &str| query.get(name).cloned().unwrap_or_default();
    let (prefix, delimiter) = (text("prefix"), text("delimiter"));
    let after = query.get("continuation-token").cloned().unwrap_or_else(|| text("start-after"));
    let (mut xml, mut folders, mut taken, mut next) = (String::new(), BTreeSet::new(), 0, None);
    for (key, (body, version)) in &inner.objects {
        if !key.starts_with(&prefix) || *key <= after || inner.mode == Mode::StaleListing {
            continue;
        }
        if taken == inner.page_entries {
            next = inner.objects.range(..key.clone()).next_back().map(|(last, _)| last.clone());
            break;
        }
        let below = &key[prefix.len()..];
        match below.split_once(&delimiter).filter(|_| !delimiter.is_empty()) {
            Some((folder, _)) => {
                folders.insert(format!("{prefix}{folder}{delimiter}"));
            }
            None => {
                let (key, etag) = (escape(key), escape(&etag(*version)));
                let size = body.len();
                xml += &format!(
                    "<Contents><Key>{key}</Key><Size>{size}</Size><ETag>{etag}</ETag>\
                     <LastModified>{LAST_MODIFIED_ISO}</LastModified></Contents>"
                );
            }
        }
        taken += 1;
    }
    for folder in folders {
        xml += &format!("<CommonPrefixes><Prefix>{}</Prefix></CommonPrefixes>", escape(&folder));
    }
    if let Some(next) = next {
        xml += &format!("<NextContinuationToken>{}</NextContinuationToken>", escape(&next));
    }
    answer(StatusCode::OK, Body::from(format!("<ListBucketResult>{xml}</ListBucketResult>")))
}

fn delete_many(inner: &mut Inner, body: &Bytes) -> Response<Body> {
    let text = String::from_utf8_lossy(body);
    let mut xml = String::new();
    for piece in text.split("<Key>").skip(1) {
        let key = piece.split("</Key>").next().unwrap_or_default();
        let key = key.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&amp;", "&");
        inner.objects.remove(&key);
        xml += &format!("<Deleted><Key>{}</Key></Deleted>", escape(&key));
    }
    answer(StatusCode::OK, Body::from(format!("<DeleteResult>{xml}</DeleteResult>")))
}

fn post_upload(inner: &mut Inner, key: &str, query: &BTreeMap<String, String>) -> Response<Body> {
    let Some(upload) = query.get("uploadId") else {
        inner.version += 1;
        let upload = format!("upload-{}", inner.version);
        inner.uploads.insert(upload.clone(), BTreeMap::new());
        let xml =
            format!("<InitiateMultipartUploadResult><UploadId>{upload}</UploadId></InitiateMultipartUploadResult>");
        return answer(StatusCode::OK, Body::from(xml));
    };
    let Some(parts) = inner.uploads.remove(upload) else {
        return failure(StatusCode::NOT_FOUND, "NoSuchUpload");
    };
    let mut whole = BytesMut::new();
    parts.values().for_each(|part| whole.extend_from_slice(part));
    let version = inner.store(key, whole.freeze());
    let etag = escape(&etag(version));
    let xml = format!("<CompleteMultipartUploadResult><ETag>{etag}</ETag></CompleteMultipartUploadResult>");
    answer(StatusCode::OK, Body::from(xml))
}

fn put_part(inner: &mut Inner, query: &BTreeMap<String, String>, body: Bytes) -> Response<Body> {
    let number = query.get("partNumber").and_then(|number| number.parse().ok()).unwrap_or(0);
    let Some(parts) = query.get("uploadId").and_then(|upload| inner.uploads.get_mut(upload)) else {
        return failure(StatusCode::NOT_FOUND, "NoSuchUpload");
    };
    parts.insert(number, body);
    with_header(answer(StatusCode::OK, Body::empty()), "etag", &format!("\"part-{number}\""))
}

/// The same answer, whose body breaks off.
async fn truncated(response: Response<Body>, bytes: usize) -> Response<Body> {
    let (parts, body) = response.into_parts();
    let whole = to_bytes(body, 1 << 30).await.unwrap_or_default();
    let beginning = whole.slice(..bytes.min(whole.len()));
    let broken = futures::stream::iter([Ok(beginning), Err(std::io::Error::other("cut"))]);
    with_header(Response::from_parts(parts, Body::from_stream(broken)), "content-length", &whole.len().to_string())
}

fn answer(status: StatusCode, body: Body) -> Response<Body> {
    Response::builder().status(status).body(body).expect("status and body are fine")
}

fn failure(status: StatusCode, code: &str) -> Response<Body> {
    answer(status, Body::from(format!("<Error><Code>{code}</Code><Message>as ordered</Message></Error>")))
}

fn with_header(mut response: Response<Body>, name: &'static str, value: &str) -> Response<Body> {
    response.headers_mut().insert(name, value.parse().expect("the value is plain text"));
    response
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn etag(version: u64) -> String {
    format!("\"{version:016x}\"")
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn base64_of(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let bits = group.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - group.len()));
        for digit in 0..4 {
            let index = (bits >> (18 - 6 * digit)) & 63;
            text.push(if digit <= group.len() { DIGITS[index as usize] as char } else { '=' });
        }
    }
    text
}
