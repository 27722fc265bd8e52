//! `[metrics]`

use std::net::SocketAddr;
use std::path::PathBuf;

use super::LONGEST_SOCKET_PATH;
use super::section::Section;
use crate::config::diagnostic::Diagnostic;
use crate::config::settings::{MetricsListen, MetricsSettings};
use crate::config::written::Item;

const EXPECTED: &str =
    "the absolute path of a Unix socket, or a loopback address with a port such as \"127.0.0.1:9464\"";

pub fn read(section: &Section<'_>) -> MetricsSettings {
    let listen = section.string("listen", EXPECTED).and_then(|(text, item)| listen(section, text, item));
    let names = section.boolean("names").unwrap_or(false);
    if let (true, None, Some(item)) = (names, section.get("listen"), section.get("names")) {
        section.add(
            Diagnostic::warning(format!("{} without `listen`", section.name("names")))
                .at(item.place.clone())
                .label("nobody can ask for metrics"),
        );
    }
    MetricsSettings { listen, names }
}

fn listen(section: &Section<'_>, text: &str, item: &Item) -> Option<MetricsListen> {
    if text.starts_with('/') {
        if text.len() > LONGEST_SOCKET_PATH {
            let most = format!("at most {LONGEST_SOCKET_PATH} bytes, the system's limit for a socket's path");
            section.refuse("listen", item, &most);
            return None;
        }
        return Some(MetricsListen::Socket(PathBuf::from(text)));
    }
    let Ok(address) = text.parse::<SocketAddr>() else {
        section.refuse("listen", item, EXPECTED);
        return None;
    };
    if !address.ip().is_loopback() {
        section.add(
            Diagnostic::error(format!("{} is not a loopback address", section.name("listen")))
                .at(item.place.clone())
                .label("expected \"127.0.0.1:PORT\", \"[::1]:PORT\" or the path of a Unix socket")
                .note("metrics tell anybody who can reach them which scopes there are and how they are used: there is neither encryption nor a password")
                .help("have an agent of this host collect them, or put a proxy in front that does both"),
        );
        return None;
    }
    if address.port() == 0 {
        section.refuse("listen", item, "a port other than 0, which nobody could find");
        return None;
    }
    Some(MetricsListen::Address(address))
}
