//! Parse, run, exit code.

/// Batches are allocated by one thread and freed by another; jemalloc keeps that cheap and gives memory back.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> std::process::ExitCode {
    towpath::cli::run::main()
}
