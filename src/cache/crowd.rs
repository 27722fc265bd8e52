//! Very many who look for single names at once, such as when a host starts: one listing answers them all.

use std::sync::Arc;

use tokio::time::Instant;

use super::clock::within;
use super::memory::Memory;
use super::source::Source;
use crate::provider::Presence;
use crate::tree::SecretPath;

/// So many questions about single names under way are a crowd. A listing of a few thousand secrets then costs less than
/// going on, and no reader alone, nor a handful, ever waits for one.
const CROWD: usize = 32;

/// Are very many asking at the moment, and is there a listing for them?
pub(super) fn is_crowded(source: &Source) -> bool {
    source.looks_under_way() >= CROWD && source.lists_many_in_a_call()
}

impl Memory {
    /// What a listing made now says of a name, where there is a crowd and the provider lists many in a call. None where
    /// there is none in half of the time that an operation has: the name is then asked for singly.
    pub(super) async fn listed_for_a_crowd(
        &self,
        source: &Arc<Source>,
        path: &SecretPath,
        deadline: Instant,
    ) -> Option<Presence> {
        if !is_crowded(source) {
            return None;
        }
        let patience = source.names().timeout / 2;
        within(source.budget.clock(), patience, self.listing(source, deadline)).await?.ok()?;
        self.listed(source, path)
    }
}
