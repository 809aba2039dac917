//! A table whose keys stay put: freed places are used again.

use std::ops::{Index, IndexMut};

pub(crate) struct Slots<T> {
    places: Vec<Option<T>>,
    free: Vec<usize>,
}

impl<T> Default for Slots<T> {
    fn default() -> Self {
        Self {
            places: Vec::new(),
            free: Vec::new(),
        }
    }
}

impl<T> Slots<T> {
    pub fn insert(&mut self, value: T) -> usize {
        if let Some(key) = self.free.pop() {
            self.places[key] = Some(value);
            return key;
        }
        self.places.push(Some(value));
        self.places.len() - 1
    }

    pub fn remove(&mut self, key: usize) -> Option<T> {
        let value = self.places.get_mut(key)?.take()?;
        self.free.push(key);
        Some(value)
    }

    pub fn get(&self, key: usize) -> Option<&T> {
        self.places.get(key)?.as_ref()
    }

    /// Where `key`'s value lies or would lie, without a look at it.
    pub fn place(&self, key: usize) -> Option<&Option<T>> {
        self.places.get(key)
    }

    pub fn get_mut(&mut self, key: usize) -> Option<&mut T> {
        self.places.get_mut(key)?.as_mut()
    }

    pub fn len(&self) -> usize {
        self.places.len() - self.free.len()
    }

    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.places.iter().flatten()
    }

    pub fn keys_where(&self, wanted: impl Fn(&T) -> bool) -> Vec<usize> {
        let wanted = |place: &Option<T>| place.as_ref().is_some_and(&wanted);
        (0..self.places.len())
            .filter(|key| wanted(&self.places[*key]))
            .collect()
    }
}

impl<T> Index<usize> for Slots<T> {
    type Output = T;
    fn index(&self, key: usize) -> &T {
        self.get(key)
            .expect("a key that was handed out and not removed")
    }
}

impl<T> IndexMut<usize> for Slots<T> {
    fn index_mut(&mut self, key: usize) -> &mut T {
        self.get_mut(key)
            .expect("a key that was handed out and not removed")
    }
}
