//! What owners do to items: at the source, and behind Keyferry's back at the target. What a vault refuses is refused.

use std::{collections::BTreeMap, time::Duration};

use proto_msgs::{
    ItemType,
    vault::{Attributes, Side},
};
use vault::{
    VaultErrorKind,
    memory::{Content, Format, NewCertificate, Owner, Slot, Version},
};

use crate::{
    chance::Chance,
    faults::CANARY,
    scenario::{Change, First},
    world::{Touch, World, beginning, item_name},
};

const YEAR: Duration = Duration::from_secs(365 * 86_400);

/// Every owner at once. Values are never used twice.
pub struct Owners {
    chance: Chance,
    values: u64,
}

impl Owners {
    pub fn new(seed: u64) -> Self {
        Self { chance: Chance::new(seed ^ 0x0133), values: 0 }
    }

    /// Puts everything in place that is there when the story begins.
    pub fn begin(&mut self, world: &mut World) {
        for item in 0..world.scenario.items.len() {
            let first = world.scenario.items[item].at_source;
            self.first(world, item, Side::Source, first);
            let first = world.scenario.items[item].at_target;
            self.first(world, item, Side::Target, first);
        }
        world.touches.clear();
    }

    fn first(&mut self, world: &mut World, item: usize, side: Side, first: First) {
        let (owner, plan) = (owner_of(world, item, side), world.scenario.items[item].clone());
        let name = item_name(&plan.name);
        match first {
            First::Absent => {}
            First::Live => self.change(world, item, side, Change::Set),
            First::Equal => self.change(world, item, side, Change::Copy),
            First::Disabled | First::Deleted => {
                self.change(world, item, side, Change::Set);
                let then = if first == First::Disabled { Change::Disable } else { Change::Delete };
                self.change(world, item, side, then);
            }
            First::Pending => _ = owner.request_certificate(&name),
            First::NotExportable => {
                _ = owner.issue(&name, &NewCertificate { exportable: false, ..self.certificate(false) })
            }
            First::Expired => {
                let not_after = beginning().minus(YEAR);
                _ = owner.issue(&name, &NewCertificate { not_after, ..self.certificate(false) });
            }
            First::Taken => {
                let value = self.value();
                _ = owner.set_secret(&name, &value, Attributes::plain());
            }
        }
    }

    pub fn change(&mut self, world: &mut World, item: usize, side: Side, change: Change) {
        let (owner, plan) = (owner_of(world, item, side), world.scenario.items[item].clone());
        let (kind, name) = (plan.kind, item_name(&plan.name));
        let newest = newest(owner.slot(kind, &name).as_ref());
        let update = |change: &dyn Fn(&mut Attributes)| match newest.clone() {
            Some(mut version) => {
                change(&mut version.attributes);
                owner.update(kind, &name, &version.attributes).map(drop)
            }
            None => Err(VaultErrorKind::NotFound),
        };
        let number = self.chance.bits();
        let done = match change {
            Change::Set => self.set(&owner, kind, &plan.name),
            Change::Retag => update(&|attributes| {
                attributes.tags.insert("round".to_owned(), number.to_string());
                // A key's alone.
                if let Some(operations) = &mut attributes.key_operations
                    && !operations.remove("sign")
                {
                    operations.insert("sign".to_owned());
                }
            }),
            Change::Expire => update(&|attributes| {
                attributes.expires = Some(beginning().plus(YEAR + Duration::from_secs(number % 999)))
            }),
            Change::Disable => update(&|attributes| attributes.enabled = false),
            Change::Enable => update(&|attributes| attributes.enabled = true),
            Change::Delete => owner.delete(kind, &name),
            Change::Recover => owner.recover(kind, &name),
            Change::Purge => owner.purge(kind, &name),
            Change::Copy => copy(world, &owner, item),
        };
        if done.is_ok() {
            let (at, scenario) = (world.now(), world.scenario.clone());
            world.touches.extend(scenario.same(item, side).map(|item| Touch { at, side, item, change }));
        }
    }

    fn set(&mut self, owner: &Owner, kind: ItemType, name: &str) -> Result<(), VaultErrorKind> {
        let name = item_name(name);
        // Half of the time, nothing but the value and the time tells of it.
        let is_marked = self.chance.permille(500);
        let expires = (is_marked && self.chance.permille(400)).then(|| beginning().plus(YEAR));
        let content_type = (is_marked && self.chance.permille(600)).then(|| "text/plain".to_owned());
        let tags = BTreeMap::from_iter(is_marked.then(|| ("set".to_owned(), self.values.to_string())));
        let attributes = Attributes { expires, content_type, tags, ..Attributes::plain() };
        match kind {
            ItemType::Secrets => owner.set_secret(&name, &self.value(), attributes).map(drop),
            ItemType::Keys => owner.make_key(&name, "EC", attributes).map(drop),
            ItemType::Certificates => {
                let is_pem = self.chance.permille(300);
                owner.issue(&name, &self.certificate(is_pem)).map(drop)
            }
        }
    }

    fn value(&mut self) -> String {
        self.values += 1;
        format!("{CANARY}{}", self.values)
    }

    fn certificate(&mut self, is_pem: bool) -> NewCertificate {
        NewCertificate {
            format: if is_pem { Format::Pem } else { Format::Pkcs12 },
            exportable: true,
            key_type: "EC".to_owned(),
            not_before: beginning().minus(YEAR + YEAR),
            not_after: beginning().plus(YEAR),
            attributes: Attributes::plain(),
        }
    }
}

/// Makes the target as the source is, as far as an owner can.
fn copy(world: &World, target: &Owner, item: usize) -> Result<(), VaultErrorKind> {
    let plan = &world.scenario.items[item];
    let source = owner_of(world, item, Side::Source).slot(plan.kind, &item_name(&plan.name));
    let Some(version) = newest(source.as_ref()) else { return Err(VaultErrorKind::NotFound) };
    match &version.content {
        Content::Secret(value) => {
            let value = value.expose_text().unwrap_or_default();
            target.set_secret(&item_name(&plan.name), value, version.attributes.clone()).map(drop)
        }
        // Only a restore or an import makes an equal one, and those are Keyferry's.
        Content::Certificate { .. } | Content::Key { .. } => Err(VaultErrorKind::Rejected),
    }
}

pub fn owner_of(world: &World, item: usize, side: Side) -> Owner {
    world.owner(world.scenario.vault(item, side))
}

/// The newest version of what is there, live or deleted.
pub fn newest(slot: Option<&Slot>) -> Option<Version> {
    match slot? {
        Slot::Live { item, .. } | Slot::Deleted { item, .. } => item.versions.last().cloned(),
    }
}
