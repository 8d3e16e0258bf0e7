//! Firmware that is signed, sent, swapped in, tried and kept or taken back: the real daemon, and a board whose flash the
//! bootloader's own code swaps.

use super::{
    SOON, acts, board,
    board::{Board, Way, image},
    door_is_heard, enrol, is, node, quay, refuses,
};
use quaywatch_schemas::control::NodeAct;
use quaywatch_tests::{eventually, gateway::Gateway};
use quaywatch_update::PublicKey;
use std::{fs, os::unix::fs::PermissionsExt, path::Path, time::Duration};

/// Takes some seconds on a line that polls twenty times a second.
const BYTES: usize = 12_345;
const BLOCKS: usize = BYTES.div_ceil(quaywatch_update::BLOCK_BYTES);
/// The trial of a deaf image is three seconds long; a machine under load takes its time.
const LATER: Duration = Duration::from_secs(90);

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn an_update_outlives_a_cut_line_and_a_killed_gateway_and_what_does_not_prove_itself_goes_back() {
    let (mut gateway, port) = quay().await;
    let board = Board::new(port, Some(makes_a_key(&gateway)));
    enrol(&gateway, &board);
    is(&gateway, "well").await;

    let four = sign(&gateway, "stm32f405", 4, &image(4, Way::Works, BYTES));
    let mut update = gateway.spawn_ask(&["node", "update", "7", &four]);
    let mut said = String::new();
    eventually(SOON, async || {
        said += &update.read_available();
        if said.contains(" bytes are there") { Ok(()) } else { Err(said.clone()) }
    })
    .await;
    board.plug(false);
    is(&gateway, "SILENT").await;
    assert!(node(&gateway, &["show", "7"]).expect("done").contains("to firmware 4 is under way"));
    let when_cut = board.received().0;
    board.plug(true);
    has_more_than(&board, when_cut + BLOCKS / 8).await;
    gateway.kill();
    let when_killed = board.received().0;
    assert!((1..BLOCKS).contains(&when_killed), "in the middle: {when_killed} of {BLOCKS}");
    gateway.start().await;
    ends_with(&gateway, 4, "it runs").await;
    assert_eq!(board.runs(), 4);
    is(&gateway, "well").await;
    let page = node(&gateway, &["show", "7"]).expect("done");
    assert!(page.contains("firmware 4 for board 1") && page.contains("the last one by update"), "{page}");
    let (blocks, begun) = board.received();
    // Whenever a transfer goes on, the last block is asked for once more.
    assert!(begun >= 2 && blocks <= BLOCKS + begun, "{blocks} of {BLOCKS} blocks, begun {begun} times");
    door_is_heard(&gateway, &board, true).await;

    what_is_not_to_run_is_refused(&gateway).await;
    assert_eq!(board.runs(), 4);

    let taken_back = "node 7 runs firmware 4: the image did not start, or did not hear its gateway, and was taken back";
    let hangs = sign(&gateway, "stm32f405", 5, &image(5, Way::Hangs, 4_000));
    refuses(&gateway, &["update", "7", &hangs], taken_back);
    let deaf = sign(&gateway, "stm32f405", 6, &image(6, Way::Deaf, 4_000));
    refuses(&gateway, &["update", "7", &deaf], taken_back);
    assert_eq!(board.runs(), 4);
    // One that says another number than its signer: it is not what was signed for.
    let other = sign(&gateway, "stm32f405", 8, &image(7, Way::Works, 4_000));
    refuses(&gateway, &["update", "7", &other], "was taken back");
    eventually(SOON, async || if board.runs() == 4 { Ok(()) } else { Err(format!("runs {}", board.runs())) }).await;

    // Killed while the image may be on trial: the gateway finds out how that ended.
    let nine = sign(&gateway, "stm32f405", 9, &image(9, Way::Works, 4_000));
    let update = gateway.spawn_ask(&["node", "update", "7", &nine]);
    eventually(LATER, async || if board.runs() == 9 { Ok(()) } else { Err(format!("runs {}", board.runs())) }).await;
    gateway.kill();
    drop(update);
    gateway.start().await;
    ends_with(&gateway, 9, "it runs").await;
    assert_eq!(board.runs(), 9);

    let ten = sign(&gateway, "stm32f405", 10, &image(10, Way::Works, 4_000));
    let said = node(&gateway, &["update", "7", &ten]).expect("done");
    assert!(said.ends_with("node 7 runs firmware 10\n") && said.contains("4000 of 4000 bytes are there"), "{said}");
    door_is_heard(&gateway, &board, false).await;
    let kept = fs::read_dir(gateway.path("state").join("node-images")).expect("readable").count();
    assert_eq!(kept, 0, "nobody needs the images");
    assert!(!gateway.log().contains("panicked"));
}

async fn what_is_not_to_run_is_refused(gateway: &Gateway) {
    let small = image(5, Way::Works, 2_000);
    let older = sign(gateway, "stm32f405", 3, &small);
    refuses(gateway, &["update", "7", &older], "refused: the image is older than the oldest that it may run");
    let other_board = sign(gateway, "rp2040", 5, &small);
    refuses(gateway, &["update", "7", &other_board], "the image is for rp2040");
    let foreign =
        quaywatch_update::pack(&[7; 32], board::KIND, quaywatch_update::Version(5), &small).expect("an image");
    let file = gateway.path("foreign");
    fs::write(&file, [&foreign.to_bytes()[..], &small].concat()).expect("writable");
    let not_trusted = "refused: the image is not signed with a key that it trusts";
    refuses(gateway, &["update", "7", &file.display().to_string()], not_trusted);
    // A signature under the right key, of something else.
    let genuine = sign(gateway, "stm32f405", 5, &small);
    let mut forged = fs::read(&genuine).expect("readable");
    forged[8] += 1;
    fs::write(&file, forged).expect("writable");
    refuses(gateway, &["update", "7", &file.display().to_string()], not_trusted);
    let too_long = sign(gateway, "stm32f405", 5, &image(5, Way::Works, 32 * 1024 + 1));
    refuses(gateway, &["update", "7", &too_long], "refused: it has no room for so many bytes");
    refuses(
        gateway,
        &["sign", "/bin/true", "--key", &path(gateway, "key"), "--board", "rp2040", "--version", "1", "--out", "x"],
        "an ELF file",
    );
}

/// The key of who builds the firmware; its public half.
fn makes_a_key(gateway: &Gateway) -> PublicKey {
    let key = path(gateway, "key");
    let public = node(gateway, &["signing-key", &key]).expect("made");
    assert_eq!(node(gateway, &["signing-key", &key]).expect("read"), public, "it is made once");
    assert_eq!(fs::metadata(&key).expect("made").permissions().mode() & 0o777, 0o600);
    quaywatch_drivers::secret::Secret::new(public).as_key().expect("64 hexadecimal digits")
}

/// Signs an image; the signed one's path.
fn sign(gateway: &Gateway, board: &str, version: u32, image: &[u8]) -> String {
    let (bare, signed) = (path(gateway, "image.bin"), path(gateway, &format!("{board}-{version}")));
    fs::write(&bare, image).expect("writable");
    let version = version.to_string();
    let words =
        ["sign", &bare, "--key", &path(gateway, "key"), "--board", board, "--version", &version, "--out", &signed];
    let said = node(gateway, &words).expect("signed");
    assert!(said.contains(&format!("version {version} for {board}, {} bytes", image.len())), "{said}");
    assert!(Path::new(&signed).exists());
    signed
}

fn path(gateway: &Gateway, name: &str) -> String {
    gateway.path(name).display().to_string()
}

async fn has_more_than(board: &Board, blocks: usize) {
    eventually(LATER, async || match board.received().0 {
        has if has > blocks => Ok(()),
        has => Err(format!("{has} blocks, wanted more than {blocks}")),
    })
    .await;
}

/// Waits until the log tells how the update to a version ended.
async fn ends_with(gateway: &Gateway, wanted: u32, how: &str) {
    eventually(LATER, async || match acts(gateway).last() {
        Some(NodeAct::UpdateEnded { version, outcome }) if *version == wanted && outcome == how => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
}
