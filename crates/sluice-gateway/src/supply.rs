//! A channel whose receiver asks: what is made for a client is made when its connection has room for it, so that
//! nothing lies ready for one that takes nothing.

use std::task::{Context, Poll};

use tokio::sync::mpsc;

/// The end that gives.
#[derive(Debug)]
pub(crate) struct Supplier<T> {
    goods: mpsc::Sender<T>,
    asked: mpsc::Receiver<()>,
    is_asked: bool,
}

/// The end that takes.
#[derive(Debug)]
pub(crate) struct Supplied<T> {
    goods: mpsc::Receiver<T>,
    asks: mpsc::Sender<()>,
}

/// Both ends.
pub(crate) fn supply<T>() -> (Supplier<T>, Supplied<T>) {
    let (goods, taken) = mpsc::channel(1);
    let (asks, asked) = mpsc::channel(1);
    (Supplier { goods, asked, is_asked: false }, Supplied { goods: taken, asks })
}

impl<T> Supplier<T> {
    /// Waits until all that was given is taken and more is wanted, which it is until more is given. `false` when
    /// the other end is gone.
    pub(crate) async fn wanted(&mut self) -> bool {
        self.is_asked = self.is_asked || self.asked.recv().await.is_some();
        self.is_asked
    }

    /// Gives `value`, asked for or not, once what was given before is taken. `false` when the other end is gone.
    pub(crate) async fn give(&mut self, value: T) -> bool {
        let Ok(place) = self.goods.reserve().await else { return false };
        // Whatever was asked before is answered by this.
        let _ = self.asked.try_recv();
        self.is_asked = false;
        place.send(value);
        true
    }
}

impl<T> Supplied<T> {
    /// What was given; where there is nothing, it is asked for. `None` when the other end is gone.
    pub(crate) fn poll_take(&mut self, context: &mut Context<'_>) -> Poll<Option<T>> {
        if let Poll::Ready(taken) = self.goods.poll_recv(context) {
            return Poll::Ready(taken);
        }
        let _ = self.asks.try_send(());
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use futures_util::FutureExt as _;

    use super::*;

    fn take(supplied: &mut Supplied<u8>) -> Option<Option<u8>> {
        poll_fn(|context| supplied.poll_take(context)).now_or_never()
    }

    #[test]
    fn nothing_is_wanted_before_all_was_taken_and_more_was_asked_for() {
        let (mut supplier, mut supplied) = supply();
        assert_eq!(supplier.wanted().now_or_never(), None);
        assert_eq!(supplier.give(1).now_or_never(), Some(true), "unasked");
        assert_eq!(supplier.wanted().now_or_never(), None);
        assert_eq!(take(&mut supplied), Some(Some(1)));
        assert_eq!(supplier.wanted().now_or_never(), None);
        assert_eq!(take(&mut supplied), None);
        assert_eq!(supplier.wanted().now_or_never(), Some(true));
        assert_eq!(supplier.wanted().now_or_never(), Some(true), "nothing was given yet");
        assert_eq!(supplier.give(2).now_or_never(), Some(true));
        assert_eq!(supplier.wanted().now_or_never(), None);
    }

    #[test]
    fn what_was_asked_for_is_not_wanted_again_once_it_was_given() {
        let (mut supplier, mut supplied) = supply();
        assert_eq!((take(&mut supplied), take(&mut supplied)), (None, None));
        assert_eq!(supplier.give(1).now_or_never(), Some(true));
        assert_eq!(supplier.wanted().now_or_never(), None);
        assert_eq!(supplier.give(2).now_or_never(), None, "one at a time");
    }

    #[test]
    fn each_end_notices_that_the_other_is_gone() {
        let (mut supplier, supplied) = supply::<u8>();
        drop(supplied);
        assert_eq!(supplier.wanted().now_or_never(), Some(false));
        assert_eq!(supplier.give(1).now_or_never(), Some(false));
        let (mut supplier, mut supplied) = supply();
        assert_eq!(supplier.give(1).now_or_never(), Some(true));
        drop(supplier);
        assert_eq!((take(&mut supplied), take(&mut supplied)), (Some(Some(1)), Some(None)));
    }
}
