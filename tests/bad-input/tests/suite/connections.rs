//! Class 11: more connections than there are files for. The server of this family has few.

use bad_input_test::grpc::ask;
use bad_input_test::requests::*;
use bad_input_test::{Answer, Expect, Server, ServerOptions, Table, World};
use std::sync::Arc;
use std::time::{Duration, Instant};
use steadfast_api::v1::workflowservice::StartWorkflowExecutionResponse;
use tokio::net::TcpStream;

/// The most open files of the server: enough to work, too few for what comes.
pub const FILES: u32 = 256;
const CONNECTIONS: usize = 5000;
/// What the server does not take waits in the listener's queue, which may be short; when that is full, the system sends
/// what opens a connection once more after a second. A server that still takes connections has room again by then.
const NO_MORE_FIT: Duration = Duration::from_millis(2_500);

pub fn options() -> ServerOptions {
    ServerOptions { open_files: Some(FILES), ..ServerOptions::default() }
}

pub async fn cases(_: &World, table: &mut Table) {
    table.class(11);
    let fine = Expect { codes: &["Ok"], text: "", may_write: true };
    table.act("5,000 connections to the API, and a call on an old one", fine, |world| exhausted(world, true));
    table.act("5,000 connections to the pages, and a call on an old one", fine, |world| {
        exhausted(world, false)
    });
    table.act("a second after they are gone, a new connection is served", fine, |world| async move {
        drop(flood(&world, true).await);
        let began = Instant::now();
        loop {
            let answer = bad_input_test::grpc::send(
                world.another_channel(),
                "/temporal.api.workflowservice.v1.WorkflowService/GetSystemInfo",
                &[],
                bad_input_test::grpc::frame(0, &[]),
            )
            .await;
            if answer.code == "Ok" || began.elapsed() > Duration::from_secs(1) {
                return answer;
            }
        }
    });
    table.act("it waits for files without keeping a processor busy", fine, |world| async move {
        let connections = flood(&world, true).await;
        let before = processor_time(&world.server());
        tokio::time::sleep(Duration::from_secs(1)).await;
        let used = processor_time(&world.server()) - before;
        drop(connections);
        Answer::from_result(if used < 0.5 { Ok(()) } else { Err(format!("{used} s of a second")) })
    });
}

/// As many connections as the server and this process's own limit allow.
async fn flood(world: &World, api: bool) -> Vec<TcpStream> {
    let addresses = world.server_addresses();
    let address = if api { addresses.0 } else { addresses.1 };
    let mut connections = Vec::new();
    for _ in 0..CONNECTIONS {
        match tokio::time::timeout(NO_MORE_FIT, TcpStream::connect(address)).await {
            Ok(Ok(connection)) => connections.push(connection),
            _ => break,
        }
    }
    connections
}

async fn exhausted(world: Arc<World>, api: bool) -> Answer {
    let connections = flood(&world, api).await;
    if connections.len() < FILES as usize {
        return Answer::new("Failed", format!("only {} connections", connections.len()));
    }
    let started = ask::<_, StartWorkflowExecutionResponse>(&world, &start(|_| {})).await;
    drop(connections);
    match started {
        Ok(_) => Answer::new("Ok", ""),
        Err(answer) => answer,
    }
}

/// Seconds of processor time that the server has used.
fn processor_time(server: &Server) -> f64 {
    const TICKS: f64 = 100.0;
    let text = std::fs::read_to_string(format!("/proc/{}/stat", server.pid())).unwrap_or_default();
    let after_name = text.rsplit(')').next().unwrap_or_default();
    let fields: Vec<f64> =
        after_name.split_whitespace().skip(11).take(2).filter_map(|f| f.parse().ok()).collect();
    fields.iter().sum::<f64>() / TICKS
}
