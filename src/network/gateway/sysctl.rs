//! Settings of a network namespace (`/proc/sys/net` shows those of whoever looks). A new one takes
//! some over from the host, where they serve other ends. Each can fail where `/proc/sys` is
//! read-only, as in a container; what then lacks is a convenience, so that it is not an error.
//! It must never be called while this process is in the host's namespace.
#![forbid(unsafe_code)]

/// Of the sandbox: a server inside may take any port, port 80 of its own loopback too, since what
/// it takes is nobody else's.
pub(super) fn of_the_sandbox() {
    set("ipv4/ip_unprivileged_port_start", "0");
}

/// Of the gateway: it answers at once, for every address and whatever the host's rules are on who
/// answers at which link; and it answers no ping, which would make every host look alive.
pub(super) fn of_the_gateway(link: &str) {
    set("ipv4/icmp_echo_ignore_all", "1");
    set("ipv6/icmp/echo_ignore_all", "1");
    // Refusals of datagrams are not counted: who is refused shall know at once.
    set("ipv4/icmp_ratelimit", "0");
    set("ipv6/icmp/ratelimit", "0");
    for of in ["all", link] {
        for name in ["rp_filter", "arp_ignore", "arp_filter"] {
            set(&format!("ipv4/conf/{of}/{name}"), "0");
        }
    }
}

fn set(name: &str, value: &str) {
    let path = format!("/proc/sys/net/{name}");
    let is_so = std::fs::read(&path).is_ok_and(|now| now.trim_ascii() == value.as_bytes());
    if !is_so {
        let _ = std::fs::write(path, value);
    }
}
