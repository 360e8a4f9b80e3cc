//! A decode child on its own, for tests: what `maojiawan decode` runs.

fn main() {
    if let Err(error) = video::decode::child_main() {
        eprintln!("decode: {error}");
        std::process::exit(1);
    }
}
