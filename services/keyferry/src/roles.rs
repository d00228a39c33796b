//! Each role as a process: settings, telemetry, connection, and the two ways to end.

use std::{io::Read, sync::Arc};

use broker::Broker;
use coordinator::CoordinatorParts;
use emulator::Estate;
use gateway::GatewayParts;
use proto_msgs::{RequestCode, worker::Role as Member};
use runtime::{Origin, Shutdown, telemetry};
use vault::azure::AzureVaults;
use worker::WorkerParts;

use crate::{
    cli::{Emulator, LogFormat, Role},
    failure::Failure,
    settings::Settings,
};

const FIX_LOG: &str = "the log above says what happened before";

pub async fn coordinator(args: Role) -> Result<(), Failure> {
    let (settings, broker, shutdown) = begin(&args).await?;
    let parts = CoordinatorParts { broker, origin: Origin::system(Member::Coordinator) };
    let ended = coordinator::run(settings.coordinator, parts, shutdown).await;
    ended.map_err(|error| Failure::of(RequestCode::Unavailable, &error, FIX_LOG))
}

pub async fn worker(args: Role) -> Result<(), Failure> {
    // Before anything else: this process is going to hold values.
    runtime::forbid_core_dumps()
        .map_err(|error| Failure::of(RequestCode::Internal, &error, "allow the process to lower its own limits"))?;
    let (settings, broker, shutdown) = begin(&args).await?;
    let vaults = AzureVaults::new(settings.worker.azure.clone())
        .map_err(|error| Failure::of(RequestCode::InvalidInput, &error, "correct [worker.azure] of the settings"))?;
    let parts = WorkerParts {
        broker,
        vaults: Arc::new(vaults),
        origin: Origin::system(Member::Worker),
        metrics: Arc::default(),
    };
    let ended = worker::run(settings.worker(), parts, shutdown).await;
    ended.map_err(|error| Failure::of(RequestCode::Unavailable, &error, FIX_LOG))
}

pub async fn gateway(args: Role) -> Result<(), Failure> {
    let listen = args.listen;
    let (settings, broker, shutdown) = begin(&args).await?;
    let mut own = settings.gateway;
    own.listen = listen.unwrap_or(own.listen);
    let parts = GatewayParts { broker, origin: Origin::system(Member::Gateway) };
    let bound = gateway::bind(own, parts)
        .map_err(|error| Failure::of(RequestCode::Unavailable, &error, "choose another address with --listen"))?;
    tracing::info!(addr = %bound.addr(), "gateway serves");
    bound.run(shutdown).await.map_err(|error| Failure::of(RequestCode::Internal, &error, FIX_LOG))
}

async fn begin(args: &Role) -> Result<(Settings, Broker, Shutdown), Failure> {
    let settings = Settings::load(args.settings.as_deref(), args.nats.as_deref())?;
    let format = match args.log_format {
        LogFormat::Text => telemetry::LogFormat::Text,
        LogFormat::Json => telemetry::LogFormat::Json,
    };
    telemetry::init(&args.log, format)
        .map_err(|error| Failure::of(RequestCode::InvalidInput, &error, "give --log a level such as info"))?;
    let shutdown = ending(args.exit_with_stdin);
    let broker = Broker::connect(&settings.nats).await?;
    Ok((settings, broker, shutdown))
}

/// Ends on signals, and with the process that started this one where that was asked for.
#[expect(clippy::disallowed_methods, reason = "lives as long as the process, and its end changes nothing else")]
fn ending(with_stdin: bool) -> Shutdown {
    let shutdown = Shutdown::new();
    let signals = shutdown.clone();
    actix_rt::spawn(async move {
        if let Err(error) = signals.follow_signals().await {
            tracing::warn!(error = &error as &dyn std::error::Error, "signals are not heard");
        }
    });
    if with_stdin {
        let shutdown = shutdown.clone();
        // Reading standard input blocks until it ends, and cannot be cancelled: a thread of its own.
        std::thread::spawn(move || {
            let mut buffer = [0; 64];
            while matches!(std::io::stdin().read(&mut buffer), Ok(1..)) {}
            shutdown.stop();
        });
    }
    shutdown
}

pub async fn emulator(args: Emulator) -> Result<(), Failure> {
    telemetry::init("warn", telemetry::LogFormat::Text)
        .map_err(|error| Failure::of(RequestCode::Internal, &error, FIX_LOG))?;
    let settings = emulator::Settings {
        listen: args.listen,
        admin_listen: args.admin_listen,
        estate: estate(args.estate.as_deref())?,
        state_file: args.state,
        ca_out: args.ca_out,
        latency: args.latency.0,
        limits: args.limits,
    };
    let shutdown = ending(args.exit_with_stdin);
    let running = emulator::start(settings).await.map_err(refused)?;
    let admin = running.admin_addr.map(|addr| addr.to_string());
    println!("{}", serde_json::json!({ "listening": running.addr.to_string(), "admin": admin }));
    shutdown.draining().await;
    running.stop().await.map_err(refused)
}

fn refused(error: emulator::EmulatorError) -> Failure {
    let is_input = matches!(error, emulator::EmulatorError::Estate(_) | emulator::EmulatorError::AdminNotLoopback(_));
    let code = if is_input { RequestCode::InvalidInput } else { RequestCode::Unavailable };
    Failure::of(code, &error, "correct what is named, and start it again")
}

/// An estate from a file, or the demo's.
pub fn estate(file: Option<&std::path::Path>) -> Result<Estate, Failure> {
    let Some(file) = file else { return Ok(Estate::demo()) };
    let unreadable = |error: std::io::Error| {
        Failure::of(RequestCode::InvalidInput, &error, format!("check that {} exists and can be read", file.display()))
    };
    let text = std::fs::read_to_string(file).map_err(unreadable)?;
    Estate::parse(&text).map_err(|error| {
        Failure::input(
            format!("{}: {error}", file.display()),
            "correct the estate; the emulator's README shows a whole one",
        )
    })
}
