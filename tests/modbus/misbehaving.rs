//! Things that listen on a port and are no good Modbus device.

use crate::line::{Running, device, is_value, no_data, register, tcp};
use quaywatch_schemas::{NoData, Reading};
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

/// A listener that answers each question with what `answer` makes of its 12 bytes, or closes if that is nothing. Returns its
/// port and a count of the connections it has had.
async fn listens(answer: impl Fn(&[u8; 12]) -> Option<Vec<u8>> + Send + Sync + 'static) -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (answer, connections) = (Arc::new(answer), Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&connections);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::Relaxed);
            let answer = Arc::clone(&answer);
            tokio::spawn(async move {
                let mut question = [0; 12];
                while stream.read_exact(&mut question).await.is_ok() {
                    let Some(bytes) = answer(&question) else { return };
                    if stream.write_all(&bytes).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    (port, connections)
}

/// An answer to `question` with these registers.
fn registers(question: &[u8; 12], values: &[u16]) -> Vec<u8> {
    let data: Vec<u8> = values.iter().flat_map(|value| value.to_be_bytes()).collect();
    let mut answer = question[..4].to_vec();
    answer.extend((data.len() as u16 + 3).to_be_bytes());
    answer.extend([question[6], question[7], data.len() as u8]);
    answer.extend(data);
    answer
}

async fn is_down_because(answer: impl Fn(&[u8; 12]) -> Option<Vec<u8>> + Send + Sync + 'static) -> String {
    let (port, _) = listens(answer).await;
    let mut line = Running::start(tcp(port), vec![device(1, vec![register("scale", 0)])]);
    line.hears("scale", no_data(NoData::Disconnected)).await;
    let why = line.line_is_down(0).await;
    let said = line.stop().await;
    assert!(said.iter().all(|seen| matches!(seen.reading, Reading::NoData(_))), "{said:#?}");
    why
}

#[tokio::test]
async fn an_answer_with_more_or_fewer_registers_than_asked_for_is_not_read() {
    let more = is_down_because(|question| Some(registers(question, &[1, 2]))).await;
    let fewer = is_down_because(|question| Some(registers(question, &[]))).await;
    assert!(more.starts_with("unit 1: the answer was not what Modbus asks for") && fewer == more, "{more}\n{fewer}");
}

#[tokio::test]
async fn an_answer_to_another_question_is_not_read() {
    let why = is_down_because(|question| {
        let mut other = *question;
        other[1] = other[1].wrapping_add(1);
        Some(registers(&other, &[4711]))
    })
    .await;
    assert!(why.contains("another question") && !why.contains("4711"), "{why}");
}

#[tokio::test]
async fn something_that_is_not_modbus_is_named_as_that() {
    let why = is_down_because(|_| Some(b"\x15\x03\x01\x00\x00\x02\x02\x28".to_vec())).await;
    assert!(why.contains("what listens on this port"), "{why}");
}

#[tokio::test]
async fn a_device_that_closes_every_connection_is_not_stormed() {
    let (port, connections) = listens(|_| None).await;
    let mut line = Running::start(tcp(port), vec![device(1, vec![register("scale", 0)])]);
    line.hears("scale", no_data(NoData::Disconnected)).await;
    let why = line.line_is_down(0).await;
    assert!(why.contains("closed the connection"), "{why}");
    line.stop().await;
    assert!(connections.load(Ordering::Relaxed) < 10);
}

#[tokio::test]
async fn a_connection_closed_between_two_polls_costs_nothing() {
    // Many devices close a connection that was idle; this one after every answer.
    let (listener, asked) = (TcpListener::bind("127.0.0.1:0").await.unwrap(), Arc::new(AtomicUsize::new(0)));
    let (port, counted) = (listener.local_addr().unwrap().port(), Arc::clone(&asked));
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut question = [0; 12];
            if stream.read_exact(&mut question).await.is_ok() {
                let load = counted.fetch_add(1, Ordering::Relaxed) as u16;
                let _ = stream.write_all(&registers(&question, &[load])).await;
            }
        }
    });
    let mut line = Running::start(tcp(port), vec![device(1, vec![register("scale", 0)])]);
    line.hears_that("scale", "20", is_value(20.0)).await;
    let said = line.stop().await;
    assert!(said.iter().all(|seen| matches!(seen.reading, Reading::Measure(_))), "{said:#?}");
}
