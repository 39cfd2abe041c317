//! The deadline of one upstream: a bell that the tick rings when it has passed.
//!
//! Timers of their own would be one allocation for every wait; the tick is there anyway. Does not
//! say what the time was for.

use crate::service::reactor::Bell;
use crate::time::Instant;
use core::cell::{Cell, RefCell};
use std::rc::Rc;

/// One task's bell and the time at which it rings by itself.
#[derive(Debug, Default)]
pub struct Watch {
    /// Rings for every kind of news.
    pub bell: Rc<Bell>,
    due: Cell<Option<Instant>>,
}

impl Watch {
    /// Rings at `due`, and at no other time that was set before.
    pub fn at(&self, due: Instant) {
        self.due.set(Some(due));
    }

    /// Rings at no time any more.
    pub fn never(&self) {
        self.due.set(None);
    }
}

/// All of them.
#[derive(Debug, Default)]
pub struct Watches(RefCell<Vec<Rc<Watch>>>);

impl Watches {
    /// Another one.
    pub fn add(&self) -> Rc<Watch> {
        let watch = Rc::new(Watch::default());
        self.0.borrow_mut().push(Rc::clone(&watch));
        watch
    }

    /// Rings those whose time has come; to be called about every 100 ms.
    pub fn tick(&self, now: Instant) {
        for watch in self.0.borrow().iter() {
            if watch.due.get().is_some_and(|due| due <= now) {
                watch.due.set(None);
                watch.bell.ring();
            }
        }
    }
}
