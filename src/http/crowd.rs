//! The connections of a worker, counted: all of them, and those of each address where that is limited.

use crate::config::ClientLimits;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

pub struct Crowd {
    open: AtomicUsize,
    most: usize,
    most_of_address: usize,
    addresses: Mutex<HashMap<IpAddr, usize>>,
    /// Those that accept, while there is no room.
    waiting: Mutex<Vec<Waker>>,
}

impl Crowd {
    pub fn new(limits: &ClientLimits) -> Self {
        Self {
            open: AtomicUsize::new(0),
            most: limits.connections,
            most_of_address: limits.connections_per_address,
            addresses: Mutex::default(),
            waiting: Mutex::default(),
        }
    }

    pub fn open(&self) -> usize {
        self.open.load(Relaxed)
    }

    /// Ready when there may be another connection.
    pub fn poll_room(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.open() < self.most {
            return Poll::Ready(());
        }
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if !waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
            waiting.push(cx.waker().clone());
        }
        Poll::Pending
    }

    /// Counts one in, unless its address has as many as it may have.
    pub fn enter(&self, address: Option<IpAddr>) -> bool {
        if let Some(address) = self.limited(address) {
            let mut addresses = self.addresses();
            let count = addresses.entry(address).or_default();
            if *count >= self.most_of_address {
                return false;
            }
            *count += 1;
        }
        self.open.fetch_add(1, Relaxed);
        true
    }

    pub fn leave(&self, address: Option<IpAddr>) {
        if let Some(address) = self.limited(address)
            && let Entry::Occupied(mut count) = self.addresses().entry(address)
        {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
        if self.open.fetch_sub(1, Relaxed) >= self.most {
            self.waiting.lock().unwrap_or_else(PoisonError::into_inner).drain(..).for_each(Waker::wake);
        }
    }

    /// What counts as one address, if they are limited.
    fn limited(&self, address: Option<IpAddr>) -> Option<IpAddr> {
        if self.most_of_address == usize::MAX {
            return None;
        }
        Some(match address?.to_canonical() {
            IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
            address => address,
        })
    }

    fn addresses(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.addresses.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn crowd(most: usize, most_of_address: usize) -> Crowd {
        Crowd {
            open: AtomicUsize::new(0),
            most,
            most_of_address,
            addresses: Mutex::default(),
            waiting: Mutex::default(),
        }
    }

    #[test]
    fn addresses_are_counted_each_for_itself_and_forgotten() {
        let crowd = crowd(10, 1);
        let [one, same, other] = ["192.0.2.1", "::ffff:192.0.2.1", "192.0.2.2"].map(|text| text.parse().ok());
        assert!(crowd.enter(one) && !crowd.enter(same) && crowd.enter(other));
        assert!(crowd.enter(None) && crowd.enter(None), "those of Unix sockets have none");
        crowd.leave(one);
        assert!(crowd.enter(same));
        crowd.leave(same);
        crowd.leave(other);
        assert!(crowd.addresses().is_empty());
        assert_eq!(crowd.open(), 2);
    }

    #[test]
    fn an_ipv6_network_counts_as_one_address() {
        let crowd = crowd(10, 1);
        let [one, same, other] = ["2001:db8::1", "2001:db8::2:3", "2001:db8:0:1::1"].map(|text| text.parse().ok());
        assert!(crowd.enter(one) && !crowd.enter(same) && crowd.enter(other));
    }

    #[test]
    fn whoever_waits_for_room_is_woken_when_one_leaves() {
        let crowd = crowd(1, usize::MAX);
        let mut cx = Context::from_waker(Waker::noop());
        assert!(crowd.poll_room(&mut cx).is_ready() && crowd.enter(None));
        assert!(crowd.poll_room(&mut cx).is_pending() && !crowd.waiting.lock().unwrap().is_empty());
        crowd.leave(None);
        assert!(crowd.poll_room(&mut cx).is_ready() && crowd.waiting.lock().unwrap().is_empty());
    }
}
