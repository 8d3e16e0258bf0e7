//! Badge readers by Wiegand: two lines that rest high; a bit is a short low pulse, on `D0` for a zero, on `D1` for a one.
//!
//! Times by the Security Industry Association's *Access Control Standard Protocol for the 26-Bit Wiegand Reader Interface*
//! (AC-01, 1996.10): pulses of 20 to 100 µs, 0.2 to 20 ms apart. A word has no mark at its end but the pause behind it.
//!
//! Nothing is checked here: a word is what came. Its length and parity tell a card from noise, and a pulse alone that a
//! motor next to the cable made is a word of one bit. A cut line makes no edge, so a reader whose cable was cut looks like
//! one that nobody uses; the reader's own tamper output belongs on a tamper input.

use core::fmt;
use embassy_futures::select::{Either, Either3, select, select3};
use embedded_hal_async::{delay::DelayNs, digital::Wait};

/// No pulse for this long ends a word: a quarter more than the longest pause within one.
pub const GAP_MS: u32 = 25;

/// A reader on two pins. Whoever waits for it must run again within 0.2 ms of an edge; what is missed in a longer stall makes
/// the word too short.
pub struct Wiegand<Z, O, D> {
    zeros: Z,
    ones: O,
    delay: D,
}

/// What a reader sent. It leads to a person: `Debug` says how long it is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Word {
    /// The last 64 bits, the last one lowest.
    pub bits: u64,
    /// How many came, 255 at most.
    pub length: u8,
}

impl fmt::Debug for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Word({} bits)", self.length)
    }
}

impl<Z: Wait, O: Wait<Error = Z::Error>, D: DelayNs> Wiegand<Z, O, D> {
    /// A reader with `D0` on the pin of zeros and `D1` on that of ones.
    pub fn new(zeros: Z, ones: O, delay: D) -> Self {
        Self { zeros, ones, delay }
    }

    /// Waits for the next word. Given up, it has lost what came of one.
    pub async fn read(&mut self) -> Result<Word, Z::Error> {
        let first = match select(self.zeros.wait_for_falling_edge(), self.ones.wait_for_falling_edge()).await {
            Either::First(edge) => edge.map(|()| 0),
            Either::Second(edge) => edge.map(|()| 1),
        };
        let mut word = Word { bits: first?, length: 1 };
        loop {
            let zero = self.zeros.wait_for_falling_edge();
            let one = self.ones.wait_for_falling_edge();
            let bit = match select3(zero, one, self.delay.delay_ms(GAP_MS)).await {
                Either3::First(edge) => edge.map(|()| 0),
                Either3::Second(edge) => edge.map(|()| 1),
                Either3::Third(()) => return Ok(word),
            };
            word = Word { bits: word.bits << 1 | bit?, length: word.length.saturating_add(1) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::{
        future::{Future, poll_fn},
        pin::pin,
        task::{Context, Poll, Waker},
    };
    use embedded_hal::digital::{Error, ErrorKind, ErrorType};
    use std::{cell::RefCell, collections::VecDeque, format, rc::Rc, vec::Vec};

    #[derive(Debug, Clone, Copy, PartialEq)]
    enum Happens {
        Pulse(u64),
        Pause,
        Broken,
    }

    /// What is still to happen at a reader's two lines.
    #[derive(Clone)]
    struct Script(Rc<RefCell<VecDeque<Happens>>>);

    struct Line(Script, u64);

    #[derive(Debug, PartialEq)]
    struct Broken;

    impl Error for Broken {
        fn kind(&self) -> ErrorKind {
            ErrorKind::Other
        }
    }

    impl ErrorType for Line {
        type Error = Broken;
    }

    impl Script {
        /// Waits until it is this that happens next.
        async fn next(&self, awaited: &[Happens]) -> Happens {
            poll_fn(|_| {
                let next = self.0.borrow().front().copied().filter(|next| awaited.contains(next));
                next.map_or(Poll::Pending, |next| {
                    self.0.borrow_mut().pop_front();
                    Poll::Ready(next)
                })
            })
            .await
        }
    }

    impl Wait for Line {
        async fn wait_for_high(&mut self) -> Result<(), Broken> {
            panic!("a level is none of the driver's business")
        }

        async fn wait_for_low(&mut self) -> Result<(), Broken> {
            panic!("a level is none of the driver's business")
        }

        async fn wait_for_rising_edge(&mut self) -> Result<(), Broken> {
            panic!("a pulse counts where it begins")
        }

        async fn wait_for_falling_edge(&mut self) -> Result<(), Broken> {
            match self.0.next(&[Happens::Pulse(self.1), Happens::Broken]).await {
                Happens::Broken => Err(Broken),
                _ => Ok(()),
            }
        }

        async fn wait_for_any_edge(&mut self) -> Result<(), Broken> {
            panic!("a pulse counts where it begins")
        }
    }

    impl DelayNs for Script {
        async fn delay_ns(&mut self, ns: u32) {
            assert_eq!(ns, GAP_MS * 1_000_000);
            self.next(&[Happens::Pause]).await;
        }
    }

    /// All words of a script. It must end in a pause.
    fn words(happens: &[Happens]) -> Vec<Result<Word, Broken>> {
        let script = Script(Rc::new(RefCell::new(happens.iter().copied().collect())));
        let mut reader = Wiegand::new(Line(script.clone(), 0), Line(script.clone(), 1), script.clone());
        let mut words = Vec::new();
        while !script.0.borrow().is_empty() {
            let mut read = pin!(reader.read());
            match read.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(word) => words.push(word),
                Poll::Pending => panic!("waits although something happens: {:?}", script.0.borrow()),
            }
        }
        words
    }

    fn pulses(bits: &str) -> Vec<Happens> {
        bits.bytes().map(|bit| Happens::Pulse(u64::from(bit - b'0'))).chain([Happens::Pause]).collect()
    }

    #[test]
    fn two_cards_with_a_pause_between_are_two_words_with_their_bits_in_order() {
        let (first, second) = ("00110010100110011001100111", "1111000011110000111100001111000011");
        let said = words(&[pulses(first), pulses(second)].concat());
        let word = |bits: &str| Ok(Word { bits: u64::from_str_radix(bits, 2).unwrap(), length: bits.len() as u8 });
        assert_eq!(said, [word(first), word(second)]);
        assert_eq!(format!("{:?}", said[0]), "Ok(Word(26 bits))", "a card's number is not for logs");
    }

    #[test]
    fn a_lone_pulse_is_a_word_of_one_bit_and_noise_without_end_is_one_that_is_too_long() {
        assert_eq!(words(&pulses("1")), [Ok(Word { bits: 1, length: 1 })]);
        let noise = "10".repeat(300);
        assert_eq!(words(&pulses(&noise)), [Ok(Word { bits: 0xaaaa_aaaa_aaaa_aaaa, length: 255 })]);
    }

    #[test]
    fn a_pin_that_fails_is_said_and_the_next_word_is_read() {
        let broken = [pulses("101")[..2].to_vec(), [Happens::Broken].into(), pulses("11")].concat();
        assert_eq!(words(&broken), [Err(Broken), Ok(Word { bits: 3, length: 2 })]);
    }
}
