//! The admin listener: settings, faults, counts and the managed-identity endpoint, in plain HTTP on loopback.
//!
//! Whoever reaches it may change everything; that is why it listens on loopback only.

mod refusal;

use std::{sync::atomic::Ordering, time::Duration};

use actix_web::{HttpRequest, HttpResponse, ResponseError, web};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

pub use self::refusal::Refusal;
use crate::{
    Limits,
    estate::{Firewall, RoleAssignment},
    faults::{FaultSet, MAX_DELAY_MS},
    roles::Role,
    routes::{Query, login},
    state::set,
    vault::Access,
    world::World,
};

type Answer = Result<HttpResponse, Refusal>;

/// Where everything is.
pub fn configure(config: &mut web::ServiceConfig) {
    let body = web::JsonConfig::default().error_handler(|error, _| Refusal::body(&error).into());
    config
        .app_data(body)
        .service(resource("/healthz", "GET").get(HttpResponse::Ok))
        .service(resource("/counts", "GET, DELETE").get(counts).delete(reset_counts))
        .service(resource("/settings", "GET, PATCH").get(settings).patch(change_settings))
        .service(resource("/faults", "GET, PUT").get(faults).put(set_faults))
        .service(resource("/vaults", "GET").get(vaults))
        .service(resource("/vaults/{name}", "PATCH").patch(change_vault))
        .service(resource("/msi/token", "GET").get(managed_identity))
        .default_service(web::to(nowhere));
}

/// A path that refuses every method but those it is given.
fn resource(path: &'static str, methods: &'static str) -> actix_web::Resource {
    let refuse = move |request: HttpRequest| async move { Answer::Err(Refusal::method(&request, methods)) };
    web::resource(path).default_service(web::to(refuse))
}

async fn nowhere(request: HttpRequest) -> Answer {
    let fix = "use /counts, /settings, /faults, /vaults, /vaults/{name}, /msi/token or /healthz";
    Err(Refusal::not_found(format!("nothing is at {}", request.path()), fix))
}

async fn counts(world: web::Data<World>) -> HttpResponse {
    let mut rows: Vec<Value> = world.vaults.iter().flat_map(|vault| vault.counts.rows(&vault.name)).collect();
    rows.extend(world.arm_counts.rows("arm"));
    rows.extend(world.login_counts.rows("login"));
    HttpResponse::Ok().json(json!({ "rows": rows }))
}

async fn reset_counts(world: web::Data<World>) -> HttpResponse {
    world
        .vaults
        .iter()
        .map(|vault| &vault.counts)
        .chain([&world.arm_counts, &world.login_counts])
        .for_each(crate::counts::Counts::reset);
    HttpResponse::NoContent().finish()
}

/// Longest that deleting may take: a day is more than Azure ever needs.
const MAX_PHASE_MS: u64 = 86_400_000;
/// Furthest the clock can be moved, either way: 50 years, within which every date can be written.
const MAX_OFFSET_MS: i64 = 50 * 365 * 86_400_000;
/// Longest a token may live.
const MAX_LIFETIME_S: i64 = 365 * 86_400;
/// Most entries the management plane gives at once.
const MAX_ARM_PAGE: usize = 1_000;

/// Everything that can be set; what is not said stays.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SettingsBody {
    latency_ms: Option<u64>,
    /// How long deleting and recovering take.
    phase_ms: Option<u64>,
    limits: Option<Limits>,
    empty_first_pages: Option<bool>,
    token_lifetime_s: Option<i64>,
    /// By how much the emulator's clock is ahead of the host's.
    clock_offset_ms: Option<i64>,
    /// Entries in a page of the management plane.
    arm_page_size: Option<usize>,
}

impl SettingsBody {
    /// Refuses what cannot be meant, before any of it is set.
    fn check(&self) -> Result<(), String> {
        let within = |name: &str, value: Option<i64>, least: i64, most: i64| match value {
            Some(value) if !(least..=most).contains(&value) => Err(format!("{name} is {least} to {most}, not {value}")),
            _ => Ok(()),
        };
        let wide = |value: Option<u64>| value.map(|value| i64::try_from(value).unwrap_or(i64::MAX));
        within("latency_ms", wide(self.latency_ms), 0, MAX_DELAY_MS.cast_signed())?;
        within("phase_ms", wide(self.phase_ms), 0, MAX_PHASE_MS.cast_signed())?;
        within("token_lifetime_s", self.token_lifetime_s, 0, MAX_LIFETIME_S)?;
        within("clock_offset_ms", self.clock_offset_ms, -MAX_OFFSET_MS, MAX_OFFSET_MS)?;
        match self.arm_page_size {
            Some(size) if !(1..=MAX_ARM_PAGE).contains(&size) => {
                Err(format!("arm_page_size is 1 to {MAX_ARM_PAGE}, not {size}"))
            }
            _ => Ok(()),
        }
    }
}

fn current(world: &World) -> SettingsBody {
    let millis = |duration: Duration| u64::try_from(duration.as_millis()).ok();
    SettingsBody {
        latency_ms: millis(world.knobs.latency()),
        phase_ms: millis(world.knobs.phase()),
        limits: Some(world.knobs.limits()),
        empty_first_pages: Some(world.knobs.empty_first_pages.load(Ordering::Relaxed)),
        token_lifetime_s: Some(world.tokens.lifetime_s()),
        clock_offset_ms: Some(world.clock.offset_ms()),
        arm_page_size: Some(world.knobs.arm_page_size.load(Ordering::Relaxed)),
    }
}

async fn settings(world: web::Data<World>) -> HttpResponse {
    HttpResponse::Ok().json(current(&world))
}

async fn change_settings(world: web::Data<World>, body: web::Json<SettingsBody>) -> Answer {
    let body = body.into_inner();
    body.check().map_err(|text| Refusal::input(text, "send a number within these bounds, or leave it out"))?;
    if let Some(millis) = body.latency_ms {
        world.knobs.set_latency(Duration::from_millis(millis));
    }
    if let Some(millis) = body.phase_ms {
        world.knobs.set_phase(Duration::from_millis(millis));
    }
    if let Some(limits) = body.limits {
        world.knobs.set_limits(limits);
    }
    if let Some(on) = body.empty_first_pages {
        world.knobs.empty_first_pages.store(on, Ordering::Relaxed);
    }
    if let Some(seconds) = body.token_lifetime_s {
        world.tokens.set_lifetime_s(seconds);
    }
    if let Some(millis) = body.clock_offset_ms {
        world.clock.set_offset_ms(millis);
    }
    if let Some(size) = body.arm_page_size {
        world.knobs.arm_page_size.store(size, Ordering::Relaxed);
    }
    Ok(HttpResponse::Ok().json(current(&world)))
}

async fn faults(world: web::Data<World>) -> HttpResponse {
    HttpResponse::Ok().json(json!({ "faults": world.faults.states() }))
}

async fn set_faults(world: web::Data<World>, body: web::Json<FaultSet>) -> Answer {
    let fix = "correct that fault: services/emulator/README.md shows what may be in one";
    world.faults.replace(body.into_inner()).map_err(|text| Refusal::input(text, fix))?;
    Ok(HttpResponse::Ok().json(json!({ "faults": world.faults.states() })))
}

async fn vaults(world: web::Data<World>) -> HttpResponse {
    let list = world.vaults.iter().map(|vault| {
        json!({
            "name": vault.name,
            "id": vault.resource_id(),
            "uri": vault.place.base,
            "subscription": vault.subscription_id,
            "region": vault.region.name,
            "geography": vault.region.geography,
            "firewall": vault.firewall(),
        })
    });
    HttpResponse::Ok().json(json!({ "vaults": list.collect::<Vec<_>>() }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct VaultBody {
    firewall: Option<Firewall>,
    /// All assignments, in place of those there are.
    roles: Option<Vec<RoleAssignment>>,
    /// Where it is moved to: another ARM id under the same name.
    resource_group: Option<String>,
}

async fn change_vault(world: web::Data<World>, name: web::Path<String>, body: web::Json<VaultBody>) -> Answer {
    let vault = world.vault(&name).ok_or_else(|| {
        Refusal::not_found(format!("there is no vault `{name}`"), "GET /vaults lists those there are")
    })?;
    let body = body.into_inner();
    if let Some(roles) = body.roles {
        if let Some(unknown) = roles.iter().find(|given| Role::find(&given.role, &world.custom_roles).is_none()) {
            let fix = format!("name one of the estate's custom_roles, or one of: {}", Role::built_in_names());
            return Err(Refusal::input(format!("the role `{}` is not known", unknown.role), fix));
        }
        let is_identity = |name: &str| world.identities.iter().any(|known| known.name.eq_ignore_ascii_case(name));
        if let Some(unknown) = roles.iter().find(|given| !is_identity(&given.identity)) {
            let message = format!("the identity `{}` is not in the estate", unknown.identity);
            return Err(Refusal::input(message, "name one of the estate's identities"));
        }
        let (authorization, policies) = {
            let access = vault.access.read();
            (access.authorization, access.policies.clone())
        };
        *vault.access.write() = Access::new(authorization, &roles, policies, &world.identities, &world.custom_roles);
    }
    if let Some(firewall) = body.firewall {
        vault.set_firewall(firewall);
    }
    if let Some(group) = body.resource_group {
        vault.move_to(group);
    }
    Ok(HttpResponse::NoContent().finish())
}

async fn managed_identity(world: web::Data<World>, request: HttpRequest) -> HttpResponse {
    let header = request.headers().get("x-identity-header").and_then(|value| value.to_str().ok());
    match login::managed_identity(&world, header, &Query::parse(request.query_string())) {
        Ok(token) => HttpResponse::Ok().json(token),
        Err(refusal) => in_app_service_words(&refusal),
    }
}

/// Its clients are Azure's, and some of them read what App Service says.
fn in_app_service_words(refusal: &Refusal) -> HttpResponse {
    let status = refusal.status_code();
    let mut body = refusal.json();
    set(&mut body, "statusCode", json!(status.as_u16()));
    set(&mut body, "message", json!(refusal.to_string()));
    HttpResponse::build(status).json(body)
}

#[cfg(test)]
mod tests;
