//! The async shell: a node, its inputs and its line, with embassy's clock. The only part of the node that waits.

use crate::{Channel, Locked, Millis, Node, Sensed, Updates, sensing::plan::Due};
use embassy_time::{Duration, Instant, Timer, with_timeout};
use embedded_io_async::{Read, Write};
use embedded_storage::nor_flash::NorFlash;

/// What a board does for its node. Nothing here may block for longer than a contact bounces.
pub trait Board {
    /// Reads every input that is due and hands it on, and what came by itself since the last round: badges, edges that an
    /// interrupt caught. A sensor that is slow is read by a task of its own; what it has not delivered is not handed on.
    fn sample(&mut self, due: Due, now: Millis, sense: &mut dyn FnMut(Channel, Sensed));

    /// Whether the supply is failing: brown-out detection has tripped.
    fn supply_fails(&mut self) -> bool;

    /// Whether somebody holds the presence input.
    fn is_presence_held(&mut self) -> bool;

    /// How long the line is left alone before it is answered: who spoke lets go of an RS-485 pair within a character after
    /// its last bit, 1.1 ms at 9600 baud. A line with a pair for each direction needs none.
    fn turnaround(&self) -> Duration {
        Duration::from_millis(2)
    }

    /// Sampling and link went round once: for the board's [supervisor](crate::supervisor), which decides about the
    /// watchdog together with the board's other tasks. What the node wants shown or done is the board's to do.
    fn went_round(&mut self, now: Millis, wants: Wants);
}

/// What a node wants of its board.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wants {
    /// The lamp is to blink, so that a person finds the node.
    pub blink: bool,
    /// Why the node says nothing, if it does.
    pub locked: Option<Locked>,
    /// The chip is to be reset.
    pub restart: bool,
}

/// How long a round lasts at most while the line is quiet: debounce times, badges and the watchdog wait for it.
const ROUND: Duration = Duration::from_millis(10);

/// Runs a node until its line breaks; says how. Reading the line must not lose bytes when it is given up for a round, which
/// holds for embassy's buffered serial ports. A node speaks last words once per failing supply.
pub async fn run<F: NorFlash, U: Updates, L: Read + Write>(
    node: &mut Node<F, U>,
    line: &mut L,
    board: &mut impl Board,
) -> Result<(), L::Error> {
    let (mut buffer, mut failing) = ([0; 64], false);
    loop {
        let now = Instant::now().as_millis();
        // An input that the node's settings do not have is the board's mistake and no reason to stop.
        let due = node.due(now);
        board.sample(due, now, &mut |channel, value| {
            let _ = node.sense(channel, value, now);
        });
        node.set_presence(board.is_presence_held());
        node.tick(now);
        let fails = board.supply_fails();
        if fails
            && !failing
            && let Some(words) = node.last_words(now)
        {
            line.write_all(words).await?;
        }
        failing = fails;
        if let Ok(read) = with_timeout(until(node.next_due()), line.read(&mut buffer)).await {
            let length = read?;
            if length == 0 {
                return Ok(());
            }
            if let Some(turn) = node.receive(&buffer[..length], Instant::now().as_millis()) {
                Timer::after(board.turnaround()).await;
                line.write_all(turn).await?;
            }
        }
        let now = Instant::now().as_millis();
        board.went_round(
            now,
            Wants { blink: node.blinks(now), locked: node.locked(), restart: node.wants_restart(now) },
        );
    }
}

/// Until the next input is due, a round at most.
fn until(due: Option<Millis>) -> Duration {
    due.map_or(ROUND, |due| ROUND.min(Instant::from_millis(due).saturating_duration_since(Instant::now())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Boot, Config, NodeKey, ResetCause, emulation::EmulatedFlash, settings::Draft};
    use core::{
        convert::Infallible,
        future::{Future, pending},
        pin::pin,
        task::{Context, Poll},
    };
    use embedded_io_async::ErrorType;
    use quaywatch_schemas::frame::{
        Deframer, Direction, Header, SuiteId,
        message::{FromGateway, FromNode, Poll as AskForData},
        seal,
    };
    use std::{collections::VecDeque, sync::Arc, task::Wake, thread, vec::Vec};

    /// A line that brings one frame after each quiet round and then closes.
    struct Line {
        brings: VecDeque<Option<Vec<u8>>>,
        heard: Vec<u8>,
    }

    impl ErrorType for Line {
        type Error = Infallible;
    }

    impl Read for Line {
        async fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Infallible> {
            match self.brings.pop_front() {
                Some(Some(mut bytes)) => {
                    let length = bytes.len().min(buffer.len());
                    buffer[..length].copy_from_slice(&bytes[..length]);
                    let rest = bytes.split_off(length);
                    if !rest.is_empty() {
                        self.brings.push_front(Some(rest));
                    }
                    Ok(length)
                }
                Some(None) => pending().await,
                None => Ok(0),
            }
        }
    }

    impl Write for Line {
        async fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
            self.heard.extend_from_slice(bytes);
            Ok(bytes.len())
        }

        async fn flush(&mut self) -> Result<(), Infallible> {
            Ok(())
        }
    }

    /// A board whose door stands open and whose supply fails once that has been debounced.
    #[derive(Default)]
    struct Bench {
        rounds: usize,
    }

    impl Board for Bench {
        fn sample(&mut self, due: Due, _: Millis, sense: &mut dyn FnMut(Channel, Sensed)) {
            if due.contains(Channel::Door) {
                sense(Channel::Door, true.into());
            }
            sense(Channel::Load4, 1.0.into());
        }

        fn supply_fails(&mut self) -> bool {
            self.rounds == 5
        }

        fn is_presence_held(&mut self) -> bool {
            false
        }

        fn went_round(&mut self, _: Millis, wants: Wants) {
            assert_eq!(wants, Wants { blink: false, locked: None, restart: false });
            self.rounds += 1;
        }
    }

    struct Unpark(thread::Thread);

    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        let (waker, mut future) = (Arc::new(Unpark(thread::current())).into(), pin!(future));
        loop {
            match future.as_mut().poll(&mut Context::from_waker(&waker)) {
                Poll::Ready(value) => return value,
                Poll::Pending => thread::park(),
            }
        }
    }

    #[test]
    fn a_board_on_a_line_is_read_debounced_polled_and_says_its_last_words() {
        let key = NodeKey::new([3; 32]);
        let boot = Boot { reset: ResetCause::PowerOn, entropy: 1, now: 0 };
        let config = Config::new(4, key.clone()).by(&Draft::default().with(Channel::Door).check().unwrap());
        let mut node = Node::boot(config, EmulatedFlash::in_memory(5), boot);
        let say = |counter, message: &FromGateway| {
            let header = Header { suite: SuiteId::default(), node: 4, epoch: 9, counter };
            let session = key.link(Direction::GatewayToNode, 4, 9);
            // The token of the first hello of the first boot.
            let after = session.after(key.boot_epoch(1, 1));
            let key = if *message == FromGateway::Challenge { session } else { after };
            Some(seal(&header, &key, message).unwrap().to_vec())
        };
        let poll = FromGateway::Poll(AskForData { frames: 4, heard: true, report: false, again: None, stored: None });
        // Five quiet rounds are longer than the door's contact bounces.
        let mut brings: VecDeque<_> = [None, None, None, None, None].into();
        brings.extend([say(0, &FromGateway::Challenge), say(1, &poll), None]);
        let mut line = Line { brings, heard: Vec::new() };
        let mut board = Bench::default();
        block_on(run(&mut node, &mut line, &mut board)).unwrap();
        let mut deframer = Deframer::default();
        let said = line.heard.iter().filter_map(|byte| deframer.push(*byte)).map(|sealed| {
            let sealed = sealed.unwrap();
            let key = key.link(Direction::NodeToGateway, 4, sealed.header().epoch);
            sealed.open(&key).unwrap().message().unwrap()
        });
        let said: Vec<FromNode> = said.collect();
        assert!(matches!(&said[0], FromNode::Data(data) if data.last_words), "{said:?}");
        assert!(matches!(&said[1], FromNode::Hello(hello) if hello.session == 9), "{said:?}");
        assert!(matches!(said.last(), Some(FromNode::TurnEnd(end)) if end.answers == 1), "{said:?}");
        assert!(board.rounds >= 8);
    }
}
