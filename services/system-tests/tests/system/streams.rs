//! The broker's contract, kept by a real nats-server; and the traps of NATS that only a real one has.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use async_trait::async_trait;
use broker::{
    Append, Broker, Outgoing, Select,
    contract::{self, Host, Line},
    nats::NatsSettings,
};
use bytes::Bytes;
use futures::TryStreamExt;
use proto_msgs::{ConfigId, CorrelationId, Encoding, Sequence};
use system_tests::{NatsServer, TcpLine, until};

/// A server of its own for each claim.
struct Nats(NatsServer);

impl Nats {
    async fn start() -> Result<Self> {
        let server = NatsServer::start().await?;
        broker::nats::provision(&settings(server.port()), 1).await?;
        Ok(Self(server))
    }
}

fn settings(port: u16) -> NatsSettings {
    NatsSettings { url: format!("nats://127.0.0.1:{port}"), ..NatsSettings::default() }
}

struct Cable(TcpLine);

#[async_trait]
impl Host for Nats {
    async fn client(&self) -> Broker {
        Broker::connect(&settings(self.0.port())).await.expect("the server is there")
    }

    async fn client_on_a_line(&self) -> (Broker, Box<dyn Line>) {
        let line = TcpLine::to(self.0.port()).await.expect("a port is free");
        let broker = Broker::connect(&settings(line.port())).await.expect("the server is there");
        (broker, Box::new(Cable(line)))
    }
}

#[async_trait]
impl Line for Cable {
    async fn cut(&self) {
        self.0.cut();
    }

    async fn deafen(&self) {
        self.0.deafen();
    }

    async fn mend(&self) {
        self.0.mend();
    }
}

macro_rules! on_nats {
    ($($module:ident::$claim:ident),* $(,)?) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $claim() -> Result<()> {
                contract::$module::$claim(&Nats::start().await?).await;
                Ok(())
            }
        )*
    };
}

broker::for_each_claim!(on_nats);

/// The first message of some run.
fn started(broker: &Broker) -> Append {
    Append {
        stream: broker.subjects.runs_stream(),
        subject: broker.subjects.run(&ConfigId::from_random(1)),
        payload: Bytes::from_static(b"1"),
        encoding: Encoding::Json,
        correlation: CorrelationId::from_random(7),
        expected: Some(Sequence(0)),
        expected_end: None,
        ttl: None,
        rollup: false,
    }
}

/// Asks JetStream's own API, as anybody could who has the right to.
async fn api(broker: &Broker, request: &str, body: &'static str) -> Result<String> {
    let message =
        Outgoing { payload: Bytes::from_static(body.as_bytes()), encoding: Encoding::Json, correlation: None };
    let answer = broker.bus.request(request, message, Duration::from_secs(5)).await?;
    Ok(String::from_utf8(answer.payload.to_vec())?)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_provisioned_again_is_brought_up_to_date_and_keeps_what_it_has() -> Result<()> {
    let nats = Nats::start().await?;
    let broker = nats.client().await;
    let run = started(&broker);
    broker.streams.append(run.clone()).await?;
    broker::nats::provision(&settings(nats.0.port()), 1).await?;
    let kept = broker.streams.last(&run.stream, &run.subject).await?;
    ensure!(kept.is_some_and(|kept| kept.payload == run.payload), "it was lost");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_the_first_second_is_missing_from_the_audit_stream() -> Result<()> {
    let nats = Nats::start().await?;
    let broker = nats.client().await;
    let run = started(&broker);
    broker.streams.append(run.clone()).await?;
    // Well before a server looks again for a source that was not there.
    let soon = Duration::from_secs(5);
    until("the audit stream to have the first message", soon, || async {
        let all = broker.streams.read(&broker.subjects.audit_stream(), &run.subject, Select::From(Sequence(1))).await?;
        let all: Vec<_> = all.try_collect().await?;
        Ok(all.first().map(drop))
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_audit_stream_cannot_be_purged_and_its_messages_not_deleted() -> Result<()> {
    let nats = Nats::start().await?;
    let broker = nats.client().await;
    let stream = broker.subjects.audit_stream();
    let message = Append {
        stream: stream.clone(),
        subject: broker.subjects.audit().replace('>', "action"),
        expected: None,
        expected_end: None,
        ..started(&broker)
    };
    broker.streams.append(message.clone()).await?;
    for (request, body) in [("PURGE", ""), ("MSG.DELETE", r#"{"seq":1}"#)] {
        let answer = api(&broker, &format!("$JS.API.STREAM.{request}.{stream}"), body).await?;
        ensure!(answer.contains("\"error\"") && answer.contains("not permitted"), "{request}: {answer}");
    }
    let kept = broker.streams.last(&stream, &message.subject).await?.context("it is gone")?;
    ensure!(kept.payload == message.payload, "{kept:?}");
    Ok(())
}
