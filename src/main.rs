//! The one binary. Which program it is today is decided in [`haloy::run`].

use std::process::ExitCode;

/// glibc's and musl's allocators fragment under a proxy's load; this one keeps resident memory flat.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    haloy::run(std::env::args_os().collect())
}
