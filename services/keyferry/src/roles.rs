//! Each role as a process: settings, telemetry, connection, and the two ways to end.

use std::{
    io::Read,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use broker::Broker;
use clap::{Args, ValueEnum};
use coordinator::CoordinatorParts;
use emulator::{EmulatorError, Estate};
use gateway::GatewayParts;
use proto_msgs::{RequestCode, worker::Role as Member};
use runtime::{HumanDuration, Origin, Shutdown, telemetry};
use vault::azure::AzureVaults;
use worker::WorkerParts;

use crate::{failure::Failure, output, settings::Settings};

const FIX_LOG: &str = "the log above says what happened before";

#[derive(Debug, Clone, Args)]
pub struct Role {
    /// Settings; every one has a default.
    #[arg(long, value_name = "FILE.toml")]
    pub settings: Option<PathBuf>,
    /// Address of NATS, in place of the settings'.
    #[arg(long, value_name = "URL")]
    pub nats: Option<String>,
    /// Log filter: a level, or target=level,target=level.
    #[arg(long, env = "KEYFERRY_LOG", default_value = "info")]
    pub log: String,
    /// How log lines look.
    #[arg(long, value_enum, default_value_t)]
    pub log_format: LogFormat,
    /// Ends when standard input ends: with the process that started this one.
    #[arg(long, hide = true)]
    pub exit_with_stdin: bool,
}

#[derive(Debug, Clone, Args)]
pub struct Gateway {
    #[command(flatten)]
    pub role: Role,
    /// Where to listen, in place of the settings'.
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<SocketAddr>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One object a line.
    Json,
}

#[derive(Debug, Args)]
pub struct Emulator {
    /// Where to listen, with TLS.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8443")]
    pub listen: SocketAddr,
    /// What there is; the demo estate if nothing is given.
    #[arg(long, value_name = "FILE.yaml")]
    pub estate: Option<PathBuf>,
    /// Where the CA's certificate is written, for clients to trust.
    #[arg(long, value_name = "FILE.pem")]
    pub ca_out: Option<PathBuf>,
    /// What every call takes at least, 10m at most.
    #[arg(long, default_value = "0ms")]
    pub latency: HumanDuration,
    /// `azure` throttles as Azure does, `off` never.
    #[arg(long, default_value = "azure")]
    pub limits: emulator::Limits,
    /// Loopback only: settings, faults and counts, without a token.
    #[arg(long, value_name = "ADDRESS")]
    pub admin_listen: Option<SocketAddr>,
    /// Keeps state between starts.
    #[arg(long, value_name = "FILE")]
    pub state: Option<PathBuf>,
    /// Ends when standard input ends: with the process that started this one.
    #[arg(long, hide = true)]
    pub exit_with_stdin: bool,
}

pub async fn coordinator(args: Role) -> Result<(), Failure> {
    let (settings, shutdown) = begin(&args)?;
    let broker = Broker::connect(&settings.nats).await?;
    let parts = CoordinatorParts { broker, origin: Origin::system(Member::Coordinator) };
    let ended = coordinator::run(settings.coordinator, parts, shutdown).await;
    ended.map_err(|error| Failure::of(RequestCode::Unavailable, &error, FIX_LOG))
}

pub async fn worker(args: Role) -> Result<(), Failure> {
    // Before anything else: this process is going to hold values.
    runtime::forbid_core_dumps()
        .map_err(|error| Failure::of(RequestCode::Internal, &error, "allow the process to lower its own limits"))?;
    let (settings, shutdown) = begin(&args)?;
    let vaults = AzureVaults::new(settings.worker.azure.clone())
        .map_err(|error| Failure::of(RequestCode::InvalidInput, &error, "correct [worker.azure] of the settings"))?;
    let parts = WorkerParts {
        broker: Broker::connect(&settings.nats).await?,
        vaults: Arc::new(vaults),
        origin: Origin::system(Member::Worker),
        metrics: Arc::default(),
    };
    let ended = worker::run(settings.worker(), parts, shutdown).await;
    ended.map_err(|error| Failure::of(RequestCode::Unavailable, &error, FIX_LOG))
}

pub async fn gateway(args: Gateway) -> Result<(), Failure> {
    let (settings, shutdown) = begin(&args.role)?;
    let mut own = settings.gateway;
    own.listen = args.listen.unwrap_or(own.listen);
    let parts =
        GatewayParts { broker: Broker::connect(&settings.nats).await?, origin: Origin::system(Member::Gateway) };
    let bound = gateway::bind(own, parts)
        .map_err(|error| Failure::of(RequestCode::Unavailable, &error, "choose another address with --listen"))?;
    tracing::info!(addr = %bound.addr(), "gateway serves");
    bound.run(shutdown).await.map_err(|error| Failure::of(RequestCode::Internal, &error, FIX_LOG))
}

/// What comes before anything is connected to.
fn begin(args: &Role) -> Result<(Settings, Shutdown), Failure> {
    let settings = Settings::load(args.settings.as_deref(), args.nats.as_deref())?;
    let format = match args.log_format {
        LogFormat::Text => telemetry::LogFormat::Text,
        LogFormat::Json => telemetry::LogFormat::Json,
    };
    telemetry::init(&args.log, format)
        .map_err(|error| Failure::of(RequestCode::InvalidInput, &error, "give --log a level such as info"))?;
    Ok((settings, ending(args.exit_with_stdin)))
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
        estate: estate(args.estate.as_deref())?.0,
        state_file: args.state,
        ca_out: args.ca_out,
        latency: args.latency.0,
        limits: args.limits,
    };
    let shutdown = ending(args.exit_with_stdin);
    let running = emulator::start(settings).await.map_err(refused)?;
    let admin = running.admin_addr.map(|addr| addr.to_string());
    output::line(serde_json::json!({ "listening": running.addr.to_string(), "admin": admin }))?;
    shutdown.draining().await;
    running.stop().await.map_err(refused)
}

fn refused(error: EmulatorError) -> Failure {
    let (code, fix) = match &error {
        EmulatorError::Listen { .. } => {
            (RequestCode::Unavailable, "give another --listen or --admin-listen, or stop what listens there")
        }
        EmulatorError::AdminNotLoopback(_) => (RequestCode::InvalidInput, "give --admin-listen 127.0.0.1:PORT"),
        EmulatorError::LatencyTooLong(_) => (RequestCode::InvalidInput, "give --latency 10m or less"),
        EmulatorError::Read { .. } | EmulatorError::Write { .. } => {
            (RequestCode::InvalidInput, "give another --state or --ca-out, or make the file usable")
        }
        EmulatorError::Corrupt { .. } => (RequestCode::InvalidInput, "give another --state, or remove the file"),
        EmulatorError::Estate(_) => (RequestCode::InvalidInput, FIX_ESTATE),
        EmulatorError::Tls(_) | EmulatorError::TokenKey(_) | EmulatorError::Serve(_) => {
            (RequestCode::Internal, crate::failure::FIX_INTERNAL)
        }
    };
    Failure::of(code, &error, fix)
}

const FIX_ESTATE: &str = "correct the estate; services/emulator/src/demo.yaml is a whole one";

/// An estate from a file, with the file's text; or the demo's, which has none.
pub fn estate(file: Option<&Path>) -> Result<(Estate, String), Failure> {
    let Some(file) = file else { return Ok((Estate::demo(), String::new())) };
    let text = std::fs::read_to_string(file)
        .map_err(|error| Failure::path(file, "read", &error, "check that it exists and is a text you may read"))?;
    let estate = Estate::parse(&text);
    let estate = estate.map_err(|error| Failure::input(format!("{}: {error}", file.display()), FIX_ESTATE))?;
    Ok((estate, text))
}
