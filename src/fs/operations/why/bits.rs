//! What the kernel goes by before hushfs is asked.

use super::Inquiry;
use crate::access::explanation::{Says, Stage};
use crate::tree::{Kind, Node, way_to};

impl Inquiry<'_> {
    /// Do the permission bits let the caller pass every directory, and open what is at the end?
    pub(super) fn bits(&mut self) {
        let operations = self.operations;
        let caller = self.asked.evidence.caller();
        if caller.uid == 0 {
            self.says(Stage::Bits, Says::Yes, "root's capabilities are above permission bits");
            return;
        }
        let mut gids = vec![caller.gid];
        gids.extend_from_slice(self.asked.evidence.groups().unwrap_or_default());
        let mut way = way_to(&self.node);
        way.push(self.node.clone());
        let is_shut = |node: &&Node| {
            node.kind() != Kind::Link
                && !operations
                    .judge
                    .picture(&operations.namespace, node, operations.is_previous_to_all(node))
                    .permits(caller.uid, &gids)
        };
        match way.iter().find(is_shut) {
            None => self.says(Stage::Bits, Says::Yes, "the permission bits let this caller through"),
            Some(node) => {
                let path = node.path();
                let already = self.steps.iter().any(|step| step.says == Says::No && step.stage != Stage::Iam);
                self.says(
                    Stage::Bits,
                    Says::No,
                    format!("the permission bits of {path} refuse this caller (getfacl shows them)"),
                );
                if !already {
                    let expected = self.steps.iter().any(|step| step.says == Says::No && step.stage == Stage::Iam);
                    self.change.push(if expected {
                        "allow it in the provider's IAM: the bits follow within iam_ttl".to_owned()
                    } else {
                        "see whether the host knows all groups of this caller (`id`): the bits go by what it says"
                            .to_owned()
                    });
                }
            }
        }
    }
}
