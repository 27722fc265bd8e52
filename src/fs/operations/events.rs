//! What the process that makes events is answered: what memory knows, and nothing that anybody would have to be asked.

use std::ffi::OsStr;
use std::time::Duration;

use super::Operations;
use crate::fs::attributes::Attributes;
use crate::fs::events::Events;
use crate::tree::{Node, Refusal};

impl Operations {
    pub fn events(&self) -> &Events {
        &self.events
    }

    /// As [`Operations::lookup`], on the way to the file that is touched.
    pub fn look_up_to_touch(&self, parent: u64, name: &OsStr) -> Result<Attributes, Refusal> {
        let parent = self.node(parent)?;
        let node = self.events.next(&parent, name).ok_or(Refusal::NoSuchEntry)?;
        let attributes = self.known(&node)?;
        let (ino, is_new) = self.inodes.remember(&node);
        if is_new {
            self.ledger.given(ino, &node.inode());
        }
        Ok(attributes)
    }

    /// As [`Operations::getattr`], also once a file has been touched: it is what it was.
    pub fn attributes_to_touch(&self, ino: u64) -> Result<Attributes, Refusal> {
        let node = self.node(ino)?;
        self.known(&self.events.on_the_way(&node))
    }

    fn known(&self, node: &Node) -> Result<Attributes, Refusal> {
        let found = self.namespace.known(node).ok_or(Refusal::NoSuchEntry)?;
        let attributes = self.describe(self.inodes.number(node), &found);
        // For this once: others are to ask again.
        Ok(Attributes { valid_for: Duration::ZERO, ..attributes })
    }
}
