//! Vault's auth method `aws`, which OpenBao does not have: its login, made from the published API
//! (https://developer.hashicorp.com/vault/api-docs/auth/aws#login), in front of an OpenBao that answers everything else.
//!
//! It trusts nobody itself: the request that the caller has signed is shown to MiniStack's STS, which checks the
//! signature and says whose it is.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};

use super::fault_proxy::{Message, forward};
use super::openbao::OpenBao;

/// What its settings would be.
pub struct Config {
    pub bao: Arc<OpenBao>,
    pub sts: SocketAddr,
    /// `iam_server_id_header_value`
    pub server_id: &'static str,
    /// Roles: by name the ARN that they are bound to, and their policy.
    pub roles: BTreeMap<&'static str, (&'static str, &'static str)>,
}

pub struct AwsAuth {
    address: SocketAddr,
    logins: Arc<AtomicUsize>,
    /// The `Host` that was signed, of the last login.
    host: Arc<Mutex<String>>,
    runtime: Option<tokio::runtime::Runtime>,
}

impl AwsAuth {
    pub fn start(config: Config) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        listener.set_nonblocking(true).expect("a socket that does not block");
        let address = listener.local_addr().expect("its address");
        let (config, logins, host) = (Arc::new(config), Arc::<AtomicUsize>::default(), Arc::<Mutex<String>>::default());
        let (counted, seen) = (Arc::clone(&logins), Arc::clone(&host));
        runtime.spawn(async move {
            let listener = TcpListener::from_std(listener).expect("a socket");
            while let Ok((client, _)) = listener.accept().await {
                let (config, counted, seen) = (Arc::clone(&config), Arc::clone(&counted), Arc::clone(&seen));
                tokio::spawn(async move { drop(serve(client, &config, &counted, &seen).await) });
            }
        });
        Self { address, logins, host, runtime: Some(runtime) }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn logins(&self) -> usize {
        self.logins.load(Ordering::Relaxed)
    }

    pub fn host(&self) -> String {
        self.host.lock().expect("not poisoned").clone()
    }
}

impl Drop for AwsAuth {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn serve(
    mut client: TcpStream,
    config: &Arc<Config>,
    logins: &AtomicUsize,
    host: &Mutex<String>,
) -> std::io::Result<()> {
    let Some(request) = Message::read(&mut client).await? else { return Ok(()) };
    if request.target() != "/v1/auth/aws/login" {
        let answer = forward(&request, config.bao.address()).await?;
        client.write_all(&answer.bytes()).await?;
        return client.shutdown().await;
    }
    logins.fetch_add(1, Ordering::Relaxed);
    let (status, answer) = match log_in(&request.body, config, host).await {
        Ok(answer) => (200, answer),
        Err(why) => (400, json!({ "errors": [why] })),
    };
    let body = answer.to_string();
    let head = format!("HTTP/1.1 {status} Test\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    client.write_all(head.as_bytes()).await?;
    client.write_all(body.as_bytes()).await?;
    client.shutdown().await
}

async fn log_in(body: &[u8], config: &Arc<Config>, host: &Mutex<String>) -> Result<Value, String> {
    let login: Value = serde_json::from_slice(body).map_err(|_| "no JSON")?;
    let decoded = |name: &str| {
        let text = login[name].as_str().ok_or(format!("missing {name}"))?;
        let bytes = STANDARD.decode(text).map_err(|_| format!("{name} is not in base64"))?;
        String::from_utf8(bytes).map_err(|_| format!("{name} is no text"))
    };
    if login["iam_http_request_method"] != "POST" {
        return Err("invalid iam_http_request_method; currently only 'POST' is supported".into());
    }
    let (url, form) = (decoded("iam_request_url")?, decoded("iam_request_body")?);
    if form != "Action=GetCallerIdentity&Version=2011-06-15" {
        return Err("not a request for the caller's identity".into());
    }
    let headers: BTreeMap<String, Vec<String>> =
        serde_json::from_str(&decoded("iam_request_headers")?).map_err(|_| "iam_request_headers")?;
    let header = |name: &str| headers.get(name).and_then(|values| values.first()).cloned().unwrap_or_default();
    let signed = header("authorization");
    if header("x-vault-aws-iam-server-id") != config.server_id || !signed.contains("x-vault-aws-iam-server-id") {
        return Err("error validating X-Vault-AWS-IAM-Server-ID header".into());
    }
    if url != format!("https://{}/", header("host")) {
        return Err("the URL is not that of the host".into());
    }
    *host.lock().expect("not poisoned") = header("host");
    let mut request = format!("POST / HTTP/1.1\r\nContent-Length: {}\r\nConnection: close\r\n", form.len());
    for (name, values) in &headers {
        values.iter().for_each(|value| request.push_str(&format!("{name}: {value}\r\n")));
    }
    request.push_str(&format!("\r\n{form}"));
    let asked = async {
        let mut stream = TcpStream::connect(config.sts).await?;
        stream.write_all(request.as_bytes()).await?;
        Message::read(&mut stream).await
    };
    let answer = asked.await.map_err(|error| error.to_string())?.ok_or("no answer")?;
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    let arn = text.split_once("<Arn>").and_then(|(_, rest)| rest.split_once("</Arn>")).map(|(arn, _)| arn);
    // STS's own words have no place in a test's output: its page may be long.
    let arn = arn.ok_or_else(|| format!("error making upstream request: {}", answer.target()))?;
    let role = login["role"].as_str().unwrap_or_default();
    let (bound, policy) = config.roles.get(role).ok_or(format!("entry for role {role} not found"))?;
    if arn != *bound {
        return Err(format!("IAM Principal {arn:?} does not belong to the role {role:?}"));
    }
    let (bao, body) = (Arc::clone(&config.bao), json!({"policies": [policy], "display_name": format!("aws-{role}")}));
    let made = tokio::task::spawn_blocking(move || bao.root("POST", "auth/token/create", &body)).await;
    made.map_err(|_| "no token".into())
}
