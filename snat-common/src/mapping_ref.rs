//! Elements of the tables beside the flow table, in shared memory: every access is one machine word.

use core::{marker::PhantomData, ptr::NonNull};

use crate::{
    atomic, bucket,
    flow::Addr,
    held::{DEAD, Held},
    mapping::{Busy, Client, Mapping, Shared},
    settings::{PORT_SET_SLOTS, PORT_WORDS},
    wire::opaque,
};

/// A pointer to an element of map `MAPPINGS`.
#[derive(Clone, Copy)]
pub struct MappingRef<'a> {
    mapping: NonNull<Mapping>,
    table: PhantomData<&'a ()>,
}

impl<'a> MappingRef<'a> {
    /// Wraps a pointer to an element.
    ///
    /// # Safety
    /// `mapping` is 8-byte aligned and stays readable and writable for `'a`. Nobody holds a Rust reference
    /// to it.
    #[inline(always)]
    #[must_use]
    pub unsafe fn new(mapping: NonNull<Mapping>) -> Self {
        Self {
            mapping,
            table: PhantomData,
        }
    }

    /// Who needs it.
    #[inline(always)]
    #[must_use]
    pub fn held(&self) -> Held<'a> {
        // SAFETY: a field of the element, at its start.
        unsafe { Held::new(self.mapping.cast()) }
    }

    /// The address and port at its other end.
    #[inline(always)]
    #[must_use]
    pub fn target(&self) -> (Addr, u16) {
        let mapping = self.mapping.as_ptr();
        // SAFETY: fields of the element; written once, before it was inserted.
        unsafe { ((*mapping).addr, (*mapping).port) }
    }

    /// Number of its [`crate::settings::Filtering`].
    #[inline(always)]
    #[must_use]
    pub fn filtering(&self) -> u8 {
        // SAFETY: as in `target`.
        unsafe { (*self.mapping.as_ptr()).filtering }
    }

    /// Lets in others from now on: `filtering` is the number of a [`crate::settings::Filtering`].
    #[inline(always)]
    pub fn set_filtering(&self, filtering: u8) {
        // SAFETY: a byte of the element.
        unsafe { (&raw mut (*self.mapping.as_ptr()).filtering).write_volatile(filtering) }
    }

    /// Whether the configuration made it.
    #[inline(always)]
    #[must_use]
    pub fn is_static(&self) -> bool {
        // SAFETY: as in `target`.
        unsafe { (*self.mapping.as_ptr()).is_static != 0 }
    }

    /// Whether a packet from outside may find it: some flow needs it, or the configuration does.
    #[inline(always)]
    #[must_use]
    pub fn is_live(&self) -> bool {
        let holders = Held::holders(self.held().read());
        self.is_static() || (holders != 0 && holders != DEAD)
    }
}

/// A pointer to an element of map `CLIENTS`.
#[derive(Clone, Copy)]
pub struct ClientRef<'a> {
    client: NonNull<Client>,
    table: PhantomData<&'a ()>,
}

impl<'a> ClientRef<'a> {
    /// Wraps a pointer to an element.
    ///
    /// # Safety
    /// As for [`MappingRef::new`].
    #[inline(always)]
    #[must_use]
    pub unsafe fn new(client: NonNull<Client>) -> Self {
        Self {
            client,
            table: PhantomData,
        }
    }

    /// How many flows it has.
    #[inline(always)]
    #[must_use]
    pub fn held(&self) -> Held<'a> {
        // SAFETY: a field of the element, at its start.
        unsafe { Held::new(self.client.cast()) }
    }

    /// Whether it may open one more flow now, of so many a second.
    #[inline(always)]
    #[must_use]
    pub fn take_new_flow(&self, per_second: u32, now: u32) -> bool {
        // SAFETY: a field of the element, which only `bucket::take` touches.
        unsafe {
            let word = &raw mut (*self.client.as_ptr()).new_flows;
            bucket::take(NonNull::new_unchecked(word), per_second, now)
        }
    }

    /// Whether it may begin one more datagram in fragments now, of so many a second.
    #[inline(always)]
    #[must_use]
    pub fn take_fragments(&self, per_second: u32, now: u32) -> bool {
        // SAFETY: as in `take_new_flow`.
        unsafe {
            let word = &raw mut (*self.client.as_ptr()).fragments;
            bucket::take(NonNull::new_unchecked(word), per_second, now)
        }
    }
}

/// A pointer to an element of map `BUSY`.
#[derive(Clone, Copy)]
pub struct BusyRef<'a> {
    busy: NonNull<Busy>,
    table: PhantomData<&'a ()>,
}

impl BusyRef<'_> {
    /// Wraps a pointer to an element.
    ///
    /// # Safety
    /// As for [`MappingRef::new`].
    #[inline(always)]
    #[must_use]
    pub unsafe fn new(busy: NonNull<Busy>) -> Self {
        Self {
            busy,
            table: PhantomData,
        }
    }

    /// How many ports were given back.
    #[inline(always)]
    #[must_use]
    pub fn freed(&self) -> u64 {
        // SAFETY: a field of the element.
        unsafe { (&raw const (*self.busy.as_ptr()).freed).read_volatile() }
    }

    /// Whether a search has found no port of a set free, and none was given back since.
    #[inline(always)]
    #[must_use]
    pub fn is_full(&self, set: u32) -> bool {
        // SAFETY: an element of the array: the index is masked.
        unsafe { self.full(set).read_volatile() == self.freed() + 1 }
    }

    /// Notes that a search which began when so many were `freed` has found no port of a set free.
    #[inline(always)]
    pub fn set_full(&self, set: u32, freed: u64) {
        // SAFETY: as in `is_full`.
        unsafe { self.full(set).write_volatile(freed + 1) }
    }

    /// When ports known as taken were last looked at again, and where that goes on.
    #[inline(always)]
    #[must_use]
    pub fn look(&self) -> (u32, u32) {
        let busy = self.busy.as_ptr();
        // SAFETY: fields of the element.
        unsafe {
            (
                (&raw const (*busy).looked).read_volatile(),
                (&raw const (*busy).cursor).read_volatile(),
            )
        }
    }

    /// Notes the same.
    #[inline(always)]
    pub fn set_look(&self, now: u32, cursor: u32) {
        let busy = self.busy.as_ptr();
        // SAFETY: fields of the element.
        unsafe {
            (&raw mut (*busy).looked).write_volatile(now);
            (&raw mut (*busy).cursor).write_volatile(cursor);
        }
    }

    /// Which of 64 ports are taken.
    #[inline(always)]
    #[must_use]
    pub fn word(&self, index: u32) -> u64 {
        // SAFETY: an element of the array: the index is masked.
        unsafe { self.at(index).read_volatile() }
    }

    /// Notes that a port is taken.
    #[inline(always)]
    pub fn mark(&self, port: u16) {
        // SAFETY: as in `word`; all writes are atomic.
        unsafe { atomic::or(self.at(u32::from(port) / 64), 1 << (port % 64)) }
    }

    /// Notes that a port is free.
    #[inline(always)]
    pub fn clear(&self, port: u16) {
        // SAFETY: as in `mark`.
        unsafe {
            atomic::and(self.at(u32::from(port) / 64), !(1 << (port % 64)));
            atomic::add(&raw mut (*self.busy.as_ptr()).freed, 1);
        }
    }

    #[inline(always)]
    fn full(&self, set: u32) -> *mut u64 {
        let set = opaque(set as usize) & (PORT_SET_SLOTS as usize - 1);
        // SAFETY: inside the array, whose length is a power of two.
        unsafe { (&raw mut (*self.busy.as_ptr()).full).cast::<u64>().add(set) }
    }

    #[inline(always)]
    fn at(&self, index: u32) -> *mut u64 {
        // The verifier wants to see that the index is in bounds from here.
        let index = opaque(index as usize) & (PORT_WORDS as usize - 1);
        // SAFETY: inside the array, whose length is a power of two.
        unsafe {
            (&raw mut (*self.busy.as_ptr()).taken)
                .cast::<u64>()
                .add(index)
        }
    }
}

/// A pointer to it.
#[derive(Clone, Copy)]
pub struct SharedRef<'a> {
    shared: NonNull<Shared>,
    table: PhantomData<&'a ()>,
}

impl SharedRef<'_> {
    /// Wraps a pointer to it.
    ///
    /// # Safety
    /// As for [`MappingRef::new`].
    #[inline(always)]
    #[must_use]
    pub unsafe fn new(shared: NonNull<Shared>) -> Self {
        Self {
            shared,
            table: PhantomData,
        }
    }

    /// Flows there are, and clients that have any.
    #[inline(always)]
    #[must_use]
    pub fn load(&self) -> (u64, u64) {
        let shared = self.shared.as_ptr();
        // SAFETY: aligned fields of the element.
        unsafe {
            (
                (&raw const (*shared).flows).read_volatile(),
                (&raw const (*shared).clients).read_volatile(),
            )
        }
    }

    /// Counts flows that come (1) or go (-1).
    #[inline(always)]
    pub fn add_flows(&self, change: i64) {
        // SAFETY: an aligned field; all writes are atomic.
        unsafe { atomic::add(&raw mut (*self.shared.as_ptr()).flows, change as u64) }
    }

    /// Counts clients that come (1) or go (-1).
    #[inline(always)]
    pub fn add_clients(&self, change: i64) {
        // SAFETY: as in `add_flows`.
        unsafe { atomic::add(&raw mut (*self.shared.as_ptr()).clients, change as u64) }
    }

    /// Whether one more answer may be sent now, of so many a second.
    #[inline(always)]
    #[must_use]
    pub fn take_answer(&self, per_second: u32, now: u32) -> bool {
        // SAFETY: a field of the element, which only `bucket::take` touches.
        unsafe {
            let word = &raw mut (*self.shared.as_ptr()).answers;
            bucket::take(NonNull::new_unchecked(word), per_second, now)
        }
    }

    /// All that this CPU has written is seen by others before it reads on.
    #[inline(always)]
    pub fn fence(&self) {
        // SAFETY: as in `add_flows`. An addition whose result is used is a full barrier.
        let _ = unsafe { atomic::fetch_add(&raw mut (*self.shared.as_ptr()).ip_id, 0) };
    }

    /// How many flows were opened before this one.
    #[inline(always)]
    #[must_use]
    pub fn next_opened(&self) -> u64 {
        // SAFETY: as in `add_flows`.
        unsafe { atomic::fetch_add(&raw mut (*self.shared.as_ptr()).opened, 1) }
    }

    /// How many were looked at before this one, to make room.
    #[inline(always)]
    #[must_use]
    pub fn next_looked(&self) -> u64 {
        // SAFETY: as in `add_flows`.
        unsafe { atomic::fetch_add(&raw mut (*self.shared.as_ptr()).looked, 1) }
    }

    /// The first of `count` IP identifications in a row that the datagrams before did not have.
    #[inline(always)]
    #[must_use]
    pub fn take_ip_ids(&self, count: u32) -> u16 {
        // SAFETY: as in `add_flows`.
        unsafe {
            atomic::fetch_add(&raw mut (*self.shared.as_ptr()).ip_id, u64::from(count)) as u16
        }
    }
}
