//! `olake-api openapi`: the OpenAPI document.

use super::{CommandError, print};
use crate::app::spec_yaml;

pub(super) fn run() -> Result<(), CommandError> {
    print(&spec_yaml())
}
