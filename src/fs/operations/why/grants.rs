//! The grants that bear on a place, and what each has to do with the caller.

use super::Inquiry;
use crate::access::Action;
use crate::access::audit;
use crate::access::explanation::{Says, Stage, Step};
use crate::access::policy::{Allowed, Bearing, Effect, Principal, Refused, Statement, Verdict};
use crate::fs::judge;
use crate::tree::{DocumentFile, Node, Refusal};

/// Statements that do not apply are shown up to this many.
const MOST_ASIDE: usize = 20;

impl Inquiry<'_> {
    /// Do the grants say yes? `stopped`: what a look at the path came to.
    pub(super) fn grants(&mut self, stopped: Option<&Refusal>) -> bool {
        let (judge, evidence) = (&self.operations.judge, &self.asked.evidence);
        let (resource, action) = (judge::resource(&self.node), self.policy_action());
        let (decision, bearings) = judge.as_subject(evidence, |subject| {
            (judge.policy().decide(subject, action, &resource), judge.policy().explain(subject, action, &resource))
        });
        let decided = decision.statement();
        let mut steps = Vec::new();
        let mut aside = 0;
        for (id, bearing) in bearings {
            let Some(statement) = judge.policy().statement(id) else { continue };
            let (says, how) = match (bearing, statement.effect) {
                (Bearing::Applies, Effect::Allow) => (Says::Yes, "allows it"),
                (Bearing::Applies, Effect::Deny) => (Says::No, "denies it"),
                (Bearing::MayApply, _) => (Says::No, "denies it, for what it asks of the caller cannot be known"),
                (Bearing::UnknownPrincipal, _) => {
                    (Says::Unknown, "might allow it, but what it asks of the caller cannot be known")
                }
                (Bearing::OtherPrincipal, _) => (Says::Nothing, "is for others"),
                (Bearing::OtherAction, _) => (Says::Nothing, "is about another action"),
                (Bearing::OtherResource, _) => continue,
            };
            if says == Says::Nothing {
                aside += 1;
                if aside > MOST_ASIDE {
                    continue;
                }
            }
            let what = self.statement(statement);
            // A yes that a deny takes back is no yes.
            let says =
                if says == Says::Yes && decided != Some(id) && !decision.is_allowed() { Says::Nothing } else { says };
            steps.push(Step::new(Stage::Grant, says, format!("{what}: {how}")).at(&statement.place));
        }
        if aside > MOST_ASIDE {
            let text = format!("{} more that do not apply", aside - MOST_ASIDE);
            steps.push(Step::new(Stage::Grant, Says::Nothing, text));
        }
        self.steps.extend(steps);
        match decision.verdict {
            Verdict::Allow(Allowed::Root) => self.says(Stage::Grant, Says::Yes, "it is root, and root = \"allow\""),
            Verdict::Allow(Allowed::Owner) => {
                self.says(Stage::Grant, Says::Yes, "the user who runs hushfs needs no grant");
            }
            Verdict::Allow(Allowed::Statement(_)) => {}
            Verdict::Deny(refused) => self.refused(refused),
        }
        // What a look at the path was told counts, where it is more than the place by itself tells.
        if let (true, Some(Refusal::NotPermitted { why })) = (decision.is_allowed(), stopped) {
            self.says(Stage::Grant, Says::No, format!("on the way there: {why}"));
            self.change.push(self.snippet());
            return false;
        }
        decision.is_allowed()
    }

    fn refused(&mut self, refused: Refused) {
        let place = |id| self.operations.judge.policy().statement(id).map_or("?", |statement| statement.place.as_str());
        match refused {
            Refused::Statement(id) => {
                let change =
                    format!("take this caller, or this place, out of the deny at {}: no allow can outdo it", place(id));
                self.change.push(change);
                if self.is_without_an_allow() {
                    self.change.push(self.snippet());
                }
            }
            Refused::Unknown(id) => {
                let change = format!(
                    "the deny at {} asks what is not known of this caller: ask about a process with --pid; if it is one, \
                     name users or groups in the deny instead",
                    place(id)
                );
                self.change.push(change);
            }
            Refused::NoGrant => {
                self.says(Stage::Grant, Says::No, "nothing grants it to this caller");
                self.change.push(self.snippet());
            }
        }
    }

    fn is_without_an_allow(&self) -> bool {
        !self.steps.iter().any(|step| step.stage == Stage::Grant && step.text.ends_with("allows it"))
    }

    /// A grant that would do.
    fn snippet(&self) -> String {
        let caller = self.names.principal(&Principal::User(self.asked.evidence.caller().uid));
        let resource = match &self.node {
            Node::Root | Node::Scope(..) => format!("{}/**", self.node.scope().map_or("*", |scope| scope.as_str())),
            Node::Directory(at) | Node::Version(at, _) | Node::Link(at, _) => {
                format!("{}/{}", at.scope, at.path.as_str())
            }
            Node::File(at, _, DocumentFile::Key(key)) => format!("{}/{}/{}", at.scope, at.path.as_str(), key.as_str()),
            Node::File(at, ..) => format!("{}/{}", at.scope, at.path.as_str()),
        };
        let action = self.action.name();
        format!(
            "grant it, or have the caller be of a group that has it:\n[[grant]]\nprincipals = [{caller:?}]\n\
             actions    = [{action:?}]\nresources  = [{resource:?}]"
        )
    }

    fn policy_action(&self) -> Action {
        match self.action {
            audit::Action::List => Action::List,
            audit::Action::Read => Action::Read,
            audit::Action::ReadPrevious => Action::ReadPrevious,
        }
    }

    /// A statement as one would say it.
    fn statement(&self, statement: &Statement) -> String {
        let list = |texts: Vec<String>| {
            let shown = texts.iter().take(5).cloned().collect::<Vec<_>>().join(", ");
            if texts.len() > 5 { format!("{shown} and {} more", texts.len() - 5) } else { shown }
        };
        let who = list(statement.principals.iter().map(|principal| self.names.principal(principal)).collect());
        let what = list(statement.resources.iter().map(ToString::to_string).collect());
        let actions: Vec<&str> = statement
            .actions
            .iter()
            .map(|action| match action {
                Action::List => "list",
                Action::Read => "read",
                Action::ReadPrevious => "read-previous",
            })
            .collect();
        let may = match statement.effect {
            Effect::Allow => "may",
            Effect::Deny => "may not",
        };
        format!("{who} {may} {} {what}", actions.join(", "))
    }
}
