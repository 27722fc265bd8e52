//! Commands with values in their memory are out of others' reach, as the daemon is.

use super::{Failure, Status};

/// No core dump, and no debugger of the same user, until another program takes this one's place; what is started is
/// another as well. The limit on core dumps stays what it is, for whoever is started inherits that.
///
/// Not in every command: a user's own daemon cannot see what a hidden process runs, which grants, and `hushfs why`, may ask.
pub fn hide() -> Result<(), Failure> {
    let hidden = crate::sandbox::hide();
    hidden.map_err(|error| Failure::new(Status::Os, format!("cannot make the process undumpable: {error}")))
}
