//! Edits of a config: by a file, in an editor, paused and going on.

use std::{
    env, fs,
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    process::Command,
};

use clap::Args;
use emulator::yaml;
use proto_msgs::{
    ConfigSpec, RequestCode, Revision,
    api::{ConfigView, ReasonBody},
};
use serde::Deserialize;
use serde_json::Value;

use super::{
    choice::quoted,
    config::{describe, read_text, spec_of},
    control::Reason,
};
use crate::{
    client::{Client, path, query},
    failure::{FIX_INTERNAL, Failure},
    invocation::{ConfigArg, Invocation},
    output,
};

/// Taken where neither VISUAL nor EDITOR is set.
const EDITOR: &str = "vi";
const HEADER: &str = "# Save and leave the editor to change the config; leave it as it is to change nothing.\n\
     # source, target and target_type are fixed: another pair of vaults is another config.\n";

#[derive(Debug, Args)]
pub struct Edit {
    #[command(flatten)]
    config: ConfigArg,
    /// The whole config as it shall be; `-` is standard input. Without it, an editor is opened (VISUAL or EDITOR).
    #[arg(short, long, value_name = "FILE.yaml")]
    file: Option<PathBuf>,
    /// Changes nothing if the config has another revision; `config get` shows it.
    #[arg(long, value_name = "N")]
    revision: Option<u64>,
    #[command(flatten)]
    reason: Reason,
}

/// Pauses a config, or lets it go on.
#[derive(Debug, Args)]
pub struct Pausing {
    #[command(flatten)]
    config: ConfigArg,
    #[command(flatten)]
    reason: Reason,
}

impl Edit {
    pub async fn run(self, invocation: &Invocation) -> Result<(), Failure> {
        let client = invocation.client()?;
        let view: ConfigView = client.get(&path(&["configs", &self.config.config])).await?;
        let revision = self.revision.map_or(view.revision, Revision);
        let edited = match &self.file {
            Some(file) => {
                let text = read_text(file)?;
                self.send(&client, revision, body(&text, file)?).await?
            }
            None => match self.in_editor(&client, &view, revision, invocation).await? {
                Some(edited) => edited,
                None => {
                    output::tell("nothing was changed");
                    view
                }
            },
        };
        invocation.answer(&edited, || describe(&edited))
    }

    async fn send(&self, client: &Client, seen: Revision, body: Value) -> Result<ConfigView, Failure> {
        let asked = query(&[("reason", self.reason.reason.as_deref())]);
        let separator = if asked.is_empty() { "" } else { "?" };
        let path = format!("{}{separator}{asked}", path(&["configs", &self.config.config]));
        client.put(&path, seen, &body).await
    }

    /// None: the text was left as it was.
    async fn in_editor(
        &self,
        client: &Client,
        view: &ConfigView,
        seen: Revision,
        invocation: &Invocation,
    ) -> Result<Option<ConfigView>, Failure> {
        let before = text(&view.config.spec)?;
        let file = env::temp_dir().join(format!("keyferry-{}.yaml", invocation.correlation));
        write(&file, &before)?;
        let after = edit(&file).and_then(|()| read_text(&file)).inspect_err(|_| _ = fs::remove_file(&file))?;
        let sent = match after == before {
            true => Ok(None),
            false => match body(&after, &file) {
                Ok(body) => self.send(client, seen, body).await.map(Some),
                Err(failure) => Err(failure),
            },
        };
        match sent {
            Ok(sent) => {
                // In a folder for what is temporary.
                let _ = fs::remove_file(&file);
                Ok(sent)
            }
            Err(failure) => {
                let (config, name) = (quoted(&self.config.config), quoted(&file.display().to_string()));
                output::tell(format_args!("what you wrote is kept: keyferry config edit {config} -f {name}"));
                Err(failure)
            }
        }
    }
}

pub async fn pause(pausing: Pausing, invocation: &Invocation) -> Result<(), Failure> {
    set_paused(pausing, "pause", "is paused: it keeps its state and starts nothing", invocation).await
}

pub async fn resume(pausing: Pausing, invocation: &Invocation) -> Result<(), Failure> {
    set_paused(pausing, "resume", "is not paused", invocation).await
}

async fn set_paused(pausing: Pausing, verb: &str, said: &str, invocation: &Invocation) -> Result<(), Failure> {
    let config = pausing.config.config;
    let body: ReasonBody = pausing.reason.body();
    let view: ConfigView = invocation.client()?.post_body(&path(&["configs", &config, verb]), &body).await?;
    invocation.answer(&view, || format!("{} {said}", view.config.spec.name))
}

/// What a file says of pausing: nothing, if it is left out; then the edit leaves it as it is.
#[derive(Deserialize)]
struct Paused {
    paused: Option<bool>,
}

fn body(text: &str, file: &Path) -> Result<Value, Failure> {
    let spec = spec_of(text, file)?;
    let internal = |error: &dyn std::error::Error| Failure::of(RequestCode::Internal, error, FIX_INTERNAL);
    let said: Paused = yaml::read(text).map_err(|error| internal(&error))?;
    let mut body = serde_json::to_value(&spec).map_err(|error| internal(&error))?;
    if let Some(paused) = said.paused {
        body["paused"] = paused.into();
    }
    Ok(body)
}

/// A spec as it is edited: with every key.
fn text(spec: &ConfigSpec) -> Result<String, Failure> {
    let text = serde_saphyr::to_string(spec)
        .map_err(|error| Failure::of(RequestCode::Internal, &error, "edit it with -f FILE.yaml"))?;
    let paused = if spec.paused { "" } else { "paused: false\n" };
    Ok(format!("{HEADER}{}\n{paused}", text.trim_end()))
}

/// Readable by nobody else; never a file that is there already.
fn write(file: &Path, text: &str) -> Result<(), Failure> {
    let mut options = fs::OpenOptions::new();
    let mut written = options.write(true).create_new(true).mode(0o600).open(file);
    let result = written.as_mut().map_err(|error| std::io::Error::new(error.kind(), error.to_string()));
    result
        .and_then(|file| file.write_all(text.as_bytes()))
        .map_err(|error| Failure::path(file, "written", &error, "set TMPDIR to a folder you may write in"))
}

/// Opens the editor and waits for it. What is set may have arguments of its own, so a shell reads it.
fn edit(file: &Path) -> Result<(), Failure> {
    let set = |name: &str| env::var(name).ok().filter(|value| !value.trim().is_empty());
    let editor = set("VISUAL").or_else(|| set("EDITOR")).unwrap_or_else(|| EDITOR.to_owned());
    let fix = "set EDITOR to an editor that waits until it is closed, or pass -f FILE.yaml";
    let status = Command::new("sh").args(["-c", &format!("{editor} \"$1\""), "sh"]).arg(file).status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => {
            Err(Failure::input(format!("the editor `{editor}` ended with {status}: nothing was changed"), fix))
        }
        Err(error) => Err(Failure::input(format!("the editor `{editor}` cannot be started: {error}"), fix)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPEC: &str = "name: a\nsource: { vault: from-kv }\ntarget: { uri: \"https://into\", subscription: s, region: r }\n\
        item_types: [secrets, keys]\nrule: { kind: manual, names: [a, b] }\nexclude: [\"c*\"]\nbehaviour: { interval: 5m }\n";

    #[test]
    fn what_the_editor_shows_is_read_back_as_it_was() {
        let file = Path::new("a.yaml");
        for paused in [false, true] {
            let spec = ConfigSpec { paused, ..spec_of(SPEC, file).unwrap() };
            let shown = text(&spec).unwrap();
            assert_eq!(spec_of(&shown, file).unwrap(), spec, "{shown}");
            assert!(shown.contains(&format!("paused: {paused}")), "{shown}");
        }
    }

    #[test]
    fn a_file_that_says_nothing_of_pausing_leaves_it_as_it_is() {
        let file = Path::new("a.yaml");
        assert_eq!(body(SPEC, file).unwrap().get("paused"), None);
        for paused in [false, true] {
            assert_eq!(body(&format!("{SPEC}paused: {paused}\n"), file).unwrap()["paused"], paused);
        }
    }
}
