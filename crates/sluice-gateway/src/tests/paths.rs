//! That each way by which events reach a client is really taken when it should be, one at a time.

use std::future::poll_fn;
use std::task::Poll;

use http_body::Body as _;
use sluice_wire::sse::{Decoder, Item};

use super::client::{Begin, Client, Read};
use super::history::{Op, Setting};
use super::ledger::TOPICS;
use super::world::{World, on_virtual_clock};

const READS: &str = "sluice_replay_reads_total";
const LAGGED: &str = "sluice_streams_lagged_total";

async fn read_all(client: &mut Client, world: &World) {
    let mut idle = 0;
    while idle < 3 {
        match client.read(&world.ledger).await {
            Read::Something => idle = 0,
            Read::Nothing | Read::End => {
                idle += 1;
                world.wait(10).await;
            }
        }
    }
}

#[test]
fn what_the_window_holds_is_not_read_from_the_log() {
    on_virtual_clock(async |counts| {
        let mut world = World::new(&Setting::calm());
        let mut client = Client::new(vec![0], Begin::Live);
        let mut other = Client::new(vec![0], Begin::Live);
        for client in [&mut client, &mut other] {
            client.open(&world.nodes[0], &world.ledger);
            read_all(client, &world).await;
        }
        client.drop_stream(false, &world.ledger).await;
        world.publish(0, 10, false).await;
        world.wait(10).await;
        client.open(&world.nodes[0], &world.ledger);
        read_all(&mut client, &world).await;
        assert!(client.is_level(&world.ledger));
        assert_eq!((client.events, counts.get(READS)), (10, 0));
    });
}

#[test]
fn a_stream_that_the_ring_has_passed_goes_on_from_the_log() {
    on_virtual_clock(async |counts| {
        let mut world = World::new(&Setting::calm());
        let mut client = Client::new(vec![0], Begin::Live);
        client.open(&world.nodes[0], &world.ledger);
        read_all(&mut client, &world).await;
        world.publish(0, 30, false).await;
        world.wait(10).await;
        read_all(&mut client, &world).await;
        assert!(client.is_level(&world.ledger));
        assert_eq!((client.events, client.gaps, counts.get(LAGGED)), (30, 0, 1));
        assert!((1..=5).contains(&counts.get(READS)), "{} reads", counts.get(READS));
    });
}

#[test]
fn a_client_that_knows_more_than_the_node_brings_the_node_forward() {
    on_virtual_clock(async |_| {
        let mut world = World::new(&Setting::calm());
        let (mut client, mut local) = (Client::new(vec![0], Begin::Live), Client::new(vec![0], Begin::Live));
        client.open(&world.nodes[0], &world.ledger);
        local.open(&world.nodes[1], &world.ledger);
        read_all(&mut client, &world).await;
        read_all(&mut local, &world).await;
        world.step(&Op::Hold { node: 1 }).await;
        world.publish(0, 3, false).await;
        while client.read(&world.ledger).await == Read::Something || client.events < 3 {
            world.wait(1).await;
        }
        let holes = world.nodes[1].follower().holes_found;
        client.open(&world.nodes[1], &world.ledger);
        for _ in 0..10 {
            client.read(&world.ledger).await;
            world.wait(1).await;
        }
        assert_eq!(world.nodes[1].follower().holes_found, holes + 1, "found because the client knew");
        world.publish(0, 2, false).await;
        world.step(&Op::Release { node: 1 }).await;
        for client in [&mut client, &mut local] {
            read_all(client, &world).await;
            assert!(client.is_level(&world.ledger));
        }
    });
}

#[test]
fn a_cursor_that_names_no_event_of_the_log_is_told_so_even_by_the_window() {
    on_virtual_clock(async |_| {
        let mut world = World::new(&Setting::calm());
        let mut client = Client::new(vec![0], Begin::Live);
        client.open(&world.nodes[0], &world.ledger);
        read_all(&mut client, &world).await;
        for _ in 0..4 {
            world.publish(0, 1, false).await;
            world.wait(10).await;
        }
        let lost = world.ledger.id(0, 2).after();
        let mut body = world.nodes[0].open("topic=alpha", &lost.to_string());
        let mut text = String::new();
        for _ in 0..20 {
            let piece = poll_fn(|context| Poll::Ready(body.as_mut().poll_frame(context))).await;
            if let Poll::Ready(Some(piece)) = piece {
                text.push_str(std::str::from_utf8(&piece.unwrap().into_data().unwrap()).unwrap());
            }
            world.wait(5).await;
        }
        assert!(text.contains("\"reason\":\"rewound\""), "{text}");
        assert!(text.contains("alpha:4:"), "{text}");
    });
}

#[test]
fn several_topics_are_replayed_in_the_order_in_which_they_would_have_come() {
    on_virtual_clock(async |_| {
        let mut world = World::new(&Setting::calm());
        for round in 0..30_usize {
            // The topics take turns of unequal length, so that their pages end at different places.
            world.publish(round % 3, 1 + round % 4, false).await;
            world.wait(1).await;
        }
        let query = "topic=alpha&topic=beta&topic=gamma&since=earliest";
        let mut body = world.nodes[0].open(query, "");
        let (mut items, mut decoder) = (Vec::new(), Decoder::new());
        for _ in 0..100 {
            let piece = poll_fn(|context| Poll::Ready(body.as_mut().poll_frame(context))).await;
            if let Poll::Ready(Some(piece)) = piece {
                decoder.feed(&piece.unwrap().into_data().unwrap(), &mut items);
            }
            world.wait(5).await;
        }
        let ids: Vec<_> = items
            .iter()
            .filter_map(|item| match item {
                Item::Event(event) => Some(event.data.split(':')),
                _ => None,
            })
            .map(|mut data| {
                let name = data.next().unwrap();
                let index = TOPICS.iter().position(|topic| *topic == name).unwrap();
                world.ledger.id(index, data.next().unwrap().parse().unwrap())
            })
            .collect();
        let published: usize = (0..TOPICS.len()).map(|index| world.ledger.newest(index)).sum();
        assert_eq!(ids.len(), published);
        assert!(ids.is_sorted(), "{ids:?}");
    });
}
