//! Work that blocks, away from the loop.
//!
//! It runs in smol's pool, whose thread ends when it is idle; its end comes through a pipe, since
//! our loop waits for descriptors alone and no other thread's waker reaches it. Work that is given
//! up ends by itself. For name look-ups and writes to flash; nothing else may take so long.

use crate::service::reactor::{Reactor, Source};
use std::io::{self, Write as _};
use std::rc::Rc;
use std::sync::mpsc;

/// What `work` comes to.
///
/// # Errors
/// `work`'s; or the kernel's, when it has no pipe left.
pub async fn unblock<T: Send + 'static>(
    reactor: &Rc<Reactor>,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let (end, mut done) = io::pipe()?;
    let (sender, answer) = mpsc::sync_channel(1);
    #[expect(clippy::disallowed_methods, reason = "the one place that has the use of the pool")]
    let task = smol::unblock(move || {
        // Nobody waits any more if it took too long.
        let _heard = sender.send(work());
        let _woken = done.write_all(&[0]);
    });
    task.detach();
    Source::new(reactor, end)?.readable().await?;
    let silent = || Err(io::Error::from(io::ErrorKind::BrokenPipe));
    answer.try_recv().unwrap_or_else(|_| silent())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::TICK;
    use crate::service::clock;
    use core::time::Duration;
    use smol::future;

    #[test]
    fn loop_turns_while_work_blocks() {
        let reactor = Reactor::new().unwrap();
        let tasks = Rc::clone(&reactor);
        let turns = reactor.run(async move {
            let start = clock::now();
            let work = async {
                let work = || {
                    std::thread::sleep(TICK * 5);
                    Ok(clock::now())
                };
                unblock(&tasks, work).await.unwrap();
                None
            };
            let turning = async {
                tasks.sleep(TICK).await;
                Some(clock::now().since(start))
            };
            future::or(work, turning).await
        });
        let turned = turns.unwrap().expect("the loop is first");
        assert!(turned < TICK * 4, "{turned:?}");
    }

    #[test]
    fn work_says_what_it_came_to() {
        let reactor = Reactor::new().unwrap();
        let tasks = Rc::clone(&reactor);
        let outcome = reactor.run(async move {
            let late = unblock(&tasks, || {
                std::thread::sleep(Duration::from_millis(20));
                Ok(7)
            });
            let (seven, lost) =
                (late.await, unblock::<u8>(&tasks, || Err(io::ErrorKind::StorageFull.into())));
            (seven.unwrap(), lost.await.unwrap_err().kind())
        });
        assert_eq!(outcome.unwrap(), (7, io::ErrorKind::StorageFull));
    }
}
