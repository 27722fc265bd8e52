//! What a file of credentials mentions: a profile of AWS, a kubeconfig, a key of Google. Read by what is in each line, and
//! not by its format: what is found too much is let through in vain, and what is not found can be set.

use std::path::{Path, PathBuf};

use super::url;

/// Settings that name a file.
const FILES: &[&str] = &[
    "ca_bundle",
    "certificate-authority",
    "client-certificate",
    "client-key",
    "file",
    "tokenFile",
    "web_identity_token_file",
];
/// Settings that name a program to be started, with its arguments.
const PROGRAMS: &[&str] = &["credential_process"];
/// Larger files are none of these.
const LARGEST: u64 = 1 << 20;

#[derive(Debug, Default, PartialEq, Eq)]
pub struct Mentioned {
    pub files: Vec<PathBuf>,
    pub programs: Vec<PathBuf>,
    pub ports: Vec<u16>,
}

impl Mentioned {
    /// Nothing where the file cannot be read.
    pub fn in_file(file: &Path) -> Self {
        let is_small = file.metadata().is_ok_and(|found| found.is_file() && found.len() <= LARGEST);
        let text = if is_small { std::fs::read(file).unwrap_or_default() } else { Vec::new() };
        Self::of(&String::from_utf8_lossy(&text), file.parent().unwrap_or(Path::new("/")))
    }

    /// Paths count from `folder`.
    fn of(text: &str, folder: &Path) -> Self {
        let mut mentioned = Self::default();
        for part in text.split(['\n', ',', '{', '}']) {
            if let Some(at) = part.find("https://").or_else(|| part.find("http://")) {
                mentioned.ports.extend(part.get(at..).and_then(url::port));
            }
            let Some((name, value)) = part.split_once(['=', ':']) else { continue };
            let bare = |text: &str| text.trim().trim_start_matches("- ").trim_matches(['"', '\'']).to_owned();
            let (name, value) = (bare(name), bare(value));
            if value.is_empty() {
                continue;
            }
            if FILES.contains(&name.as_str()) {
                mentioned.files.push(folder.join(&value));
            } else if PROGRAMS.contains(&name.as_str()) {
                let word = value.split_whitespace().next().unwrap_or_default().trim_matches(['"', '\'']);
                mentioned.programs.extend(word.starts_with('/').then(|| PathBuf::from(word)));
                // Found by the shell, in a folder that every program needs.
                mentioned.programs.extend((!word.starts_with('/')).then(|| PathBuf::from("/bin/sh")));
            }
        }
        mentioned
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Mentioned {
        Mentioned::of(text, Path::new("/home/me/.x"))
    }

    #[test]
    fn a_profile_mentions_addresses_files_and_programs() {
        let found = of("[default]\nendpoint_url = http://127.0.0.1:4566\nweb_identity_token_file=/run/token\n\
                        credential_process = \"/opt/get creds\" --for me\n");
        let program = vec![PathBuf::from("/opt/get")];
        assert_eq!(found, Mentioned { files: vec!["/run/token".into()], programs: program, ports: vec![4566] });
        assert_eq!(of("credential_process = get-it").programs, [PathBuf::from("/bin/sh")]);
    }

    #[test]
    fn a_kubeconfig_mentions_its_server_and_certificates() {
        let found = of("clusters:\n- cluster:\n    certificate-authority: ca.pem\n    server: https://k8s:6443\n");
        assert_eq!((found.files, found.ports), (vec!["/home/me/.x/ca.pem".into()], vec![6443]));
    }

    #[test]
    fn a_key_of_google_mentions_where_tokens_are_had() {
        let found = of(r#"{"token_url":"https://sts.example:8443/v1/token","credential_source":{"file":"/run/oidc"}}"#);
        assert_eq!((found.files, found.ports), (vec!["/run/oidc".into()], vec![8443]));
    }

    #[test]
    fn nonsense_mentions_nothing() {
        assert_eq!(of("\u{0}=\u{0}::::\n=\n{,}"), Mentioned::default());
        assert_eq!(Mentioned::in_file(Path::new("/nonexistent")), Mentioned::default());
    }
}
