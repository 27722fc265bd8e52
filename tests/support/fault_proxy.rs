//! An HTTP/1.1 proxy in front of a real server that fails on demand and counts.
//!
//! Calls are told apart by what AWS calls the operation: the last part of `X-Amz-Target`, or `Action` in
//! a form; those to Vault by method and path, such as `GET /v1/secret/data/db`; in other REST by their path below the
//! API's version, such as `secrets/get`. One connection carries one call, unless connections are to be kept.

use std::collections::{HashMap, HashSet, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What happens to a call.
#[derive(Debug, Clone)]
pub enum Fault {
    /// The server answers.
    Pass,
    /// The server answers, this much later.
    Delay(Duration),
    /// The call is taken and never answered.
    Hang,
    /// The call is taken, and the connection ends.
    HangUp,
    /// This is the answer. Headers are whole lines.
    Answer { status: u16, headers: Vec<String>, body: String },
    /// Half of the body of the server's answer, then nothing.
    CutBody,
    /// A string of so many bytes where the value belongs.
    Huge { bytes: usize },
}

impl Fault {
    /// AWS's JSON error of that code.
    pub fn error(status: u16, code: &str) -> Self {
        let body = format!(r#"{{"__type":"{code}","message":"{code}, says the test"}}"#);
        Self::Answer { status, headers: Vec::new(), body }
    }

    pub fn body(body: &str) -> Self {
        Self::Answer { status: 200, headers: Vec::new(), body: body.into() }
    }
}

/// How a call has found others.
#[derive(Debug, Clone, Copy)]
pub struct Began {
    /// Calls that had ended by then.
    pub ended: usize,
    /// Calls under way from then on, this one among them.
    pub under_way: usize,
}

#[derive(Default)]
struct Plan {
    faults: HashMap<String, Fault>,
    /// Faults that take turns, by operation.
    turns: HashMap<String, VecDeque<Fault>>,
    /// How the first call of each operation goes, and which have had theirs.
    first: Option<(Fault, HashSet<String>)>,
    calls: HashMap<String, usize>,
    under_way: usize,
    ended: usize,
    began: Vec<Began>,
    /// What was sent as a form, by operation. What AWS calls a query holds no value of a secret.
    forms: HashMap<String, Vec<String>>,
    /// What each call would take for an answer.
    accepted: Vec<String>,
    keeps_connections: bool,
}

impl Plan {
    fn begin(&mut self, operation: &str) {
        *self.calls.entry(operation.to_owned()).or_default() += 1;
        self.under_way += 1;
        self.began.push(Began { ended: self.ended, under_way: self.under_way });
    }

    fn fault(&mut self, operation: &str) -> Fault {
        if let Some((fault, had)) = &mut self.first
            && had.insert(operation.to_owned())
        {
            return fault.clone();
        }
        if let Some(fault) = self.in_turn(operation) {
            return fault;
        }
        self.faults.get(operation).or_else(|| self.faults.get("*")).cloned().unwrap_or(Fault::Pass)
    }

    fn in_turn(&mut self, operation: &str) -> Option<Fault> {
        let operation = if self.turns.contains_key(operation) { operation } else { "*" };
        let faults = self.turns.get_mut(operation)?;
        faults.rotate_left(usize::from(!faults.is_empty()));
        faults.back().cloned()
    }
}

pub struct FaultProxy {
    address: SocketAddr,
    plan: Arc<Mutex<Plan>>,
    /// A runtime of its own: a test that blocks its thread does not stop the proxy.
    runtime: Option<tokio::runtime::Runtime>,
}

impl FaultProxy {
    /// Listens on a free port of loopback.
    pub fn start(server: SocketAddr) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        // std's bind, so that this works inside and outside of another runtime.
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        listener.set_nonblocking(true).expect("a socket that does not block");
        let address = listener.local_addr().expect("its address");
        let plan = Arc::new(Mutex::new(Plan::default()));
        let shared = Arc::clone(&plan);
        runtime.spawn(async move {
            let listener = TcpListener::from_std(listener).expect("a socket");
            while let Ok((client, _)) = listener.accept().await {
                let shared = Arc::clone(&shared);
                // A caller that leaves early is the caller's affair.
                tokio::spawn(async move { drop(serve_all(client, server, &shared).await) });
            }
        });
        Self { address, plan, runtime: Some(runtime) }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on `operation` (or every one that has no fault of its own: `*`) goes like this.
    pub fn set(&self, operation: &str, fault: Fault) {
        lock(&self.plan).faults.insert(operation.into(), fault);
    }

    /// From now on calls of `operation` (or all: `*`) go like these, one after the other and then from the first again.
    pub fn set_in_turn(&self, operation: &str, faults: impl IntoIterator<Item = Fault>) {
        lock(&self.plan).turns.insert(operation.into(), faults.into_iter().collect());
    }

    /// The next call of each operation goes like this, and those after it as they would without.
    pub fn set_first(&self, fault: Fault) {
        lock(&self.plan).first = Some((fault, HashSet::new()));
    }

    /// From now on a connection carries one call after the other, for as long as the server answers.
    pub fn keep_connections(&self) {
        lock(&self.plan).keeps_connections = true;
    }

    /// How often `operation` was called.
    pub fn calls(&self, operation: &str) -> usize {
        lock(&self.plan).calls.get(operation).copied().unwrap_or(0)
    }

    /// How often anything was called.
    pub fn all_calls(&self) -> usize {
        lock(&self.plan).calls.values().sum()
    }

    /// Of each call, in their order.
    pub fn began(&self) -> Vec<Began> {
        lock(&self.plan).began.clone()
    }

    /// The forms that were sent for `operation`.
    pub fn forms(&self, operation: &str) -> Vec<String> {
        lock(&self.plan).forms.get(operation).cloned().unwrap_or_default()
    }

    /// The `Accept` of each call, in their order.
    pub fn accepted(&self) -> Vec<String> {
        lock(&self.plan).accepted.clone()
    }

    pub fn forget_calls(&self) {
        let mut plan = lock(&self.plan);
        plan.calls.clear();
        plan.began.clear();
        plan.ended = 0;
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

fn lock(plan: &Mutex<Plan>) -> MutexGuard<'_, Plan> {
    plan.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// A call that is under way. To be over before a byte of its answer is sent: whoever has that may call again.
struct UnderWay<'a> {
    plan: &'a Mutex<Plan>,
    is_over: bool,
}

impl UnderWay<'_> {
    fn end(&mut self) {
        if !std::mem::replace(&mut self.is_over, true) {
            let mut plan = lock(self.plan);
            plan.under_way -= 1;
            plan.ended += 1;
        }
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.end();
    }
}

async fn serve_all(mut client: TcpStream, server: SocketAddr, plan: &Mutex<Plan>) -> io::Result<()> {
    while serve(&mut client, server, plan).await? {}
    client.shutdown().await
}

/// One call. May another follow it?
async fn serve(client: &mut TcpStream, server: SocketAddr, plan: &Mutex<Plan>) -> io::Result<bool> {
    let Some(request) = Message::read(client).await? else { return Ok(false) };
    let operation = request.operation();
    let is_endless = request.target().contains("watch=true");
    let (fault, is_kept) = {
        let mut plan = lock(plan);
        plan.begin(&operation);
        plan.accepted.push(request.header("accept").unwrap_or_default().to_owned());
        if request.header("content-type").is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded")) {
            let form = String::from_utf8_lossy(&request.body).into_owned();
            plan.forms.entry(operation.clone()).or_default().push(form);
        }
        (plan.fault(&operation), plan.keeps_connections)
    };
    let mut call = UnderWay { plan, is_over: false };
    match fault {
        // Its answer has no end that could be waited for.
        Fault::Pass if is_endless => {
            let mut upstream = TcpStream::connect(server).await?;
            upstream.write_all(&request.bytes()).await?;
            tokio::io::copy_bidirectional(client, &mut upstream).await?;
        }
        Fault::Pass if is_kept => {
            let answer = forward(&request, server).await?.bytes_with("keep-alive");
            call.end();
            client.write_all(&answer).await?;
            return Ok(true);
        }
        Fault::Pass => {
            let answer = forward(&request, server).await?.bytes();
            call.end();
            client.write_all(&answer).await?;
        }
        Fault::Delay(delay) => {
            tokio::time::sleep(delay).await;
            let answer = forward(&request, server).await?.bytes();
            call.end();
            client.write_all(&answer).await?;
        }
        Fault::Hang => {
            // Until the caller goes away.
            let _ = client.read(&mut [0; 1]).await;
        }
        Fault::HangUp => {}
        Fault::Answer { status, headers, body } => {
            call.end();
            client.write_all(head(status, &headers, body.len()).as_bytes()).await?;
            client.write_all(body.as_bytes()).await?;
        }
        Fault::CutBody => {
            let answer = forward(&request, server).await?.bytes();
            let body = find(&answer, b"\r\n\r\n").map_or(0, |at| at + 4);
            call.end();
            client.write_all(&answer[..body + (answer.len() - body) / 2]).await?;
        }
        Fault::Huge { bytes } => {
            let (before, after) = (&br#"{"VersionId":"v","SecretString":""#[..], &br#""}"#[..]);
            call.end();
            client.write_all(head(200, &[], before.len() + bytes + after.len()).as_bytes()).await?;
            client.write_all(before).await?;
            let chunk = vec![b'x'; 64 * 1024];
            let mut left = bytes;
            while left > 0 {
                let now = left.min(chunk.len());
                client.write_all(&chunk[..now]).await?;
                left -= now;
            }
            client.write_all(after).await?;
        }
    }
    Ok(false)
}

fn head(status: u16, headers: &[String], length: usize) -> String {
    let usual = "Content-Type: application/x-amz-json-1.1\r\n";
    let usual = if headers.iter().any(|line| line.starts_with("Content-Type:")) { "" } else { usual };
    let headers: String = headers.iter().map(|line| format!("{line}\r\n")).collect();
    format!("HTTP/1.1 {status} Test\r\n{usual}{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n")
}

/// Sends the request on and gives the whole answer.
pub async fn forward(request: &Message, server: SocketAddr) -> io::Result<Message> {
    let mut upstream = TcpStream::connect(server).await?;
    upstream.write_all(&request.bytes()).await?;
    Message::read(&mut upstream).await?.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
}

/// A request or an answer with a `Content-Length`; its connection ends after it.
pub struct Message {
    head: String,
    pub body: Vec<u8>,
}

impl Message {
    pub async fn read(stream: &mut TcpStream) -> io::Result<Option<Self>> {
        let mut bytes = Vec::new();
        let end = loop {
            if let Some(at) = find(&bytes, b"\r\n\r\n") {
                break at;
            }
            if stream.read_buf(&mut bytes).await? == 0 {
                return Ok(None);
            }
        };
        let body = bytes.split_off(end + 4);
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let mut message = Self { head, body };
        if message.header("transfer-encoding").is_some_and(|it| it.eq_ignore_ascii_case("chunked")) {
            // To the end of the connection: it carries nothing else.
            while stream.read_buf(&mut message.body).await? > 0 {}
            message.body = unchunked(&message.body)?;
            let lines = message.head.lines().filter(|line| !line.to_lowercase().starts_with("transfer-encoding:"));
            let head: Vec<&str> = lines.collect();
            message.head = format!("{}\r\nContent-Length: {}", head.join("\r\n"), message.body.len());
            return Ok(Some(message));
        }
        let length = message.header("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
        while message.body.len() < length {
            if stream.read_buf(&mut message.body).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(Some(message))
    }

    /// Of a request: its path and query.
    pub fn target(&self) -> &str {
        self.head.split(' ').nth(1).unwrap_or_default()
    }

    pub fn method(&self) -> &str {
        self.head.split(' ').next().unwrap_or_default()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    fn operation(&self) -> String {
        if self.header("x-vault-request").is_some() {
            let mut words = self.head.split(' ');
            let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
            return format!("{method} {}", target.split('?').next().unwrap_or_default());
        }
        if let Some(target) = self.header("x-amz-target") {
            return target.rsplit('.').next().unwrap_or(target).to_owned();
        }
        let form = String::from_utf8_lossy(&self.body);
        if let Some(action) = form.split('&').find_map(|pair| pair.strip_prefix("Action=")) {
            return action.to_owned();
        }
        let (path, query) = self.target().split_once('?').unwrap_or((self.target(), ""));
        if query.contains("watch=true") {
            return format!("watch {}", path.trim_start_matches('/'));
        }
        path.strip_prefix("/api/2.0").unwrap_or(path).trim_start_matches('/').to_owned()
    }

    /// As it was, but that its connection is not for another.
    pub fn bytes(&self) -> Vec<u8> {
        self.bytes_with("close")
    }

    /// As it was, with another word on its connection.
    fn bytes_with(&self, connection: &str) -> Vec<u8> {
        let mut bytes = Vec::new();
        for line in self.head.lines().filter(|line| !line.to_lowercase().starts_with("connection:")) {
            bytes.extend_from_slice(line.as_bytes());
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(format!("Connection: {connection}\r\n\r\n").as_bytes());
        bytes.extend_from_slice(&self.body);
        bytes
    }
}

/// The bytes in a body of chunks.
fn unchunked(mut body: &[u8]) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    loop {
        let end = find(body, b"\r\n").ok_or(io::ErrorKind::InvalidData)?;
        let size = std::str::from_utf8(&body[..end]).ok().and_then(|text| usize::from_str_radix(text.trim(), 16).ok());
        let size = size.ok_or(io::ErrorKind::InvalidData)?;
        if size == 0 {
            return Ok(bytes);
        }
        bytes.extend_from_slice(body.get(end + 2..end + 2 + size).ok_or(io::ErrorKind::UnexpectedEof)?);
        body = body.get(end + 4 + size..).ok_or(io::ErrorKind::UnexpectedEof)?;
    }
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}
