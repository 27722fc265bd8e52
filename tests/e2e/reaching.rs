//! How a provider is reached, which is the same whichever it is: through the environment's proxy, trusting an authority
//! of one's own, once more where a connection broke, and not before the provider wants to be asked again.

use std::path::PathBuf;

use crate::support::connect_proxy::ConnectProxy;
use crate::support::daemon::{Daemon, Place, errno_of_reading, eventually};
use crate::support::fault_proxy::{Fault, FaultProxy};
use crate::support::ports;
use crate::support::servers::{self, COLD, Server, WARM};
use crate::support::session::Session;
use crate::support::tls::Terminator;
use crate::support::walk::{cat, is_refused};

/// A provider's server behind TLS and behind what can go wrong above it.
struct Way {
    place: Place,
    server: Box<dyn Server>,
    faults: FaultProxy,
    tls: Terminator,
}

impl Way {
    fn to(provider: &str) -> Self {
        let server = servers::of(provider);
        let faults = FaultProxy::start(server.address());
        let tls = Terminator::start(faults.address());
        Self { place: Place::new(), server, faults, tls }
    }

    /// With the authority in the scope's lines, or where the provider's page says.
    fn mount(&self, settings: &str, variables: &[(&str, &str)]) -> Daemon<'_> {
        self.mount_trusting(Some(self.tls.ca_file()), settings, variables)
    }

    fn mount_trusting(&self, ca_file: Option<PathBuf>, settings: &str, variables: &[(&str, &str)]) -> Daemon<'_> {
        let lines = self.server.lines(&self.tls.url(), ca_file.as_deref());
        self.place.configure(&format!("[scopes.app]\n{lines}{settings}"));
        let mut command = Session::new(&self.place).with_all(variables).hushfs(&["mount"]);
        self.server.environment(&mut command, ca_file.as_deref());
        self.place.start(command)
    }

    fn file(&self, secret: &str) -> PathBuf {
        self.place.mnt().join("app").join(secret).join("PASSWORD")
    }

    /// How often anything was called but for what the daemon asks by itself, at any time.
    fn calls_for_readers(&self) -> usize {
        let all = self.faults.all_calls();
        let by_itself = ["GET /v1/auth/token/lookup-self", "watch api/v1/namespaces/apps/secrets"];
        all.saturating_sub(by_itself.iter().map(|call| self.faults.calls(call)).sum())
    }
}

fn through_a_proxy(provider: &str) {
    let (way, proxy) = (Way::to(provider), ConnectProxy::start());
    let url = proxy.url();
    let daemon = way.mount("", &[("HTTPS_PROXY", &url)]);
    assert_eq!(cat(&way.file("db")), WARM);
    assert!(daemon.stop().success());
    let through = proxy.connections();
    assert!(through > 0, "nothing went through the proxy");

    let daemon = way.mount("", &[("HTTPS_PROXY", &url), ("NO_PROXY", "127.0.0.1")]);
    assert_eq!(cat(&way.file("db")), WARM);
    assert_eq!(proxy.connections(), through, "what is excepted went through the proxy");
    assert!(daemon.stop().success());
}

fn through_a_dead_proxy(provider: &str) {
    let way = Way::to(provider);
    let _daemon = way.mount("", &[("HTTPS_PROXY", &format!("http://127.0.0.1:{}", ports::free()))]);
    is_refused(&way.file("db"), libc::EHOSTUNREACH, "Connection refused");
    assert_eq!(way.faults.all_calls(), 0, "the proxy was gone around");
}

fn with_an_authority_of_its_own(provider: &str) {
    let way = Way::to(provider);
    let daemon = way.mount_trusting(None, "", &[]);
    is_refused(&way.file("db"), libc::EHOSTUNREACH, "certificate");
    assert_eq!(way.faults.all_calls(), 0, "something was said to a stranger");
    assert!(daemon.stop().success());
    let another = Terminator::start(way.faults.address());
    let daemon = way.mount_trusting(Some(another.ca_file()), "", &[]);
    is_refused(&way.file("db"), libc::EHOSTUNREACH, "certificate");
    assert_eq!(way.faults.all_calls(), 0, "something was said to a stranger");
    assert!(daemon.stop().success());
    let _daemon = way.mount("", &[]);
    assert_eq!(cat(&way.file("db")), WARM);
}

fn once_more(provider: &str) {
    let way = Way::to(provider);
    let _daemon = way.mount("", &[]);
    assert_eq!(cat(&way.file("db")), WARM);
    way.faults.set_first(Fault::HangUp);
    way.faults.forget_calls();
    assert_eq!(cat(&way.file("cold")), COLD);
    assert!(way.faults.all_calls() >= 2, "nothing was asked again");
}

#[cfg(any(feature = "aws", feature = "gcp"))]
fn once_more_after_a_server_error(provider: &str) {
    let way = Way::to(provider);
    let _daemon = way.mount("", &[]);
    assert_eq!(cat(&way.file("db")), WARM);
    way.faults.set_first(Fault::Answer { status: 503, headers: Vec::new(), body: "{}".into() });
    assert_eq!(cat(&way.file("cold")), COLD);
}

/// A proxy could read the token.
#[cfg(any(feature = "vault", feature = "kubernetes", feature = "databricks"))]
fn past_the_proxy_without_tls(provider: &str) {
    let (way, proxy) = (Way::to(provider), ConnectProxy::start());
    let url = proxy.url();
    way.place.configure(&format!("[scopes.app]\n{}", way.server.lines(&way.faults.url(), None)));
    let session = Session::new(&way.place);
    let session =
        ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY"].iter().fold(session, |it, name| it.with(name, &url));
    let _daemon = way.place.start(session.hushfs(&["mount"]));
    assert_eq!(cat(&way.file("db")), WARM);
    assert_eq!(proxy.connections(), 0);
}

/// The pause is longer than any test: nothing is asked meanwhile. A short one is over soon.
fn not_before_its_time(provider: &str) {
    for (seconds, is_over) in [(200, false), (1, true)] {
        let way = Way::to(provider);
        let _daemon = way.mount("negative_ttl = \"100ms\"\n", &[]);
        let wait = Fault::Answer {
            status: 429,
            headers: vec![format!("Retry-After: {seconds}"), "Content-Type: application/json".into()],
            body: "{}".into(),
        };
        way.faults.set("*", wait);
        is_refused(&way.file("db"), libc::EBUSY, "429");
        way.faults.set("*", Fault::Pass);
        if is_over {
            eventually("it is asked again", || std::fs::read(way.file("db")).ok().filter(|it| it == WARM.as_bytes()));
        } else {
            way.faults.forget_calls();
            for _ in 0..10 {
                for secret in ["db", "cold", "other"] {
                    assert_eq!(errno_of_reading(&way.file(secret)), Some(libc::EBUSY), "{secret}");
                }
            }
            assert_eq!(way.calls_for_readers(), 0, "it was asked before its time");
        }
    }
}

macro_rules! of_each {
    ($($module:ident: $feature:literal, $provider:literal;)*) => {$(
        #[cfg(feature = $feature)]
        mod $module {
            const PROVIDER: &str = $provider;

            #[test]
            fn https_goes_through_the_proxy_of_the_environment_unless_the_host_is_excepted() {
                super::through_a_proxy(PROVIDER);
            }

            #[test]
            fn a_proxy_that_is_not_there_is_ehostunreach_and_is_not_gone_around() {
                super::through_a_dead_proxy(PROVIDER);
            }

            #[test]
            fn a_server_is_believed_by_the_authority_of_its_ca_file_and_no_other() {
                super::with_an_authority_of_its_own(PROVIDER);
            }

            #[test]
            fn a_call_whose_connection_ends_unanswered_is_made_once_more_within_the_read() {
                super::once_more(PROVIDER);
            }

            #[test]
            fn a_provider_that_asks_for_a_pause_is_not_asked_before_it_is_over() {
                super::not_before_its_time(PROVIDER);
            }
        }
    )*};
}

of_each! {
    aws_secrets_manager: "aws", "aws-secrets-manager";
    aws_parameter_store: "aws", "aws-parameter-store";
    gcp_secret_manager: "gcp", "gcp-secret-manager";
    vault: "vault", "vault";
    azure_key_vault: "azure", "azure-key-vault";
    kubernetes: "kubernetes", "kubernetes";
    databricks: "databricks", "databricks";
}

/// What is not the same for all.
mod as_their_pages_say {
    #[cfg(feature = "aws")]
    #[test]
    fn secrets_manager_is_asked_once_more_after_a_server_error() {
        super::once_more_after_a_server_error("aws-secrets-manager");
    }

    #[cfg(feature = "aws")]
    #[test]
    fn parameter_store_is_asked_once_more_after_a_server_error() {
        super::once_more_after_a_server_error("aws-parameter-store");
    }

    #[cfg(feature = "gcp")]
    #[test]
    fn google_is_asked_once_more_after_a_server_error() {
        super::once_more_after_a_server_error("gcp-secret-manager");
    }

    #[cfg(feature = "vault")]
    #[test]
    fn vault_without_tls_is_asked_past_every_proxy() {
        super::past_the_proxy_without_tls("vault");
    }

    #[cfg(feature = "kubernetes")]
    #[test]
    fn kubernetes_without_tls_is_asked_past_every_proxy() {
        super::past_the_proxy_without_tls("kubernetes");
    }

    #[cfg(feature = "databricks")]
    #[test]
    fn databricks_without_tls_is_asked_past_every_proxy() {
        super::past_the_proxy_without_tls("databricks");
    }
}
