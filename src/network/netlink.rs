//! How messages of netlink(7) stand in a datagram. It must never trust a length that the datagram
//! gives for itself.
#![forbid(unsafe_code)]

// linux/netlink.h
pub(super) const NLM_F_REQUEST: u16 = 1;
pub(super) const NLM_F_DUMP: u16 = 0x300;
pub(super) const NLMSG_ERROR: u16 = 2;
pub(super) const NLMSG_DONE: u16 = 3;

/// Bytes of `struct nlmsghdr`.
const HEADER: usize = 16;

/// One message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Framed<'a> {
    /// Which message it is; the protocol says what that means.
    pub(super) kind: u16,
    /// Of the request that it answers.
    pub(super) number: u32,
    /// What follows the header.
    pub(super) body: &'a [u8],
}

/// The header of a request, `length` bytes long with what follows.
pub(super) fn header(length: u32, kind: u16, flags: u16, number: u32) -> [u8; HEADER] {
    let mut bytes = [0; HEADER];
    bytes[0..4].copy_from_slice(&length.to_ne_bytes());
    bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
    bytes[6..8].copy_from_slice(&(flags | NLM_F_REQUEST).to_ne_bytes());
    bytes[8..12].copy_from_slice(&number.to_ne_bytes());
    bytes
}

/// The messages of a datagram, as far as it is whole.
pub(super) fn messages(mut bytes: &[u8]) -> impl Iterator<Item = Framed<'_>> {
    std::iter::from_fn(move || {
        let length = usize::try_from(u32_at(bytes, 0)?).ok()?;
        let message = bytes.get(..length).filter(|it| it.len() >= HEADER)?;
        let framed = Framed {
            kind: u16_at(message, 4)?,
            number: u32_at(message, 8)?,
            body: &message[HEADER..],
        };
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(framed)
    })
}

/// The errno(3) of a message that is [`NLMSG_ERROR`] or [`NLMSG_DONE`]: 0 where all is well.
pub(super) fn errno(body: &[u8]) -> Option<i32> {
    u32_at(body, 0).and_then(|errno| errno.cast_signed().checked_neg())
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

pub(super) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_read_as_far_as_they_are_whole() {
        let first = [&header(19, 7, NLM_F_DUMP, 5)[..], b"abc", &[0]].concat();
        let both = [first, header(16, NLMSG_DONE, 0, 5).to_vec()].concat();
        let read: Vec<_> = messages(&both).map(|it| (it.kind, it.number, it.body)).collect();
        assert_eq!(read, [(7, 5, &b"abc"[..]), (NLMSG_DONE, 5, &b""[..])]);
        for cut in 0..both.len() {
            let whole = usize::from(cut >= 19);
            assert_eq!(messages(&both[..cut]).count(), whole, "{cut}");
        }
        assert_eq!(messages(&[0; 64]).count(), 0, "a message is at least a header");
    }

    #[test]
    fn an_error_is_the_kernels_number_turned_round() {
        assert_eq!(errno(&(-17_i32).to_ne_bytes()), Some(17));
        assert_eq!(errno(&[0; 4]), Some(0));
        assert_eq!(errno(&i32::MIN.to_ne_bytes()), None);
        assert_eq!(errno(&[0; 3]), None);
    }
}
