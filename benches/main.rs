//! `cargo bench` measures the whole program beside grep and jq, then its parts; `cargo bench -- compare` the former
//! alone, `cargo bench -- scan` one part, `cargo bench -- state` what large state costs.

mod compare;
mod corpus;
mod made;
mod parts;
mod state;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let wanted = arguments.iter().find(|argument| !argument.starts_with('-'));
    // Under `cargo test` each part runs once, and nothing is compared.
    let is_test = arguments.iter().any(|argument| argument == "--test");
    if !is_test && wanted.is_none_or(|wanted| wanted == "compare") {
        compare::print();
    }
    // State of many MiB is written only where it is asked for.
    if !is_test && wanted.is_some_and(|wanted| wanted == "state") {
        state::print();
    } else if wanted.is_none_or(|wanted| wanted != "compare") {
        divan::main();
    }
}
