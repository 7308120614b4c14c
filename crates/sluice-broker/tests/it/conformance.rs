//! What every backend does, as `Broker` documents it. Each case runs against each backend.

mod announcing;
mod appending;
mod following;
mod holding;
mod reading;
mod retaining;

use std::time::Instant;

use sluice_testkit::{RedisCluster, SentinelSet};

use crate::stage::{CLUSTER_ACL, Stage, least_user};

/// Says which case it was, should it fail.
async fn at(name: &str, case: impl Future<Output = ()>) {
    let began = Instant::now();
    eprintln!("{name} ..");
    case.await;
    eprintln!("{name} took {:?}", began.elapsed());
}

/// Makes a test of each case for each backend.
macro_rules! conformance {
    ($($case:path as $name:ident),+ $(,)?) => {
        mod memory {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                $case(crate::stage::Stage::memory).await;
            })+
        }
        mod redis {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                $case(crate::stage::Stage::redis).await;
            })+
        }
        mod redis_by_tls {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                $case(crate::stage::Stage::redis_by_tls).await;
            })+
        }
        // Many servers each, so the cases share them, one after the other.
        mod sentinel {
            use super::*;

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn every_case() {
                let set = SentinelSet::builder().arg("user", &least_user("")).start().await.unwrap();
                $(at(stringify!($name), $case(async |kept| Stage::among_others(&set.url(), kept))).await;)+
            }
        }
        mod sentinel_by_tls {
            use super::*;

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn every_case() {
                let set = SentinelSet::builder().tls().unwrap().arg("user", &least_user("")).start().await.unwrap();
                let (url, server) = (set.url(), &set.servers()[0]);
                $(at(stringify!($name), $case(async |kept| Stage::among_others_by_tls(&url, server, kept))).await;)+
            }
        }
        mod cluster_by_tls {
            use super::*;

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn every_case() {
                let cluster = RedisCluster::builder().tls().unwrap().arg("user", &least_user(CLUSTER_ACL));
                let cluster = cluster.start().await.unwrap();
                let (url, server) = (cluster.url(), &cluster.nodes()[0]);
                $(at(stringify!($name), $case(async |kept| Stage::among_others_by_tls(&url, server, kept))).await;)+
            }
        }
        mod cluster {
            use super::*;

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn every_case() {
                let cluster = RedisCluster::builder().arg("user", &least_user(CLUSTER_ACL)).start().await.unwrap();
                $(at(stringify!($name), $case(async |kept| Stage::among_others(&cluster.url(), kept))).await;)+
            }
        }
    };
}

conformance! {
    super::appending::ids_grow_and_prev_chains as ids_grow_and_prev_chains,
    super::appending::a_slice_may_hold_many_topics as a_slice_may_hold_many_topics,
    super::appending::everything_of_an_event_comes_back as everything_of_an_event_comes_back,
    super::appending::big_and_odd_payloads_come_back as big_and_odd_payloads_come_back,
    super::appending::a_repeated_key_answers_the_first_id as a_repeated_key_answers_the_first_id,
    super::appending::a_key_names_one_event_of_one_sender as a_key_names_one_event_of_one_sender,
    super::appending::concurrent_appends_keep_one_chain as concurrent_appends_keep_one_chain,
    super::reading::ranges_are_inclusive_and_paged as ranges_are_inclusive_and_paged,
    super::reading::a_topic_without_events_is_empty as a_topic_without_events_is_empty,
    super::reading::heads_come_in_the_order_asked as heads_come_in_the_order_asked,
    super::reading::positions_before_the_last as positions_before_the_last,
    super::reading::the_newest_until_a_moment as the_newest_until_a_moment,
    super::reading::moments_of_many_topics_are_settled_together as moments_of_many_topics_are_settled_together,
    super::reading::tails_tell_who_is_behind as tails_tell_who_is_behind,
    super::announcing::what_is_appended_is_announced_in_order as what_is_appended_is_announced_in_order,
    super::announcing::only_subscribed_topics_are_heard as only_subscribed_topics_are_heard,
    super::announcing::two_thousand_topics as two_thousand_topics,
    super::announcing::dropping_a_subscriber_ends_its_task as dropping_a_subscriber_ends_its_task,
    super::retaining::the_newest_so_many_are_kept as the_newest_so_many_are_kept,
    super::retaining::the_old_go_by_age as the_old_go_by_age,
    super::retaining::an_idle_topic_is_forgotten as an_idle_topic_is_forgotten,
    super::retaining::what_its_owner_needs_no_more_goes as what_its_owner_needs_no_more_goes,
    super::retaining::a_quiet_topic_goes_with_its_newest_event as a_quiet_topic_goes_with_its_newest_event,
    super::retaining::nothing_goes_without_limits as nothing_goes_without_limits,
    super::holding::nodes_know_what_others_hold as nodes_know_what_others_hold,
    super::holding::a_whole_word_replaces_all_before as a_whole_word_replaces_all_before,
    super::holding::a_whole_word_hides_nothing_for_a_moment as a_whole_word_hides_nothing_for_a_moment,
    super::holding::what_a_silent_node_held_is_gone as what_a_silent_node_held_is_gone,
    super::holding::many_names_are_told_at_once as many_names_are_told_at_once,
    super::following::a_topic_is_followed_from_its_head as a_topic_is_followed_from_its_head,
    super::following::ten_thousand_callers_share_round_trips as ten_thousand_callers_share_round_trips,
    super::following::a_caller_that_goes_away_leaves_nothing as a_caller_that_goes_away_leaves_nothing,
    super::following::a_quiet_topic_is_confirmed as a_quiet_topic_is_confirmed,
    super::following::a_topic_lingers_and_then_ends as a_topic_lingers_and_then_ends,
    super::following::a_client_from_another_node_is_reached as a_client_from_another_node_is_reached,
}
