//! Arguments in, exit status out.

use std::process::ExitCode;

/// Wipes what the vendors' SDKs free; see `secret`.
#[global_allocator]
static ALLOCATOR: hushfs::secret::WipingAllocator = hushfs::secret::WipingAllocator;

fn main() -> ExitCode {
    #[cfg(debug_assertions)]
    if std::env::var_os("HUSHFS_TEST_UNMITIGATED").is_some() {
        hushfs::secret::leave_copies();
    }
    hushfs::cli::main()
}
