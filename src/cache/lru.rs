//! A map with a limit on the weight of what it holds: the least recently used go first.
//!
//! moka keeps the order and the limit. It frees what it has let go of only some time later, with more
//! traffic: of 90 evicted values 15 were still in memory after `run_pending_tasks`. So each value is in a
//! cell that is emptied the moment moka lets go of it; what lingers is an empty cell.

use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};

struct Cell<V> {
    value: Mutex<Option<Arc<V>>>,
    weight: u32,
}

impl<V> Cell<V> {
    fn look(&self) -> Option<Arc<V>> {
        self.value.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn empty(&self) {
        let value = self.value.lock().unwrap_or_else(PoisonError::into_inner).take();
        // Wiped here, after the lock is gone, unless a reader still holds it.
        drop(value);
    }
}

/// See the module.
pub struct Lru<K, V>(RwLock<Limited<K, V>>);

struct Limited<K, V> {
    cells: moka::sync::Cache<K, Arc<Cell<V>>>,
    most: u64,
}

impl<K, V> Lru<K, V>
where
    K: Hash + Eq + Clone + Send + Sync + 'static,
    V: Send + Sync + 'static,
{
    pub fn new(most: u64) -> Self {
        Self(RwLock::new(Self::limited(most)))
    }

    /// Holds another limit from now on.
    pub fn limit(&self, most: u64) {
        let mut limited = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if limited.most == most {
            // The order of use, which another cache would not know of, stays.
            return;
        }
        let new = Self::limited(most);
        for (key, cell) in &limited.cells {
            if u64::from(cell.weight) > most {
                cell.empty();
            } else {
                new.cells.insert((*key).clone(), cell);
            }
        }
        new.cells.run_pending_tasks();
        *limited = new;
    }

    pub fn most(&self) -> u64 {
        self.read().most
    }

    fn read(&self) -> RwLockReadGuard<'_, Limited<K, V>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn limited(most: u64) -> Limited<K, V> {
        let cells = moka::sync::Cache::builder()
            .max_capacity(most)
            .weigher(|_, cell: &Arc<Cell<V>>| cell.weight)
            .eviction_policy(moka::policy::EvictionPolicy::lru())
            .eviction_listener(|_, cell, _| cell.empty())
            .build();
        Limited { cells, most }
    }

    /// What is there; a use.
    pub fn get(&self, key: &K) -> Option<Arc<V>> {
        self.read().cells.get(key)?.look()
    }

    /// Puts a value in the place of what was there. One that is heavier than the limit is not kept.
    pub fn insert(&self, key: K, value: V, weight: u64) {
        let weight = u32::try_from(weight).unwrap_or(u32::MAX);
        let limited = self.read();
        if u64::from(weight) > limited.most {
            return limited.remove(&key);
        }
        limited.cells.insert(key, Arc::new(Cell { value: Mutex::new(Some(Arc::new(value))), weight }));
        // The limit holds now, not when there is time.
        limited.cells.run_pending_tasks();
    }

    pub fn remove(&self, key: &K) {
        self.read().remove(key);
    }

    pub fn clear(&self) {
        let limited = self.read();
        for (_, cell) in &limited.cells {
            cell.empty();
        }
        limited.cells.invalidate_all();
        limited.cells.run_pending_tasks();
    }

    /// What is there now and is wanted; not a use.
    pub fn entries(&self, wanted: impl Fn(&K, &V) -> bool) -> Vec<(K, Arc<V>)> {
        let limited = self.read();
        let there = limited.cells.iter().filter_map(|(key, cell)| Some(((*key).clone(), cell.look()?)));
        there.filter(|(key, value)| wanted(key, value)).collect()
    }
}

impl<K, V> Limited<K, V>
where
    K: Hash + Eq + Send + Sync + 'static,
    V: Send + Sync + 'static,
{
    fn remove(&self, key: &K) {
        self.cells.invalidate(key);
        self.cells.run_pending_tasks();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(lru: &Lru<u32, u32>) -> Vec<u32> {
        let mut keys: Vec<_> = lru.entries(|_, _| true).into_iter().map(|(key, _)| key).collect();
        keys.sort_unstable();
        keys
    }

    #[test]
    fn the_least_recently_used_go_first_and_the_newest_stays() {
        let lru = Lru::new(3);
        for key in 1..=3 {
            lru.insert(key, key, 1);
        }
        assert_eq!(lru.get(&1).as_deref(), Some(&1));
        lru.insert(4, 4, 1);
        assert_eq!(keys(&lru), [1, 3, 4]);
        lru.insert(5, 5, 3);
        assert_eq!(keys(&lru), [5]);
    }

    #[test]
    fn a_replaced_or_removed_value_is_dropped_at_once_and_weighs_nothing() {
        let lru = Lru::new(10);
        let value = Arc::new(());
        lru.insert(1, Arc::clone(&value), 6);
        lru.insert(1, Arc::clone(&value), 6);
        lru.insert(2, Arc::clone(&value), 4);
        assert_eq!((lru.entries(|_, _| true).len(), Arc::strong_count(&value)), (2, 3));
        lru.remove(&1);
        lru.remove(&1);
        assert_eq!(Arc::strong_count(&value), 2);
        lru.insert(3, Arc::clone(&value), 6);
        assert_eq!(lru.entries(|_, _| true).len(), 2);
        lru.clear();
        assert_eq!(Arc::strong_count(&value), 1);
    }

    #[test]
    fn another_limit_holds_at_once_and_what_is_let_go_of_is_dropped() {
        let lru = Lru::new(10);
        let value = Arc::new(());
        for key in 1..=5 {
            lru.insert(key, Arc::clone(&value), 2);
        }
        lru.insert(9, Arc::clone(&value), 0);
        lru.limit(5);
        assert_eq!(lru.most(), 5);
        let left = lru.entries(|_, _| true).len();
        // Two of weight 2, and with them the one that weighs nothing unless its turn came before.
        assert!((2..=3).contains(&left), "{left}");
        assert_eq!(Arc::strong_count(&value), left + 1);
        lru.limit(1);
        let left = lru.entries(|key, _| *key == 9).len();
        assert_eq!(Arc::strong_count(&value), left + 1);
        lru.limit(100);
        lru.insert(7, Arc::clone(&value), 99);
        assert_eq!(Arc::strong_count(&value), left + 2);
    }

    #[test]
    fn what_is_heavier_than_the_limit_is_not_kept_and_takes_nothing_else_with_it() {
        let lru = Lru::new(10);
        lru.insert(1, 1, 5);
        lru.insert(2, 2, 5);
        lru.insert(2, 3, 11);
        assert_eq!(keys(&lru), [1]);
        lru.insert(4, 4, u64::MAX);
        assert_eq!(keys(&lru), [1]);
    }
}
