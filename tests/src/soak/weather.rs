//! When the network was disturbed in a way that costs packets: TCP lives through it, a datagram may be lost.

use std::{
    sync::{Mutex, PoisonError},
    time::Instant,
};

/// The times, oldest first; the last may go on.
#[derive(Debug, Default)]
pub(super) struct Weather(Mutex<Vec<(Instant, Option<Instant>)>>);

/// Rough as long as this lives.
#[must_use = "it ends when this is dropped"]
pub(super) struct Rough<'a>(&'a Weather);

impl Weather {
    /// From now on packets may be lost.
    pub(super) fn rough(&self) -> Rough<'_> {
        self.times(|times| times.push((Instant::now(), None)));
        Rough(self)
    }

    /// Whether any of that was at or after `since`.
    pub(super) fn was_rough_since(&self, since: Instant) -> bool {
        self.times(|times| {
            let last = times.last();
            last.is_some_and(|(_, end)| end.is_none_or(|end| end >= since))
        })
    }

    fn times<T>(&self, body: impl FnOnce(&mut Vec<(Instant, Option<Instant>)>) -> T) -> T {
        body(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Rough<'_> {
    fn drop(&mut self) {
        self.0.times(|times| {
            if let Some((_, end)) = times.last_mut() {
                *end = Some(Instant::now());
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_began_after_rough_weather_is_not_excused_by_it() {
        let weather = Weather::default();
        let before = Instant::now();
        assert!(!weather.was_rough_since(before));
        let rough = weather.rough();
        assert!(weather.was_rough_since(Instant::now()));
        drop(rough);
        assert!(weather.was_rough_since(before));
        std::thread::yield_now();
        assert!(!weather.was_rough_since(Instant::now() + std::time::Duration::from_millis(1)));
    }
}
