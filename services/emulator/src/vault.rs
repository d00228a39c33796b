//! One vault: what never changes about it, who may use it, and its state behind one lock.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::{Mutex, RwLock};

use crate::{
    auth::{Authority, Caller, tokens::object_id},
    counts::Counts,
    error::ApiError,
    estate::{AccessPolicySpec, Authorization, CustomRole, Firewall, IdentitySpec, RoleAssignment, Sku, VaultSpec},
    operation::{Category, Operation},
    regions::Region,
    roles::{Grants, PREFIX, Role},
    state::{Place, VaultState, attributes::Protection},
    throttle::Throttle,
};

/// A vault as it runs.
pub struct Vault {
    pub name: String,
    /// Place in the world's list of subscriptions.
    pub subscription: usize,
    pub subscription_id: String,
    pub region: &'static Region,
    pub premium: bool,
    pub tags: std::collections::BTreeMap<String, String>,
    pub place: Place,
    pub access: RwLock<Access>,
    pub throttle: Throttle,
    pub counts: Counts,
    pub state: Mutex<VaultState>,
    /// Where it is, and with that its ARM id: a vault can be moved.
    resource_group: RwLock<String>,
    closed: AtomicBool,
    changes: AtomicU64,
}

/// Who may do what in a vault.
pub struct Access {
    pub authorization: Authorization,
    pub policies: Vec<AccessPolicySpec>,
    /// By identity: what the assignments come to.
    roles: Vec<Vec<Role>>,
    grants: Vec<Grants>,
}

impl Access {
    pub fn new(
        authorization: Authorization,
        assignments: &[RoleAssignment],
        policies: Vec<AccessPolicySpec>,
        identities: &[IdentitySpec],
        custom: &[CustomRole],
    ) -> Self {
        let roles: Vec<Vec<Role>> = identities.iter().map(|identity| assigned(identity, assignments, custom)).collect();
        let grants = identities.iter().zip(&roles).map(|(identity, roles)| match authorization {
            Authorization::Rbac => Grants::of_roles(roles),
            Authorization::AccessPolicies => {
                let own = policies.iter().filter(|policy| policy.identity.eq_ignore_ascii_case(&identity.name));
                Grants::of_policies(&own.collect::<Vec<_>>())
            }
        });
        let grants = grants.collect();
        Self { authorization, policies, roles, grants }
    }

    /// The roles an identity has on the vault.
    pub fn roles(&self, caller: Caller) -> &[Role] {
        self.roles.get(caller.identity).map_or(&[], Vec::as_slice)
    }

    fn allows(&self, caller: Caller, operation: Operation) -> bool {
        self.grants.get(caller.identity).is_some_and(|grants| grants.allows(operation))
    }
}

fn assigned(identity: &IdentitySpec, assignments: &[RoleAssignment], custom: &[CustomRole]) -> Vec<Role> {
    let own = assignments.iter().filter(|assignment| assignment.identity.eq_ignore_ascii_case(&identity.name));
    own.filter_map(|assignment| Role::find(&assignment.role, custom)).collect()
}

impl Vault {
    pub fn new(
        spec: &VaultSpec,
        region: &'static Region,
        subscription: (usize, &str),
        access: Access,
        port: u16,
    ) -> Self {
        let protection = Protection { days: spec.soft_delete_retention_days, purge_protection: spec.purge_protection };
        let base = format!("https://{}.vault.localhost:{port}", spec.name.to_ascii_lowercase());
        Self {
            name: spec.name.clone(),
            resource_group: RwLock::new(spec.resource_group.clone()),
            subscription: subscription.0,
            subscription_id: subscription.1.to_owned(),
            region,
            premium: spec.sku == Sku::Premium,
            tags: spec.tags.clone(),
            place: Place { base, protection },
            access: RwLock::new(access),
            throttle: Throttle::default(),
            counts: Counts::new(),
            state: Mutex::new(VaultState::default()),
            closed: AtomicBool::new(spec.firewall == Firewall::Deny),
            changes: AtomicU64::new(0),
        }
    }

    /// Notes that the state changed and is to be kept.
    pub fn changed(&self) {
        self.changes.fetch_add(1, Ordering::Release);
    }

    /// How many changes there were.
    pub fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    pub fn firewall(&self) -> Firewall {
        if self.closed.load(Ordering::Relaxed) { Firewall::Deny } else { Firewall::Open }
    }

    pub fn set_firewall(&self, firewall: Firewall) {
        self.closed.store(firewall == Firewall::Deny, Ordering::Relaxed);
    }

    pub fn resource_group(&self) -> String {
        self.resource_group.read().clone()
    }

    pub fn is_in(&self, group: &str) -> bool {
        self.resource_group.read().eq_ignore_ascii_case(group)
    }

    /// Gives it the ARM id of a vault in that resource group; its contents stay.
    pub fn move_to(&self, group: String) {
        *self.resource_group.write() = group;
    }

    /// 400 if a key is to live in an HSM and the vault has none.
    pub fn takes_keys(&self, hsm: bool) -> Result<(), ApiError> {
        if hsm && !self.premium {
            return Err(ApiError::bad_parameter("HSM keys need a vault of the premium SKU."));
        }
        Ok(())
    }

    /// The vault's ARM id.
    pub fn resource_id(&self) -> String {
        let (subscription, group, name) = (&self.subscription_id, self.resource_group(), &self.name);
        format!("/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.KeyVault/vaults/{name}")
    }

    /// 403 unless the firewall is open and the caller may do this to this item.
    pub fn authorize(&self, caller: &Named<'_>, operation: Operation, item: Option<&str>) -> Result<(), ApiError> {
        if self.firewall() == Firewall::Deny {
            return Err(self.behind_firewall(caller));
        }
        let access = self.access.read();
        if access.allows(caller.caller, operation) {
            return Ok(());
        }
        Err(match access.authorization {
            Authorization::Rbac => self.no_role(caller, operation, item),
            Authorization::AccessPolicies => self.no_policy(caller, operation),
        })
    }

    fn behind_firewall(&self, caller: &Named<'_>) -> ApiError {
        let message = format!(
            "Client address is not authorized and caller is not a trusted service.\r\nClient address: {}\r\nCaller: {}\r\n\
             Vault: {};location={}",
            caller.address,
            caller.describe(),
            self.name,
            self.region.name
        );
        ApiError::forbidden("ForbiddenByFirewall", message)
    }

    fn no_role(&self, caller: &Named<'_>, operation: Operation, item: Option<&str>) -> ApiError {
        let facts = operation.facts();
        let kind = match facts.category {
            Category::Secrets => "secrets",
            Category::Keys => "keys",
            Category::Certificates => "certificates",
        };
        let item = item.map(|item| format!("/{kind}/{}", item.to_ascii_lowercase())).unwrap_or_default();
        let message = format!(
            "Caller is not authorized to perform action on resource.\r\nIf role assignments, deny assignments or role \
             definitions were changed recently, please observe propagation time.\r\nCaller: {caller}\r\nAction: \
             '{PREFIX}{action}'\r\nResource: '/subscriptions/{subscription}/resourcegroups/{group}/providers/\
             microsoft.keyvault/vaults/{vault}{item}'\r\nAssignment: (not found)\r\nDenyAssignmentId: null\r\n\
             DecisionReason: 'DeniedWithNoValidRBAC' \r\nVault: {vault};location={region}\r\n",
            caller = caller.describe(),
            action = facts.action,
            subscription = self.subscription_id,
            group = self.resource_group().to_ascii_lowercase(),
            vault = self.name,
            region = self.region.name,
        );
        ApiError::forbidden("ForbiddenByRbac", message)
    }

    fn no_policy(&self, caller: &Named<'_>, operation: Operation) -> ApiError {
        let facts = operation.facts();
        let message = format!(
            "The user, group or application '{}' does not have {} {} permission on key vault '{};location={}'. For help \
             resolving this issue, please see https://go.microsoft.com/fwlink/?linkid=2125287",
            caller.describe().replacen(";iss=", ";numgroups=0;iss=", 1),
            facts.category.word(),
            facts.permission,
            self.name,
            self.region.name
        );
        ApiError::forbidden("AccessDenied", message)
    }
}

/// A caller with what messages say about it.
pub struct Named<'a> {
    pub caller: Caller,
    pub identity: &'a IdentitySpec,
    pub authority: &'a Authority,
    pub address: &'a str,
}

impl Named<'_> {
    fn describe(&self) -> String {
        let id = &self.identity.client_id;
        format!("appid={id};oid={};iss={}/", object_id(id), self.authority.authority())
    }
}
