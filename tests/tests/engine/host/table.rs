//! A map of the kernel's, as far as the engine can tell: elements that several hold pointers to.

use std::{
    cell::{RefCell, UnsafeCell},
    collections::HashMap,
    hash::Hash,
    ptr::NonNull,
    rc::Rc,
};

use snat_common::Insert;

type Element<V> = Rc<UnsafeCell<V>>;

/// Elements by key, at most so many.
pub(crate) struct Table<K, V> {
    /// Most elements.
    pub(crate) capacity: usize,
    elements: RefCell<HashMap<K, Element<V>>>,
    /// Removed elements that a packet under way may still look at.
    removed: RefCell<Vec<Element<V>>>,
}

impl<K, V> Default for Table<K, V> {
    fn default() -> Self {
        Self {
            capacity: usize::MAX,
            elements: RefCell::default(),
            removed: RefCell::default(),
        }
    }
}

impl<K: Copy + Eq + Hash, V: Copy> Table<K, V> {
    /// A pointer to an element. It stays valid until [`Table::settle`], which nobody can call while there is
    /// a shared reference to the table; no Rust reference to an element is ever made.
    pub(crate) fn get(&self, key: &K) -> Option<NonNull<V>> {
        NonNull::new(self.elements.borrow().get(key)?.get())
    }

    /// Adds an element, never replacing one.
    pub(crate) fn insert(&self, key: &K, value: &V) -> Insert {
        let mut elements = self.elements.borrow_mut();
        if elements.contains_key(key) {
            return Insert::Exists;
        }
        if elements.len() >= self.capacity {
            return Insert::Full;
        }
        elements.insert(*key, Rc::new(UnsafeCell::new(*value)));
        Insert::Done
    }

    /// Takes an element out.
    pub(crate) fn remove(&self, key: &K) {
        let element = self.elements.borrow_mut().remove(key);
        self.removed.borrow_mut().extend(element);
    }

    /// No packet is under way: what was removed is forgotten.
    pub(crate) fn settle(&mut self) {
        self.removed.get_mut().clear();
    }

    /// Removes everything.
    pub(crate) fn clear(&mut self) {
        self.elements.get_mut().clear();
        self.settle();
    }

    /// How many elements there are.
    pub(crate) fn len(&self) -> usize {
        self.elements.borrow().len()
    }

    /// An element as it is now.
    pub(crate) fn copy(&self, key: &K) -> Option<V> {
        let element = self.get(key)?;
        // SAFETY: as in `copies`.
        Some(unsafe { element.read() })
    }

    /// Every element as it is now.
    pub(crate) fn copies(&self) -> Vec<(K, V)> {
        let elements = self.elements.borrow();
        let copy = |element: &Element<V>| {
            // SAFETY: one thread, and no packet is under way: nothing writes to the element.
            unsafe { *element.get() }
        };
        elements
            .iter()
            .map(|(key, element)| (*key, copy(element)))
            .collect()
    }
}
