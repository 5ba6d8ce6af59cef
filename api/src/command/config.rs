//! `olake-api config`: what is in force.

use olake_shared::config::Config;

use super::{CommandError, print};

pub(super) fn run(config: &Config) -> Result<(), CommandError> {
    print(config.masked_toml())
}
