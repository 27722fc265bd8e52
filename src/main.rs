//! Arguments in, exit status out.

use std::process::ExitCode;

/// Wipes what the vendors' SDKs free; see `secret`.
#[global_allocator]
static ALLOCATOR: hushfs::secret::WipingAllocator = hushfs::secret::WipingAllocator;

fn main() -> ExitCode {
    hushfs::cli::main()
}
