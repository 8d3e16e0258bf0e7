//! The real parts the tests run against: mosquitto, pymodbus, and the gateway itself as a process that can be killed.
//!
//! Everything listens on a free loopback port, keeps its files in a temporary folder and is gone when it is dropped.
//! Nothing here sleeps for luck: [`eventually`] waits for a condition and fails with what it saw last.

pub mod benchmark;
pub mod gateway;
pub mod modbus;
pub mod mosquitto;
pub mod score;
pub mod subscriber;

use std::{
    net::TcpListener,
    time::{Duration, Instant},
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// A port nobody listens on now.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    listener.local_addr().expect("a bound listener has an address").port()
}

/// Waits until `look` sees what it wants; panics with what it saw instead after `within`.
pub async fn eventually<T>(within: Duration, mut look: impl AsyncFnMut() -> Result<T, String>) -> T {
    let deadline = Instant::now() + within;
    loop {
        match look().await {
            Ok(seen) => return seen,
            Err(instead) if Instant::now() > deadline => panic!("not within {within:?}: {instead}"),
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}

/// What a page on loopback says, with its headers.
pub async fn get(port: u16, path: &str) -> Result<String, String> {
    let answer = async {
        let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", port)).await?;
        stream.write_all(format!("GET {path} HTTP/1.0\r\nhost: localhost\r\n\r\n").as_bytes()).await?;
        let mut text = String::new();
        stream.read_to_string(&mut text).await?;
        Ok::<_, std::io::Error>(text)
    };
    answer.await.map_err(|e| e.to_string())
}
