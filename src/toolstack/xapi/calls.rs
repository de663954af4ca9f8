//! The methods that the library sends: one table, with the types of their parameters, checked by a test against XAPI's datamodel.
//!
//! Each row makes a function that takes just these parameters, so no other call can be made but by the escape hatches. Parameters
//! that newer servers know are left out where nothing is said by them: older ones refuse what they do not know.
//!
//! To add a method: a row.

#![expect(clippy::too_many_arguments, reason = "XAPI's methods have as many as they have")]

use super::super::Ref;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// A call on its way: a method with its arguments, without the session.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub method: String,
    pub arguments: Vec<Value>,
    /// Whether it only asks: it may be sent again when it is not known whether it came.
    pub is_read: bool,
}

/// A row of the table: method, types of its parameters after the session, type of its result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Method {
    pub name: &'static str,
    pub parameters: &'static [&'static str],
    pub result: &'static str,
}

/// A value that XAPI has a type for.
pub(super) trait Parameter {
    const TYPE: &'static str;
    fn value(self) -> Value;
}

macro_rules! references {
    ($($name:ident = $type:literal),* $(,)?) => {
        $(
            /// A reference of this class.
            #[derive(Clone, Copy)]
            pub(super) struct $name<'a>(pub &'a str);

            impl Parameter for $name<'_> {
                const TYPE: &'static str = $type;
                fn value(self) -> Value {
                    self.0.into()
                }
            }

            impl<'a> From<&'a Ref> for $name<'a> {
                fn from(reference: &'a Ref) -> $name<'a> {
                    $name(&reference.id)
                }
            }
        )*
    };
}

references! {
    Bond = "Bond_ref", Console = "console_ref", GuestMetrics = "VM_guest_metrics_ref", Host = "host_ref",
    HostMetrics = "host_metrics_ref", Network = "network_ref", Pbd = "PBD_ref", Pif = "PIF_ref", Pool = "pool_ref",
    Sr = "SR_ref", Task = "task_ref", Vbd = "VBD_ref", Vdi = "VDI_ref", Vif = "VIF_ref", Vlan = "VLAN_ref",
    Vm = "VM_ref", VmMetrics = "VM_metrics_ref",
}

/// The words of an enumeration, or the fields of a new object.
macro_rules! words {
    ($($name:ident($inner:ty) = $type:literal),* $(,)?) => {
        $(
            pub(super) struct $name(pub $inner);

            impl Parameter for $name {
                const TYPE: &'static str = $type;
                fn value(self) -> Value {
                    self.0.into()
                }
            }
        )*
    };
}

words! {
    BondModeWord(&'static str) = "enum_bond_mode", IpMode(&'static str) = "enum_ip_configuration_mode",
    PbdRecord(Map<String, Value>) = "PBD_record", VbdRecord(Map<String, Value>) = "VBD_record",
    VdiRecord(Map<String, Value>) = "VDI_record", VifRecord(Map<String, Value>) = "VIF_record",
    NetworkRecord(Map<String, Value>) = "network_record", PifRefs(Vec<String>) = "PIF_ref_set", SrRefs(Vec<String>) = "SR_ref_set",
    VdiToSr(Map<String, Value>) = "(VDI_ref_->_SR_ref)_map", VifToNetwork(Map<String, Value>) = "(VIF_ref_->_network_ref)_map",
}

impl Parameter for &str {
    const TYPE: &'static str = "string";
    fn value(self) -> Value {
        self.into()
    }
}

impl Parameter for bool {
    const TYPE: &'static str = "bool";
    fn value(self) -> Value {
        self.into()
    }
}

impl Parameter for i64 {
    const TYPE: &'static str = "int";
    fn value(self) -> Value {
        self.into()
    }
}

impl Parameter for f64 {
    const TYPE: &'static str = "float";
    fn value(self) -> Value {
        self.into()
    }
}

impl Parameter for Vec<String> {
    const TYPE: &'static str = "string_set";
    fn value(self) -> Value {
        self.into()
    }
}

type StringMap<'a> = &'a BTreeMap<String, String>;

impl Parameter for StringMap<'_> {
    const TYPE: &'static str = "(string_->_string)_map";
    fn value(self) -> Value {
        self.iter().map(|(key, value)| (key.clone(), value.as_str().into())).collect::<Map<_, _>>().into()
    }
}

macro_rules! calls {
    ($($function:ident = $method:literal ($($parameter:ident: $type:ty),*) -> $result:literal $how:ident;)*) => {
        $(
            pub(super) fn $function($($parameter: $type),*) -> Call {
                let arguments = vec![$($parameter.value()),*];
                Call { method: $method.to_string(), arguments, is_read: stringify!($how) == "read" }
            }
        )*

        /// All methods that the library sends on its own account.
        pub const METHODS: &[Method] = &[
            $(Method { name: $method, parameters: &[$(<$type as Parameter>::TYPE),*], result: $result },)*
        ];
    };
}

calls! {
    // "read": it only asks. "act": it changes something.
    session_login = "session.login_with_password"(user: &str, password: &str, version: &str, originator: &str) -> "session_ref" read;
    session_logout = "session.logout"() -> "void" act;

    event_from = "event.from"(classes: Vec<String>, token: &str, timeout: f64) -> "an_event_batch" read;
    task_get_record = "task.get_record"(task: Task<'_>) -> "task_record" read;
    task_cancel = "task.cancel"(task: Task<'_>) -> "void" act;
    task_create = "task.create"(label: &str, description: &str) -> "task_ref" act;
    task_destroy = "task.destroy"(task: Task<'_>) -> "void" act;

    pool_get_all_records = "pool.get_all_records"() -> "(pool_ref_->_pool_record)_map" read;
    pool_join = "pool.join"(address: &str, user: &str, password: &str) -> "void" act;
    pool_join_force = "pool.join_force"(address: &str, user: &str, password: &str) -> "void" act;
    pool_eject = "pool.eject"(host: Host<'_>) -> "void" act;
    pool_designate_new_master = "pool.designate_new_master"(host: Host<'_>) -> "void" act;
    pool_set_default_sr = "pool.set_default_SR"(pool: Pool<'_>, sr: Sr<'_>) -> "void" act;
    pool_set_suspend_image_sr = "pool.set_suspend_image_SR"(pool: Pool<'_>, sr: Sr<'_>) -> "void" act;
    pool_enable_ha = "pool.enable_ha"(srs: SrRefs, configuration: StringMap<'_>) -> "void" act;
    pool_disable_ha = "pool.disable_ha"() -> "void" act;
    pool_sync_database = "pool.sync_database"() -> "void" act;

    host_get_all_records = "host.get_all_records"() -> "(host_ref_->_host_record)_map" read;
    host_get_record = "host.get_record"(host: Host<'_>) -> "host_record" read;
    host_compute_free_memory = "host.compute_free_memory"(host: Host<'_>) -> "int" read;
    host_metrics_get_all_records = "host_metrics.get_all_records"() -> "(host_metrics_ref_->_host_metrics_record)_map" read;
    host_metrics_get_record = "host_metrics.get_record"(metrics: HostMetrics<'_>) -> "host_metrics_record" read;
    host_enable = "host.enable"(host: Host<'_>) -> "void" act;
    host_disable = "host.disable"(host: Host<'_>) -> "void" act;
    host_evacuate = "host.evacuate"(host: Host<'_>) -> "void" act;
    host_reboot = "host.reboot"(host: Host<'_>) -> "void" act;
    host_shutdown = "host.shutdown"(host: Host<'_>) -> "void" act;
    host_power_on = "host.power_on"(host: Host<'_>) -> "void" act;
    host_restart_agent = "host.restart_agent"(host: Host<'_>) -> "void" act;
    host_management_reconfigure = "host.management_reconfigure"(pif: Pif<'_>) -> "void" act;
    host_migrate_receive = "host.migrate_receive"(host: Host<'_>, network: Network<'_>, options: StringMap<'_>) -> "(string_->_string)_map" act;

    vm_get_all_records_where = "VM.get_all_records_where"(expression: &str) -> "(VM_ref_->_VM_record)_map" read;
    vm_get_record = "VM.get_record"(vm: Vm<'_>) -> "VM_record" read;
    vm_metrics_get_all_records = "VM_metrics.get_all_records"() -> "(VM_metrics_ref_->_VM_metrics_record)_map" read;
    vm_metrics_get_record = "VM_metrics.get_record"(metrics: VmMetrics<'_>) -> "VM_metrics_record" read;
    guest_metrics_get_all_records = "VM_guest_metrics.get_all_records"() -> "(VM_guest_metrics_ref_->_VM_guest_metrics_record)_map" read;
    guest_metrics_get_record = "VM_guest_metrics.get_record"(metrics: GuestMetrics<'_>) -> "VM_guest_metrics_record" read;
    vm_start = "VM.start"(vm: Vm<'_>, start_paused: bool, force: bool) -> "void" act;
    vm_start_on = "VM.start_on"(vm: Vm<'_>, host: Host<'_>, start_paused: bool, force: bool) -> "void" act;
    vm_clean_shutdown = "VM.clean_shutdown"(vm: Vm<'_>) -> "void" act;
    vm_hard_shutdown = "VM.hard_shutdown"(vm: Vm<'_>) -> "void" act;
    vm_clean_reboot = "VM.clean_reboot"(vm: Vm<'_>) -> "void" act;
    vm_hard_reboot = "VM.hard_reboot"(vm: Vm<'_>) -> "void" act;
    vm_suspend = "VM.suspend"(vm: Vm<'_>) -> "void" act;
    vm_resume = "VM.resume"(vm: Vm<'_>, start_paused: bool, force: bool) -> "void" act;
    vm_resume_on = "VM.resume_on"(vm: Vm<'_>, host: Host<'_>, start_paused: bool, force: bool) -> "void" act;
    vm_pause = "VM.pause"(vm: Vm<'_>) -> "void" act;
    vm_unpause = "VM.unpause"(vm: Vm<'_>) -> "void" act;
    vm_snapshot = "VM.snapshot"(vm: Vm<'_>, name: &str) -> "VM_ref" act;
    vm_checkpoint = "VM.checkpoint"(vm: Vm<'_>, name: &str) -> "VM_ref" act;
    vm_revert = "VM.revert"(snapshot: Vm<'_>) -> "void" act;
    vm_clone = "VM.clone"(vm: Vm<'_>, name: &str) -> "VM_ref" act;
    vm_copy = "VM.copy"(vm: Vm<'_>, name: &str, sr: Sr<'_>) -> "VM_ref" act;
    vm_provision = "VM.provision"(vm: Vm<'_>) -> "void" act;
    vm_destroy = "VM.destroy"(vm: Vm<'_>) -> "void" act;
    vm_pool_migrate = "VM.pool_migrate"(vm: Vm<'_>, host: Host<'_>, options: StringMap<'_>) -> "void" act;
    vm_migrate_send = "VM.migrate_send"(vm: Vm<'_>, dest: StringMap<'_>, live: bool, disks: VdiToSr, vifs: VifToNetwork,
        options: StringMap<'_>) -> "VM_ref" act;
    vm_assert_can_migrate = "VM.assert_can_migrate"(vm: Vm<'_>, dest: StringMap<'_>, live: bool, disks: VdiToSr, vifs: VifToNetwork,
        options: StringMap<'_>) -> "void" act;
    vm_set_is_a_template = "VM.set_is_a_template"(vm: Vm<'_>, value: bool) -> "void" act;
    vm_set_name_label = "VM.set_name_label"(vm: Vm<'_>, value: &str) -> "void" act;
    vm_set_name_description = "VM.set_name_description"(vm: Vm<'_>, value: &str) -> "void" act;
    vm_set_vcpus_max = "VM.set_VCPUs_max"(vm: Vm<'_>, value: i64) -> "void" act;
    vm_set_vcpus_at_startup = "VM.set_VCPUs_at_startup"(vm: Vm<'_>, value: i64) -> "void" act;
    vm_set_vcpus_number_live = "VM.set_VCPUs_number_live"(vm: Vm<'_>, value: i64) -> "void" act;
    vm_set_memory_limits = "VM.set_memory_limits"(vm: Vm<'_>, static_min: i64, static_max: i64, dynamic_min: i64, dynamic_max: i64)
        -> "void" act;
    vm_set_memory_dynamic_range = "VM.set_memory_dynamic_range"(vm: Vm<'_>, min: i64, max: i64) -> "void" act;
    vm_set_affinity = "VM.set_affinity"(vm: Vm<'_>, host: Host<'_>) -> "void" act;
    vm_set_pv_args = "VM.set_PV_args"(vm: Vm<'_>, value: &str) -> "void" act;
    vm_set_suspend_sr = "VM.set_suspend_SR"(vm: Vm<'_>, value: Sr<'_>) -> "void" act;
    vm_set_ha_restart_priority = "VM.set_ha_restart_priority"(vm: Vm<'_>, value: &str) -> "void" act;
    vm_set_order = "VM.set_order"(vm: Vm<'_>, value: i64) -> "void" act;
    vm_set_start_delay = "VM.set_start_delay"(vm: Vm<'_>, value: i64) -> "void" act;
    vm_add_to_platform = "VM.add_to_platform"(vm: Vm<'_>, key: &str, value: &str) -> "void" act;
    vm_remove_from_platform = "VM.remove_from_platform"(vm: Vm<'_>, key: &str) -> "void" act;
    vm_add_to_other_config = "VM.add_to_other_config"(vm: Vm<'_>, key: &str, value: &str) -> "void" act;
    vm_remove_from_other_config = "VM.remove_from_other_config"(vm: Vm<'_>, key: &str) -> "void" act;
    console_get_record = "console.get_record"(console: Console<'_>) -> "console_record" read;
    vm_get_allowed_vbd_devices = "VM.get_allowed_VBD_devices"(vm: Vm<'_>) -> "string_set" read;
    vm_get_allowed_vif_devices = "VM.get_allowed_VIF_devices"(vm: Vm<'_>) -> "string_set" read;

    vbd_get_all_records_where = "VBD.get_all_records_where"(expression: &str) -> "(VBD_ref_->_VBD_record)_map" read;
    vbd_create = "VBD.create"(record: VbdRecord) -> "VBD_ref" act;
    vbd_destroy = "VBD.destroy"(vbd: Vbd<'_>) -> "void" act;
    vbd_plug = "VBD.plug"(vbd: Vbd<'_>) -> "void" act;
    vbd_unplug = "VBD.unplug"(vbd: Vbd<'_>) -> "void" act;
    vbd_insert = "VBD.insert"(vbd: Vbd<'_>, vdi: Vdi<'_>) -> "void" act;
    vbd_eject = "VBD.eject"(vbd: Vbd<'_>) -> "void" act;

    vdi_get_record = "VDI.get_record"(vdi: Vdi<'_>) -> "VDI_record" read;
    vdi_get_all_records_where = "VDI.get_all_records_where"(expression: &str) -> "(VDI_ref_->_VDI_record)_map" read;
    vdi_create = "VDI.create"(record: VdiRecord) -> "VDI_ref" act;
    vdi_destroy = "VDI.destroy"(vdi: Vdi<'_>) -> "void" act;
    vdi_snapshot = "VDI.snapshot"(vdi: Vdi<'_>) -> "VDI_ref" act;
    vdi_clone = "VDI.clone"(vdi: Vdi<'_>) -> "VDI_ref" act;
    vdi_resize = "VDI.resize"(vdi: Vdi<'_>, size: i64) -> "void" act;
    vdi_pool_migrate = "VDI.pool_migrate"(vdi: Vdi<'_>, sr: Sr<'_>, options: StringMap<'_>) -> "VDI_ref" act;

    vif_get_all_records_where = "VIF.get_all_records_where"(expression: &str) -> "(VIF_ref_->_VIF_record)_map" read;
    vif_create = "VIF.create"(record: VifRecord) -> "VIF_ref" act;
    vif_destroy = "VIF.destroy"(vif: Vif<'_>) -> "void" act;
    vif_plug = "VIF.plug"(vif: Vif<'_>) -> "void" act;
    vif_unplug = "VIF.unplug"(vif: Vif<'_>) -> "void" act;
    vif_move = "VIF.move"(vif: Vif<'_>, network: Network<'_>) -> "void" act;

    sr_get_all_records = "SR.get_all_records"() -> "(SR_ref_->_SR_record)_map" read;
    sr_get_record = "SR.get_record"(sr: Sr<'_>) -> "SR_record" read;
    sr_create = "SR.create"(host: Host<'_>, device_config: StringMap<'_>, physical_size: i64, name: &str, description: &str, kind: &str,
        content_type: &str, shared: bool, sm_config: StringMap<'_>) -> "SR_ref" act;
    sr_create_plain = "SR.create"(host: Host<'_>, device_config: StringMap<'_>, physical_size: i64, name: &str, description: &str,
        kind: &str, content_type: &str, shared: bool) -> "SR_ref" act;
    sr_introduce = "SR.introduce"(uuid: &str, name: &str, description: &str, kind: &str, content_type: &str, shared: bool) -> "SR_ref" act;
    sr_probe = "SR.probe"(host: Host<'_>, device_config: StringMap<'_>, kind: &str) -> "string" act;
    sr_probe_with = "SR.probe"(host: Host<'_>, device_config: StringMap<'_>, kind: &str, sm_config: StringMap<'_>) -> "string" act;
    sr_scan = "SR.scan"(sr: Sr<'_>) -> "void" act;
    sr_destroy = "SR.destroy"(sr: Sr<'_>) -> "void" act;
    sr_forget = "SR.forget"(sr: Sr<'_>) -> "void" act;
    pbd_get_all_records = "PBD.get_all_records"() -> "(PBD_ref_->_PBD_record)_map" read;
    pbd_get_all_records_where = "PBD.get_all_records_where"(expression: &str) -> "(PBD_ref_->_PBD_record)_map" read;
    pbd_create = "PBD.create"(record: PbdRecord) -> "PBD_ref" act;
    pbd_plug = "PBD.plug"(pbd: Pbd<'_>) -> "void" act;
    pbd_unplug = "PBD.unplug"(pbd: Pbd<'_>) -> "void" act;
    pbd_destroy = "PBD.destroy"(pbd: Pbd<'_>) -> "void" act;

    network_get_all_records = "network.get_all_records"() -> "(network_ref_->_network_record)_map" read;
    network_create = "network.create"(record: NetworkRecord) -> "network_ref" act;
    network_destroy = "network.destroy"(network: Network<'_>) -> "void" act;
    pif_get_all_records = "PIF.get_all_records"() -> "(PIF_ref_->_PIF_record)_map" read;
    pif_get_record = "PIF.get_record"(pif: Pif<'_>) -> "PIF_record" read;
    pif_metrics_get_all_records = "PIF_metrics.get_all_records"() -> "(PIF_metrics_ref_->_PIF_metrics_record)_map" read;
    pif_reconfigure_ip = "PIF.reconfigure_ip"(pif: Pif<'_>, mode: IpMode, ip: &str, netmask: &str, gateway: &str, dns: &str)
        -> "void" act;
    pif_plug = "PIF.plug"(pif: Pif<'_>) -> "void" act;
    pif_unplug = "PIF.unplug"(pif: Pif<'_>) -> "void" act;
    bond_get_all_records = "Bond.get_all_records"() -> "(Bond_ref_->_Bond_record)_map" read;
    bond_create = "Bond.create"(network: Network<'_>, members: PifRefs, mac: &str, mode: BondModeWord, properties: StringMap<'_>)
        -> "Bond_ref" act;
    bond_destroy = "Bond.destroy"(bond: Bond<'_>) -> "void" act;
    vlan_create = "VLAN.create"(nic: Pif<'_>, tag: i64, network: Network<'_>) -> "VLAN_ref" act;
    vlan_destroy = "VLAN.destroy"(vlan: Vlan<'_>) -> "void" act;
}

impl Call {
    /// A method that nobody here knows, for the escape hatches.
    pub fn any(method: &str, arguments: &[Value]) -> Call {
        let verb = method.rsplit('.').next().unwrap_or_default();
        Call { method: method.to_string(), arguments: arguments.to_vec(), is_read: verb.starts_with("get_") }
    }

    /// The same as a task of the pool, which can be watched and cancelled.
    #[must_use]
    pub fn into_task(mut self) -> Call {
        self.method.insert_str(0, "Async.");
        self
    }

    /// The method without the way in which it is called.
    pub fn verb(&self) -> &str {
        self.method.strip_prefix("Async.").unwrap_or(&self.method)
    }
}
