//! Configuration: written -> merged -> validated.
//!
//! 1. `written`: one file's text becomes values that know where they stand (`place`).
//! 2. `merged`: the main file and `conf.d/*.toml` become one; a conflict names both places.
//! 3. `validate`: values become `settings`, the only form that the rest of the program sees.
//!
//! `changes` is what one has otherwise than another.
//!
//! Whatever is wrong on the way is collected and reported together (`report`). A report shows lines of
//! the files, but no line that looks as if it held a credential (`conceal`).

mod acts_as;
mod changes;
#[cfg(all(test, feature = "local"))]
mod changes_test;
mod conceal;
mod diagnostic;
mod duration;
mod entry;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
#[cfg(any(test, feature = "fuzzing"))]
mod judged;
pub mod keys;
mod load;
mod merged;
mod place;
mod rate;
mod read;
mod render;
mod report;
#[cfg(test)]
mod robustness_test;
mod settings;
#[cfg(all(
    test,
    feature = "local",
    feature = "aws",
    feature = "gcp",
    feature = "vault",
    feature = "databricks",
    feature = "kubernetes",
    feature = "azure"
))]
mod shipped_file_test;
mod size;
mod suggest;
mod validate;
mod writers;
mod written;

pub use acts_as::{ActsAs, IdentityRole, VaultRole};
pub use changes::{Changes, Replaced, fixed};
pub use diagnostic::{Diagnostic, Severity};
pub use entry::{Entry, Position};
pub use load::{DEFAULT_DIRECTORY, Loaded, Source, load, load_without_files};
pub use rate::Rate;
pub use report::Report;
pub use settings::*;
