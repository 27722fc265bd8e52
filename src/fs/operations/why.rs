//! `hushfs why`: the very decision that a caller would get, and each step that leads to it.
//!
//! It goes the way that a request goes, up to the fetch, so that nothing is told that would not be so. What is
//! read is dropped, and nothing is recorded: no byte leaves.

mod bits;
mod grants;
mod names;
mod provider;
mod recording;

use std::ffi::OsString;
use std::sync::Arc;

use tokio::time::Instant;

use self::names::Names;
use super::Operations;
use crate::access::audit;
use crate::access::evidence::Evidence;
use crate::access::explanation::{CallerShown, Decision, Explanation, Says, Stage, Step};
use crate::fs::recorder::Asked;
use crate::provider::Identity;
use crate::tree::{Kind, Node, Refusal, Which, spelled};

/// What is gathered on the way.
struct Inquiry<'a> {
    operations: &'a Operations,
    asked: &'a Asked,
    node: Node,
    action: audit::Action,
    names: Names,
    deadline: Instant,
    steps: Vec<Step>,
    change: Vec<String>,
}

impl Operations {
    /// `names` are those of the path, from the mountpoint on; `allow_other`: may other users reach the mount? None
    /// where no file is ever called so.
    pub async fn why(&self, evidence: Evidence, names: &[OsString], allow_other: bool) -> Option<Explanation> {
        let asked = Asked::of(evidence);
        asked.gather();
        let borrowed: Vec<_> = names.iter().map(OsString::as_os_str).collect();
        let place = spelled(&borrowed)?;
        let deadline = Instant::now() + self.patience(&place);
        let reached = self.walk(&asked, names, deadline).await;
        let (node, stopped) = match reached {
            Ok(node) => (node, None),
            Err(refusal) => (place, Some(refusal)),
        };
        let action = match node.kind() {
            Kind::Directory | Kind::Link => audit::Action::List,
            Kind::File => self.question_of_a_read(&node).action,
        };
        let known = Names::of(&asked.evidence, self.judge.policy(), self.judge.assignment()).await;
        let mut inquiry = Inquiry {
            operations: self,
            asked: &asked,
            node,
            action,
            names: known,
            deadline,
            steps: Vec::new(),
            change: Vec::new(),
        };
        inquiry.mount(allow_other);
        let granted = inquiry.grants(stopped.as_ref());
        if let Some(identity) = inquiry.identity() {
            inquiry.node = inquiry.node.under(identity);
            inquiry.provider(granted, stopped).await;
            inquiry.bits();
        }
        inquiry.recording();
        let caller = inquiry.caller();
        let path = crate::access::audit::text(std::ffi::OsStr::new(&join(names)));
        let Inquiry { steps, change, .. } = inquiry;
        // What is expected of IAM is no decision.
        let refused = steps.iter().any(|step| step.says == Says::No && step.stage != Stage::Iam);
        let decision = if refused { Decision::Deny } else { Decision::Allow };
        let change = if refused { change } else { Vec::new() };
        Some(Explanation { path, action: action.name().to_owned(), decision, caller, steps, change })
    }

    /// The node at the end of a path, as a look at each of its names finds it.
    async fn walk(&self, asked: &Asked, names: &[OsString], deadline: Instant) -> Result<Node, Refusal> {
        let mut node = Node::Root;
        for name in names {
            if let Node::Link(at, which) = &node {
                let target = self.namespace.target(&node, deadline).await?;
                let parent = Node::Directory(at.clone());
                // Which version a link names is found out by looking at it, as the kernel does.
                node = match which {
                    Which::Current | Which::Previous => {
                        self.find(asked, &parent, target.as_ref(), deadline).await?.node
                    }
                };
            }
            node = self.find(asked, &node, name, deadline).await?.node;
        }
        Ok(node)
    }
}

impl Inquiry<'_> {
    fn says(&mut self, stage: Stage, says: Says, text: impl Into<String>) {
        self.steps.push(Step::new(stage, says, text));
    }

    fn mount(&mut self, allow_other: bool) {
        let (uid, owner) = (self.asked.evidence.caller().uid, self.operations.judge.owner().0);
        if uid == owner {
            self.says(Stage::Mount, Says::Yes, "it is the user who runs hushfs");
        } else if allow_other {
            self.says(Stage::Mount, Says::Yes, "other users may reach the mount (allow_other = true)");
        } else {
            let text = "only the user who runs hushfs may reach the mount (allow_other = false)";
            self.says(Stage::Mount, Says::No, text);
            self.change.push("set `allow_other = true` in the configuration, and start hushfs anew".to_owned());
        }
    }

    /// As whom the provider is asked; None where it is not asked at all.
    fn identity(&mut self) -> Option<Identity> {
        let scope = self.node.scope()?.clone();
        match self.operations.judge.identity(&self.asked.evidence, &scope) {
            Ok(identity) => {
                let step = match self.operations.judge.assignment().settings(identity) {
                    None => {
                        Step::new(Stage::Identity, Says::Yes, "the provider is asked with the scope's own identity")
                    }
                    Some(settings) => {
                        let text = format!("the provider is asked as {}", settings.acts_as.label());
                        Step::new(Stage::Identity, Says::Yes, text).at(&settings.place)
                    }
                };
                self.steps.push(step);
                Some(identity)
            }
            Err(refusal) => {
                let why = match refusal {
                    Refusal::NotPermitted { why } => why,
                    other => format!("{other:?}"),
                };
                self.says(Stage::Identity, Says::No, why);
                self.change.push(
                    "ask about a process, with --pid: what an identity's principals ask of a caller is not known of a \
                     user as such; if it is one, what they ask cannot be found out about it"
                        .to_owned(),
                );
                None
            }
        }
    }

    fn caller(&self) -> CallerShown {
        let evidence = &self.asked.evidence;
        let (of, cgroup) = (evidence.caller(), evidence.cgroup());
        CallerShown {
            uid: of.uid,
            user: self.names.user(of.uid).map(str::to_owned),
            gid: of.gid,
            groups: evidence.groups().map(<[u32]>::to_vec),
            pid: (of.pid != 0).then_some(of.pid),
            exe: evidence.executable().map(|executable| audit::text(executable.shown().as_os_str())),
            unit: cgroup.and_then(|cgroup| cgroup.unit()).map(str::to_owned),
            cgroup: cgroup.map(|cgroup| cgroup.path().to_owned()),
            container: cgroup.and_then(|cgroup| cgroup.container()).map(|container| container.id.clone()),
        }
    }
}

fn join(names: &[OsString]) -> OsString {
    if names.is_empty() { ".".into() } else { names.join(std::ffi::OsStr::new("/")) }
}

impl Operations {
    /// How long it may take.
    fn patience(&self, node: &Node) -> std::time::Duration {
        let source: Option<&Arc<_>> = node.scope().and_then(|scope| self.namespace.sources().own().get(scope));
        source.map_or(super::UNSCOPED_TIMEOUT, |source| source.scope.cache.timeout)
    }
}
