//! What the emulated image costs: counted, not timed.

use crate::{
    node::{EmulatedNode, HEARTBEAT_MS, MOST_STACK},
    quay::{Quay, SOON},
};
use quaywatch_tests::eventually;
use std::time::Duration;

/// With this an instruction takes a nanosecond of the board's time, however fast the host is.
const COUNTING: &[&str] = &["-icount", "shift=0"];
/// Of its core's 168 million instructions a second, in a thousand: what a node with five contacts may take.
const MOST_PER_MILLE: u64 = 30;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "tests/firmware builds the emulated image and runs this"]
async fn an_emulated_node_sleeps_nearly_always() {
    let mut quay = Quay::new().await;
    let mut node = EmulatedNode::new(COUNTING);
    quay.gateway.start().await;
    node.power_on(&quay.wire);
    node.is_enrolled(&quay).await;
    // The first report comes with the first poll; what is measured begins after it.
    eventually(SOON, async || match quay.stored("node").len() {
        0 => Err(format!("nothing was heard; it said {:?}", node.said())),
        _ => Ok(()),
    })
    .await;
    let (before, heard) = (node.meter().await, quay.wire.heard().data.len());
    node.goes_on_for(Duration::from_millis(u64::from(HEARTBEAT_MS) * 2)).await;
    let (after, heard) = (node.meter().await, quay.wire.heard().data.len() - heard);
    let us = after.us - before.us;
    let per_heartbeat = |count: u64| count * u64::from(HEARTBEAT_MS) * 1000 / us;
    let (wake_ups, instructions) =
        (per_heartbeat(after.wake_ups - before.wake_ups), per_heartbeat(after.awake_ns - before.awake_ns));
    println!(
        "in {} ms, {heard} data frames; per heartbeat of {HEARTBEAT_MS} ms, polled ten times a second: {wake_ups} wake-ups, \
         {instructions} instructions; the stack was {} bytes deep",
        us / 1000,
        after.stack
    );
    assert!(heard > 0, "it repeats itself");
    assert!(after.stack <= MOST_STACK, "the stack was {} bytes deep", after.stack);
    assert!(instructions < 168_000 * u64::from(HEARTBEAT_MS) * MOST_PER_MILLE / 1000, "{instructions} instructions");
}
