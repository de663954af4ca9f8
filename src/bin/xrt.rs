//! The controller: runs testcases.

fn main() -> std::process::ExitCode {
    xenrt::cli::xrt::main()
}
