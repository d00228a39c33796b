//! The whole system on one machine: `keyferry up`.
//!
//! Every part is a process of its own, as in production, and ends with this one. Data lives in one folder, under fixed
//! ports, so that started again it goes on where it was. A part that dies is started again, so that anybody may see what
//! Keyferry does about it. Deliberately absent: anything a production should rely on.

mod children;
mod demo;
#[cfg(test)]
mod fixtures;
mod moved;
mod place;
mod progress;
mod summary;

use std::{
    fmt::Write,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    time::Duration,
};

use broker::Broker;
use clap::{Args, value_parser};
use proto_msgs::{
    CorrelationId, RequestCode,
    api::{ApiRole, ConfigView, Page, RecordView},
};
use tokio::signal::unix::{SignalKind, signal};

use crate::{
    client::{Client, path, query},
    commands::{config::counts, token},
    failure::Failure,
    invocation::Server,
    output::{self, tell},
    roles,
    settings::Settings,
    up::{
        children::Children,
        demo::Demo,
        place::{Place, short},
        progress::Seen,
        summary::Trouble,
    },
};

/// Longest a part may take until it serves, on a slow machine that does other things too.
const START_LIMIT: Duration = Duration::from_secs(90);
const LOOK_EVERY: Duration = Duration::from_millis(50);

#[derive(Debug, Args)]
pub struct Up {
    /// Where all data lives.
    #[arg(long, default_value = ".keyferry")]
    pub dir: PathBuf,
    /// How many workers.
    #[arg(long, default_value_t = 2, value_parser = value_parser!(u16).range(1..=64))]
    pub workers: u16,
    /// How many coordinators.
    #[arg(long, default_value_t = 1, value_parser = value_parser!(u16).range(1..=16))]
    pub coordinators: u16,
    /// The emulated Azure; the demo estate if nothing is given. Items go from its first vault to its second.
    #[arg(long, value_name = "FILE.yaml")]
    pub estate: Option<PathBuf>,
    /// Ends when every record is settled, with one JSON object as the last line on standard output; stopped before,
    /// the object says `"settled":false`.
    #[arg(long)]
    pub exit_when_synced: bool,
    /// The nats-server to use.
    #[arg(long, value_name = "FILE")]
    pub nats_server: Option<PathBuf>,
    /// Port of the gateway.
    #[arg(long, default_value_t = 8_080, value_parser = value_parser!(u16).range(1..))]
    pub port: u16,
    /// Port of NATS.
    #[arg(long, default_value_t = 4_222, value_parser = value_parser!(u16).range(1..))]
    pub nats_port: u16,
    /// Port of the emulated Azure; its admin listener has the next.
    #[arg(long, default_value_t = 8_443, value_parser = value_parser!(u16).range(1..=65_534))]
    pub emulator_port: u16,
}

impl Up {
    /// Port of the emulator's admin listener.
    fn admin_port(&self) -> u16 {
        self.emulator_port + 1
    }
}

pub async fn run(args: Up, correlation: CorrelationId) -> Result<u8, Failure> {
    let (estate, text) = roles::estate(args.estate.as_deref())?;
    let demo = Demo::of(args.estate.is_none(), &estate)?;
    let place = Place::take(&args)?;
    if !place.was_begun_with(&text)? {
        tell(format_args!(
            "the estate is another than {} was begun with: vaults and roles follow it, items that it lists for vaults from \
             before do not; another --dir begins anew",
            short(place.dir())
        ));
    }
    let mut children = Children::new(&place, demo.secret.clone())?;
    let mut seen = Seen::default();
    let result = tokio::select! {
        biased;
        signal = interrupted() => match signal {
            Ok(signal) => stopped(&args, &seen, signal).await,
            Err(failure) => Err(failure),
        },
        result = serve(&args, &place, &mut children, &demo, correlation, &mut seen) => result,
    };
    children.stop().await;
    result
}

/// Somebody stops it, which is a success unless more was asked for.
async fn stopped(args: &Up, seen: &Seen, signal: SignalKind) -> Result<u8, Failure> {
    tell("\nstopping");
    if args.exit_when_synced { summary::print_unsettled(seen, args.admin_port(), signal).await } else { Ok(0) }
}

/// The signal that stops it.
async fn interrupted() -> Result<SignalKind, Failure> {
    let heard = |kind| {
        let fix = "stop it with `kill -9`; its parts end with it";
        signal(kind).map_err(|error: std::io::Error| Failure::of(RequestCode::Internal, &error, fix))
    };
    let mut interrupt = heard(SignalKind::interrupt())?;
    let mut terminate = heard(SignalKind::terminate())?;
    let mut hangup = heard(SignalKind::hangup())?;
    Ok(tokio::select! {
        biased;
        _ = interrupt.recv() => SignalKind::interrupt(),
        _ = terminate.recv() => SignalKind::terminate(),
        _ = hangup.recv() => SignalKind::hangup(),
    })
}

async fn serve(
    args: &Up,
    place: &Place,
    children: &mut Children<'_>,
    demo: &Demo,
    correlation: CorrelationId,
    seen: &mut Seen,
) -> Result<u8, Failure> {
    let server = start(args, place, children, demo, correlation).await?;
    let client = Client::new(&server, correlation)?;
    let version = path(&["version"]);
    let answers = || async { Ok(client.get::<serde_json::Value>(&version).await.is_ok()) };
    children.until("the gateway", START_LIMIT, answers).await?;

    demo.replicate(&client, place, children, seen).await?;
    let by_status = seen.by_status();
    tell(format_args!("{} records: {}", by_status.values().sum::<u64>(), counts(&by_status)));
    let trouble = seen.views.iter().find_map(summary::trouble);
    if args.exit_when_synced {
        if let Some(trouble) = &trouble {
            tell(trouble.sentence(correlation));
        }
        return summary::print(seen, trouble.is_some(), args.admin_port()).await;
    }
    if let Some(view) = seen.views.first() {
        let example = example(&client, view).await;
        output::line(welcome(args, place, &server, view, trouble.as_ref(), example.as_ref()))?;
    }
    children.keep_up().await
}

/// Starts everything, and says how the gateway is reached.
async fn start(
    args: &Up,
    place: &Place,
    children: &mut Children<'_>,
    demo: &Demo,
    correlation: CorrelationId,
) -> Result<Server, Failure> {
    let settings = demo.write_settings(place, args)?;
    children.nats(args)?;
    tell(format_args!("starting NATS, the emulated Azure and Keyferry in {}", short(place.dir())));
    let nats_listens =
        || async { Ok(tokio::net::TcpStream::connect((Ipv4Addr::LOCALHOST, args.nats_port)).await.is_ok()) };
    children.until("NATS", START_LIMIT, nats_listens).await?;
    children.emulator(args)?;
    let emulator_listens = || async { Ok(place.output("emulator")?.contains("\"listening\"")) };
    children.until("the emulated Azure", START_LIMIT, emulator_listens).await?;

    let loaded = Settings::load(Some(&settings), None)?;
    broker::nats::provision(&loaded.nats, 1).await?;
    let broker = Broker::connect(&loaded.nats).await?;
    moved::to_port(&broker, args.emulator_port, correlation).await?;
    let token = token::create(&broker, "up", ApiRole::Admin, correlation).await?;
    children.role("gateway", "gateway", &settings)?;
    for number in 1..=args.coordinators {
        children.role("coordinator", &format!("coordinator-{number}"), &settings)?;
    }
    for number in 1..=args.workers {
        children.role("worker", &format!("worker-{number}"), &settings)?;
    }
    Ok(Server { server: format!("http://127.0.0.1:{}", args.port), token: Some(token) })
}

/// A record to look at. None where there is none, or where it cannot be had just now: nothing hangs on it.
async fn example(client: &Client, view: &ConfigView) -> Option<RecordView> {
    let id = view.config.id.to_string();
    let asked = query(&[("status", Some("active")), ("limit", Some("1"))]);
    let page: Page<RecordView> = client.get(&format!("{}?{asked}", path(&["configs", &id, "records"]))).await.ok()?;
    page.items.into_iter().next()
}

fn welcome(
    args: &Up,
    place: &Place,
    server: &Server,
    view: &ConfigView,
    trouble: Option<&Trouble>,
    example: Option<&RecordView>,
) -> String {
    let (config, token) = (&view.config.spec.name, server.token.as_deref().unwrap_or_default());
    let mut text = match trouble {
        None => "\nKeyferry is up.".to_owned(),
        Some(Trouble { code, what, fix }) => {
            format!("\nKeyferry is up, but {}: {code}: {what}.\n  fix: {fix}\n", summary::INCOMPLETE)
        }
    };
    let file = |path: &Path| short(path);
    // Writing to a string cannot fail.
    let _ = write!(
        text,
        " Ctrl-C stops it; what it knows stays in {dir}.\n\n  API            {api}/api/v1\n  emulated Azure \
         https://<vault>.vault.localhost:{emulator}  (CA: {ca})\n  its admin      http://127.0.0.1:{admin}\n  NATS           \
         nats://127.0.0.1:{nats}\n  logs           {logs}\n\nAdmin token of this start:\n\n  export \
         KEYFERRY_SERVER={api} KEYFERRY_TOKEN={token}\n\nTry next, in another terminal:\n",
        dir = file(place.dir()),
        api = server.server,
        emulator = args.emulator_port,
        ca = file(&place.file("ca.pem")),
        admin = args.admin_port(),
        nats = args.nats_port,
        logs = file(&place.file("logs")),
    );
    let record = match example {
        Some(view) => format!("records get '{config}' {} {}", view.record.id.kind, view.record.id.name),
        None => format!("config get '{config}'"),
    };
    let program = std::env::current_exe().map_or_else(|_| "keyferry".to_owned(), |path| short(&path));
    for command in [format!("records list '{config}' --status active"), record, format!("watch '{config}'")] {
        let _ = write!(text, "\n  {program} {command}");
    }
    text.push('\n');
    text
}
