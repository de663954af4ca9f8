//! The front end: talks to runs that go on.

fn main() -> std::process::ExitCode {
    xenrt::cli::xenrt::main()
}
