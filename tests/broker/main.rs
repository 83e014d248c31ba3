//! The broker on a loopback of its own: the namespaces are left out, everything else is real. Each
//! test runs again within bwrap, with a network of its own, where it may listen at any port and meets
//! no other test. What a defence is for is shown by a control without it.

#[cfg(test)]
mod addresses;
#[cfg(test)]
mod guard;
#[cfg(test)]
mod harness;
#[cfg(test)]
mod live;
#[cfg(test)]
mod names;
#[cfg(test)]
mod ports;
#[cfg(test)]
mod proxy;
#[cfg(test)]
mod tls;
#[cfg(test)]
mod upstream;
