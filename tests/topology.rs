//! What a `<prepare>` asks for, as a person sees it: `xrt plan`.

use crate::support::xrt::{Ran, Xrt};
use proptest::prelude::*;
use xenrt::sequence::{Library, Mode, load};
use xenrt::vars::{Layer, Variables};

/// `xrt plan` of a sequence with this preparation.
fn planned(prepare: &str, words: &str) -> Ran {
    let text = format!("<xenrt>\n{prepare}\n<testsequence><testcase id=\"dummy/sleep\"/></testsequence></xenrt>");
    Xrt::new().file("p.seq", text).args("plan -s p.seq").args(words).run()
}

/// The lines of a plan that tell what is prepared.
fn asked(ran: &Ran) -> String {
    let lines = ran.stdout.lines().skip_while(|line| !line.ends_with("prepare"));
    lines.take_while(|line| !line.starts_with('↓')).collect::<Vec<_>>().join("\n").trim_end().to_string()
}

/// The section "Provisioning Machines" of the user's guide: everything that it names.
const GUIDE: &str = r#"
  <script filename="setup.cmd"/>
  <prepare>
    <pool id="0" name="mypool">
      <host id="0" alias="first"/>
      <host id="1"/>
      <storage type="nfs" name="nfssr"/>
      <storage type="lvmoiscsi" name="lvmsr"/>
      <storage type="extoiscsi" name="extsr"/>
      <bridge name="internal"/>
      <vm name="winguest">
        <distro>win7sp1-x64</distro>
        <vcpus>2</vcpus>
        <memory>2048</memory>
        <storage>nfssr</storage>
        <network device="0"/>
        <network device="1" bridge="internal"/>
        <disk device="1" size="10"/>
        <postinstall action="installDrivers"/>
        <script name="setup.cmd"/>
      </vm>
    </pool>
    <pool id="1"><host id="2"/></pool>
    <host id="3">
      <storage type="extoiscsi" name="own"/>
      <bridge name="alone"/>
      <vm name="linguest"><distro>debian12</distro><arch>x86-64</arch><network device="0" bridge="alone"/></vm>
    </host>
  </prepare>"#;

#[test]
fn the_users_guide_can_be_planned_word_for_word() {
    let text = format!("<xenrt>{GUIDE}\n</xenrt>");
    let xrt = Xrt::new().file("g.seq", text).file("setup.cmd", "echo ready\r\n");
    let ran = xrt.clone().args("plan -s g.seq").run().ends(0);
    insta::assert_snapshot!(asked(&ran), @r#"
    prepare
      pool mypool: master first
        host first: master, on RESOURCE_HOST_0, xenserver
        host RESOURCE_HOST_1: xenserver
        internal network internal
        storage nfssr: nfs, over NPRI
        storage lvmsr: lvmoiscsi
        storage extsr: extoiscsi
        VM winguest: win7sp1-x64, 2 vCPUs, 2048 MB, on nfssr
          interface 0: primary network
          interface 1: internal
          disk 1: 10 GB
          then: installDrivers, script setup.cmd
      pool RESOURCE_POOL_1: master RESOURCE_HOST_2
        host RESOURCE_HOST_2: master, xenserver
      host RESOURCE_HOST_3: xenserver
        internal network alone
        storage own: extoiscsi
        VM linguest: debian12, x86-64
          interface 0: alone
    "#);
    let json: serde_json::Value = serde_json::from_str(&xrt.args("plan -s g.seq --json").run().ends(0).stdout).unwrap();
    let pool = &json["prepare"]["pools"][0];
    assert_eq!((&pool["name"], &pool["master"]), (&"mypool".into(), &"first".into()));
    assert_eq!(pool["storage"][2]["type"], "extoiscsi");
    assert_eq!(pool["vms"][0]["steps"][1]["script"], "setup.cmd");
    assert_eq!(pool["vms"][0]["disks"][0], serde_json::json!({"device": 1, "size": 10, "format": false}));
}

#[test]
fn machines_of_the_command_line_are_those_of_allhosts() {
    let prepare = "<prepare><pool><allhosts start='1'/></pool></prepare>";
    let ran = planned(prepare, "-H a,b,c").ends(0);
    insta::assert_snapshot!(asked(&ran), @r#"
    prepare
      pool RESOURCE_POOL_0: master RESOURCE_HOST_1
        host RESOURCE_HOST_1: master, xenserver
        host RESOURCE_HOST_2: xenserver
    "#);
    insta::assert_snapshot!(asked(&planned(prepare, "").ends(0)), @r#"
    prepare
      pool RESOURCE_POOL_0: master RESOURCE_HOST_1
        every machine of the run from 1: none is known: give them with --host
    "#);
}

#[test]
fn variables_of_all_sides_are_put_in() {
    let prepare = r#"
      <variables><PRODUCT_VERSION>Dundee</PRODUCT_VERSION></variables>
      <default name="MEMORY" value="1024"/>
      <default name="HOSTS" value="0"/>
      <prepare>{"hosts": [{"id": ${HOSTS}, "product_version": "%PRODUCT_VERSION%",
        "vms": [{"name": "v", "memory": "${MEMORY}"}]}]}</prepare>"#;
    let ran = planned(prepare, "-D MEMORY=4096 -D HOSTS=2").ends(0);
    insta::assert_snapshot!(asked(&ran), @r#"
    prepare
      host RESOURCE_HOST_2: xenserver Dundee
        VM v: 4096 MB
    "#);
    let ran = planned(&prepare.replace("${MEMORY}", "${MEMORI}"), "").ends(2);
    assert!(
        ran.stderr.contains("nothing gives `${MEMORI}` a value here") && ran.stderr.contains("p.seq:7:42"),
        "{}",
        ran.transcript()
    );
}

#[test]
fn nested_hosts_bring_their_containers_along_unless_the_sequence_does() {
    let nested = "<prepare><host container='4' vname='inner'/></prepare>";
    let ran = planned(nested, "").ends(0);
    insta::assert_snapshot!(asked(&ran), @r#"
    preprepare
      host RESOURCE_HOST_4: xenserver

    prepare
      host vhost-inner: nested on RESOURCE_HOST_4 with 2 vCPUs, 4096 MB and a disk of 50 GB, xenserver
    "#);
    for order in [
        format!("<preprepare><host id='4' alias='outer'/></preprepare>{nested}"),
        format!("{nested}<preprepare><host id='4' alias='outer'/></preprepare>"),
    ] {
        let ran = planned(&order, "").ends(0);
        assert_eq!(ran.stdout.matches("host outer: on RESOURCE_HOST_4").count(), 1, "{}", ran.stdout);
        assert!(!ran.stdout.contains("host RESOURCE_HOST_4"), "{}", ran.stdout);
    }
}

#[test]
fn all_that_is_wrong_is_told_at_once_and_lenient_plans_the_rest() {
    let prepare = "<prepare>\n<host id='zero'/>\n<host id='1'><storage type='extoscsi' name='s'/>\n\
        <vm name='v'><storage>t</storage><postinstall action='eval(x)'/><memroy>1</memroy></vm></host></prepare>";
    let strict = planned(prepare, "").ends(2);
    for place in ["p.seq:3:11", "p.seq:4:29", "did you mean `extoiscsi`?", "p.seq:5:60", "p.seq:5:65", "did you mean `memory`?"] {
        assert!(strict.stderr.contains(place), "{place}\n{}", strict.transcript());
    }
    assert!(strict.stdout.is_empty());
    let lenient = planned(prepare, "--lenient").ends(0);
    assert!(lenient.stdout.contains("VM v: on t") && lenient.stderr.contains("warning"), "{}", lenient.transcript());
}

#[test]
fn what_is_asked_for_needs_a_host_and_says_so() {
    let text = "<xenrt><prepare><host/></prepare><testsequence><testcase id=\"dummy/sleep\"/></testsequence></xenrt>";
    let xrt = Xrt::new().file("p.seq", text);
    let ran = xrt.clone().args("-s p.seq").run().ends(3);
    assert_eq!(ran.outcome("prepare"), xenrt::event::Outcome::Errored);
    assert!(ran.failure("prepare").help.unwrap().contains("--noprepare"));
    let empty = Xrt::new().file("p.seq", text.replace("<host/>", "")).args("plan -s p.seq").run().ends(0);
    assert!(!empty.stdout.contains("prepare"), "an empty one asks for nothing\n{}", empty.stdout);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Whatever stands in a preparation: reading ends, and never without a word when it is not understood.
    #[test]
    fn a_preparation_of_any_content_is_read_or_refused(
        parts in proptest::collection::vec(
            proptest::sample::select(vec![
                "<host", "<pool", "<vm", "<storage", " id='1'", " name='n'", " type='nfs'", " number='3'", " basename='b'", ">", "/>",
                "</host>", "</pool>", "</vm>", "<disk device='0' size='9'/>", "<NETWORK>", "</NETWORK>", "<PHYSICAL>", "</PHYSICAL>",
                "<NIC/>", "hosts: [{id: 0}]", "{\"hosts\":", "[", "]", "}", "- a", "\n", "  ", "${X}", "%Y%", "<cloud>", "</cloud>",
                "<vmgroup", "</vmgroup>", "<allhosts", " container='0'", "<postinstall action='f(1'/>",
            ]),
            0..14,
        ),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("x.seq");
        std::fs::write(&file, format!("<xenrt><prepare>{}</prepare></xenrt>", parts.concat())).unwrap();
        let mut variables = Variables::default();
        variables.set(Layer::Flag, "RESOURCE_HOST_0", "h").unwrap();
        let file = file.display().to_string();
        for mode in [Mode::Strict, Mode::Lenient] {
            let loaded = load(&Library::default(), &file, variables.clone(), mode).unwrap();
            let topology = loaded.sequence.prepare.unwrap_or_default();
            // It can be shown in every form, whatever it is.
            prop_assert!(serde_json::to_string(&topology).is_ok());
            prop_assert_eq!(topology.lines().is_empty(), topology.is_empty());
            let is_blank = parts.concat().trim().is_empty();
            prop_assert!(is_blank || !topology.is_empty() || !loaded.diagnostics.is_empty(), "not a word");
        }
    }
}
