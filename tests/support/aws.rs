//! An AWS account for a test: a server, its root's client, and profiles for the provider.

use std::path::{Path, PathBuf};

use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_secretsmanager::primitives::Blob;
use aws_sdk_ssm::types::ParameterType;

use super::ministack::{MiniStack, ROOT_KEYS};

pub struct Account {
    pub server: MiniStack,
    root: Client,
    /// Root's client of Parameter Store.
    pub parameters: aws_sdk_ssm::Client,
    config_file: PathBuf,
}

impl Account {
    /// `folder` holds the SDK's `config` file, as `own_process` sets it up.
    pub fn start(folder: &Path) -> Self {
        let server = MiniStack::start();
        let root = client(&server, ROOT_KEYS.0);
        let parameters = parameters(&server);
        let account = Self { server, root, parameters, config_file: folder.join("config") };
        account.profile("root", (ROOT_KEYS.0, ROOT_KEYS.1), &account.server.url());
        account
    }

    /// Adds a profile with these keys, whose STS and IAM are at `url`.
    pub fn profile(&self, name: &str, keys: (&str, &str), url: &str) {
        self.profile_with_iam(name, keys, url, url);
    }

    pub fn profile_with_iam(&self, name: &str, (id, secret): (&str, &str), sts: &str, iam: &str) {
        self.raw_profile(&format!(
            "[profile {name}]\naws_access_key_id = {id}\naws_secret_access_key = {secret}\nservices = {name}\n\
             [services {name}]\nsts =\n  endpoint_url = {sts}\niam =\n  endpoint_url = {iam}\n"
        ));
    }

    /// Adds to the SDK's configuration file as it is.
    pub fn raw_profile(&self, text: &str) {
        let mut file = std::fs::read_to_string(&self.config_file).unwrap_or_default();
        file.push_str(text);
        std::fs::write(&self.config_file, file).expect("the SDK's configuration is written");
    }

    /// A new secret; text where the bytes are text.
    pub async fn create(&self, name: &str, bytes: &[u8]) {
        create(&self.root, name, bytes).await;
    }

    /// The same in another account of the same server.
    pub async fn create_in(&self, account: &str, name: &str, bytes: &[u8]) {
        create(&client(&self.server, account), name, bytes).await;
    }

    pub async fn tag(&self, name: &str, key: &str, value: &str) {
        let tag = aws_sdk_secretsmanager::types::Tag::builder().key(key).value(value).build();
        self.root.tag_resource().secret_id(name).tags(tag).send().await.expect("tag");
    }

    /// With the characters that the service puts behind the name.
    pub async fn arn(&self, name: &str) -> String {
        let answer = self.root.describe_secret().secret_id(name).send().await.expect("describe");
        answer.arn.expect("an ARN")
    }

    /// A new current version; gives its id.
    pub async fn rotate(&self, name: &str, bytes: &[u8]) -> String {
        let request = self.root.put_secret_value().secret_id(name);
        let request = match std::str::from_utf8(bytes) {
            Ok(text) => request.secret_string(text),
            Err(_) => request.secret_binary(Blob::new(bytes)),
        };
        let answer = request.send().await.unwrap_or_else(|error| panic!("rotate {name}: {error:?}"));
        answer.version_id.expect("a version id")
    }

    /// A parameter, new or with another value; gives its version.
    pub async fn put_parameter(&self, name: &str, value: &str, kind: ParameterType) -> i64 {
        let request = self.parameters.put_parameter().name(name).value(value).r#type(kind).overwrite(true);
        request.send().await.unwrap_or_else(|error| panic!("put {name}: {error:?}")).version
    }

    /// An encrypted one.
    pub async fn put_secure(&self, name: &str, value: &str) -> i64 {
        self.put_parameter(name, value, ParameterType::SecureString).await
    }

    pub async fn delete_parameter(&self, name: &str) {
        self.parameters.delete_parameter().name(name).send().await.expect("delete");
    }

    /// Schedules the deletion; from then on the secret is not there.
    pub async fn delete(&self, name: &str) {
        self.root.delete_secret().secret_id(name).recovery_window_in_days(7).send().await.expect("delete");
    }
}

/// Root of the account whose number is the key; the server's first account has another.
fn client(server: &MiniStack, key: &str) -> Client {
    let config = aws_sdk_secretsmanager::Config::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new(key, ROOT_KEYS.1, None, None, "test"))
        .endpoint_url(server.url())
        .build();
    Client::from_conf(config)
}

fn parameters(server: &MiniStack) -> aws_sdk_ssm::Client {
    let config = aws_sdk_ssm::Config::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new(ROOT_KEYS.0, ROOT_KEYS.1, None, None, "test"))
        .endpoint_url(server.url())
        .build();
    aws_sdk_ssm::Client::from_conf(config)
}

async fn create(client: &Client, name: &str, bytes: &[u8]) {
    let request = client.create_secret().name(name);
    let request = match std::str::from_utf8(bytes) {
        Ok(text) => request.secret_string(text),
        Err(_) => request.secret_binary(Blob::new(bytes)),
    };
    request.send().await.unwrap_or_else(|error| panic!("create {name}: {error:?}"));
}
