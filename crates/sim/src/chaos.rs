//! What goes wrong: crashes, takeovers, a clock that is set, and disks that fail.

use crate::disk::{Rates, Slowness};
use crate::random::Random;
use crate::world::{Phase, World};
use std::sync::Arc;
use std::time::Duration;
use steadfast_machine::duration::SECOND;

/// Until the world is calm.
pub async fn run(world: &Arc<World>, mut random: Random) {
    let ends = world.knobs.chaos * 1_000;
    world.disk.set_rates(world.knobs.rates);
    while world.board.clock.millis() < ends && !world.board.is_broken() {
        tokio::time::sleep(random.millis(100, 4_000)).await;
        serve_again(world, &mut random).await;
        let knobs = &world.knobs;
        if random.percent(knobs.crashes) {
            world.crash().await;
            tokio::time::sleep(random.millis(0, 1_500)).await;
            world.boot().await;
        }
        if random.percent(knobs.takeovers) {
            world.take_over().await;
        } else if random.percent(30) {
            world.kill_outdated().await;
        }
        if random.percent(knobs.storms) {
            storm(world, &mut random).await;
        }
        if random.percent(knobs.jumps) {
            let seconds = *random.pick(&[-30, -5, -1, 1, 10, 60, 3600]);
            world.board.note(format_args!("the clock is set by {seconds} s"));
            world.board.saw("the clock is set");
            world.board.clock.jump(seconds * SECOND);
        }
    }
}

/// For some seconds all calls of one sort fail.
async fn storm(world: &World, random: &mut Random) {
    let all = 1_000_000;
    let (name, rates) = match random.below(4) {
        0 => ("the disk is full", Rates { not_written: all, ..Rates::default() }),
        1 => ("the disk is away", Rates { not_written: all, unavailable: all, ..Rates::default() }),
        2 => ("no write is answered", Rates { unknown_written: all, ..Rates::default() }),
        _ => {
            let half = all / 2;
            (
                "no write is known",
                Rates { unknown_written: half, unknown_not_written: half, ..Rates::default() },
            )
        }
    };
    world.board.note(format_args!("{name}"));
    world.board.saw("a storm");
    world.disk.set_rates(rates);
    tokio::time::sleep(random.millis(500, 8_000)).await;
    world.disk.set_rates(world.knobs.rates);
}

/// A process that lost a shard is of no use for it any more: whoever watches it starts another.
async fn serve_again(world: &Arc<World>, random: &mut Random) {
    if world.disk.take_fenced() && random.percent(70) {
        world.crash().await;
        world.boot().await;
    }
}

/// Nothing goes wrong from here on.
pub async fn heal(world: &Arc<World>) {
    world.disk.set_rates(Rates::default());
    world.disk.set_slowness(Slowness { often: 10, rarely: 0, longest: 1 });
    world.kill_outdated().await;
    // A shard may be lost without anybody having noticed it yet, as the next commit would be the first.
    let shards = world.disk.audit().epochs.clone();
    world.board.note(format_args!("healed at the epochs {shards:?}"));
    // Only then, as a restart mends what should not have gone wrong.
    if world.serving().is_none_or(|process| !process.life.owns_all(&world.disk)) {
        world.crash().await;
        world.boot().await;
    }
    world.enter(Phase::Calm);
    tokio::time::sleep(Duration::from_secs(1)).await;
}
