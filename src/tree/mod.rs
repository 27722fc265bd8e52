//! Secrets as a tree of files: names, keys, and how one becomes the other.
//!
//! `name` and `keys` say how names and values become files and `render` how they become one; none of
//! them does I/O. `path`, `index`, `key_names` and `document` hold what a provider answered in that form, `node` names
//! every place in the tree, `inodes` numbers them, and `namespace` finds one from another.

mod below;
mod content;
mod document;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod index;
mod inodes;
mod json;
mod key_names;
pub mod keys;
pub mod name;
mod namespace;
mod node;
mod path;
mod refusal;
pub mod render;
mod spelling;

pub use below::Below;
pub use content::Content;
pub use document::{Document, DocumentFile};
pub use index::{Child, Index};
pub use inodes::{Inodes, ROOT};
pub use key_names::KeyNames;
pub use name::FileName;
pub use namespace::{Entry, Facts, Found, Namespace, of_version};
pub use node::{Kind, Node, SecretNode, Which};
pub use path::SecretPath;
pub use refusal::Refusal;
pub use spelling::{spelled, way_to};
