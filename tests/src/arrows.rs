//! Holds the arrows between crates against the committed list, so that a new one shows in review.

use std::{collections::BTreeSet, path::Path, process::Command};

#[test]
fn arrows_between_crates_are_the_committed_ones() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let cargo = option_env!("CARGO").unwrap_or("cargo");
    let output = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(root)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let names: BTreeSet<&str> = packages.iter().map(|p| p["name"].as_str().unwrap()).collect();
    let mut found = BTreeSet::new();
    for package in packages {
        let from = package["name"].as_str().unwrap();
        for dependency in package["dependencies"].as_array().unwrap() {
            let to = dependency["name"].as_str().unwrap();
            // What a test or a bench needs is no arrow of the house.
            if names.contains(to) && dependency["kind"].is_null() && !["suite", "benches"].contains(&from) {
                found.insert(format!("{from} -> {to}"));
            }
        }
    }
    let committed: BTreeSet<String> =
        std::fs::read_to_string(root.join("tests/arrows.txt")).unwrap().lines().map(str::to_owned).collect();
    assert_eq!(found, committed, "update tests/arrows.txt only with a reason in ARCHITECTURE.md");
}
