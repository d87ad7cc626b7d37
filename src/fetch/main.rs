//! The `maspo-fetch` program: hands the arguments to [`maspo_fetch::cli`] and exits with its code.

fn main() -> std::process::ExitCode {
    maspo_fetch::cli::main()
}
