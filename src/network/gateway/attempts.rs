//! The filter of the packet socket that shows what the sandbox tries: beginnings of TCP
//! connections and UDP datagrams, but for the DNS, which the broker answers itself. Which of them
//! a listener takes is not known here. It must never let through what the sandbox is sent.
#![forbid(unsafe_code)]

use crate::sys::seccomp::Instruction;

/// Bytes of each packet that are shown: every header, as long as it may be, and the ports.
const SHOWN: u32 = 128;

const ETHERTYPE_V4: u32 = 0x0800;
const ETHERTYPE_V6: u32 = 0x86dd;
const HOP_BY_HOP: u32 = 0;
const ICMP: u32 = 1;
const IGMP: u32 = 2;
const TCP: u32 = 6;
const UDP: u32 = 17;
const ICMPV6: u32 = 58;
const DNS: u32 = 53;
/// More than 16 bits: no packet has it.
const NO_PORT: u32 = 0x1_0000;
/// `PACKET_OUTGOING` of packet(7)
const OUTGOING: u32 = 4;
/// Of the byte with TCP's flags.
const SYN: u32 = 0x02;
const ACK: u32 = 0x10;
/// Of the 16 bits at offset 6 of an IPv4 header: not the first fragment.
const FRAGMENT: u32 = 0x1fff;
/// `SKF_AD_OFF` of linux/filter.h: from here on the kernel answers about the packet.
const ABOUT: u32 = 0xffff_f000;
const ABOUT_PROTOCOL: u32 = ABOUT;
const ABOUT_KIND: u32 = ABOUT + 4;

const BYTE: u32 = libc::BPF_LD | libc::BPF_B;
const HALF: u32 = libc::BPF_LD | libc::BPF_H;
const WORD: u32 = libc::BPF_LD | libc::BPF_W;

/// A place in the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    Next,
    V6,
    V4Tcp,
    V4Udp,
    V6Tcp,
    V6Udp,
    V6Routed,
    Shown,
    Dropped,
}

/// One step, with its jumps still by name.
#[derive(Clone, Copy, Debug)]
enum Step {
    Here(At),
    Do(u32, u32),
    If(u32, u32, At, At),
}

/// The program, over a packet that begins with its network header (a `SOCK_DGRAM` socket). Where the
/// sandbox's own loopback is the gateway, what the broker answers passes it too.
pub(super) fn filter(own_loopback: bool) -> Vec<Instruction> {
    assemble(&steps(if own_loopback { DNS } else { NO_PORT }))
}

/// `answers` is the port that the broker's answers come from, where they are seen.
fn steps(answers: u32) -> Vec<Step> {
    use At::{Dropped, Next, Shown, V4Tcp, V4Udp, V6, V6Routed, V6Tcp, V6Udp};
    use Step::{Do, Here, If};
    let (load, found, indirect) = (libc::BPF_ABS, libc::BPF_JEQ, libc::BPF_IND);
    let header = libc::BPF_LDX | libc::BPF_B | libc::BPF_MSH;
    let and = libc::BPF_ALU | libc::BPF_AND | libc::BPF_K;
    vec![
        Do(BYTE | load, ABOUT_KIND),
        If(found, OUTGOING, Dropped, Next),
        Do(HALF | load, ABOUT_PROTOCOL),
        If(found, ETHERTYPE_V6, V6, Next),
        If(found, ETHERTYPE_V4, Next, Dropped),
        // To a loopback address only where there is no gateway of its own: the agent's own affair.
        Do(BYTE | load, 16),
        If(found, 127, Dropped, Next),
        Do(HALF | load, 6),
        If(libc::BPF_JSET, FRAGMENT, Dropped, Next),
        Do(BYTE | load, 9),
        If(found, TCP, V4Tcp, Next),
        If(found, UDP, V4Udp, Next),
        If(found, ICMP, Dropped, Next),
        If(found, IGMP, Dropped, Shown),
        Here(V4Tcp),
        Do(header, 0),
        Do(BYTE | indirect, 13),
        Do(and, SYN | ACK),
        If(found, SYN, Shown, Dropped),
        Here(V4Udp),
        Do(header, 0),
        Do(HALF | indirect, 0),
        If(found, answers, Dropped, Next),
        Do(HALF | indirect, 2),
        If(found, DNS, Dropped, Shown),
        Here(V6),
        Do(WORD | load, 24),
        If(found, 0, Next, V6Routed),
        Do(WORD | load, 28),
        If(found, 0, Next, V6Routed),
        Do(WORD | load, 32),
        If(found, 0, Next, V6Routed),
        Do(WORD | load, 36),
        If(found, 1, Dropped, Next),
        Here(V6Routed),
        Do(BYTE | load, 6),
        If(found, TCP, V6Tcp, Next),
        If(found, UDP, V6Udp, Next),
        If(found, ICMPV6, Dropped, Next),
        If(found, HOP_BY_HOP, Dropped, Shown),
        Here(V6Tcp),
        Do(BYTE | load, 40 + 13),
        Do(and, SYN | ACK),
        If(found, SYN, Shown, Dropped),
        Here(V6Udp),
        Do(HALF | load, 40),
        If(found, answers, Dropped, Next),
        Do(HALF | load, 40 + 2),
        If(found, DNS, Dropped, Shown),
        Here(Shown),
        Do(libc::BPF_RET | libc::BPF_K, SHOWN),
        Here(Dropped),
        Do(libc::BPF_RET | libc::BPF_K, 0),
    ]
}

/// Turns names into distances. All of them lie ahead, and the program is short.
fn assemble(steps: &[Step]) -> Vec<Instruction> {
    let mut places = Vec::new();
    let mut length = 0;
    for step in steps {
        match step {
            Step::Here(place) => places.push((*place, length)),
            Step::Do(..) | Step::If(..) => length += 1,
        }
    }
    let mut program = Vec::new();
    for step in steps {
        let distance = |to: At| {
            let place = places.iter().find(|(place, _)| *place == to);
            let ahead = place.map_or(0, |(_, at): &(At, usize)| at - program.len() - 1);
            u8::try_from(ahead).unwrap_or(u8::MAX)
        };
        let instruction = match *step {
            Step::Here(_) => continue,
            Step::Do(code, k) => instruction(code, 0, 0, k),
            Step::If(how, k, then, otherwise) => {
                let code = libc::BPF_JMP | how | libc::BPF_K;
                instruction(code, distance(then), distance(otherwise), k)
            }
        };
        program.push(instruction);
    }
    program
}

fn instruction(code: u32, jt: u8, jf: u8, k: u32) -> Instruction {
    // Opcodes are below 256.
    Instruction { code: u16::try_from(code).unwrap_or(u16::MAX), jt, jf, k }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shows(kind: u32, protocol: u32, packet: &[u8]) -> bool {
        passes(&filter(false), kind, protocol, packet)
    }

    /// Runs a filter as the kernel would.
    fn passes(program: &[Instruction], kind: u32, protocol: u32, packet: &[u8]) -> bool {
        let mut at = 0;
        let (mut a, mut x) = (0_u32, 0_u32);
        let load = |at: u32, bytes: usize| {
            let at = usize::try_from(at).unwrap();
            let read = packet.get(at..at + bytes)?;
            Some(read.iter().fold(0, |all, byte| all << 8 | u32::from(*byte)))
        };
        loop {
            let Instruction { code, jt, jf, k } = program[at];
            at += 1;
            let mut branch = |met: bool| at += usize::from(if met { jt } else { jf });
            let loaded = match (code, k) {
                (0x30, ABOUT_KIND) => Some(kind),
                (0x28, ABOUT_PROTOCOL) => Some(protocol),
                (0x30, _) => load(k, 1),
                (0x28, _) => load(k, 2),
                (0x20, _) => load(k, 4),
                (0x50, _) => load(x + k, 1),
                (0x48, _) => load(x + k, 2),
                (0xb1, _) => {
                    x = 4 * (load(k, 1).unwrap() & 0xf);
                    Some(a)
                }
                (0x54, _) => Some(a & k),
                (0x15, _) => {
                    branch(a == k);
                    Some(a)
                }
                (0x45, _) => {
                    branch(a & k != 0);
                    Some(a)
                }
                (0x06, _) => return k != 0,
                other => panic!("instruction {other:?}"),
            };
            // The kernel drops a packet that is too short.
            let Some(loaded) = loaded else { return false };
            a = loaded;
        }
    }

    fn v4(protocol: u8, to: [u8; 4], options: usize, transport: &[u8]) -> Vec<u8> {
        let mut packet = vec![0; 20 + options];
        packet[0] = 0x40 | u8::try_from(5 + options / 4).unwrap();
        packet[9] = protocol;
        packet[16..20].copy_from_slice(&to);
        [packet, transport.to_vec()].concat()
    }

    fn v6(next: u8, to: std::net::Ipv6Addr, transport: &[u8]) -> Vec<u8> {
        let mut packet = vec![0; 40];
        packet[0] = 0x60;
        packet[6] = next;
        packet[24..40].copy_from_slice(&to.octets());
        [packet, transport.to_vec()].concat()
    }

    fn tcp(flags: u8) -> Vec<u8> {
        let mut header = vec![0; 20];
        header[13] = flags;
        header
    }

    fn udp(port: u16) -> Vec<u8> {
        datagram(9, port)
    }

    fn datagram(from: u16, to: u16) -> Vec<u8> {
        [from.to_be_bytes(), to.to_be_bytes(), [0, 8], [0, 0]].concat()
    }

    #[test]
    fn only_what_begins_is_shown() {
        let far = [5, 5, 5, 5];
        for options in [0, 4, 40] {
            assert!(shows(0, ETHERTYPE_V4, &v4(6, far, options, &tcp(0x02))));
            assert!(!shows(0, ETHERTYPE_V4, &v4(6, far, options, &tcp(0x12))));
            assert!(!shows(0, ETHERTYPE_V4, &v4(6, far, options, &tcp(0x10))));
            assert!(shows(0, ETHERTYPE_V4, &v4(17, far, options, &udp(443))));
            assert!(!shows(0, ETHERTYPE_V4, &v4(17, far, options, &udp(53))));
        }
        assert!(shows(0, ETHERTYPE_V4, &v4(132, far, 0, &[])));
        assert!(!shows(0, ETHERTYPE_V4, &v4(1, far, 0, &[8, 0])));
        assert!(!shows(0, ETHERTYPE_V4, &v4(2, far, 0, &[])));
        assert!(!shows(0, ETHERTYPE_V4, &v4(6, [127, 0, 0, 1], 0, &tcp(0x02))));
        assert!(!shows(OUTGOING, ETHERTYPE_V4, &v4(6, far, 0, &tcp(0x02))));
        assert!(!shows(0, 0x0806, &[0; 28]));
        let mut later = v4(6, far, 0, &tcp(0x02));
        later[7] = 1;
        assert!(!shows(0, ETHERTYPE_V4, &later));
    }

    #[test]
    fn the_same_of_ipv6() {
        let far = "2001:4860:4860::8888".parse().unwrap();
        assert!(shows(0, ETHERTYPE_V6, &v6(6, far, &tcp(0x02))));
        assert!(!shows(0, ETHERTYPE_V6, &v6(6, far, &tcp(0x12))));
        assert!(shows(0, ETHERTYPE_V6, &v6(17, far, &udp(443))));
        assert!(!shows(0, ETHERTYPE_V6, &v6(17, far, &udp(53))));
        assert!(!shows(0, ETHERTYPE_V6, &v6(58, far, &[135])));
        assert!(!shows(0, ETHERTYPE_V6, &v6(0, far, &[58, 0])));
        assert!(!shows(0, ETHERTYPE_V6, &v6(6, "::1".parse().unwrap(), &tcp(0x02))));
        assert!(shows(0, ETHERTYPE_V6, &v6(6, "::2".parse().unwrap(), &tcp(0x02))));
    }

    #[test]
    fn answers_are_seen_only_where_the_loopback_is_the_gateway() {
        for (protocol, packet) in [
            (ETHERTYPE_V4, v4(17, [198, 18, 0, 2], 4, &datagram(53, 40_000))),
            (ETHERTYPE_V6, v6(17, "fd00::2".parse().unwrap(), &datagram(53, 40_000))),
        ] {
            assert!(passes(&filter(false), 0, protocol, &packet));
            assert!(!passes(&filter(true), 0, protocol, &packet));
        }
    }

    #[test]
    fn a_packet_that_is_too_short_is_dropped() {
        let whole = v6(6, "2001:db8::1".parse().unwrap(), &tcp(0x02));
        for cut in 0..54 {
            assert!(!shows(0, ETHERTYPE_V6, &whole[..cut]), "{cut}");
        }
    }

    #[test]
    fn no_jump_is_too_far() {
        assert!(filter(true).len() < usize::from(u8::MAX));
    }
}
