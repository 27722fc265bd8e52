//! An Azure key vault, and what gives tokens for it. It is ours: no emulator of Key Vault gives both.
//!
//! Made from Microsoft's published reference of the Key Vault REST API (`GET /secrets`, `/secrets/{name}`,
//! `/secrets/{name}/versions`, `/secrets/{name}/{version}`; listings of at most 25 with `nextLink`; the challenge of
//! 401) and of the Microsoft identity platform (`/{tenant}/oauth2/v2.0/token` with `client_secret` or a
//! `client_assertion`), App Service's identity endpoint included. A certificate's assertion is verified with `openssl`.
//! Not in the reference, and as Azure's own tools expect it: a secret that is not there has an empty list of versions,
//! and an id has the spelling that the secret was made with.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};

use super::fault_proxy::{FaultProxy, Message};
use super::tls::Terminator;

pub const TENANT: &str = "11111111-2222-3333-4444-555555555555";
pub const CLIENT: &str = "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee";
pub const SECRET: &str = "marked~client~secret";
/// The token of a platform that [`CLIENT`] trusts.
pub const FEDERATED: &str = "marked.federated.token";
/// App Service's word that a caller is on this machine.
pub const IDENTITY_HEADER: &str = "marked-identity-header";

/// As many as a page of a listing has.
const PAGE: usize = 25;

pub struct KeyVault {
    state: Arc<Mutex<State>>,
    address: SocketAddr,
    /// Between the clients and the vault, inside of TLS.
    pub proxy: FaultProxy,
    tls: Terminator,
    runtime: Option<tokio::runtime::Runtime>,
}

/// One version of a secret.
#[derive(Clone)]
pub struct Version {
    id: String,
    value: String,
    created: u64,
    pub enabled: bool,
    pub expires: Option<u64>,
    pub content_type: Option<String>,
    pub kid: Option<String>,
    pub tags: BTreeMap<String, String>,
}

#[derive(Default)]
struct State {
    url: String,
    /// By name in lower case: the name as it was made, and its versions, oldest first.
    secrets: BTreeMap<String, (String, Vec<Version>)>,
    tokens: BTreeSet<String>,
    client_secrets: BTreeSet<String>,
    /// PEM, of certificates that [`CLIENT`] may sign with.
    certificates: Vec<String>,
    denied: BTreeSet<String>,
    may_list: bool,
    made: usize,
    clock: u64,
    stands_still: bool,
    issued: usize,
    resource: String,
    /// Where listings go on; by default here.
    next_link: Option<String>,
    echoes_names: bool,
    agents: BTreeSet<String>,
}

impl KeyVault {
    pub fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        listener.set_nonblocking(true).expect("a socket that does not block");
        let address = listener.local_addr().expect("its address");
        let proxy = FaultProxy::start(address);
        let tls = Terminator::start(proxy.address());
        let state = State {
            url: tls.url(),
            client_secrets: BTreeSet::from([SECRET.to_owned()]),
            may_list: true,
            clock: 1_700_000_000,
            resource: "https://vault.azure.net".into(),
            ..State::default()
        };
        let state = Arc::new(Mutex::new(state));
        let shared = Arc::clone(&state);
        runtime.spawn(async move {
            let listener = TcpListener::from_std(listener).expect("a socket");
            while let Ok((client, _)) = listener.accept().await {
                let shared = Arc::clone(&shared);
                tokio::spawn(async move { drop(serve(client, &shared).await) });
            }
        });
        Self { state, address, proxy, tls, runtime: Some(runtime) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    pub fn url(&self) -> String {
        self.tls.url()
    }

    pub fn ca_file(&self) -> PathBuf {
        self.tls.ca_file()
    }

    /// Where it is without TLS and without the proxy.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// App Service's endpoint for the identity of the machine.
    pub fn identity_endpoint(&self) -> String {
        format!("http://{}/msi/token", self.address)
    }

    pub fn put(&self, name: &str, value: &str) {
        self.put_as(name, value, |_| {});
    }

    /// A new version; gives its id.
    pub fn put_as(&self, name: &str, value: &str, change: impl FnOnce(&mut Version)) -> String {
        let mut state = self.state();
        state.made += 1;
        if !state.stands_still {
            state.clock += 1;
        }
        // Ids are in no order.
        let id = format!("{:08x}{:024x}", (state.made as u32).wrapping_mul(0x9e37_79b1), state.made);
        let mut version = Version {
            id: id.clone(),
            value: value.to_owned(),
            created: state.clock,
            enabled: true,
            expires: None,
            content_type: None,
            kid: None,
            tags: BTreeMap::new(),
        };
        change(&mut version);
        let entry = state.secrets.entry(name.to_ascii_lowercase()).or_insert_with(|| (name.to_owned(), Vec::new()));
        entry.1.push(version);
        id
    }

    /// From now on all that is made is made in the same second.
    pub fn stop_the_clock(&self) {
        self.state().stands_still = true;
    }

    /// With soft-delete: a secret that is deleted is not among the others.
    pub fn delete(&self, name: &str) {
        self.state().secrets.remove(&name.to_ascii_lowercase());
    }

    pub fn disable(&self, name: &str, version: &str) {
        let mut state = self.state();
        let (_, versions) = state.secrets.get_mut(name).expect("a secret");
        versions.iter_mut().find(|it| it.id == version).expect("a version").enabled = false;
    }

    /// Nobody may read it any more.
    pub fn deny(&self, name: &str) {
        self.state().denied.insert(name.into());
    }

    pub fn deny_listing(&self) {
        self.state().may_list = false;
    }

    /// From now on no token is good that was issued before.
    pub fn revoke_tokens(&self) {
        self.state().tokens.clear();
    }

    /// From now on this secret of [`CLIENT`] is good and no other.
    pub fn set_client_secret(&self, secret: &str) {
        self.state().client_secrets = BTreeSet::from([secret.to_owned()]);
    }

    pub fn trust_certificate(&self, pem: &str) {
        self.state().certificates.push(pem.to_owned());
    }

    /// What the challenge says that a token must be for.
    pub fn set_resource(&self, resource: &str) {
        self.state().resource = resource.into();
    }

    pub fn set_next_link(&self, link: &str) {
        self.state().next_link = Some(link.into());
    }

    /// Ids have the spelling that was asked for.
    pub fn echo_names(&self) {
        self.state().echoes_names = true;
    }

    /// A token of the application, as if it had logged in.
    pub fn issue(&self) -> String {
        self.state().issue("obj-of-the-app")
    }

    pub fn issued(&self) -> usize {
        self.state().issued
    }

    /// What callers say they are, each once.
    pub fn agents(&self) -> Vec<String> {
        self.state().agents.iter().cloned().collect()
    }
}

impl Drop for KeyVault {
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
    let (status, body, challenge) = {
        let mut state = lock(state);
        let (status, body) = state.answer(&request);
        let challenge = format!(
            "WWW-Authenticate: Bearer authorization=\"{}/{TENANT}\", resource=\"{}\"\r\n",
            state.url, state.resource
        );
        (status, body.to_string(), if status == 401 { challenge } else { String::new() })
    };
    let head = format!(
        "HTTP/1.1 {status} Test\r\nContent-Type: application/json\r\n{challenge}Content-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    client.write_all(&[head.as_bytes(), body.as_bytes()].concat()).await?;
    client.shutdown().await
}

type Answer = (u16, Value);

fn error(status: u16, code: &str, inner: Option<&str>, message: &str) -> Answer {
    let mut error = json!({"code": code, "message": message});
    if let Some(inner) = inner {
        error["innererror"] = json!({"code": inner});
    }
    (status, json!({"error": error}))
}

/// A token whose claims can be read; its signature is none.
fn token(claims: &Value, number: usize) -> String {
    format!("{}.{}.marked-{number}", URL_SAFE_NO_PAD.encode("{}"), URL_SAFE_NO_PAD.encode(claims.to_string()))
}

impl State {
    fn answer(&mut self, request: &Message) -> Answer {
        self.agents.insert(request.header("user-agent").unwrap_or_default().to_owned());
        let url = reqwest::Url::parse(&format!("http://vault{}", request.target())).expect("a URL");
        let query: BTreeMap<String, String> = url.query_pairs().into_owned().collect();
        if (request.method(), url.path()) == ("POST", &format!("/{TENANT}/oauth2/v2.0/token")[..]) {
            return self.log_in(request);
        }
        if url.path() == "/msi/token" {
            return self.managed(request, &query);
        }
        let bearer = request.header("authorization").and_then(|it| it.strip_prefix("Bearer "));
        if !bearer.is_some_and(|token| self.tokens.contains(token)) {
            return error(401, "Unauthorized", None, "AKV10000: Request is missing a Bearer or PoP token.");
        }
        if !query.get("api-version").is_some_and(|version| version.starts_with("7.") || version.starts_with("20")) {
            return error(400, "BadParameter", None, "api-version must be specified");
        }
        let path = url.path().to_owned();
        let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
        match (request.method(), &parts[..]) {
            ("GET", ["secrets"]) if self.may_list => self.list(&query),
            ("GET", ["secrets", _, "versions"]) | ("GET", ["secrets"]) if !self.may_list => error(
                403,
                "Forbidden",
                Some("ForbiddenByRbac"),
                "Caller is not authorized: secrets/readMetadata/action",
            ),
            ("GET", ["secrets", name, "versions"]) => self.versions(name, &query),
            ("GET", ["secrets", name]) => self.value(name, None),
            ("GET", ["secrets", name, version]) => self.value(name, Some(version)),
            _ => error(404, "ResourceNotFound", None, "no such path"),
        }
    }

    fn issue(&mut self, oid: &str) -> String {
        self.issued += 1;
        let token = token(&json!({"appid": CLIENT, "oid": oid, "tid": TENANT}), self.issued);
        self.tokens.insert(token.clone());
        token
    }

    fn log_in(&mut self, request: &Message) -> Answer {
        let form =
            reqwest::Url::parse(&format!("http://x/?{}", String::from_utf8_lossy(&request.body))).expect("a form");
        let form: BTreeMap<String, String> = form.query_pairs().into_owned().collect();
        let field = |name: &str| form.get(name).map(String::as_str).unwrap_or_default();
        let refuse = |code: &str, text: &str| {
            let description = format!("{text}\r\nTrace ID: 00000000-0000-0000-0000-000000000000");
            (401, json!({"error": code, "error_description": description, "error_codes": [7_000_215]}))
        };
        if field("scope") != "https://vault.azure.net/.default" || field("grant_type") != "client_credentials" {
            return refuse("invalid_scope", "AADSTS70011: the scope is not valid");
        }
        if field("client_id") != CLIENT {
            return refuse("unauthorized_client", "AADSTS700016: no such application");
        }
        let assertion = field("client_assertion");
        let is_right = if assertion.is_empty() {
            self.client_secrets.contains(field("client_secret"))
        } else {
            field("client_assertion_type") == "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
                && (assertion == FEDERATED || self.is_signed(assertion))
        };
        if !is_right {
            return refuse("invalid_client", "AADSTS7000215: Invalid client secret or assertion provided.");
        }
        let token = self.issue("obj-of-the-app");
        (200, json!({"token_type": "Bearer", "expires_in": 3599, "ext_expires_in": 3599, "access_token": token}))
    }

    /// A statement of the application's for this endpoint, signed with a certificate that is trusted.
    fn is_signed(&self, assertion: &str) -> bool {
        let Some((text, signature)) = assertion.rsplit_once('.') else { return false };
        let Some((_, claims)) = text.split_once('.') else { return false };
        let Ok(signature) = URL_SAFE_NO_PAD.decode(signature) else { return false };
        let Ok(claims) = URL_SAFE_NO_PAD.decode(claims) else { return false };
        let Ok(claims) = serde_json::from_slice::<Value>(&claims) else { return false };
        if claims["iss"] != CLIENT || claims["aud"] != format!("{}/{TENANT}/oauth2/v2.0/token", self.url) {
            return false;
        }
        self.certificates.iter().any(|pem| {
            let folder = tempfile::tempdir().expect("a folder");
            let write = |name: &str, bytes: &[u8]| {
                let path = folder.path().join(name);
                std::fs::write(&path, bytes).expect("written");
                path
            };
            let certificate = write("cert.pem", pem.as_bytes());
            let key = Command::new("openssl").args(["x509", "-pubkey", "-noout", "-in"]).arg(certificate).output();
            let key = write("key.pem", &key.expect("openssl runs").stdout);
            let (text, signature) = (write("text", text.as_bytes()), write("signature", &signature));
            let mut verify = Command::new("openssl");
            verify.args(["dgst", "-sha256", "-verify"]).arg(key).arg("-signature").arg(signature).arg(text);
            verify.output().expect("openssl runs").status.success()
        })
    }

    fn managed(&mut self, request: &Message, query: &BTreeMap<String, String>) -> Answer {
        if request.header("x-identity-header") != Some(IDENTITY_HEADER) {
            return (401, json!({"statusCode": 401, "message": "not from here"}));
        }
        if query.get("resource").map(String::as_str) != Some("https://vault.azure.net") {
            return (400, json!({"statusCode": 400, "message": "resource"}));
        }
        let oid = query.get("client_id").cloned().unwrap_or_else(|| "obj-of-the-machine".into());
        let token = self.issue(&oid);
        (
            200,
            json!({"access_token": token, "expires_on": "4102444800", "resource": "https://vault.azure.net", "token_type": "Bearer"}),
        )
    }

    /// One page, and where the next is.
    fn page(&self, all: Vec<Value>, path: &str, query: &BTreeMap<String, String>) -> Answer {
        let most = query.get("maxresults").and_then(|it| it.parse().ok()).unwrap_or(PAGE).min(PAGE);
        let start: usize = query.get("$skiptoken").and_then(|it| it.parse().ok()).unwrap_or(0);
        let end = start.saturating_add(most).min(all.len());
        let next = (end < all.len()).then(|| {
            let link = format!("{}{path}?api-version=7.6&$skiptoken={end}&maxresults={most}", self.url);
            self.next_link.clone().unwrap_or(link)
        });
        (200, json!({"value": all.get(start..end).unwrap_or_default(), "nextLink": next}))
    }

    fn list(&self, query: &BTreeMap<String, String>) -> Answer {
        let all = self.secrets.values().filter_map(|(name, versions)| {
            let mut item = properties(versions.last()?);
            item["id"] = json!(format!("{}/secrets/{name}", self.url));
            Some(item)
        });
        self.page(all.collect(), "/secrets", query)
    }

    fn versions(&self, name: &str, query: &BTreeMap<String, String>) -> Answer {
        let found = self.secrets.get(&name.to_ascii_lowercase());
        let mut all = found.map(|(_, versions)| versions.clone()).unwrap_or_default();
        all.sort_by(|a, b| a.id.cmp(&b.id));
        let all = all.iter().map(|version| {
            let mut item = properties(version);
            item["id"] = json!(self.id(name, &version.id));
            item
        });
        self.page(all.collect(), &format!("/secrets/{name}/versions"), query)
    }

    fn id(&self, asked: &str, version: &str) -> String {
        let made = self.secrets.get(&asked.to_ascii_lowercase()).map_or(asked, |(name, _)| name);
        format!("{}/secrets/{}/{version}", self.url, if self.echoes_names { asked } else { made })
    }

    fn value(&self, name: &str, version: Option<&str>) -> Answer {
        if self.denied.contains(name) {
            return error(
                403,
                "Forbidden",
                Some("ForbiddenByRbac"),
                "Caller is not authorized: secrets/getSecret/action",
            );
        }
        let versions = self.secrets.get(&name.to_ascii_lowercase()).map(|(_, versions)| versions);
        let found = versions.and_then(|versions| match version {
            None => versions.last(),
            Some(id) => versions.iter().find(|version| version.id == id),
        });
        let Some(found) = found else {
            let text = format!("A secret with (name/id) {name} was not found in this key vault.");
            return error(404, "SecretNotFound", None, &text);
        };
        if !found.enabled {
            let text = "Operation get is not allowed on a disabled secret.";
            return error(403, "Forbidden", Some("SecretDisabled"), text);
        }
        let mut bundle = properties(found);
        bundle["id"] = json!(self.id(name, &found.id));
        bundle["value"] = json!(found.value);
        if let Some(kid) = &found.kid {
            bundle["kid"] = json!(kid);
        }
        (200, bundle)
    }
}

/// A version without its value.
fn properties(version: &Version) -> Value {
    let mut item = json!({
        "attributes": {
            "enabled": version.enabled,
            "created": version.created,
            "updated": version.created,
            "recoveryLevel": "Recoverable+Purgeable",
            "recoverableDays": 90,
        },
        "tags": version.tags,
    });
    if let Some(expires) = version.expires {
        item["attributes"]["exp"] = json!(expires);
    }
    if let Some(content_type) = &version.content_type {
        item["contentType"] = json!(content_type);
    }
    if version.kid.is_some() {
        item["managed"] = json!(true);
    }
    item
}
