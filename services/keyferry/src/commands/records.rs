//! Records.

use proto_msgs::api::{Accepted, RecordView};

use crate::{
    cli::{Output, Records, Server},
    client::{Client, query, segment},
    failure::Failure,
    output::{self, or_dash},
};

pub async fn run(server: &Server, output: Output, command: Records) -> Result<(), Failure> {
    let client = Client::new(server)?;
    match command {
        Records::List { config, status, kind, name } => {
            let filter = [
                ("limit", Some("500")),
                ("status", status.as_deref()),
                ("type", kind.as_deref()),
                ("name", name.as_deref()),
            ];
            let path = format!("/api/v1/configs/{}/records?{}", segment(&config), query(&filter));
            let views: Vec<RecordView> = client.all(&path).await?;
            output::print(output, &views, || list(&views))
        }
        Records::Get { config, kind, name } => {
            let path = format!("/api/v1/configs/{}/records/{}/{}", segment(&config), segment(&kind), segment(&name));
            let view: RecordView = client.get(&path).await?;
            output::print(output, &view, || describe(&view))
        }
        Records::Sync { config, kind: Some(kind), name: Some(name) } => {
            let path =
                format!("/api/v1/configs/{}/records/{}/{}/sync", segment(&config), segment(&kind), segment(&name));
            let accepted: Accepted = client.post(&path, None).await?;
            output::print(output, &accepted, || {
                format!("{kind} {name} is synced now, under {}", accepted.correlation_id)
            })
        }
        Records::Sync { config, .. } => {
            let path = format!("/api/v1/configs/{}/sync", segment(&config));
            let accepted: Accepted = client.post(&path, None).await?;
            output::print(output, &accepted, || format!("{config} runs, under {}", accepted.correlation_id))
        }
    }
}

fn row(view: &RecordView) -> Vec<String> {
    let record = &view.record;
    vec![
        record.id.kind.to_string(),
        record.id.name.to_string(),
        record.status.to_string(),
        or_dash(record.code),
        view.at.to_string(),
    ]
}

fn list(views: &[RecordView]) -> String {
    output::table(&["TYPE", "NAME", "STATUS", "CODE", "SINCE"], views.iter().map(row))
}

fn describe(view: &RecordView) -> String {
    let record = &view.record;
    let mut lines = vec![
        format!("{} {}", record.id.kind, record.id.name),
        format!("status   {}", record.status),
        format!("code     {}", or_dash(record.code)),
    ];
    if let Some(detail) = &record.detail {
        lines.push(format!("detail   {}", detail.message.replace(['\r', '\n'], " ")));
    }
    if let Some(fix) = &view.fix {
        lines.push(format!("fix      {fix}"));
    }
    lines.push(format!("since    {}", view.at));
    lines.push(format!("run      {}", view.correlation_id));
    if !view.history.is_empty() {
        lines.push("\nbefore:".to_owned());
        let rows = view.history.iter().map(|past| {
            let worker = past.record.unresolved.as_ref().map(|attempt| attempt.worker.to_string());
            vec![past.at.to_string(), past.record.status.to_string(), or_dash(past.record.code), or_dash(worker)]
        });
        lines.push(output::table(&["AT", "STATUS", "CODE", "WORKER"], rows));
    }
    lines.join("\n")
}
