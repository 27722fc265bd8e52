//! The kernel's side: FUSE requests in, answers out.
//!
//! - `fuse` is the only place that knows the transport: it decodes a request and hands it to `operations`;
//! - `operations` answers it, without knowing which transport brought it; `serving` is which operations, for another
//!   configuration has others, and `news` what the kernel is to be told besides;
//! - `judge` puts what a request is about to the policy, and `iam` what the providers are expected to refuse to the bits,
//!   which `pictures` remembers;
//! - `recorder` tells the audit log what came of it, `readers` remembers it for people, `errno` numbers refusals, and
//!   `tally` counts answers;
//! - `handles` pins what is open and by which `opener`, `pages` remembers what the kernel has to drop once it is not, and
//!   `ledger` notes it for a daemon after this one;
//! - `attributes` and `xattr` describe files, and `events` tells those who watch them;
//! - `mount` attaches the tree to a directory and takes it away again, `mountinfo` tells what is mounted where, and
//!   `located` which mount a path is in.

mod attributes;
pub mod errno;
pub mod events;
pub mod fuse;
mod handles;
mod iam;
mod judge;
pub mod ledger;
pub mod located;
pub mod mount;
mod mountinfo;
mod news;
mod opener;
mod operations;
mod pages;
mod pictures;
mod readers;
mod recorder;
mod serving;
pub mod tally;
mod xattr;

pub use handles::Holder;
pub use judge::Judge;
pub use news::{News, Outdated};
pub use opener::Opener;
pub use operations::Operations;
pub use readers::{Read, Use};
pub use recorder::reason as why_refused;
pub use serving::{Over, Serving};
