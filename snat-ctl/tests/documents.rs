//! What the documents tell people to write is accepted.

use std::path::Path;

use snat_ctl::config::Config;

const README: &str = include_str!("../../README.md");

#[test]
fn the_readmes_configuration_is_accepted_without_a_warning() {
    let (_, block) = README.split_once("```toml\n").expect("a block of TOML");
    let (text, _) = block.split_once("```").expect("its end");
    match Config::parse(text, Path::new("README.md")) {
        Ok(config) => assert_eq!(config.warnings, [""; 0]),
        Err(error) => panic!("{error}"),
    }
}
