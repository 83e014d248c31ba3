//! Public suffixes: names below which anybody can register a name of their own (`com`, `co.uk`,
//! `github.io`), by Mozilla's list as the psl crate embeds it. It must never be what a connection
//! is decided by: the list has gaps, and warns only.
#![forbid(unsafe_code)]

use super::name::Name;

/// Whether anybody can register a name below this one; the list's private section included.
pub fn is_public(name: &Name) -> bool {
    let name = name.as_str().as_bytes();
    psl::suffix(name).is_some_and(|suffix| suffix.is_known() && suffix.as_bytes() == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registries_and_hosting_are_public() {
        let public = |name: &str| is_public(&name.parse().unwrap());
        for yes in ["com", "co.uk", "github.io", "s3.amazonaws.com", "pages.dev", "vercel.app"] {
            assert!(public(yes), "{yes}");
        }
        for no in ["github.com", "example.co.uk", "a.github.io", "corp", "internal.corp"] {
            assert!(!public(no), "{no}");
        }
    }
}
