//! How the programs are linked.

fn main() {
    // Not at any address: every pointer in its tables would be written at each start, and 3 MB of them be in memory for it.
    println!("cargo::rustc-link-arg-bins=-no-pie");
    println!("cargo::rerun-if-changed=build.rs");
}
