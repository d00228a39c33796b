//! The whole system on one machine: `keyferry up`.
//!
//! Every part is a process of its own, as in production, and ends with this one. Data lives in one folder, under fixed
//! ports, so that started again it goes on where it was. Deliberately absent: anything a production should rely on.

mod children;
mod demo;
mod place;
mod progress;
mod summary;

use std::{net::Ipv4Addr, time::Duration};

use broker::Broker;
use proto_msgs::{RequestCode, api::ApiRole};

use crate::{
    cli::{Server, Up},
    client::Client,
    commands::token,
    failure::Failure,
    roles,
    settings::Settings,
    up::{children::Children, place::Place},
};

/// Longest a part may take until it serves, on a slow machine that does other things too.
const START_LIMIT: Duration = Duration::from_secs(90);
const LOOK_EVERY: Duration = Duration::from_millis(50);

pub async fn run(args: Up) -> Result<u8, Failure> {
    let estate = roles::estate(args.estate.as_deref())?;
    let pair = demo::pair(&estate)?;
    let place = Place::take(&args)?;
    let mut children =
        Children::new(&place, estate.first_identity().map(|(_, secret)| secret.to_owned()).unwrap_or_default());
    let result = tokio::select! {
        result = serve(&args, &place, &mut children, &estate, &pair) => result,
        interrupted = interrupted() => interrupted.map(|()| {
            eprintln!("\nstopping");
            0
        }),
    };
    children.stop().await;
    result
}

async fn interrupted() -> Result<(), Failure> {
    use tokio::signal::unix::{SignalKind, signal};
    let failed = |error: std::io::Error| Failure::of(RequestCode::Internal, &error, "");
    let (mut interrupt, mut terminate) =
        (signal(SignalKind::interrupt()).map_err(failed)?, signal(SignalKind::terminate()).map_err(failed)?);
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    Ok(())
}

async fn serve(
    args: &Up,
    place: &Place,
    children: &mut Children<'_>,
    estate: &emulator::Estate,
    pair: &demo::Pair,
) -> Result<u8, Failure> {
    let settings = demo::write_settings(place, args, estate)?;
    children.nats(args)?;
    eprintln!("starting NATS, the emulated Azure and Keyferry in {}", place.dir().display());
    children
        .until("NATS", START_LIMIT, || async {
            tokio::net::TcpStream::connect((Ipv4Addr::LOCALHOST, args.nats_port)).await.is_ok()
        })
        .await?;
    children.emulator(args)?;
    children
        .until("the emulated Azure", START_LIMIT, || async { place.output("emulator").contains("\"listening\"") })
        .await?;

    let loaded = Settings::load(Some(&settings), None)?;
    broker::nats::provision(&loaded.nats, 1).await?;
    let token = token::create(&Broker::connect(&loaded.nats).await?, "up", ApiRole::Admin).await?;
    children.role("gateway", "gateway", &settings)?;
    for number in 1..=args.coordinators {
        children.role("coordinator", &format!("coordinator-{number}"), &settings)?;
    }
    for number in 1..=args.workers {
        children.role("worker", &format!("worker-{number}"), &settings)?;
    }
    let server = Server { server: format!("http://127.0.0.1:{}", args.port), token: Some(token) };
    let client = Client::new(&server)?;
    children
        .until("the gateway", START_LIMIT, || async {
            client.get::<serde_json::Value>("/api/v1/version").await.is_ok()
        })
        .await?;

    let started = tokio::time::Instant::now();
    let config = demo::create(&client, pair, children).await?;
    let view = progress::follow(&client, &config, children).await?;
    let taken = started.elapsed();
    if args.exit_when_synced {
        return summary::print(&view, taken, args.emulator_port + 1).await;
    }
    say(args, place, &server, &view.config.spec.name);
    children.first_end().await
}

fn say(args: &Up, place: &Place, server: &Server, config: &str) {
    let token = server.token.as_deref().unwrap_or_default();
    println!("\nKeyferry is up. Ctrl-C stops it; what it knows stays in {}.\n", place.dir().display());
    println!("  API            {}/api/v1", server.server);
    println!(
        "  emulated Azure https://<vault>.vault.localhost:{}  (CA: {})",
        args.emulator_port,
        place.file("ca.pem").display()
    );
    println!("  its admin      http://127.0.0.1:{}", args.emulator_port + 1);
    println!("  NATS           nats://127.0.0.1:{}", args.nats_port);
    println!("  logs           {}\n", place.file("logs").display());
    println!("Admin token of this start:\n");
    println!("  export KEYFERRY_SERVER={} KEYFERRY_TOKEN={token}\n", server.server);
    println!("Try next, in another terminal:\n");
    let program = std::env::current_exe().map_or_else(|_| "keyferry".to_owned(), |path| place::short(&path));
    println!("  {program} records list '{config}' --status 'active' --type keys");
    println!(
        "  {program} records get '{config}' secrets {}",
        if args.estate.is_none() { "db-password" } else { "NAME" }
    );
    println!("  {program} watch '{config}'\n");
}
