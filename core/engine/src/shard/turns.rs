//! What one turn of a shard does first, and what it leaves to the next.

use std::net::UdpSocket;
use std::time::Duration;

use super::faults::{Scene, check_of};

#[test]
fn a_check_that_comes_together_with_what_opens_its_viewer_is_answered() {
    let mut scene = Scene::new();
    let browser = UdpSocket::bind("127.0.0.1:0").unwrap();
    browser
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    let port = scene.shard.sink.socket.local_addr().unwrap();
    let opening = scene.opening_of("v3");
    assert!(scene.shard.mesh.mine().send(opening).is_ok());
    browser.send_to(&check_of("v3"), port).unwrap();
    let mut ready = Vec::with_capacity(8);
    scene.shard.sleep(&mut ready);
    assert_eq!(ready.len(), 2, "the bell and the datagram");
    scene.shard.turn(scene.now, &ready);
    assert_eq!(scene.shard.totals.datagrams_unrouted.get(), 0);
    let mut answer = [0; 500];
    assert!(browser.recv(&mut answer).is_ok());
}

#[test]
fn timers_beyond_a_turns_budget_come_in_the_next_ones() {
    let mut scene = Scene::new();
    scene.now += Duration::from_secs(601); // both leases are over
    let mut left = scene.viewers().len();
    assert_eq!(left, 2);
    while scene
        .shard
        .timers
        .next()
        .is_some_and(|due| due <= scene.now)
    {
        scene.shard.take_timers(scene.now, Duration::ZERO);
        let now_left = scene.viewers().len();
        assert!(left - now_left <= 1, "one timer a turn, and none is lost");
        left = now_left;
    }
    assert_eq!(left, 0);
}
