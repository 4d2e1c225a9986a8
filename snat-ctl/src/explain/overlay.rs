//! A map of the kernel's that can be written to without changing it.

use std::{
    cell::{Cell, RefCell, UnsafeCell},
    collections::HashMap,
    mem::MaybeUninit,
    path::Path,
    ptr::{self, NonNull},
    rc::Rc,
};

use snat_common::Insert;

use crate::datapath::{Map, MapError, Plain};

/// An element's memory. What the kernel has written may be no value of `V`, so it is looked at field by field.
type Element<V> = Rc<UnsafeCell<MaybeUninit<V>>>;

/// A pinned map: each element is read once, when it is first asked for, and from then on only the copy counts.
pub(super) struct Overlay<V> {
    map: Map,
    /// By key. `None`: there is no such element.
    elements: RefCell<HashMap<Vec<u8>, Option<Element<V>>>>,
    /// Removed elements that somebody may still look at.
    removed: RefCell<Vec<Element<V>>>,
    /// How many elements more there are than in the map.
    added: Cell<i64>,
}

impl<V: Copy> Overlay<V> {
    /// Of the map pinned as `dir/name`, whose values are `V`s.
    pub(super) fn open(dir: &Path, name: &str) -> Result<Self, MapError> {
        let map = Map::open(dir, name)?;
        map.expect_values(size_of::<V>())?;
        Ok(Self {
            map,
            elements: RefCell::default(),
            removed: RefCell::default(),
            added: Cell::default(),
        })
    }

    /// A pointer to an element. It stays valid as long as the overlay.
    pub(super) fn get(&self, key: &[u8]) -> Result<Option<NonNull<V>>, MapError> {
        if !self.elements.borrow().contains_key(key) {
            let element = self.map.get(key)?.as_deref().map(element_of);
            self.elements.borrow_mut().insert(key.to_vec(), element);
        }
        let elements = self.elements.borrow();
        let element = elements.get(key).and_then(Option::as_ref);
        Ok(element.and_then(|element| NonNull::new(element.get().cast())))
    }

    /// An element of a map that nobody writes to by pointers.
    ///
    /// # Safety
    /// No pointer that [`Overlay::get`] has given or will give for this map is written to.
    pub(super) unsafe fn read(&self, key: &[u8]) -> Result<Option<&V>, MapError>
    where
        V: Plain,
    {
        let element = self.get(key)?;
        // SAFETY: the caller's; the memory lives as long as `self`, and any bytes are a value.
        Ok(element.map(|element| unsafe { element.as_ref() }))
    }

    /// Adds an element, never replacing one.
    pub(super) fn insert(&self, key: &[u8], value: &V) -> Result<Insert, MapError> {
        if self.get(key)?.is_some() {
            return Ok(Insert::Exists);
        }
        self.put(key, value);
        Ok(Insert::Done)
    }

    /// Adds an element or replaces one.
    pub(super) fn put(&self, key: &[u8], value: &V) {
        let element = Rc::new(UnsafeCell::new(MaybeUninit::new(*value)));
        self.set(key, Some(element));
    }

    /// Removes an element that was asked for before.
    pub(super) fn remove(&self, key: &[u8]) {
        self.set(key, None);
    }

    /// Whether one more fits in, where the map itself has `used`.
    pub(super) fn has_room(&self, used: u64) -> bool {
        used.saturating_add_signed(self.added.get()) < self.map.max_entries().into()
    }

    fn set(&self, key: &[u8], element: Option<Element<V>>) {
        let is_there = i64::from(element.is_some());
        let before = self.elements.borrow_mut().insert(key.to_vec(), element);
        let before = before.flatten();
        let was_there = i64::from(before.is_some());
        self.added.set(self.added.get() + is_there - was_there);
        self.removed.borrow_mut().extend(before);
    }
}

fn element_of<V>(bytes: &[u8]) -> Element<V> {
    assert_eq!(bytes.len(), size_of::<V>(), "compared when it was opened");
    let element = Rc::new(UnsafeCell::new(MaybeUninit::uninit()));
    // SAFETY: as many bytes as the new element has.
    unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), element.get().cast(), bytes.len()) };
    element
}
