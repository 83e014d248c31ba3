//! How often a property is tried: as often as `PROPTEST_CASES` says, so that all of them can be tried
//! longer than a test run has time for; without it as often as is quick enough for each.

use proptest::test_runner::Config;

/// So many cases, unless `PROPTEST_CASES` is set.
pub(crate) fn cases(usual: u32) -> Config {
    let default = Config::default();
    let set = std::env::var_os("PROPTEST_CASES").is_some();
    Config { cases: if set { default.cases } else { usual }, ..default }
}
