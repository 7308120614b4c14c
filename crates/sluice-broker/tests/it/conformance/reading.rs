//! Reading.

use sluice_broker::{LogHead, Page, Retention, Start, position_before_last, settle, settle_each};
use sluice_wire::EventId;

use crate::stage::{Stage, topic};

pub(super) async fn ranges_are_inclusive_and_paged(make: impl AsyncFn(Retention) -> Stage) {
    let stage = make(Retention::default()).await;
    let ids = stage.fill("t", 0..10).await;
    let read = async |from, to, limit| stage.broker.read(&topic("t"), from, to, limit).await.unwrap();
    let page = read(ids[2], ids[5], 100).await;
    assert_eq!(page.events.iter().map(|event| event.id).collect::<Vec<_>>(), ids[2..=5]);
    assert_eq!((page.first, page.last, page.more), (Some(ids[2]), Some(ids[5]), false));
    assert_eq!(page.skipped, []);
    let page = read(ids[2], EventId::MAX, 3).await;
    assert_eq!((page.last, page.more), (Some(ids[4]), true));
    assert_eq!(read(ids[9].after(), EventId::MAX, 3).await, Page::default());
    assert_eq!(read(ids[2].after(), ids[3].before(), 3).await.events, []);
}

pub(super) async fn a_topic_without_events_is_empty(make: impl AsyncFn(Retention) -> Stage) {
    let stage = make(Retention::default()).await;
    let none = topic("none");
    assert_eq!(stage.broker.read(&none, EventId::ZERO, EventId::MAX, 9).await.unwrap(), Page::default());
    let heads = stage.broker.heads(std::slice::from_ref(&none)).await.unwrap();
    assert_eq!(heads, [LogHead { past: heads[0].past, ..LogHead::default() }]);
    assert_eq!(stage.broker.newest_until(&none, EventId::MAX).await.unwrap(), None);
    for count in [0, 5] {
        let position = position_before_last(stage.broker.as_ref(), &none, count).await.unwrap();
        assert_eq!(position, EventId::ZERO);
    }
    let tails = stage.broker.tails(&[(none, EventId::ZERO)], 5).await.unwrap();
    assert!(tails.behind.is_empty() && tails.time_ms > 1_700_000_000_000);
}

pub(super) async fn heads_come_in_the_order_asked(make: impl AsyncFn(Retention) -> Stage) {
    let stage = make(Retention::default()).await;
    let (a, b) = (stage.fill("a", 0..3).await, stage.fill("b", 0..1).await);
    let heads = stage.broker.heads(&[topic("b"), topic("none"), topic("a")]).await.unwrap();
    let head = |ids: &[EventId]| LogHead {
        last: *ids.last().unwrap(),
        oldest: ids.first().copied(),
        whole: true,
        past: heads[1].past,
        ..LogHead::default()
    };
    assert_eq!(heads, [head(&b), LogHead { past: heads[1].past, ..LogHead::default() }, head(&a)]);
    assert_eq!(stage.broker.heads(&[]).await.unwrap(), []);
}

pub(super) async fn positions_before_the_last(make: impl AsyncFn(Retention) -> Stage) {
    let stage = make(Retention::UNLIMITED).await;
    let ids = stage.fill("t", 0..1200).await;
    for (count, expected) in [(0, 0), (1, 1), (3, 3), (511, 511), (1100, 1100), (1200, 1200), (9999, 1200)] {
        let position = position_before_last(stage.broker.as_ref(), &topic("t"), count).await.unwrap();
        let page = stage.broker.read(&topic("t"), position.after(), EventId::MAX, 9999).await.unwrap();
        assert_eq!(page.events.len(), expected, "{count}");
    }
    assert_eq!(position_before_last(stage.broker.as_ref(), &topic("t"), 0).await.unwrap(), ids[1199]);
}

pub(super) async fn the_newest_until_a_moment(make: impl AsyncFn(Retention) -> Stage) {
    let stage = make(Retention::default()).await;
    let ids = stage.fill("t", 0..3).await;
    let newest = async |at| stage.broker.newest_until(&topic("t"), at).await.unwrap();
    assert_eq!(newest(EventId::MAX).await, Some(ids[2]));
    assert_eq!(newest(ids[1]).await, Some(ids[1]));
    assert_eq!(newest(ids[1].before()).await, Some(ids[0]));
    assert_eq!(newest(ids[0].before()).await, None);
    let points = [(topic("t"), ids[1]), (topic("none"), EventId::MAX), (topic("t"), ids[1].before())];
    let each = stage.broker.newest_until_each(&points).await.unwrap();
    assert_eq!(each, [Some(ids[1]), None, Some(ids[0])]);
}

pub(super) async fn moments_of_many_topics_are_settled_together(make: impl AsyncFn(Retention) -> Stage) {
    let stage = make(Retention::UNLIMITED).await;
    let (a, b) = (stage.fill("a", 0..3).await, stage.fill("b", 0..3).await);
    let (c, _) = (stage.fill("c", 0..3).await, stage.fill("d", 0..3).await);
    let points = [
        (topic("a"), a[1]),
        (topic("b"), b[0].before()),
        (topic("none"), b[2]),
        (topic("d"), EventId::ZERO),
        (topic("c"), EventId::MAX),
    ];
    let settled = settle_each(stage.broker.as_ref(), &points).await.unwrap();
    let expected = [
        Start::seen(a[1]),
        // Nothing was there before the first event.
        Start::seen(EventId::ZERO),
        Start::seen(EventId::ZERO),
        Start::Moment(EventId::ZERO),
        Start::seen(c[2]),
    ];
    assert_eq!(settled, expected);
    for ((topic, at), expected) in points.iter().zip(expected) {
        assert_eq!(settle(stage.broker.as_ref(), topic, *at).await.unwrap(), expected, "one by one");
    }
}

pub(super) async fn tails_tell_who_is_behind(make: impl AsyncFn(Retention) -> Stage) {
    let stage = make(Retention::default()).await;
    let (a, c) = (stage.fill("a", 0..5).await, stage.fill("c", 0..2).await);
    let d = stage.fill("d", 0..2).await;
    let asked = [(topic("a"), a[0]), (topic("b"), EventId::ZERO), (topic("c"), c[1]), (topic("d"), d[0])];
    let tails = stage.broker.tails(&asked, 3).await.unwrap();
    let found: Vec<_> =
        tails.behind.iter().map(|tail| (tail.index, tail.page.last, tail.page.more)).collect();
    assert_eq!(found, [(0, Some(a[3]), true), (3, Some(d[1]), false)]);
    assert!(tails.time_ms >= d[1].ms && tails.unreadable.is_empty());
}
