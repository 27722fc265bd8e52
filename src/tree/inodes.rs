//! Inode numbers: the same for a path as long as it exists, rotation included. Of a file each identity that a
//! provider is asked as has its own: the kernel's page cache, which mappings go through, belongs to the inode. For the
//! same reason a number can be left to who has it, and its path given another.
//!
//! A number is a hash of the path, so it needs no memory to stay the same. What the kernel knows (and
//! may ask for by number alone) is kept here until the kernel forgets it.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Instant;

use super::node::{Node, SecretNode};

/// The root's number, by FUSE's definition.
pub const ROOT: u64 = 1;

struct Known {
    node: Arc<Node>,
    /// How often the kernel was given this number and has not forgotten it.
    lookups: AtomicU64,
    told: Mutex<Told>,
}

/// What the kernel was told of a file's size. It keeps one for all descriptors, and answers may reach it in
/// another order than they were made in.
#[derive(Default)]
struct Told {
    /// In the last answer.
    size: Option<u64>,
    /// There were answers with different sizes: any of them may be what the kernel remembers.
    doubtful: bool,
    /// How often the size was another than before.
    changes: u64,
    /// When what the kernel remembers was last taken back for an opener.
    settled: Option<Instant>,
}

#[derive(Default)]
struct Table {
    by_number: HashMap<u64, Known>,
    /// The known files of each secret, to be told when its value changes.
    files: HashMap<SecretNode, Vec<u64>>,
    /// Where nodes are whose own numbers were left to others. An entry goes when the kernel forgets a number of its node
    /// and does not know the one in the entry.
    moved: HashMap<Node, u64>,
}

impl Table {
    fn give(&mut self, number: u64, node: Node, lookups: u64) {
        if let Node::File(at, ..) = &node
            && !self.by_number.contains_key(&number)
        {
            self.files.entry(at.clone()).or_default().push(number);
        }
        let new = || Known { node: Arc::new(node), lookups: AtomicU64::new(0), told: Mutex::default() };
        let known = self.by_number.entry(number).or_insert_with(new);
        known.lookups.fetch_add(lookups, Ordering::Relaxed);
    }
}

/// The numbers that the kernel knows.
pub struct Inodes {
    table: RwLock<Table>,
    taking_back: Mutex<()>,
}

impl Inodes {
    pub fn new() -> Self {
        let root = Known { node: Arc::new(Node::Root), lookups: AtomicU64::new(1), told: Mutex::default() };
        let table = Table { by_number: HashMap::from([(ROOT, root)]), ..Table::default() };
        Self { table: RwLock::new(table), taking_back: Mutex::new(()) }
    }

    /// The node behind a number that the kernel was given.
    pub fn node(&self, number: u64) -> Option<Arc<Node>> {
        self.read().by_number.get(&number).map(|known| Arc::clone(&known.node))
    }

    /// The number of a node, without remembering it.
    pub fn number(&self, node: &Node) -> u64 {
        Self::place(&self.read(), &node.inode())
    }

    /// The number of a node, counted as given to the kernel once more; and whether it had none before.
    pub fn remember(&self, node: &Node) -> (u64, bool) {
        let node = node.inode();
        {
            let table = self.read();
            let number = Self::place(&table, &node);
            if let Some(known) = table.by_number.get(&number) {
                known.lookups.fetch_add(1, Ordering::Relaxed);
                return (number, false);
            }
        }
        let mut table = self.write();
        let number = Self::place(&table, &node);
        let is_new = !table.by_number.contains_key(&number);
        table.give(number, node.into_owned(), 1);
        (number, is_new)
    }

    /// A number that the kernel has from an earlier daemon. How often it was given is not known, so it stays until the
    /// kernel has forgotten more than could be. Of several of one node, which come in any order, the path keeps the one
    /// that was given last: the farthest from its own, as [`Inodes::leave`] goes on from there.
    pub fn restore(&self, number: u64, node: Node) {
        let mut table = self.write();
        let own = own(&node);
        let is_last = table.moved.get(&node).is_none_or(|last| last.wrapping_sub(own) < number.wrapping_sub(own));
        if node != Node::Root && number != own && is_last {
            table.moved.insert(node.clone(), number);
        }
        table.give(number, node, u64::MAX / 2);
    }

    /// The kernel has let go of a number `count` times. True if it has none any more.
    pub fn forget(&self, number: u64, count: u64) -> bool {
        let mut table = self.write();
        let Some(known) = table.by_number.get_mut(&number) else { return false };
        let left = known.lookups.get_mut();
        *left = left.saturating_sub(count);
        if *left > 0 || number == ROOT {
            return false;
        }
        let Some(Known { node, .. }) = table.by_number.remove(&number) else { return true };
        if let Node::File(at, ..) = &*node
            && let Some(files) = table.files.get_mut(at)
        {
            files.retain(|&file| file != number);
            if files.is_empty() {
                table.files.remove(at);
            }
        }
        if table.moved.get(&*node).is_some_and(|moved| !table.by_number.contains_key(moved)) {
            table.moved.remove(&*node);
        }
        true
    }

    /// Leaves a number to who has it: whoever looks its node up from here on finds another.
    pub fn leave(&self, number: u64) {
        let mut table = self.write();
        let Some(node) = table.by_number.get(&number).map(|known| Arc::clone(&known.node)) else { return };
        // Not if somebody else was first: the new number would be left, too.
        if Self::place(&table, &node) != number || number == ROOT {
            return;
        }
        let mut free = valid(number.wrapping_add(1));
        while table.by_number.contains_key(&free) {
            free = valid(free.wrapping_add(1));
        }
        table.moved.insert(Node::clone(&node), free);
    }

    /// Notes the size that the kernel is being told. Some where it may remember another, until that is
    /// taken back and [`Inodes::settle`] is given the number.
    pub fn tell_size(&self, number: u64, size: u64) -> Option<u64> {
        let table = self.read();
        let mut told = table.by_number.get(&number)?.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.size != Some(size) {
            told.doubtful |= told.size.is_some();
            told.size = Some(size);
            told.changes += 1;
        }
        told.doubtful.then_some(told.changes)
    }

    /// What the kernel remembered has been taken back. `change` is from [`Inodes::tell_size`].
    pub fn settle(&self, number: u64, change: u64) {
        let table = self.read();
        let Some(known) = table.by_number.get(&number) else { return };
        let mut told = known.told.lock().unwrap_or_else(PoisonError::into_inner);
        // Another size since then may have reached the kernel.
        told.doubtful &= told.changes != change;
        told.settled = Some(Instant::now());
    }

    /// To be held while what the kernel remembers is taken back. The kernel drops an answer that it asked for
    /// before that: once an opener has its own, nothing may be taken back for the same change any more.
    pub fn taking_back(&self) -> MutexGuard<'_, ()> {
        self.taking_back.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has what the kernel remembers of a file been taken back for an opener since then?
    pub fn settled_since(&self, number: u64, then: Instant) -> bool {
        let table = self.read();
        let settled = |known: &Known| known.told.lock().unwrap_or_else(PoisonError::into_inner).settled;
        table.by_number.get(&number).and_then(settled).is_some_and(|settled| settled >= then)
    }

    /// The known files of a secret.
    pub fn files_of(&self, secret: &SecretNode) -> Vec<u64> {
        self.read().files.get(secret).cloned().unwrap_or_default()
    }

    /// The numbers that the kernel knows of nodes that are wanted.
    pub fn known(&self, wanted: impl Fn(&Node) -> bool) -> Vec<u64> {
        let table = self.read();
        table.by_number.iter().filter(|(_, known)| wanted(&known.node)).map(|(number, _)| *number).collect()
    }

    /// The secrets of which the kernel knows a file.
    pub fn secrets(&self) -> Vec<SecretNode> {
        self.read().files.keys().cloned().collect()
    }

    /// How many numbers the kernel knows.
    pub fn count(&self) -> usize {
        self.read().by_number.len()
    }

    /// Where a node is, or would be: at its hash, or behind whoever else has the same; or where it was moved to.
    fn place(table: &Table, node: &Node) -> u64 {
        if *node == Node::Root {
            return ROOT;
        }
        let mut number = table.moved.get(node).copied().unwrap_or_else(|| own(node));
        loop {
            match table.by_number.get(&number) {
                Some(known) if *known.node != *node => number = valid(number.wrapping_add(1)),
                Some(_) | None => return number,
            }
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, Table> {
        self.table.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Table> {
        self.table.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The number that a node has where nobody else has it, and it was not left to anybody.
fn own(node: &Node) -> u64 {
    let mut hasher = DefaultHasher::new();
    node.hash(&mut hasher);
    valid(hasher.finish())
}

/// The number, or one that can be an inode's: 0 is none, 1 the root's, and u64::MAX trips programs that take it for an
/// error.
fn valid(number: u64) -> u64 {
    if number <= ROOT || number == u64::MAX { 2 } else { number }
}

impl Default for Inodes {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ScopeName;
    use crate::provider::Identity;

    fn scope(name: &str) -> Node {
        Node::Scope(ScopeName::new(name).unwrap(), Identity::Own)
    }

    #[test]
    fn a_path_has_the_same_number_before_and_after_it_is_forgotten() {
        let inodes = Inodes::new();
        let number = inodes.number(&scope("a"));
        assert_eq!(inodes.remember(&scope("a")), (number, true));
        assert_eq!(inodes.remember(&scope("a")), (number, false));
        assert!(!inodes.forget(number, 1));
        assert!(inodes.node(number).is_some());
        assert!(inodes.forget(number, 1));
        assert!(inodes.node(number).is_none());
        assert_eq!(inodes.remember(&scope("a")), (number, true));
        assert_ne!(inodes.remember(&scope("b")).0, number);
    }

    #[test]
    fn a_number_that_is_left_to_who_has_it_is_not_given_for_its_path_until_all_is_forgotten() {
        let inodes = Inodes::new();
        let (left, _) = inodes.remember(&scope("a"));
        inodes.leave(left);
        let (second, is_new) = inodes.remember(&scope("a"));
        assert!(is_new && second != left);
        inodes.leave(left);
        assert_eq!(inodes.remember(&scope("a")), (second, false), "left once is enough");
        assert_eq!(
            [left, second].map(|number| inodes.node(number).as_deref().cloned()),
            [Some(scope("a")), Some(scope("a"))]
        );
        inodes.leave(second);
        let (third, is_new) = inodes.remember(&scope("a"));
        assert!(is_new && third != left && third != second);

        assert!(inodes.forget(left, 1) && inodes.forget(second, 2));
        assert_eq!(inodes.remember(&scope("a")), (third, false));
        assert!(inodes.forget(third, 2));
        assert_eq!(inodes.remember(&scope("a")), (left, true));
        inodes.leave(left);
        assert!(inodes.forget(left, 1));
        assert!(inodes.read().moved.is_empty());
    }

    #[test]
    fn the_root_is_never_forgotten() {
        let inodes = Inodes::new();
        inodes.forget(ROOT, u64::MAX);
        assert!(inodes.node(ROOT).is_some());
    }

    #[test]
    fn a_number_of_an_earlier_daemon_stays_whatever_is_forgotten_of_it() {
        let inodes = Inodes::new();
        let number = inodes.number(&scope("a"));
        inodes.restore(number, scope("a"));
        assert_eq!(inodes.remember(&scope("a")), (number, false));
        assert!(!inodes.forget(number, 1_000_000));
        assert_eq!(inodes.node(number).as_deref(), Some(&scope("a")));
    }

    #[test]
    fn a_path_that_had_moved_before_the_daemon_was_another_has_the_number_that_it_had_last() {
        let before = Inodes::new();
        let (first, _) = before.remember(&scope("a"));
        before.leave(first);
        let (second, _) = before.remember(&scope("a"));
        before.leave(second);
        let (third, _) = before.remember(&scope("a"));
        for known in [vec![third], vec![first, second, third], vec![third, second, first], vec![second, third, first]] {
            let after = Inodes::new();
            known.iter().for_each(|&number| after.restore(number, scope("a")));
            assert_eq!(after.remember(&scope("a")), (third, false), "{known:?}");
            known.iter().for_each(|&number| assert!(after.forget(number, u64::MAX)));
            assert_eq!(after.remember(&scope("a")), (first, true), "{known:?}");
        }
    }

    #[test]
    fn a_size_that_changed_is_in_doubt_until_it_is_settled() {
        let inodes = Inodes::new();
        let (number, _) = inodes.remember(&scope("a"));
        assert_eq!(inodes.tell_size(number, 5), None);
        assert_eq!(inodes.tell_size(number, 5), None);
        let first = inodes.tell_size(number, 6).unwrap();
        assert_eq!(inodes.tell_size(number, 6), Some(first));
        let second = inodes.tell_size(number, 5).unwrap();
        inodes.settle(number, first);
        assert_eq!(inodes.tell_size(number, 5), Some(second));
        inodes.settle(number, second);
        assert_eq!(inodes.tell_size(number, 5), None);
    }
}
