//! The twin keeps the contract, and does to messages what it is told.

mod faults;
mod replay;

use async_trait::async_trait;
use bytes::Bytes;
use proto_msgs::{ConfigId, CorrelationId, Encoding, Sequence, Timestamp, subject::Subjects};

use super::{Fate, MemoryClient, MemoryServer, What};
use crate::{
    Broker,
    contract::{self, Host, Line},
    ports::{Append, Outgoing},
};

const NOON: i64 = 1_800_000_000;

fn server() -> MemoryServer {
    MemoryServer::new(Subjects::default(), Timestamp::from_unix_seconds(NOON))
}

fn to_run(broker: &Broker, bits: u128, text: &str, expected: Sequence) -> Append {
    Append {
        stream: broker.subjects.runs_stream(),
        subject: broker.subjects.run(&ConfigId::from_random(bits)),
        payload: Bytes::copy_from_slice(text.as_bytes()),
        encoding: Encoding::Json,
        correlation: CorrelationId::from_random(7),
        expected: Some(expected),
        expected_end: None,
        ttl: None,
        rollup: false,
    }
}

fn outgoing(text: &'static str) -> Outgoing {
    Outgoing { payload: Bytes::from_static(text.as_bytes()), encoding: Encoding::Json, correlation: None }
}

struct Twin(MemoryServer);

struct TwinLine {
    server: MemoryServer,
    client: MemoryClient,
}

#[async_trait]
impl Host for Twin {
    async fn client(&self) -> Broker {
        self.0.client("plain").broker()
    }

    async fn client_on_a_line(&self) -> (Broker, Box<dyn Line>) {
        let client = self.0.client("line");
        (client.broker(), Box::new(TwinLine { server: self.0.clone(), client }))
    }
}

#[async_trait]
impl Line for TwinLine {
    async fn cut(&self) {
        self.client.cut();
    }

    async fn deafen(&self) {
        self.server.set_weather(|crossing| match crossing.what {
            _ if crossing.client != "line" => Fate::Fine,
            What::Append | What::Request | What::Publish | What::Reply => Fate::Unanswered,
            What::Read | What::Live | What::Delivery => Fate::Lost,
        });
    }

    async fn mend(&self) {
        self.server.set_weather(|_| Fate::Fine);
        self.client.cut();
        self.client.reconnect();
    }
}

macro_rules! on_the_twin {
    ($($module:ident::$claim:ident),* $(,)?) => {
        $(
            #[tokio::test(start_paused = true)]
            async fn $claim() {
                contract::$module::$claim(&Twin(server())).await;
            }
        )*
    };
}

crate::for_each_claim!(on_the_twin);

#[test]
fn every_claim_is_in_the_list() {
    const LISTED: &str = include_str!("../../contract/mod.rs");
    let modules = [
        ("append", include_str!("../../contract/append.rs")),
        ("bus", include_str!("../../contract/bus.rs")),
        ("expiry", include_str!("../../contract/expiry.rs")),
        ("line", include_str!("../../contract/line.rs")),
        ("live", include_str!("../../contract/live.rs")),
        ("read", include_str!("../../contract/read.rs")),
        ("typed", include_str!("../../contract/typed.rs")),
    ];
    for (module, source) in modules {
        for line in source.lines() {
            let claim = line.strip_prefix("pub async fn ").and_then(|rest| rest.split('(').next());
            if let Some(claim) = claim {
                assert!(LISTED.contains(&format!("{module}::{claim},")), "{module}::{claim} is never tested");
            }
        }
    }
}
