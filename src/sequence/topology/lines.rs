//! A topology as people read it: an indented tree of lines.

use super::host::EveryHost;
use super::{
    Addressing, Contents, Disk, Host, Instance, License, Machine, Network, Nic, Physical, Pool, Roles, Storage, StorageOption,
    Topology, Vm, VmStep, Wire,
};

/// Lines with how deep they stand.
#[derive(Default)]
struct Lines(Vec<String>);

impl Lines {
    fn add(&mut self, depth: usize, head: impl AsRef<str>, facts: impl IntoIterator<Item = String>) {
        let facts: Vec<String> = facts.into_iter().filter(|fact| !fact.is_empty()).collect();
        let facts = if facts.is_empty() { String::new() } else { format!(": {}", facts.join(", ")) };
        self.0.push(format!("{}{}{facts}", "  ".repeat(depth), head.as_ref()));
    }
}

impl Topology {
    /// An indented tree of lines, for people.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = Lines::default();
        for name in &self.vlans {
            lines.add(0, format!("private network {name}"), []);
        }
        for pool in &self.pools {
            pool.tell(&mut lines);
        }
        if let Some(every) = &self.every {
            every.tell(0, &mut lines);
        }
        for host in &self.hosts {
            host.tell(0, false, &mut lines);
        }
        if !self.shared.is_empty() {
            lines.add(0, "shared host", []);
        }
        for vm in &self.shared {
            vm.tell(1, &mut lines);
        }
        if let Some(cloud) = &self.cloud {
            let zones = cloud.get("zones").and_then(serde_json::Value::as_array).map_or(0, Vec::len);
            lines.add(0, "cloud", [some(zones, "zone")]);
        }
        for template in &self.templates {
            lines.add(0, format!("cloud template {}", template.distro), template.facts());
        }
        for instance in &self.instances {
            let name = instance.name.as_deref().unwrap_or("without a name");
            lines.add(0, format!("cloud instance {name}"), [instance.distro.clone()].into_iter().chain(instance.facts()));
        }
        for blueprint in &self.blueprints {
            lines.add(0, format!("blueprint {}", blueprint.name), [format!("version {}", blueprint.version)]);
        }
        lines.0
    }
}

impl Pool {
    fn tell(&self, lines: &mut Lines) {
        let ssl = if self.ssl { "SSL".to_string() } else { String::new() };
        lines.add(0, format!("pool {}", self.name), [format!("master {}", self.master), ssl]);
        if let Some(every) = &self.every {
            every.tell(1, lines);
        }
        for host in &self.hosts {
            host.tell(1, host.name == self.master, lines);
        }
        self.contents.tell(1, lines);
    }
}

impl EveryHost {
    /// Only when it comes to nothing: otherwise its hosts are there.
    fn tell(&self, depth: usize, lines: &mut Lines) {
        let to = self.stop.map_or(String::new(), |stop| format!(" to {stop}"));
        if self.found == 0 {
            let help = "none is known: give them with --host".to_string();
            lines.add(depth, format!("every machine of the run from {}{to}", self.start), [help]);
        }
    }
}

impl Host {
    fn tell(&self, depth: usize, is_master: bool, lines: &mut Lines) {
        let own = self.machine.name();
        let on = match &self.machine {
            _ if own == self.name => String::new(),
            Machine::Numbered(_) => format!("on {own}"),
            Machine::Nested(_) => format!("as {own}"),
        };
        let nested = self.machine.nested().map_or(String::new(), |nested| {
            let (cpus, memory, disk) = (some(nested.vcpus as usize, "vCPU"), nested.memory, nested.disk);
            format!("nested on RESOURCE_HOST_{} with {cpus}, {memory} MB and a disk of {disk} GB", nested.container)
        });
        let license = match &self.license {
            License::Usual => String::new(),
            License::Yes => "licensed".into(),
            License::No => "no licence".into(),
            License::Sku(sku) => format!("licence {sku}"),
        };
        let given = |word: &str, value: &Option<String>| value.as_ref().map_or(String::new(), |value| format!("{word} {value}"));
        let when = |is: bool, word: &str| if is { word.to_string() } else { String::new() };
        let product = match &self.product_version {
            Some(version) => format!("{} {version}", self.product_type),
            None => self.product_type.clone(),
        };
        let facts = [
            when(is_master, "master"),
            on,
            nested,
            product,
            given("from", &self.version),
            given("local storage", &self.install_sr),
            license,
            when(!self.default_license, "licence from a server"),
            when(!self.isos, "no ISO storage"),
            when(self.disk_count != 1, &format!("{} disks", self.disk_count)),
            given("governor", &self.cpufreq_governor),
            when(!self.dhcp, "static address"),
            given("IPv6", &self.ipv6),
            when(self.no_ipv4, "no IPv4"),
            when(self.iommu, "IOMMU"),
            given("supplemental packs", &self.suppack_cds),
            when(self.is_default, "RESOURCE_HOST_DEFAULT"),
            when(self.disable_firewall, "no firewall"),
        ];
        lines.add(depth, format!("host {}", self.name), facts);
        self.contents.tell(depth + 1, lines);
    }
}

impl Contents {
    fn tell(&self, depth: usize, lines: &mut Lines) {
        if let Some(network) = &self.network {
            network.tell(depth, lines);
        }
        for bridge in &self.bridges {
            lines.add(depth, format!("internal network {}", bridge.name), []);
        }
        for storage in &self.storage {
            storage.tell(depth, lines);
        }
        for vm in &self.vms {
            vm.tell(depth, lines);
        }
    }
}

impl Network {
    fn tell(&self, depth: usize, lines: &mut Lines) {
        let controller = self.controller.as_ref().map_or(String::new(), |name| format!("switch controller {name}"));
        lines.add(depth, "network", [controller]);
        for physical in &self.physical {
            let Physical { network, name, nics, .. } = physical;
            let on = if name == network { String::new() } else { format!("on {network}") };
            let bond = physical.bond_mode.as_ref().map_or(String::new(), |mode| format!("bond {mode}"));
            let chosen: Vec<String> = nics.iter().flatten().map(ToString::to_string).collect();
            let chosen = if chosen.is_empty() { String::new() } else { format!(" ({})", chosen.join(", ")) };
            let jumbo = if physical.jumbo { "jumbo frames".to_string() } else { String::new() };
            let speed = physical.speed.clone().unwrap_or_default();
            let facts = [on, format!("{}{chosen}", some(nics.len(), "NIC")), bond, jumbo, speed];
            lines.add(depth + 1, name, facts.into_iter().chain(physical.roles.words()));
            for vlan in &physical.vlans {
                let on = if vlan.name == vlan.network { String::new() } else { format!("on {}", vlan.network) };
                lines.add(depth + 2, format!("VLAN {}", vlan.name), [on].into_iter().chain(vlan.roles.words()));
            }
        }
    }
}

impl Roles {
    fn words(&self) -> Vec<String> {
        let by = |word: &str, mode: Option<Addressing>| {
            mode.map(|mode| match mode {
                Addressing::Dhcp => format!("{word} by DHCP"),
                Addressing::Static => format!("{word} at a static address"),
            })
        };
        let vms = self.vms.then(|| "VMs".to_string());
        [by("management", self.management), by("storage", self.storage), vms].into_iter().flatten().collect()
    }
}

impl Storage {
    fn tell(&self, depth: usize, lines: &mut Lines) {
        let facts = [
            self.sort.clone(),
            if self.is_default { "default".into() } else { String::new() },
            self.options.iter().map(StorageOption::words).collect::<Vec<_>>().join(", "),
            self.network.as_ref().map_or(String::new(), |network| format!("over {network}")),
            self.size.map_or(String::new(), |size| format!("{size} GB")),
            self.vmhost.as_ref().map_or(String::new(), |host| format!("from a VM on {host}")),
        ];
        lines.add(depth, format!("storage {}", self.name), facts);
    }
}

impl StorageOption {
    fn words(&self) -> String {
        match self {
            StorageOption::Jumbo => "jumbo frames".into(),
            StorageOption::NoSubdirectory => "no directory of its own".into(),
            StorageOption::FileSr => "files".into(),
            StorageOption::V4 => "version 4".into(),
            StorageOption::Thin => "thin".into(),
            StorageOption::ThinInitial(size) => format!("{size} at first"),
            StorageOption::ThinQuantum(size) => format!("{size} at a time"),
            StorageOption::Iet => "LUN from the controller".into(),
            StorageOption::IetVm => "LUN from a VM".into(),
            StorageOption::MppRdac => "MPP RDAC".into(),
            StorageOption::InitiatorCount(count) => some(*count as usize, "initiator"),
            StorageOption::OnHost { host, device: None } => format!("from RESOURCE_HOST_{host}"),
            StorageOption::OnHost { host, device: Some(device) } => format!("from {device} of RESOURCE_HOST_{host}"),
            StorageOption::Vm => "from a VM".into(),
            StorageOption::CifsUser => "as cifsuser".into(),
            StorageOption::Other(text) => text.clone(),
        }
    }
}

impl Vm {
    fn tell(&self, depth: usize, lines: &mut Lines) {
        let word = if self.is_template() { "template" } else { "VM" };
        let image = self.image.as_ref().map_or(String::new(), |image| format!("from {}", image.file));
        // Only Linux is of another architecture than its name says.
        let arch = if self.arch == Vm::ARCH { String::new() } else { self.arch.clone() };
        let facts = [
            self.distro.clone().unwrap_or_default(),
            image,
            arch,
            self.vcpus.map_or(String::new(), |n| some(n as usize, "vCPU")),
            self.cores_per_socket.map_or(String::new(), |n| format!("{n} a socket")),
            self.memory.map_or(String::new(), |n| format!("{n} MB")),
            self.storage.as_ref().map_or(String::new(), |name| format!("on {name}")),
            self.boot_params.as_ref().map_or(String::new(), |text| format!("booted with {text}")),
        ];
        lines.add(depth, format!("{word} {}", self.display_name()), facts);
        for nic in &self.nics {
            match nic {
                Nic::Virtual { device, network, ip } => {
                    let ip = ip.map_or(String::new(), |ip| format!("static {ip}"));
                    lines.add(depth + 1, format!("interface {device}"), [network.words(), ip]);
                }
                Nic::PassedThrough { physical } => {
                    let of = physical.clone().unwrap_or_default();
                    lines.add(depth + 1, "interface passed through", [of]);
                }
            }
        }
        for Disk { device, size, format } in &self.disks {
            let format = if *format { "formatted".to_string() } else { String::new() };
            lines.add(depth + 1, format!("disk {device}"), [format!("{size} GB"), format]);
        }
        if !self.guest_params.is_empty() {
            lines.add(depth + 1, "platform", self.guest_params.iter().map(|(name, value)| format!("{name}={value}")));
        }
        let steps: Vec<String> = self.steps.iter().filter(|step| !step.converts()).map(VmStep::words).collect();
        if !steps.is_empty() {
            lines.add(depth + 1, "then", [steps.join(", ")]);
        }
        if !self.packages.is_empty() {
            lines.add(depth + 1, "packages", [self.packages.join(", ")]);
        }
    }
}

impl VmStep {
    fn words(&self) -> String {
        match self {
            VmStep::Call(call) => call.shown(),
            VmStep::Script(name) => format!("script {name}"),
        }
    }
}

impl Wire {
    fn words(&self) -> String {
        match self {
            Wire::Primary => "primary network".into(),
            Wire::Numbered(number) => format!("network {number}"),
            Wire::Named(name) => name.clone(),
        }
    }
}

impl Instance {
    fn facts(&self) -> Vec<String> {
        let facts = [
            self.zone.as_ref().map(|zone| format!("zone {zone}")),
            self.hypervisor_type.clone(),
            self.vcpus.map(|n| some(n as usize, "vCPU")),
            self.memory.map(|n| format!("{n} MB")),
            self.root_disk.map(|n| format!("disk of {n} GB")),
            (!self.install_tools).then(|| "no tools".to_string()),
        ];
        facts.into_iter().flatten().collect()
    }
}

fn some(count: usize, word: &str) -> String {
    format!("{count} {word}{}", if count == 1 { "" } else { "s" })
}
