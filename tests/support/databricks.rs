//! A Databricks workspace that gives values. It is ours, and no emulator of Databricks': the one that there is
//! (MiniLake) gives none.
//!
//! Made from Databricks' published reference of its REST API 2.0: Secrets (`scopes/list`, `scopes/create`, `list`,
//! `get`, `put`, `acls/get`, `acls/list`, `acls/put`), SCIM `Me`, and OAuth for service principals (`oidc/v1/token`,
//! client credentials). `tests/contract/databricks.rs` holds it to MiniLake where that answers. Not in the reference,
//! and as Databricks' SDKs expect it: fields with empty values are left out; a token that is not known is 403 with
//! `Invalid access token`; a token that has run out is 401.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};

use super::fault_proxy::Message;

/// Who may do everything.
pub const ADMIN: &str = "admin@example.com";

pub struct Workspace {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    runtime: Option<tokio::runtime::Runtime>,
}

#[derive(Default)]
struct State {
    scopes: BTreeMap<String, Scope>,
    /// Tokens and whose they are; until when.
    tokens: BTreeMap<String, (String, Option<Instant>)>,
    /// Service principals and their OAuth secrets.
    clients: BTreeMap<String, String>,
    /// Tokens that there have ever been: none comes back.
    made: usize,
    /// How long a token of theirs lives.
    token_life: Duration,
    issued: usize,
    /// Milliseconds since 1970, one more with each change.
    clock: u64,
    /// Are values given to notebooks only?
    only_in_notebooks: bool,
    /// Keys that are listed and whose values are answered like that.
    odd_values: BTreeMap<String, (u16, &'static str)>,
    /// So many more reads of a value change it.
    changes_while_read: usize,
    readers: usize,
    most_readers: usize,
    agents: Vec<String>,
}

#[derive(Default)]
struct Scope {
    is_of_a_key_vault: bool,
    keys: BTreeMap<String, (Vec<u8>, Option<u64>)>,
    acls: BTreeMap<String, String>,
}

impl Workspace {
    pub fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        listener.set_nonblocking(true).expect("a socket that does not block");
        let address = listener.local_addr().expect("its address");
        let state = State { clock: 1_700_000_000_000, token_life: Duration::from_secs(3600), ..State::default() };
        let state = Arc::new(Mutex::new(state));
        let shared = Arc::clone(&state);
        runtime.spawn(async move {
            let listener = TcpListener::from_std(listener).expect("a socket");
            while let Ok((client, _)) = listener.accept().await {
                let shared = Arc::clone(&shared);
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

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// A new token of a user's.
    pub fn token(&self, user: &str) -> String {
        let mut state = self.state();
        state.new_token(user, None)
    }

    /// From now on nobody knows it.
    pub fn revoke(&self, token: &str) {
        self.state().tokens.remove(token);
    }

    pub fn revoke_all(&self) {
        self.state().tokens.clear();
    }

    /// A service principal with this OAuth secret and no other.
    pub fn client(&self, id: &str, secret: &str) {
        self.state().clients.insert(id.into(), secret.into());
    }

    /// How long tokens live that are issued from now on.
    pub fn set_token_life(&self, life: Duration) {
        self.state().token_life = life;
    }

    pub fn create(&self, scope: &str) {
        self.state().scopes.entry(scope.into()).or_default();
    }

    pub fn put(&self, scope: &str, key: &str, bytes: &[u8]) {
        self.state().put(scope, key, bytes.to_vec());
    }

    /// A secret scope that is a window on an Azure key vault, which may say nothing of times.
    pub fn put_in_key_vault(&self, scope: &str, key: &str, bytes: &[u8]) {
        let mut state = self.state();
        let scope = state.scopes.entry(scope.into()).or_default();
        scope.is_of_a_key_vault = true;
        scope.keys.insert(key.into(), (bytes.to_vec(), None));
    }

    pub fn delete(&self, scope: &str) {
        self.state().scopes.remove(scope);
    }

    pub fn delete_key(&self, scope: &str, key: &str) {
        if let Some(scope) = self.state().scopes.get_mut(scope) {
            scope.keys.remove(key);
        }
    }

    /// `READ`, `WRITE` or `MANAGE`.
    pub fn allow(&self, scope: &str, user: &str, permission: &str) {
        self.state().scopes.entry(scope.into()).or_default().acls.insert(user.into(), permission.into());
    }

    pub fn keep_values_to_notebooks(&self) {
        self.state().only_in_notebooks = true;
    }

    /// The key stays listed; its value is answered with this error.
    pub fn refuse_value(&self, key: &str, status: u16, code: &'static str) {
        self.state().odd_values.insert(key.into(), (status, code));
    }

    /// The next `count` reads of a value each change it.
    pub fn change_while_read(&self, count: usize) {
        self.state().changes_while_read = count;
    }

    /// The most values that were read at the same time.
    pub fn most_readers(&self) -> usize {
        self.state().most_readers
    }

    /// Tokens issued to service principals so far.
    pub fn issued(&self) -> usize {
        self.state().issued
    }

    /// What callers say they are, each once.
    pub fn agents(&self) -> Vec<String> {
        let mut agents = self.state().agents.clone();
        agents.sort();
        agents.dedup();
        agents
    }
}

impl Drop for Workspace {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn serve(mut client: TcpStream, state: &Mutex<State>) -> std::io::Result<()> {
    let Some(request) = Message::read(&mut client).await? else { return Ok(()) };
    let is_reading = request.target().starts_with("/api/2.0/secrets/get?");
    if is_reading {
        let mut state = lock(state);
        state.readers += 1;
        state.most_readers = state.most_readers.max(state.readers);
    }
    // So that those who come at the same time are seen to.
    tokio::task::yield_now().await;
    let (status, body) = lock(state).answer(&request);
    let body = body.to_string();
    let head = format!(
        "HTTP/1.1 {status} Test\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    let sent = client.write_all(&[head.as_bytes(), body.as_bytes()].concat()).await;
    if is_reading {
        lock(state).readers -= 1;
    }
    sent?;
    client.shutdown().await
}

type Answer = (u16, Value);

fn error(status: u16, code: &str, message: &str) -> Answer {
    (status, json!({"error_code": code, "message": message}))
}

fn is_possible(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 128
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.@/".contains(&byte))
}

impl State {
    fn new_token(&mut self, user: &str, end: Option<Instant>) -> String {
        self.made += 1;
        let token = format!("dapi-{}-{user}", self.made);
        self.tokens.insert(token.clone(), (user.into(), end));
        token
    }

    fn put(&mut self, scope: &str, key: &str, bytes: Vec<u8>) {
        self.clock += 1;
        let clock = self.clock;
        self.scopes.entry(scope.into()).or_default().keys.insert(key.into(), (bytes, Some(clock)));
    }

    fn answer(&mut self, request: &Message) -> Answer {
        self.agents.push(request.header("user-agent").unwrap_or_default().to_owned());
        let url = reqwest::Url::parse(&format!("http://workspace{}", request.target())).expect("a URL");
        if (request.method(), url.path()) == ("POST", "/oidc/v1/token") {
            return self.log_in(request);
        }
        let user = match self.user(request) {
            Ok(user) => user,
            Err(answer) => return answer,
        };
        let query: BTreeMap<String, String> = url.query_pairs().into_owned().collect();
        let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        let given = |name: &str| match request.method() {
            "GET" => query.get(name).cloned().unwrap_or_default(),
            _ => body[name].as_str().unwrap_or_default().to_owned(),
        };
        match (request.method(), url.path()) {
            ("GET", "/api/2.0/preview/scim/v2/Me") => (200, json!({"id": "1", "userName": user, "displayName": "Me"})),
            ("GET", "/api/2.0/secrets/scopes/list") => self.list_scopes(),
            ("POST", "/api/2.0/secrets/scopes/create") => {
                if self.scopes.contains_key(&given("scope")) {
                    return error(400, "RESOURCE_ALREADY_EXISTS", "Scope already exists");
                }
                self.scopes.entry(given("scope")).or_default().acls.insert(user, "MANAGE".into());
                (200, json!({}))
            }
            (method, path) => {
                let Some(call) = path.strip_prefix("/api/2.0/secrets/") else {
                    return error(404, "ENDPOINT_NOT_FOUND", "No API found");
                };
                self.in_scope((method, call), &user, &given)
            }
        }
    }

    fn user(&self, request: &Message) -> Result<String, Answer> {
        let Some(token) = request.header("authorization").and_then(|it| it.strip_prefix("Bearer ")) else {
            return Err((401, json!({"error_code": 401, "message": "Credential was not sent"})));
        };
        match self.tokens.get(token) {
            None => Err(error(403, "403", "Invalid access token.")),
            Some((_, Some(end))) if *end <= Instant::now() => {
                Err((401, json!({"error_code": "UNAUTHENTICATED", "message": "The token has run out"})))
            }
            Some((user, _)) => Ok(user.clone()),
        }
    }

    fn log_in(&mut self, request: &Message) -> Answer {
        let basic = request.header("authorization").and_then(|it| it.strip_prefix("Basic "));
        let pair = basic.and_then(|it| STANDARD.decode(it).ok()).and_then(|it| String::from_utf8(it).ok());
        let client = pair.as_deref().and_then(|it| it.split_once(':'));
        let known = client.filter(|(id, secret)| self.clients.get(*id).is_some_and(|known| known == secret));
        let form = String::from_utf8_lossy(&request.body);
        match known {
            Some((id, _)) if form == "grant_type=client_credentials&scope=all-apis" => {
                self.issued += 1;
                let life = self.token_life;
                let token = self.new_token(id, Some(Instant::now() + life));
                let seconds = life.as_secs();
                (
                    200,
                    json!({"access_token": token, "scope": "all-apis", "token_type": "Bearer", "expires_in": seconds}),
                )
            }
            Some(_) => (400, json!({"error": "invalid_request", "error_description": "grant_type or scope"})),
            None => (401, json!({"error": "invalid_client", "error_description": "Client authentication failed"})),
        }
    }

    fn list_scopes(&self) -> Answer {
        let backend = |scope: &Scope| if scope.is_of_a_key_vault { "AZURE_KEYVAULT" } else { "DATABRICKS" };
        let scopes: Vec<Value> =
            self.scopes.iter().map(|(name, scope)| json!({"name": name, "backend_type": backend(scope)})).collect();
        (200, if scopes.is_empty() { json!({}) } else { json!({"scopes": scopes}) })
    }

    /// What is about one secret scope.
    fn in_scope(&mut self, (method, call): (&str, &str), user: &str, given: &dyn Fn(&str) -> String) -> Answer {
        let name = given("scope");
        if !is_possible(&name) {
            return error(400, "INVALID_PARAMETER_VALUE", "Scope name is not valid");
        }
        let none = || error(404, "RESOURCE_DOES_NOT_EXIST", &format!("Scope {name} does not exist!"));
        let Some(scope) = self.scopes.get(&name) else { return none() };
        let may = |needed: &[&str]| {
            user == ADMIN || scope.acls.get(user).is_some_and(|permission| needed.contains(&permission.as_str()))
        };
        let denied = |needed: &str| {
            error(403, "PERMISSION_DENIED", &format!("User {user} does not have {needed} permission on scope {name}"))
        };
        match (method, call) {
            ("GET", "list" | "get") if !may(&["READ", "WRITE", "MANAGE"]) => denied("READ"),
            ("GET", "acls/get" | "acls/list") | ("POST", "acls/put") if !may(&["MANAGE"]) => denied("MANAGE"),
            ("GET", "list") => {
                let entry = |(key, (_, changed)): (&String, &(Vec<u8>, Option<u64>))| match changed {
                    Some(changed) => json!({"key": key, "last_updated_timestamp": changed}),
                    None => json!({"key": key}),
                };
                let keys: Vec<Value> = scope.keys.iter().map(entry).collect();
                (200, if keys.is_empty() { json!({}) } else { json!({"secrets": keys}) })
            }
            ("GET", "get") => self.value(&name, &given("key")),
            ("GET", "acls/get") => match scope.acls.get(&given("principal")) {
                Some(permission) => (200, json!({"principal": given("principal"), "permission": permission})),
                None => error(404, "RESOURCE_DOES_NOT_EXIST", "No ACL of this principal"),
            },
            ("GET", "acls/list") => {
                let item =
                    |(user, permission): (&String, &String)| json!({"principal": user, "permission": permission});
                (200, json!({"items": scope.acls.iter().map(item).collect::<Vec<_>>()}))
            }
            ("POST", "put") if !may(&["WRITE", "MANAGE"]) => denied("WRITE"),
            ("POST", "put") => {
                let bytes = match given("bytes_value") {
                    encoded if !encoded.is_empty() => STANDARD.decode(encoded).expect("base64"),
                    _ => given("string_value").into_bytes(),
                };
                self.put(&name, &given("key"), bytes);
                (200, json!({}))
            }
            ("POST", "acls/put") => {
                let (user, permission) = (given("principal"), given("permission"));
                if !["READ", "WRITE", "MANAGE"].contains(&permission.as_str()) {
                    return error(400, "INVALID_PARAMETER_VALUE", "Not a permission");
                }
                self.scopes.entry(name.clone()).or_default().acls.insert(user, permission);
                (200, json!({}))
            }
            _ => error(404, "ENDPOINT_NOT_FOUND", "No API found"),
        }
    }

    fn value(&mut self, scope: &str, key: &str) -> Answer {
        if self.only_in_notebooks {
            return error(400, "BAD_REQUEST", "Secrets can only be read from DBUtils inside of a notebook");
        }
        if let Some((status, code)) = self.odd_values.get(key) {
            return error(*status, code, "says the test");
        }
        let value = self.scopes.get(scope).and_then(|scope| scope.keys.get(key)).map(|(bytes, _)| bytes.clone());
        let Some(value) = value else {
            return error(404, "RESOURCE_DOES_NOT_EXIST", &format!("No secret {key} in scope {scope}"));
        };
        if self.changes_while_read > 0 {
            self.changes_while_read -= 1;
            self.put(scope, key, [&value[..], b"+"].concat());
        }
        match &value[..] {
            b"" => (200, json!({"key": key})),
            bytes => (200, json!({"key": key, "value": STANDARD.encode(bytes)})),
        }
    }
}
