//! Questions to the name server of the sandbox, and its answers, as bytes. Nothing is ever passed
//! on to another server: what is asked cannot leave the machine. It must never read a name
//! otherwise than the resolver that asked.
#![forbid(unsafe_code)]

use std::net::{Ipv4Addr, Ipv6Addr};

use simple_dns::rdata::{A, AAAA, OPT, PTR, RData};
use simple_dns::{
    CLASS, OPCODE, Packet, PacketFlag, QCLASS, QTYPE, RCODE, ResourceRecord, SimpleDnsError, TYPE,
    header_buffer,
};

use super::name::Name;
use crate::visible::visible;

/// How long an answer may be kept, in seconds. A name keeps its address for the whole session; what
/// is allowed may change, but a port that was not allowed is refused whoever knows the address.
const TTL: u32 = 60;
/// What we take in one datagram (RFC 9715 recommends no more).
const DATAGRAM: u16 = 1232;

/// What a message to the name server is.
#[derive(Debug)]
pub enum Heard<'a> {
    /// Not to be answered: an answer to it could be answered in turn.
    Nothing,
    /// Answered with this; there is nothing to decide.
    Nonsense(Vec<u8>),
    /// To be decided.
    Question(Question<'a>),
}

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An IPv4 address.
    V4,
    /// An IPv6 address.
    V6,
    /// The name of an address.
    Pointer,
    /// Anything else.
    Other,
}

/// One question.
#[derive(Debug)]
pub struct Question<'a> {
    packet: Packet<'a>,
    /// The name, where it is a host's.
    pub name: Option<Name>,
    /// What of it is asked for.
    pub kind: Kind,
}

/// What a question is answered with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// This address, to a question for one.
    V4(Ipv4Addr),
    /// This one.
    V6(Ipv6Addr),
    /// This name.
    Pointer(Name),
    /// The name is there, but nothing of the kind.
    Empty,
    /// There is no such name.
    NoSuchName,
    /// It could not be done now.
    Failed,
}

/// Reads a message.
pub fn read(message: &[u8]) -> Heard<'_> {
    let Ok(id) = header_buffer::id(message) else { return Heard::Nothing };
    if header_buffer::has_flags(message, PacketFlag::RESPONSE).unwrap_or(true) {
        return Heard::Nothing;
    }
    let nonsense = |code| Heard::Nonsense(bare(id, code));
    if header_buffer::opcode(message).ok() != Some(OPCODE::StandardQuery) {
        return nonsense(RCODE::NotImplemented);
    }
    // Looked at before the parser makes room for as many as the header says.
    let counts = [
        (header_buffer::questions(message), 1..=1),
        (header_buffer::answers(message), 0..=0),
        (header_buffer::name_servers(message), 0..=0),
        (header_buffer::additional_records(message), 0..=2),
    ];
    if counts.iter().any(|(count, most)| !count.as_ref().is_ok_and(|n| most.contains(n))) {
        return nonsense(RCODE::FormatError);
    }
    let packet = match Packet::parse(message) {
        Ok(packet) => packet,
        // A kind of record that the parser does not know, and we would not have (SSHFP, TLSA).
        Err(SimpleDnsError::InvalidQType(_)) => return nonsense(RCODE::NotImplemented),
        Err(_) => return nonsense(RCODE::FormatError),
    };
    let Some(question) = packet.questions.first() else { return nonsense(RCODE::FormatError) };
    if !matches!(question.qclass, QCLASS::CLASS(CLASS::IN) | QCLASS::ANY) {
        return nonsense(RCODE::Refused);
    }
    let kind = match question.qtype {
        QTYPE::TYPE(TYPE::A) => Kind::V4,
        QTYPE::TYPE(TYPE::AAAA) => Kind::V6,
        QTYPE::TYPE(TYPE::PTR) => Kind::Pointer,
        QTYPE::AXFR | QTYPE::IXFR => return nonsense(RCODE::Refused),
        _ => Kind::Other,
    };
    let name = name_of(&question.qname);
    Heard::Question(Question { packet, name, kind })
}

/// The name as ours, unless it is no host's. A dot or another odd byte within a label, which the
/// wire permits, would otherwise read as another name.
fn name_of(name: &simple_dns::Name<'_>) -> Option<Name> {
    let mut text = Vec::with_capacity(64);
    for label in name.as_bytes() {
        if label.contains(&b'.') {
            return None;
        }
        if !text.is_empty() {
            text.push(b'.');
        }
        text.extend_from_slice(label);
    }
    std::str::from_utf8(&text).ok()?.parse().ok()
}

impl Question<'_> {
    /// The name as text for a person, whatever it is.
    pub fn shown(&self) -> String {
        if let Some(name) = &self.name {
            return name.to_string();
        }
        let Some(question) = self.packet.questions.first() else { return String::new() };
        let labels: Vec<String> = question.qname.as_bytes().map(visible).collect();
        if labels.is_empty() { ".".to_owned() } else { labels.join(".") }
    }

    /// The address whose name is asked for (`4.3.2.1.in-addr.arpa`).
    pub fn pointed(&self) -> Option<Ipv4Addr> {
        let reversed = self.name.as_ref()?.as_str().strip_suffix(".in-addr.arpa")?;
        let [d, c, b, a] = reversed.parse::<Ipv4Addr>().ok()?.octets();
        Some(Ipv4Addr::new(a, b, c, d))
    }

    /// The answer as bytes. It fits into 512 bytes, which every resolver takes.
    pub fn reply(&self, answer: &Answer) -> Vec<u8> {
        let mut reply = Packet::new_reply(self.packet.id());
        reply.set_flags(PacketFlag::RECURSION_AVAILABLE);
        if self.packet.has_flags(PacketFlag::RECURSION_DESIRED) {
            reply.set_flags(PacketFlag::RECURSION_DESIRED);
        }
        *reply.rcode_mut() = match answer {
            Answer::NoSuchName => RCODE::NameError,
            Answer::Failed => RCODE::ServerFailure,
            _ => RCODE::NoError,
        };
        let data = match answer {
            Answer::V4(address) => Some(RData::A(A { address: u32::from(*address) })),
            Answer::V6(address) => Some(RData::AAAA(AAAA { address: u128::from(*address) })),
            Answer::Pointer(name) => {
                simple_dns::Name::new(name.as_str()).ok().map(|name| RData::PTR(PTR(name)))
            }
            Answer::Empty | Answer::NoSuchName | Answer::Failed => None,
        };
        if let Some(question) = self.packet.questions.first() {
            reply.questions.push(question.clone());
            if let Some(data) = data {
                let record = ResourceRecord::new(question.qname.clone(), CLASS::IN, TTL, data);
                reply.answers.push(record);
            }
        }
        // Of the version nobody has another yet, and simple-dns 0.13 reads the flags for it.
        if self.packet.opt().is_some() {
            *reply.opt_mut() =
                Some(OPT { opt_codes: Vec::new(), udp_packet_size: DATAGRAM, version: 0 });
        }
        reply
            .build_bytes_vec_compressed()
            .unwrap_or_else(|_| bare(self.packet.id(), RCODE::ServerFailure))
    }
}

/// An answer that is a header only.
fn bare(id: u16, code: RCODE) -> Vec<u8> {
    let mut reply = Packet::new_reply(id);
    *reply.rcode_mut() = code;
    reply.build_bytes_vec().unwrap_or_default()
}

#[cfg(test)]
mod tests;
