//! What listens inside, as `/proc/PID/net/tcp` and `tcp6` say (`proc_pid_net(5)`). It must never
//! take the kernel's word for more than it is: the port may be gone by now.
#![forbid(unsafe_code)]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// `TCP_LISTEN` (`tcp_states.h`).
const LISTEN: &str = "0A";

/// The sockets of this table that listen.
pub fn listening(table: &str) -> impl Iterator<Item = SocketAddr> {
    table.lines().filter_map(|line| {
        let mut fields = line.split_ascii_whitespace();
        let local = fields.nth(1)?;
        (fields.nth(1)? == LISTEN).then(|| address(local)).flatten()
    })
}

/// `0100007F:1F90`: the words of the address as this machine has them in memory, the port as a
/// number.
fn address(text: &str) -> Option<SocketAddr> {
    let (address, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let word = |at: usize| {
        let word = address.get(at..at + 8)?;
        Some(u32::from_str_radix(word, 16).ok()?.to_ne_bytes())
    };
    let ip = match address.len() {
        8 => IpAddr::from(Ipv4Addr::from(word(0)?)),
        32 => {
            let words = [word(0)?, word(8)?, word(16)?, word(24)?];
            let bytes: [u8; 16] = words.concat().try_into().ok()?;
            IpAddr::from(Ipv6Addr::from(bytes))
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str =
        "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt";

    #[test]
    #[cfg(target_endian = "little")]
    fn what_listens_is_found() {
        let table = format!(
            "{HEAD}\n   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000\n   \
             1: 0100007F:9C40 0100007F:1F90 01 00000000:00000000 00:00000000 00000000\n   \
             2: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000\n"
        );
        let found: Vec<String> = listening(&table).map(|at| at.to_string()).collect();
        assert_eq!(found, ["127.0.0.1:8080", "0.0.0.0:22"]);
        let table = "0: 00000000000000000000000001000000:0BB8 \
                     00000000000000000000000000000000:0000 0A";
        let found: Vec<String> = listening(table).map(|at| at.to_string()).collect();
        assert_eq!(found, ["[::1]:3000"]);
    }

    #[test]
    fn nonsense_is_passed_over() {
        for table in
            ["", HEAD, "0: x:y z 0A", "0: 0100007F z 0A", "0: 01:1F90 z 0A", "0: é7F:1 z 0A"]
        {
            assert_eq!(listening(table).count(), 0, "{table}");
        }
    }

    #[test]
    fn our_own_listener_is_found() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let table = std::fs::read_to_string("/proc/self/net/tcp").unwrap();
        assert!(listening(&table).any(|at| at == listener.local_addr().unwrap()));
    }
}
