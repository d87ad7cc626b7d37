//! The `maspo` program: hands the arguments to [`maspo::cli`] and exits with its code.

fn main() -> std::process::ExitCode {
    maspo::cli::main()
}
