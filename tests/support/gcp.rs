//! A Google Cloud Secret Manager for tests. It is ours: there is no emulator to be had, so this was made from the
//! published REST API (v1) and shows what hushfs and the official client do with answers of that form, not that
//! Google gives such answers. It has what hushfs uses: `secrets` list, get and testIamPermissions, `versions`
//! list, get and access, global and regional; errors in Google's JSON; and the token services that credentials
//! ask (OAuth, service account impersonation, metadata server).
//!
//! It fails on demand and counts calls, by the method's name in the API, such as `AccessSecretVersion`. One
//! connection carries one call.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::fault_proxy::Fault;

/// The project that scopes name, and what the service calls it in its answers.
pub const PROJECT: &str = "my-project";
const NUMBER: &str = "123456789012";
/// Where secrets are that have no location.
pub const GLOBAL: &str = "projects/my-project";
/// The most secrets of a page, whatever was asked for.
const LARGEST_PAGE: usize = 25_000;

/// The right to make tokens of a service account.
const MAKE_TOKENS: &str = "serviceAccounts.getAccessToken";

struct Version {
    bytes: Vec<u8>,
    /// As the API numbers them: 1 enabled, 2 disabled, 3 destroyed.
    state: u8,
    created: u64,
    checksum: Option<i64>,
}

#[derive(Default)]
struct Stored {
    created: u64,
    labels: BTreeMap<String, String>,
    aliases: BTreeMap<String, usize>,
    versions: Vec<Version>,
}

#[derive(Default)]
struct State {
    /// By parent and id.
    secrets: BTreeMap<(String, String), Stored>,
    faults: HashMap<String, Fault>,
    calls: HashMap<String, usize>,
    /// What each token may do: permissions, and the start of ids. Without any token everybody may do everything.
    tokens: HashMap<String, Vec<(String, String)>>,
    /// Tokens that service accounts sign themselves, by `iss`.
    signers: Vec<String>,
    /// The last token of each kind of call, and the last user agent.
    bearers: Vec<String>,
    user_agent: String,
    largest_page: usize,
    seconds: u64,
}

pub struct Gcp {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    /// A runtime of its own: a test that blocks its thread does not stop the server.
    runtime: Option<tokio::runtime::Runtime>,
}

impl Gcp {
    /// Listens on a free port of loopback.
    pub fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        // std's bind, so that this works inside and outside of another runtime.
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        listener.set_nonblocking(true).expect("a socket that does not block");
        let address = listener.local_addr().expect("its address");
        let state =
            Arc::new(Mutex::new(State { seconds: 1_700_000_000, largest_page: LARGEST_PAGE, ..State::default() }));
        let shared = Arc::clone(&state);
        runtime.spawn(async move {
            let listener = TcpListener::from_std(listener).expect("a socket");
            while let Ok((client, _)) = listener.accept().await {
                let shared = Arc::clone(&shared);
                // A caller that leaves early is the caller's affair.
                tokio::spawn(async move { drop(serve(client, &shared).await) });
            }
        });
        Self { address, state, runtime: Some(runtime) }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// A new secret with one version.
    pub fn create(&self, id: &str, bytes: &[u8]) {
        self.create_in(GLOBAL, id, bytes);
    }

    pub fn create_in(&self, parent: &str, id: &str, bytes: &[u8]) {
        let mut state = lock(&self.state);
        let created = state.tick();
        let stored = Stored { created, ..Stored::default() };
        let old = state.secrets.insert((parent.into(), id.into()), stored);
        assert!(old.is_none(), "{id} exists");
        drop(state);
        self.add_version_in(parent, id, bytes);
    }

    /// Another version, which becomes the latest; its number.
    pub fn add_version(&self, id: &str, bytes: &[u8]) -> String {
        self.add_version_in(GLOBAL, id, bytes)
    }

    pub fn add_version_in(&self, parent: &str, id: &str, bytes: &[u8]) -> String {
        let mut state = lock(&self.state);
        let created = state.tick();
        let checksum = Some(i64::from(crc32c::crc32c(bytes)));
        let versions = &mut state.secrets.get_mut(&(parent.into(), id.into())).expect("the secret").versions;
        versions.push(Version { bytes: bytes.into(), state: 1, created, checksum });
        versions.len().to_string()
    }

    pub fn delete(&self, id: &str) {
        assert!(lock(&self.state).secrets.remove(&(GLOBAL.into(), id.into())).is_some(), "{id} does not exist");
    }

    fn change(&self, id: &str, change: impl FnOnce(&mut Stored)) {
        change(lock(&self.state).secrets.get_mut(&(GLOBAL.into(), id.into())).expect("the secret"));
    }

    pub fn disable(&self, id: &str, number: usize) {
        self.change(id, |stored| stored.versions[number - 1].state = 2);
    }

    pub fn destroy(&self, id: &str, number: usize) {
        self.change(id, |stored| stored.versions[number - 1].state = 3);
    }

    pub fn label(&self, id: &str, key: &str, value: &str) {
        self.change(id, |stored| {
            stored.labels.insert(key.into(), value.into());
        });
    }

    pub fn alias(&self, id: &str, alias: &str, number: usize) {
        self.change(id, |stored| {
            stored.aliases.insert(alias.into(), number);
        });
    }

    /// The latest version is answered with this checksum.
    pub fn checksum(&self, id: &str, checksum: Option<i64>) {
        self.change(id, |stored| stored.versions.last_mut().expect("a version").checksum = checksum);
    }

    /// From now on only tokens are answered; this one may do this with secrets whose ids start so.
    pub fn grant(&self, token: &str, permission: &str, ids: &str) {
        lock(&self.state).tokens.entry(token.into()).or_default().push((permission.into(), ids.into()));
    }

    /// As [`grant`](Self::grant), everything with all.
    pub fn grant_all(&self, token: &str) {
        for permission in ["secrets.list", "secrets.get", "versions.list", "versions.get", "versions.access"] {
            self.grant(token, permission, "");
        }
    }

    /// Who has this token may impersonate this service account.
    pub fn grant_impersonation(&self, token: &str, account: &str) {
        self.grant(token, MAKE_TOKENS, account);
    }

    /// What those get who impersonate it.
    pub fn token_of(account: &str) -> String {
        format!("token-of-{account}")
    }

    pub fn revoke(&self, token: &str) {
        lock(&self.state).tokens.remove(token);
        // So that there is still one.
        self.grant("nobody's", "nothing", "");
    }

    /// Tokens that this service account signed itself are answered too, and may do everything.
    pub fn trust_signer(&self, email: &str) {
        lock(&self.state).signers.push(email.into());
        self.grant("nobody's", "nothing", "");
    }

    /// The tokens of all calls so far.
    pub fn bearers(&self) -> Vec<String> {
        lock(&self.state).bearers.clone()
    }

    pub fn user_agent(&self) -> String {
        lock(&self.state).user_agent.clone()
    }

    pub fn largest_page(&self, secrets: usize) {
        lock(&self.state).largest_page = secrets;
    }

    /// From now on `operation` (or every one that has no fault of its own: `*`) goes like this.
    pub fn set(&self, operation: &str, fault: Fault) {
        lock(&self.state).faults.insert(operation.into(), fault);
    }

    pub fn calls(&self, operation: &str) -> usize {
        lock(&self.state).calls.get(operation).copied().unwrap_or(0)
    }

    pub fn all_calls(&self) -> usize {
        lock(&self.state).calls.values().sum()
    }

    pub fn forget_calls(&self) {
        lock(&self.state).calls.clear();
    }
}

impl Drop for Gcp {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// An error in Google's form.
pub fn error(http: u16, status: &str, message: &str) -> Fault {
    error_with(http, status, message, Vec::new(), json!([]))
}

pub fn error_with(http: u16, status: &str, message: &str, headers: Vec<String>, details: Value) -> Fault {
    Fault::Answer { status: http, headers, body: error_body(http, status, message, details).to_string() }
}

fn error_body(http: u16, status: &str, message: &str, details: Value) -> Value {
    json!({"error": {"code": http, "message": message, "status": status, "details": details}})
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

struct Request {
    method: String,
    path: String,
    query: HashMap<String, String>,
    head: String,
    body: Vec<u8>,
}

impl Request {
    async fn read(stream: &mut TcpStream) -> io::Result<Option<Self>> {
        let mut bytes = Vec::new();
        let end = loop {
            if let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
                break at;
            }
            if stream.read_buf(&mut bytes).await? == 0 {
                return Ok(None);
            }
        };
        let mut body = bytes.split_off(end + 4);
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let mut words = head.split(' ');
        let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        let query = pairs.map(|(key, value)| (decoded(key), decoded(value))).collect();
        let mut request =
            Self { method: method.into(), path: decoded(path), query, head: head.clone(), body: Vec::new() };
        let length = request.header("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
        while body.len() < length {
            if stream.read_buf(&mut body).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        request.body = body;
        Ok(Some(request))
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    fn bearer(&self) -> Option<&str> {
        self.header("authorization")?.strip_prefix("Bearer ")
    }

    /// The API's method, and the resource that it is about.
    fn operation(&self) -> (&'static str, String) {
        let path = self.path.trim_start_matches("/v1/").to_owned();
        let parts: Vec<&str> = path.split('/').collect();
        let is_get = self.method == "GET";
        let operation = match parts.as_slice() {
            _ if self.path == "/token" => "Token",
            _ if self.path.starts_with("/computeMetadata/") => "Metadata",
            _ if path.ends_with(":generateAccessToken") => "GenerateAccessToken",
            [.., _] if path.ends_with(":testIamPermissions") => "TestIamPermissions",
            [.., "versions", _] if path.ends_with(":access") => "AccessSecretVersion",
            [.., "versions", _] if is_get => "GetSecretVersion",
            [.., "secrets", _, "versions"] if is_get => "ListSecretVersions",
            [.., "secrets", _] if is_get => "GetSecret",
            [.., "secrets"] if is_get => "ListSecrets",
            _ => "?",
        };
        let resource = path.rsplit_once(':').map_or(path.as_str(), |(resource, _)| resource);
        (operation, resource.to_owned())
    }
}

/// `%2F` and `+` back to what they stand for.
fn decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let (mut out, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        let hex = (bytes[at] == b'%').then(|| text.get(at + 1..at + 3)).flatten();
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                at += 3;
            }
            None => {
                out.push(if bytes[at] == b'+' { b' ' } else { bytes[at] });
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

async fn serve(mut client: TcpStream, state: &Mutex<State>) -> io::Result<()> {
    let Some(request) = Request::read(&mut client).await? else { return Ok(()) };
    let (operation, resource) = request.operation();
    let fault = {
        let mut state = lock(state);
        *state.calls.entry(operation.into()).or_default() += 1;
        if let Some(bearer) = request.bearer() {
            state.bearers.push(bearer.into());
        }
        state.user_agent = request.header("user-agent").unwrap_or_default().into();
        state.faults.get(operation).or_else(|| state.faults.get("*")).cloned().unwrap_or(Fault::Pass)
    };
    let answer = || {
        let (status, body) = lock(state).answer(&request, operation, &resource);
        (status, body.to_string())
    };
    match fault {
        Fault::Pass => {
            let (status, body) = answer();
            client.write_all(head(status, &[], body.len()).as_bytes()).await?;
            client.write_all(body.as_bytes()).await?;
        }
        Fault::Delay(delay) => {
            tokio::time::sleep(delay).await;
            let (status, body) = answer();
            client.write_all(head(status, &[], body.len()).as_bytes()).await?;
            client.write_all(body.as_bytes()).await?;
        }
        Fault::Hang => {
            // Until the caller goes away.
            let _ = client.read(&mut [0; 1]).await;
        }
        Fault::HangUp => return Ok(()),
        Fault::Answer { status, headers, body } => {
            client.write_all(head(status, &headers, body.len()).as_bytes()).await?;
            client.write_all(body.as_bytes()).await?;
        }
        Fault::CutBody => {
            let (status, body) = answer();
            client.write_all(head(status, &[], body.len()).as_bytes()).await?;
            client.write_all(&body.as_bytes()[..body.len() / 2]).await?;
        }
        Fault::Huge { bytes } => {
            let name = resource.replace(PROJECT, NUMBER).replace("latest", "1");
            let before = format!(r#"{{"name":"{name}","payload":{{"data":""#);
            let (value, after) = ("eHh4".repeat(bytes.div_ceil(3)), r#""}}"#);
            client.write_all(head(200, &[], before.len() + value.len() + after.len()).as_bytes()).await?;
            for part in [before.as_str(), &value, after] {
                client.write_all(part.as_bytes()).await?;
            }
        }
    }
    client.shutdown().await
}

fn head(status: u16, headers: &[String], length: usize) -> String {
    let headers: String = headers.iter().map(|line| format!("{line}\r\n")).collect();
    format!(
        "HTTP/1.1 {status} Test\r\nContent-Type: application/json; charset=UTF-8\r\n{headers}\
         Metadata-Flavor: Google\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    )
}

fn rfc3339(seconds: u64) -> String {
    let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
    humantime::format_rfc3339_micros(time).to_string()
}

type Answer = (u16, Value);

fn refuse(http: u16, status: &str, message: String) -> Answer {
    (http, error_body(http, status, &message, json!([])))
}

impl State {
    /// Time goes by second after second, one for each change.
    fn tick(&mut self) -> u64 {
        self.seconds += 1;
        self.seconds
    }

    fn answer(&self, request: &Request, operation: &str, resource: &str) -> Answer {
        match operation {
            "Token" => return (200, json!({"access_token": "from-oauth", "expires_in": 3600, "token_type": "Bearer"})),
            "GenerateAccessToken" => {
                let account = resource.rsplit('/').next().unwrap_or_default();
                let maker = request.bearer().and_then(|token| self.tokens.get(token));
                let may =
                    maker.is_some_and(|grants| grants.iter().any(|(it, ids)| it == MAKE_TOKENS && ids == account));
                if !self.tokens.is_empty() && !may {
                    let text = format!("Permission 'iam.serviceAccounts.getAccessToken' denied on {account}");
                    return refuse(403, "PERMISSION_DENIED", text);
                }
                let token = Gcp::token_of(account);
                return (200, json!({"accessToken": token, "expireTime": "2099-01-01T00:00:00Z"}));
            }
            "Metadata" if request.path.ends_with("/token") => {
                return (200, json!({"access_token": "from-metadata", "expires_in": 3600, "token_type": "Bearer"}));
            }
            "Metadata" => return (404, json!({})),
            _ => {}
        }
        let signed = request.bearer().is_some_and(|token| self.is_signed(token));
        let grants = match request.bearer().and_then(|token| self.tokens.get(token)) {
            _ if self.tokens.is_empty() || signed => None,
            Some(grants) => Some(grants),
            None => {
                let text = "Request had invalid authentication credentials. Expected OAuth 2 access token.";
                return refuse(401, "UNAUTHENTICATED", text.into());
            }
        };
        let may = |permission: &str, id: &str| {
            grants.is_none_or(|grants| {
                grants.iter().any(|(granted, ids)| granted == permission && (id == "*" || id.starts_with(ids)))
            })
        };
        let denied = |permission: &str| {
            let named = resource.replace(PROJECT, NUMBER);
            let text =
                format!("Permission 'secretmanager.{permission}' denied for resource '{named}' (or it may not exist).");
            refuse(403, "PERMISSION_DENIED", text)
        };
        if operation == "ListSecrets" {
            return if may("secrets.list", "*") { self.list(request, resource) } else { denied("secrets.list") };
        }
        let Some((parent, rest)) = resource.split_once("/secrets/") else {
            return refuse(400, "INVALID_ARGUMENT", "Invalid resource field value in the request.".into());
        };
        let (id, version) = rest.split_once("/versions").unwrap_or((rest, ""));
        let stored = self.secrets.get(&(parent.to_owned(), id.to_owned()));
        if operation == "TestIamPermissions" {
            // Of what does not exist: nothing, and no error.
            let asked: Value = serde_json::from_slice(&request.body).unwrap_or_default();
            let asked = asked["permissions"].as_array().cloned().unwrap_or_default();
            let held = |permission: &Value| {
                let name = permission.as_str().unwrap_or_default().trim_start_matches("secretmanager.");
                stored.is_some() && may(name, id)
            };
            let held: Vec<Value> = asked.into_iter().filter(held).collect();
            return (200, if held.is_empty() { json!({}) } else { json!({"permissions": held}) });
        }
        let permission = match operation {
            "GetSecret" => "secrets.get",
            "ListSecretVersions" => "versions.list",
            "GetSecretVersion" => "versions.get",
            "AccessSecretVersion" => "versions.access",
            _ => return refuse(404, "NOT_FOUND", "Method not found.".into()),
        };
        if !may(permission, id) {
            return denied(permission);
        }
        let name = format!("{parent}/secrets/{id}").replace(PROJECT, NUMBER);
        let Some(stored) = stored else {
            return refuse(404, "NOT_FOUND", format!("Secret [{name}] not found or has no versions."));
        };
        match operation {
            "GetSecret" => (200, secret(&name, stored)),
            "ListSecretVersions" => versions(request, &name, stored),
            _ => one_version(operation, &name, stored, version.trim_start_matches('/')),
        }
    }

    /// Is it a JWT of one who is trusted, for this API? Its signature is for the test to check.
    fn is_signed(&self, token: &str) -> bool {
        let claims = token.split('.').nth(1).and_then(|part| URL_SAFE_NO_PAD.decode(part).ok());
        let claims: Value = claims.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
        let scope = claims["scope"].as_str().unwrap_or_default();
        self.signers.iter().any(|email| claims["iss"] == email.as_str()) && scope.contains("/auth/cloud-platform")
    }

    fn list(&self, request: &Request, resource: &str) -> Answer {
        let parent = resource.trim_end_matches("/secrets");
        let wanted = request.query.get("filter").map(String::as_str).unwrap_or_default();
        let wanted = wanted.strip_prefix("name:").unwrap_or_default();
        let all: Vec<Value> = self
            .secrets
            .iter()
            .filter(|((of, id), _)| of == parent && id.contains(wanted))
            .map(|((of, id), stored)| secret(&format!("{of}/secrets/{id}").replace(PROJECT, NUMBER), stored))
            .collect();
        page(request, "secrets", all, self.largest_page)
    }
}

fn page(request: &Request, key: &str, all: Vec<Value>, largest: usize) -> Answer {
    let number = |name: &str| request.query.get(name).and_then(|text| text.parse::<usize>().ok());
    let size = number("pageSize").filter(|&size| size > 0).unwrap_or(largest).min(largest);
    let start = number("pageToken").unwrap_or(0);
    let total = all.len();
    let items: Vec<Value> = all.into_iter().skip(start).take(size).collect();
    let mut answer = json!({key: items, "totalSize": total});
    if start + size < total {
        answer["nextPageToken"] = json!((start + size).to_string());
    }
    (200, answer)
}

fn secret(name: &str, stored: &Stored) -> Value {
    let aliases: BTreeMap<&String, String> =
        stored.aliases.iter().map(|(alias, number)| (alias, number.to_string())).collect();
    json!({
        "name": name,
        "replication": {"automatic": {}},
        "createTime": rfc3339(stored.created),
        "labels": stored.labels,
        "versionAliases": aliases,
        "etag": "\"1\"",
    })
}

fn version(name: &str, number: usize, version: &Version) -> Value {
    json!({
        "name": format!("{name}/versions/{number}"),
        "createTime": rfc3339(version.created),
        "state": version.state,
        "replicationStatus": {"automatic": {}},
        "etag": "\"1\"",
    })
}

fn versions(request: &Request, name: &str, stored: &Stored) -> Answer {
    let all = stored.versions.iter().enumerate().rev();
    let all = all.map(|(at, it)| version(name, at + 1, it)).collect();
    page(request, "versions", all, LARGEST_PAGE)
}

fn one_version(operation: &str, name: &str, stored: &Stored, wanted: &str) -> Answer {
    let wanted = wanted.trim_end_matches(":access");
    let number = match wanted {
        "latest" => Some(stored.versions.len()),
        _ if wanted.starts_with(|c: char| c.is_ascii_digit()) => wanted.parse().ok(),
        alias => stored.aliases.get(alias).copied(),
    };
    let found = number.filter(|&it| it > 0).and_then(|number| Some((number, stored.versions.get(number - 1)?)));
    let Some((number, found)) = found else {
        return refuse(404, "NOT_FOUND", format!("Secret Version [{name}/versions/{wanted}] not found."));
    };
    if operation == "GetSecretVersion" {
        return (200, version(name, number, found));
    }
    let state = match found.state {
        1 => {
            let mut payload = json!({"data": STANDARD.encode(&found.bytes)});
            if let Some(checksum) = found.checksum {
                payload["dataCrc32c"] = json!(checksum.to_string());
            }
            return (200, json!({"name": format!("{name}/versions/{number}"), "payload": payload}));
        }
        2 => "DISABLED",
        _ => "DESTROYED",
    };
    let text = format!("Secret Version [{name}/versions/{number}] is in {state} state.");
    refuse(400, "FAILED_PRECONDITION", text)
}
