//! Writes the OpenAPI document to a file (or prints it), for the dashboard's types:
//! `cargo run -p gateway --example openapi -- dashboard/openapi.json`.

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let mut json = gateway::openapi().to_pretty_json()?;
    json.push('\n');
    match std::env::args().nth(1) {
        Some(path) => std::fs::write(path, json)?,
        None => print!("{json}"),
    }
    Ok(())
}
