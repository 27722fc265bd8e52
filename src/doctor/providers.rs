//! What providers say of us: reached, credentials, IAM, and whether their clock is another.

use super::clock;
use super::finding::Finding;
use super::online::{Answer, Finding as Told, NOT_ASKED};
use crate::config::ScopeName;
use crate::provider::Error;
use crate::words::counted;

const NAME: &str = "provider";
const CREDENTIALS: &str = "credentials";
const IAM: &str = "iam";
/// How many refused secrets are named.
const MOST_NAMED: usize = 5;

/// How providers, and TLS, say that our clock is not theirs.
const SKEWED: [&str; 8] = [
    "RequestTimeTooSkewed",
    "RequestExpired",
    "Signature expired",
    "Signature not yet current",
    "NotValidYet",
    "not valid yet",
    "token used before issued",
    "Token is not yet valid",
];

pub fn judge(told: &Told) -> Vec<Finding> {
    let identity = told.identity.as_ref().map_or_else(String::new, |identity| format!(" as {identity}"));
    let user = told.user.map_or_else(String::new, |uid| format!(" for uid {uid}"));
    let scope = format!("{} ({}){identity}{user}", told.scope, told.provider);
    let failures = [told.whoami.failure(), told.list.failure()].into_iter().flatten();
    // A clock that is wrong is behind whatever else fails.
    if let Some((kind, why)) = failures.min_by_key(|(_, why)| !tells_of_a_clock(why)) {
        return vec![of_failure(&scope, kind, why)];
    }
    let mut findings = Vec::new();
    if let (Answer::Ok(whoami), Answer::Ok(listed)) = (&told.whoami, &told.list) {
        findings
            .push(Finding::ok(NAME, format!("{scope} takes us for {whoami} and lists {}", counted(*listed, "secret"))));
    }
    if !told.refused.is_empty() {
        let named = told.refused.iter().take(MOST_NAMED).map(|refused| format!("{}: {}", refused.secret, refused.why));
        let mut named = named.collect::<Vec<_>>().join("; ");
        if told.refused.len() > MOST_NAMED {
            named.push_str(&format!("; and {} more", told.refused.len() - MOST_NAMED));
        }
        findings.push(
            Finding::problem(
                IAM,
                format!("{scope} would refuse {} granted here", counted(told.refused.len(), "secret")),
            )
            .why(named)
            .mend("allow that at the provider, or take it from the grants; all of it: hushfs check --online"),
        );
    }
    if let Some(Answer::Failed { kind, why }) = &told.read {
        findings.push(of_failure(&scope, kind, why));
    }
    findings
}

/// A scope whose settings cannot work.
pub fn unusable(scope: &ScopeName, error: &Error) -> Finding {
    Finding::problem(NAME, format!("{scope} cannot be asked")).why(error.detail.clone()).mend("hushfs check --online")
}

fn tells_of_a_clock(why: &str) -> bool {
    SKEWED.iter().any(|sign| why.contains(sign))
}

fn of_failure(scope: &str, kind: &str, why: &str) -> Finding {
    if tells_of_a_clock(why) {
        return Finding::problem(clock::NAME, format!("{scope} says that our clock is wrong"))
            .why(why)
            .mend(clock::MEND);
    }
    // The kinds of `ErrorKind`, by their names.
    match kind {
        "credentials_rejected" => Finding::problem(CREDENTIALS, format!("{scope} does not take our credentials"))
            .why(why)
            .mend("see `auth` of the scope and docs/providers; run this as the daemon's user, with its environment"),
        "denied" => Finding::problem(IAM, format!("{scope} refuses us"))
            .why(why)
            .mend("give the identity the least policy of docs/providers"),
        "throttled" => Finding::problem(NAME, format!("{scope} is asked too often"))
            .why(why)
            .mend("raise ttl and list_ttl, or the quota at the provider"),
        "unreachable" | "timed_out" => Finding::problem(NAME, format!("{scope} does not answer")).why(why).mend(
            "look at DNS, routes, the firewall, proxies and the endpoint; until then the last good values are served",
        ),
        NOT_ASKED => Finding::note(NAME, format!("{scope} is not asked"))
            .why(why)
            .mend("hushfs why FILE, once it is mounted, says what the provider answers"),
        "not_found" => Finding::problem(NAME, format!("{scope} is not there"))
            .why(why)
            .mend("look at the scope's region, project, vault, mount, namespace or path"),
        _ => Finding::problem(NAME, format!("{scope} gives no answer that can be used")).why(why),
    }
}
