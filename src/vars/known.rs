//! The variables that have a meaning here: what they mean, and what they are when nobody sets them.
//!
//! To add one: a row, where its name comes in the alphabet. Those that something reads are checked to be named where it reads them.

use super::{Layer, Variables};
use crate::secret::names_a_secret;

/// A variable with a meaning.
#[derive(Debug)]
pub struct Known {
    /// `<N>` and `<NAME>` stand for what differs.
    pub name: &'static str,
    /// What it is when nobody sets it; nothing when it is then not set.
    pub default: Option<&'static str>,
    pub reader: Reader,
    pub meaning: &'static str,
    /// Whether its value is not to be shown, although its name does not say so.
    is_secret: bool,
}

/// What of the harness reads a variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reader {
    /// The run: what is run, how, and what it comes to.
    Run,
    /// The reading of `<prepare>`.
    Preparation,
    /// The way to the machines.
    Machines,
    /// Only testcases and sequences: the harness sets it for them, or knows it as a name that they use.
    Testcases,
    /// Nothing yet: existing sequences set it, and what it asks for does not exist here so far.
    Nothing,
}

impl Reader {
    pub fn word(self) -> &'static str {
        match self {
            Reader::Run => "run",
            Reader::Preparation => "prepare",
            Reader::Machines => "machines",
            Reader::Testcases => "testcases",
            Reader::Nothing => "nothing yet",
        }
    }
}

const fn row(name: &'static str, reader: Reader, meaning: &'static str) -> Known {
    Known { name, default: None, reader, meaning, is_secret: false }
}

const fn usual(name: &'static str, default: &'static str, reader: Reader, meaning: &'static str) -> Known {
    Known { name, default: Some(default), reader, meaning, is_secret: false }
}

const fn hidden(name: &'static str, reader: Reader, meaning: &'static str) -> Known {
    Known { name, default: None, reader, meaning, is_secret: true }
}

use Reader::{Machines, Nothing, Preparation, Run, Testcases};

/// Every variable with a meaning, by name.
pub const KNOWN: &[Known] = &[
    row(
        "ADDRESSES/<NAME>",
        Preparation,
        "the static address of a host on a network: 10.0.0.5/24 via 10.0.0.1; below HOST_CONFIGS/<host>/ for one host",
    ),
    row("AUTO_BUG_FILE", Nothing, "whether failures are reported to a ticket system"),
    row("CALLBACK_URL/<NAME>", Nothing, "addresses that are told of the end of a job"),
    row("CLEAR_EVENT_LOGS_ON_FETCH", Nothing, "whether Windows event logs are emptied once they were fetched"),
    row("CLIOPTIONS/NOFINALLY", Run, "yes: leave out the clean-ups (--no-finally)"),
    row("CLIOPTIONS/NOHOSTPREPARE", Run, "yes: take hosts, networks, storage and pools as they are (--nohostprepare)"),
    row("CLIOPTIONS/NOINSTALL", Testcases, "yes: testcases that install something take it as it is (--noinstall)"),
    row("CLIOPTIONS/NOPOSTRUN", Run, "yes: leave out post_run of every testcase (--no-postrun)"),
    row("CLIOPTIONS/NOPRELOGS", Run, "yes: leave out pre_logs of every testcase"),
    row("CLIOPTIONS/NOPREPARE", Run, "yes: take the machines as they are (--noprepare)"),
    row("CLIOPTIONS/PAUSE_ON_FAIL/<NAME>", Run, "yes: pause when this testcase fails; ALL for every one"),
    row("CLIOPTIONS/PAUSE_ON_PASS/<NAME>", Run, "yes: pause when this testcase passes; ALL for every one"),
    row("CLONE_PREBUILT_TEMPLATES", Nothing, "whether VMs from prebuilt templates are cloned, not copied"),
    usual("CLOUD_HYPERV_DISTRO", "ws12r2-x64", Preparation, "what hosts of a Hyper-V cluster of a cloud are installed with"),
    usual("CLOUD_KVM_DISTRO", "rhel63-x64", Preparation, "what hosts of a KVM or LXC cluster of a cloud are installed with"),
    row("COMPLETION_EMAIL", Run, "no: the end of a run is told by no mail"),
    row("CPUFREQ_GOVERNOR", Preparation, "the CPU frequency governor of hosts that do not say one"),
    row("DB_LOGS_UPLOAD", Nothing, "whether logs are sent to the job server"),
    row("DEFAULT_GUEST_DISTRO", Testcases, "the system of guests that say nothing of it (--distro)"),
    row("DEFAULT_PV_DRIVERS", Preparation, "yes: VMs that are installed get the drivers for their hypervisor"),
    row("DEFAULT_VIFS", Nothing, "network interfaces of VMs that say none"),
    row("DOM0_COMMAND", Nothing, "a command that is run on each host once it is installed"),
    row("DOM0_SCRIPT", Nothing, "a script that is run on each host once it is installed"),
    row("EMAIL", Run, "whom to write to when something waits for a person, and at the end; several with commas (--email)"),
    usual("ESXI_VERSION", "5.5.0-update02", Preparation, "what hosts of a VMware cluster of a cloud are installed with"),
    hidden("EXPORT_ISO_CIFS", Nothing, "the SMB share of installation images: user:password:path"),
    hidden("EXPORT_ISO_CIFS_STATIC", Nothing, "a second SMB share of installation images: user:password:path"),
    row("EXPORT_ISO_NFS", Preparation, "the NFS export of installation images"),
    row("EXPORT_ISO_NFS_STATIC", Nothing, "a second NFS export of installation images"),
    row("EXTERNAL_NFS_SERVERS/<NAME>", Preparation, "an NFS server for storage: ADDRESS and BASE, the exported directory"),
    row("EXTERNAL_SMB_SERVERS/<NAME>", Preparation, "an SMB server for storage: ADDRESS, BASE (the share), USER, PASSWORD"),
    row("EXTRA_TIME", Testcases, "more patience with a slow lab, where a testcase asks for it"),
    row("FC_LUNS/<NAME>", Preparation, "a LUN for storage of type fc or fcoe: SCSIID"),
    row("FINALLY_UNINSTALL", Testcases, "whether clean-ups also uninstall the VMs"),
    row("HOST_CONFIGS/<NAME>", Preparation, "values for one host, by its address"),
    row("INITIAL_INSTALL_VERSION", Nothing, "the release that hosts are installed with before they are upgraded"),
    row("INITIAL_VERSION_PATH", Nothing, "releases that hosts are installed with and upgraded to, one after the other"),
    row("INPUTDIR", Testcases, "where the product to test is (--inputs)"),
    row("INSTALL_SR_TYPE", Preparation, "what the disks of hosts become that do not say it: ext or lvm"),
    row(
        "ISCSI_LUNS/<NAME>",
        Preparation,
        "a LUN for storage over iSCSI: ADDRESS, and where needed TARGET_NAME, SCSIID, LUN_ID, PORT, CHAP/USERNAME, CHAP/PASSWORD",
    ),
    row("ISO_SR_TYPE", Nothing, "how installation images are attached: nfs or cifs"),
    row("JOBID", Preparation, "the number of the job; names of VMs on a shared host end in it"),
    row("JOB_PASSWORD", Nothing, "whether the number of the job is part of root's password"),
    row("LOG_DIR_BASE", Nothing, "where logs are put; --results says it here"),
    row("MACHINE_HOLD_FOR", Nothing, "minutes that machines stay leased after the job"),
    row("MACHINE_HOLD_FOR_FAIL", Nothing, "minutes that machines stay leased after a job that failed"),
    row("MACHINE_HOLD_FOR_OK", Nothing, "minutes that machines stay leased after a job that ended well"),
    row("MACHINE_HOLD_FOR_PASS", Nothing, "minutes that machines stay leased after a job that passed"),
    row("MACHINE_HOLD_REASON", Nothing, "why machines stay leased"),
    row("NETWORK_CONFIG/VLANS/<NAME>/ID", Preparation, "the tag of a VLAN"),
    row("NICS/NIC<N>/NETWORK", Preparation, "what a NIC of hosts is cabled to: NPRI, NSEC, IPRI or ISEC; the first is on NPRI"),
    row("NOLOGS", Run, "yes: fetch no logs from machines (--no-logs)"),
    hidden("NOTIFY_URL", Run, "a web hook: an address that gets what EMAIL gets, as JSON by POST"),
    row("NO_GUEST_LOGS", Nothing, "yes: fetch no logs from guests"),
    row("NO_HOST_POWEROFF", Nothing, "yes: leave the machines on after the job"),
    row("NO_ISO_SRS", Preparation, "yes: attach no installation images to any host"),
    row("NO_LOGS_ON_PASS", Nothing, "yes: fetch no logs after a testcase that passed, which none is here anyway"),
    row("NO_SLB", Preparation, "yes: bonds without a mode are active-backup, not balance-slb"),
    row("NO_TC_HOST_SERIAL_LOGS", Nothing, "yes: keep no serial console logs of a testcase"),
    row("OLD_PRODUCT_INPUTDIR", Testcases, "where the product to upgrade from is"),
    row("OLD_PRODUCT_VERSION", Testcases, "the release to upgrade from"),
    row("OPTION_AD_ENABLE", Nothing, "yes: hosts join an Active Directory"),
    row("OPTION_BLOCK_ON_SKIP", Run, "yes: a blocker that is skipped blocks too"),
    row("OPTION_COLLECT_XENTOP", Nothing, "yes: record the load of hosts"),
    row("OPTION_ENABLE_REDO_LOG", Nothing, "yes: pools keep a redo log"),
    row("OPTION_KEEP_CVSM", Nothing, "yes: leave storage links as they are after the job"),
    row("OPTION_KEEP_GLOBAL_LOCKS", Nothing, "yes: keep locks on shared resources after the job"),
    row("OPTION_KEEP_ISCSI", Nothing, "yes: keep iSCSI LUNs after the job"),
    row("OPTION_KEEP_NFS", Nothing, "yes: keep NFS exports after the job"),
    row("OPTION_KEEP_SCREENSHOTS", Nothing, "yes: keep pictures of consoles of testcases that passed too"),
    row("OPTION_KEEP_SETUP", Nothing, "yes: keep everything after the job"),
    row("OPTION_KEEP_STATIC_IPS", Nothing, "yes: keep static addresses after the job"),
    row("OPTION_KEEP_UTILITY_VMS", Nothing, "yes: keep VMs on the shared host after the job"),
    row("OPTION_KEEP_VLANS", Nothing, "yes: keep private networks after the job"),
    row("OPTION_LIC_SKU", Preparation, "the licence of hosts that do not say one: yes, no, or a name"),
    row("OPTION_NO_AUTO_PATCH", Nothing, "yes: install no hotfixes after the product"),
    row("OPTION_NO_BUGTOOL", Nothing, "yes: fetch no status reports from hosts"),
    row("OPTION_USE_CLONE", Testcases, "yes: testcases clone a VM instead of installing one"),
    row("PASS_CRITERIA", Run, "percentages of testcases of priority 1, 2, … that must pass: 100,50"),
    usual("PASS_RATE_STRICT", "yes", Run, "whether testcases that errored count as not passed; no: they do not count"),
    row("PAUSE_AFTER_PREPARE", Run, "yes: pause once everything is prepared"),
    row("PAUSE_AFTER_PREPREPARE", Run, "yes: pause between preprepare and prepare"),
    row("PAUSE_BEFORE_EXIT", Run, "yes: pause before the end"),
    row("PAUSE_BEFORE_POOL", Nothing, "yes: pause before hosts join their pools"),
    row("PAUSE_HOURS", Run, "how long a pause lasts when nobody ends it"),
    row("PAUSE_ON_FULL_DUMP", Nothing, "yes: pause when a host has dumped its memory"),
    row("PAUSE_ON_PREPARE_FAIL", Run, "yes: pause when the preparation fails"),
    row("PERFDATAFILE", Nothing, "baselines of measured values; --perf-data says it here"),
    row("PERF_STRICT", Run, "yes: a value that is worse than before or out of its window fails the testcase"),
    row("POOL_JOIN_FORCE", Preparation, "yes: hosts join a pool whatever their differences"),
    row("POOL_NO_DEFAULT_SR", Nothing, "yes: pools get no default storage"),
    row("PREEMPTABLE", Nothing, "yes: the job may be stopped for a more important one"),
    usual("PREPARE_INSTALL_TIMEOUT", "2h", Preparation, "how long the installation of a system on a VM may take"),
    row("PREPARE_WORKERS", Preparation, "how many steps of a preparation are done at a time"),
    row("PRIORITY", Run, "leave out testcases with a priority beyond this one (--priority)"),
    usual("PRODUCT_TYPE", "xenserver", Preparation, "the product of hosts that do not say one"),
    row("PRODUCT_VERSION", Testcases, "the release that is tested"),
    row("QUICKLOGS", Nothing, "yes: fetch only the most important logs"),
    row("QUICK_LOGS_ON_PASS", Nothing, "yes: fetch only the most important logs after a testcase that passed"),
    row("RANDOMISE_TEST_ORDER", Run, "yes: run in a random order (--shuffle)"),
    row("RESOURCE_GUEST_<N>", Testcases, "the guests of the run"),
    row("RESOURCE_HOST_<N>", Preparation, "the machines of the run, from 0 on (--host)"),
    row("RESOURCE_POOL_<N>", Testcases, "the masters of the pools of the run"),
    row("ROOT_PASSWORD", Machines, "root's password on hosts"),
    row("ROOT_PASSWORDS", Machines, "passwords that root may have on a machine, with commas between"),
    row("RPM_SOURCE/<NAME>/HTTP", Preparation, "where the packages of a distribution are: RPM_SOURCE/<distro>/<arch>/HTTP"),
    row("RPM_SOURCE/<NAME>/ISO", Preparation, "the live image of Ubuntu, beside its netboot/: RPM_SOURCE/<distro>/<arch>/ISO"),
    row("RUNGROUP_<NAME>", Run, "yes on the command line: run only this group (--rungroup)"),
    row("RUNG_<NAME>", Run, "yes on the command line: run only this group (--rungroup)"),
    row("RUNSKU_<NAME>", Run, "yes on the command line: run only this SKU (--runsku)"),
    row("RUN_<NAME>", Run, "yes on the command line: run only this testcase (--run)"),
    row("SEQUENCE_NAME", Testcases, "the sequence that is run, without its ending"),
    row("SHARED_HOST", Preparation, "the host that everybody at the site shares"),
    row("SITE_CONFIG", Run, "the site's configuration file; set in the environment as XRT_SITE_CONFIG"),
    row("SKIPALL", Run, "yes on the command line: run only what RUN_<NAME> and the like name"),
    row("SKIPGROUP_<NAME>", Run, "yes on the command line: leave this group out (--skipgroup)"),
    row("SKIPG_<NAME>", Run, "yes on the command line: leave this group out (--skipgroup)"),
    row("SKIPSKU_<NAME>", Run, "yes on the command line: leave this SKU out (--skipsku)"),
    row("SKIPTYPE_<NAME>", Run, "yes on the command line: leave this type out (--skiptype)"),
    row("SKIPT_<NAME>", Run, "yes on the command line: leave this type out (--skiptype)"),
    row("SKIP_<NAME>", Run, "yes on the command line: leave this testcase out (--skip)"),
    row("SMTP_CA", Run, "a PEM file with certificates that SMTP_SERVER's may be signed by, besides those of this machine"),
    hidden("SMTP_PASSWORD", Run, "the password of SMTP_USER"),
    row("SMTP_SENDER", Run, "the address that mails come from; xrt@ this machine when it is not set"),
    row("SMTP_SERVER", Run, "the server that mails are sent through, HOST or HOST:PORT; localhost when it is not set"),
    row("SMTP_TLS", Run, "no, starttls or yes (from the first byte); starttls when SMTP_USER is set, else no"),
    row("SMTP_USER", Run, "the name to log in with at SMTP_SERVER"),
    row("SRM_STRICT", Testcases, "yes: a workload that does not start is an error, not a warning"),
    row("SR_<TYPE>_MAXSIZE", Nothing, "how large LUNs of this type of storage are at most, in GB"),
    row("SR_<TYPE>_MINSIZE", Nothing, "how large LUNs of this type of storage are at least, in GB"),
    row("TESTRUN_SKU", Nothing, "the SKU that results are recorded under"),
    row("TESTRUN_SR", Nothing, "the suite run that results are recorded under"),
    row("TESTRUN_TC", Run, "the ticket of the whole sequence"),
    row("TESTRUN_TCSKU", Run, "the SKU of the whole sequence"),
    row("TEST_TARBALL_BASE", Testcases, "the address below which tools are, as <name>.tgz: for fetch_tarball and tarball_exists"),
    row("THIN_ALLOCATION_QUANTUM", Nothing, "how much thin storage grows at a time"),
    row("THIN_INITIAL_ALLOCATION", Nothing, "how much thin storage has at first"),
    row("USE_MULTIPATH", Nothing, "yes: reach storage over several paths"),
    row("USE_PREBUILT_TEMPLATES", Nothing, "yes: make VMs of templates that were built before"),
    row("VERSION_CONFIG/<NAME>", Nothing, "values for one release of the product"),
    row("WORKING_DIR_BASE", Nothing, "where files of a testcase are put; --results says it here"),
    row("XENRT_SERVER_ADDRESS", Preparation, "the controller, as machines reach it that are installed over the network"),
    row("XENRT_SERVER_PORT", Preparation, "the port at which they do; without it, any that is free"),
];

/// The row of a variable.
pub fn known(name: &str) -> Option<&'static Known> {
    let name = super::path::normal(name);
    KNOWN.iter().find(|known| known.is(&name))
}

/// Whether the value of a variable of this name is not to be shown.
pub fn is_secret(name: &str) -> bool {
    names_a_secret(name) || known(name).is_some_and(|known| known.is_secret)
}

/// The known name that was probably meant by one that has no meaning. Only a slip of one letter counts: names are free, and many are
/// like each other.
pub fn meant(name: &str) -> Option<&'static str> {
    if name.len() < 6 || known(name).is_some() {
        return None;
    }
    let names = KNOWN.iter().map(|known| known.name).filter(|known| !known.contains('<'));
    crate::name::nearest(name, names).filter(|near| crate::name::distance(name, near) == 1)
}

impl Known {
    /// Whether it is the row of this name.
    fn is(&self, name: &str) -> bool {
        match self.name.split_once('<') {
            None => self.name == name,
            Some((start, rest)) => {
                let end = rest.split_once('>').map_or("", |(_, end)| end);
                let middle = name.strip_prefix(start).and_then(|rest| rest.strip_suffix(end));
                let is_number = rest.starts_with("N>");
                middle.is_some_and(|m| !m.is_empty() && (!is_number || m.bytes().all(|b| b.is_ascii_digit())))
            }
        }
    }
}

impl Variables {
    /// What is set when nobody sets anything.
    ///
    /// # Errors
    /// None of the names is wrong, so there is none.
    pub fn built_in() -> crate::error::Result<Variables> {
        let mut variables = Variables::default();
        for known in KNOWN {
            if let Some(default) = known.default {
                variables.set(Layer::BuiltIn, known.name, default)?;
            }
        }
        Ok(variables)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_its_defaults_can_be_set() {
        let names: Vec<&str> = KNOWN.iter().map(|known| known.name).collect();
        assert!(names.is_sorted_by(|a, b| a < b), "{names:?}");
        assert_eq!(Variables::built_in().unwrap().get("PRODUCT_TYPE"), Some("xenserver"));
        for known in KNOWN {
            assert!(!known.meaning.is_empty() && !known.meaning.ends_with('.'), "{}", known.name);
        }
    }

    #[test]
    fn names_with_a_part_that_differs_are_known() {
        for (name, expected) in [
            ("RESOURCE_HOST_12", Some("RESOURCE_HOST_<N>")),
            ("RESOURCE_HOST_x", None),
            ("RESOURCE_HOST_", None),
            ("SKIP_TCReboot", Some("SKIP_<NAME>")),
            ("SKIPG_disk", Some("SKIPG_<NAME>")),
            ("CLIOPTIONS:PAUSE_ON_FAIL:ALL", Some("CLIOPTIONS/PAUSE_ON_FAIL/<NAME>")),
            ("SR_NETAPP_MINSIZE", Some("SR_<TYPE>_MINSIZE")),
            ("JOBID", Some("JOBID")),
            ("DISTROS", None),
        ] {
            assert_eq!(known(name).map(|known| known.name), expected, "{name}");
        }
    }

    #[test]
    fn a_slip_is_told_and_a_name_of_ones_own_is_not() {
        for (name, expected) in [
            ("PREPARE_WORKER", Some("PREPARE_WORKERS")),
            ("PAS_CRITERIA", Some("PASS_CRITERIA")),
            ("PREPARE_WORKERS", None),
            ("EMAIL2", Some("EMAIL")),
            ("EMAILS", Some("EMAIL")),
            ("MY_SETTING", None),
            ("SECONDS", None),
        ] {
            assert_eq!(meant(name), expected, "{name}");
        }
    }
}
