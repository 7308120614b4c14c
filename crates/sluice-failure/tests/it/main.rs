//! What the process is told of failures, in a process of its own: the hook is one for all.

#![expect(clippy::panic, reason = "a panic is how a test fails")]

use std::panic::catch_unwind;
use std::sync::{Mutex, MutexGuard, PoisonError};

use sluice_failure::{Failure, Panicked, Place, contain, contain_call, fatal, poisoned, watch};

static TOLD: Mutex<Vec<String>> = Mutex::new(Vec::new());

fn told() -> Vec<String> {
    let mut told: MutexGuard<'_, Vec<String>> = TOLD.lock().unwrap_or_else(PoisonError::into_inner);
    std::mem::take(&mut told)
}

fn note(failure: &Failure<'_>) {
    let told = match failure {
        Failure::Panic(panic) => {
            let file = panic.location.map_or("nowhere", |location| location.file());
            assert!(file.ends_with("main.rs"), "{file}");
            format!("{:?} {:?}", panic.place, panic.message)
        }
        Failure::Poisoned => "poisoned".to_owned(),
        Failure::Fatal(why) => format!("fatal {why}"),
    };
    TOLD.lock().unwrap_or_else(PoisonError::into_inner).push(told);
}

/// Polls a future that is always ready.
fn now<F: Future>(future: F) -> F::Output {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match std::pin::pin!(future).poll(&mut context) {
        std::task::Poll::Ready(output) => output,
        std::task::Poll::Pending => panic!("it waits"),
    }
}

#[test]
fn every_failure_is_told_with_what_it_costs() {
    assert!(watch(note));
    assert!(!watch(|_| {}), "a second one is not heard");

    assert_eq!(now(contain(Place::Request, async { 7 })), Ok(7));
    assert_eq!(now(contain(Place::Request, async { panic!("one") })), Err::<(), _>(Panicked));
    assert_eq!(told(), [r#"Some(Request) Some("one")"#]);

    // The innermost place, and the outer one again after it.
    let outer = contain(Place::Connection, async {
        assert_eq!(contain(Place::Stream, async { panic!("two") }).await, Err::<(), _>(Panicked));
        panic!("three {}", std::hint::black_box(3));
    });
    assert_eq!(now(outer), Err::<(), _>(Panicked));
    assert_eq!(told(), [r#"Some(Stream) Some("two")"#, "Some(Connection) None"]);

    assert_eq!(contain_call(Place::Upkeep, || 1), Ok(1));
    assert!(std::thread::spawn(|| panic!("four")).join().is_err());
    assert!(catch_unwind(|| panic!("five")).is_err());
    assert_eq!(told(), [r#"None Some("four")"#, r#"None Some("five")"#], "nothing contains them");

    let state = Mutex::new(0);
    let half = contain_call(Place::Request, || {
        let _held = state.lock();
        panic!("six");
    });
    assert_eq!(half, Err::<(), _>(Panicked));
    assert_eq!(*state.lock().unwrap_or_else(poisoned), 0);
    assert_eq!(told(), [r#"Some(Request) Some("six")"#, "poisoned"]);

    fatal("the end");
    assert_eq!(told(), ["fatal the end"]);
}
