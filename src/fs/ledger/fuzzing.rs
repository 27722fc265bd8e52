//! What an earlier daemon has noted, or something else that stands where that should.

use std::fs::File;
use std::os::unix::fs::FileExt;

use rustix::fs::{MemfdFlags, memfd_create};

use super::{Estate, Ledger, OpenFile, Place, read};

/// Whatever stands there: each place that is understood comes back, what is noted next is known to the next daemon, and so
/// is what was known before.
pub fn ledger(bytes: &[u8]) {
    let (given, _) = read(bytes);
    for node in given.values().filter_map(Place::to_node) {
        let again = Place::of(&node).expect("it is not the root");
        assert_eq!(again.to_node(), Some(node));
    }
    let memory = File::from(memfd_create("fuzzing", MemfdFlags::CLOEXEC).expect("memory"));
    memory.write_all_at(bytes, 0).expect("memory");
    let (ledger, mut before) = Ledger::resume(memory.into()).expect("memory can be read");
    let file = OpenFile { ino: 2, opener: 7, version: "v".into(), origin: None, era: None, who: None };
    ledger.opened(HANDLE, || file.clone());
    let mut after = estate_of(&ledger);
    before.open.retain(|(handle, _)| *handle != HANDLE);
    before.open.push((HANDLE, file));
    sort(&mut before);
    sort(&mut after);
    assert_eq!((before.nodes, before.open), (after.nodes, after.open));
    ledger.closed(HANDLE);
    assert!(estate_of(&ledger).open.iter().all(|(handle, _)| *handle != HANDLE));
}

const HANDLE: u64 = 1 << 40;

/// Read from a copy: whoever goes on with a ledger says it anew.
fn estate_of(ledger: &Ledger) -> Estate {
    let memory = File::from(ledger.memory().expect("a descriptor").expect("it is kept"));
    let mut text = vec![0; usize::try_from(memory.metadata().expect("its length").len()).expect("a length")];
    memory.read_exact_at(&mut text, 0).expect("memory can be read");
    let (given, open) = read(&text);
    let nodes = given.iter().filter_map(|(number, place)| Some((*number, place.to_node()?))).collect();
    Estate { nodes, open: open.into_iter().collect() }
}

fn sort(estate: &mut Estate) {
    estate.nodes.sort_by_key(|(number, _)| *number);
    estate.open.sort_by_key(|(handle, _)| *handle);
}
