//! Listings, as the kernel takes them: a part at a time, `.` and `..` first.

use std::ffi::OsStr;

use super::reply::Reply;
use super::wire::Entries;
use crate::fs::handles::Directory;
use crate::fs::operations::Operations;
use crate::tree::{Entry, Kind};

/// Names, numbers and types of what is in the directory `ino`, from `offset` on.
pub fn names(operations: &Operations, directory: &Directory, ino: u64, offset: u64, room: u32, reply: Reply) {
    let mut answer = Entries::new(room);
    for (index, entry) in from(&directory.entries, offset) {
        let fits = match entry {
            None => answer.add(ino, after(index), Kind::Directory, OsStr::new(dot(index))),
            Some(Entry { name, found, .. }) => {
                answer.add(operations.inodes.number(&found.node), after(index), found.facts.kind, name.as_ref())
            }
        };
        if !fits {
            break;
        }
    }
    reply.entries(&answer);
}

/// As [`names`], with all that looking up each would tell.
pub fn all(operations: &Operations, directory: &Directory, ino: u64, offset: u64, room: u32, reply: Reply) {
    let mut answer = Entries::new(room);
    let mut given = Vec::new();
    let is_of_before = directory.configuration != operations.configuration;
    for (index, entry) in from(&directory.entries, offset) {
        let fits = match entry {
            None => answer.add_unknown(ino, after(index), Kind::Directory, OsStr::new(dot(index))),
            // Whoever wants to know more looks it up.
            Some(Entry { name, found, is_only_named }) if *is_only_named || is_of_before => {
                let number = operations.inodes.number(&found.node);
                answer.add_unknown(number, after(index), found.facts.kind, name.as_ref())
            }
            Some(Entry { name, found, .. }) => {
                let attributes = operations.remember_aged(found, directory.age());
                given.push(attributes.ino);
                answer.add_known(&attributes, after(index), name.as_ref())
            }
        };
        if !fits {
            // Not given to the kernel after all.
            if entry.is_some_and(|entry| !(entry.is_only_named || is_of_before))
                && let Some(number) = given.pop()
            {
                operations.forget(number, 1);
            }
            break;
        }
    }
    if !reply.entries(&answer) {
        given.into_iter().for_each(|number| operations.forget(number, 1));
    }
}

/// The offset that the kernel gives back to go on after an entry. 0 is the start.
fn after(index: usize) -> u64 {
    index as u64 + 1
}

fn from(entries: &[Entry], offset: u64) -> impl Iterator<Item = (usize, Option<&Entry>)> {
    let all = [None, None].into_iter().chain(entries.iter().map(Some)).enumerate();
    all.skip(usize::try_from(offset).unwrap_or(usize::MAX))
}

fn dot(index: usize) -> &'static str {
    if index == 0 { "." } else { ".." }
}
