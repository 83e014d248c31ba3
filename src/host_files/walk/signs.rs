//! What makes a directory a repository, gitrepository-layout(5).
#![forbid(unsafe_code)]

/// What stands in a directory.
#[derive(Default)]
pub(super) struct Signs {
    head: bool,
    objects: bool,
    refs: bool,
    elsewhere: bool,
}

impl Signs {
    pub(super) fn note(&mut self, name: &[u8]) {
        match name {
            _ if name.eq_ignore_ascii_case(b"HEAD") => self.head = true,
            _ if name.eq_ignore_ascii_case(b"objects") => self.objects = true,
            _ if name.eq_ignore_ascii_case(b"refs") => self.refs = true,
            _ if name.eq_ignore_ascii_case(b"commondir") => self.elsewhere = true,
            _ => {}
        }
    }

    pub(super) fn bare(&self) -> bool {
        self.head && (self.elsewhere || (self.objects && self.refs))
    }
}
