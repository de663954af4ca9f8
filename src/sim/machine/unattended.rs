//! What answer files say: a preseed, a kickstart, an autoinstall. An installer that is not told what it needs asks for it on its screen,
//! and waits.

use crate::sequence::yaml;
use crate::sim::inside::Act;
use serde_json::Value;

/// What a system is installed with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answers {
    pub hostname: String,
    /// Of root.
    pub password: String,
    /// What is run on the installed system in the end, a command each.
    pub late: Vec<String>,
    /// What the machine does then.
    pub end: Act,
}

/// The forms of answer files, each that of an installer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Preseed,
    Kickstart,
    Autoinstall,
}

/// Reads an answer file.
///
/// # Errors
/// What the installer waits for.
pub(super) fn read(form: Form, text: &str) -> Result<Answers, String> {
    match form {
        Form::Preseed => preseed(text),
        Form::Kickstart => kickstart(text),
        Form::Autoinstall => autoinstall(text),
    }
}

impl Answers {
    /// Whether root may log in by SSH with its password: the usual configuration does not let it.
    pub fn lets_root_in(&self) -> bool {
        self.late.iter().any(|command| command.contains("PermitRootLogin yes") && command.contains("/etc/ssh/sshd_config"))
    }

    /// The pages that are asked for in the end.
    pub fn pages(&self) -> Vec<String> {
        let words = self.late.iter().filter_map(|command| shlex::split(command));
        let asks = words.filter(|words| words.iter().any(|word| word == "wget" || word == "curl"));
        asks.flatten().filter(|word| word.starts_with("http://")).collect()
    }
}

fn commands(text: &str) -> Vec<String> {
    text.split(['\n', ';']).flat_map(|line| line.split("&&")).map(str::trim).filter(|c| !c.is_empty()).map(Into::into).collect()
}

fn preseed(text: &str) -> Result<Answers, String> {
    let text = text.replace("\\\n", " ");
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let mut rows = Vec::new();
    for line in lines {
        let mut words = line.splitn(4, char::is_whitespace);
        match (words.next(), words.next(), words.next(), words.next()) {
            (Some(_), Some(question), Some(_), value) => rows.push((question, value.unwrap_or_default().trim())),
            _ => return Err(format!("`{line}` is no answer")),
        }
    }
    let value = |question: &str| rows.iter().find(|(asked, _)| *asked == question).map(|(_, value)| *value);
    let said =
        |question: &str| value(question).filter(|value| !value.is_empty()).ok_or_else(|| format!("nothing answers {question}"));
    for question in [
        "netcfg/choose_interface",
        "mirror/http/hostname",
        "mirror/http/directory",
        "time/zone",
        "partman-auto/method",
        "grub-installer/bootdev",
    ] {
        said(question)?;
    }
    for question in ["partman-partitioning/confirm_write_new_label", "partman/confirm", "partman/confirm_nooverwrite"] {
        if said(question)? != "true" {
            return Err(format!("{question} is not confirmed"));
        }
    }
    if said("passwd/make-user")? != "false" {
        said("passwd/username")?;
    }
    let password = said("passwd/root-password")?;
    if said("passwd/root-password-again")? != password {
        return Err("the two passwords of root differ".into());
    }
    let is_off = value("debian-installer/exit/poweroff") == Some("true");
    if !is_off && value("finish-install/reboot_in_progress").is_none() {
        return Err("nothing answers finish-install/reboot_in_progress".into());
    }
    Ok(Answers {
        hostname: said("netcfg/get_hostname")?.to_string(),
        password: password.to_string(),
        late: commands(value("preseed/late_command").unwrap_or_default()),
        end: if is_off { Act::PowerOff } else { Act::Reboot },
    })
}

fn kickstart(text: &str) -> Result<Answers, String> {
    let (mut rows, mut late, mut section): (Vec<Vec<String>>, Vec<String>, Option<String>) = (Vec::new(), Vec::new(), None);
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        match (&section, line.strip_prefix('%')) {
            (None, Some("end")) => return Err("there is an %end of nothing".into()),
            (_, Some("end")) => section = None,
            (Some(open), Some(_)) => return Err(format!("%{open} has no %end")),
            (None, Some(new)) => section = new.split_whitespace().next().map(str::to_string),
            (Some(open), None) if open == "post" => late.extend(commands(line)),
            (Some(_), None) => {}
            (None, None) => rows.push(shlex::split(line).ok_or_else(|| format!("`{line}` cannot be read"))?),
        }
    }
    if let Some(open) = section {
        return Err(format!("%{open} has no %end"));
    }
    let row = |command: &str| rows.iter().find(|row| row.first().is_some_and(|word| word == command));
    for command in ["url", "lang", "keyboard", "timezone", "clearpart", "bootloader", "network"] {
        row(command).ok_or_else(|| format!("nothing says `{command}`"))?;
    }
    if row("autopart").or(row("part")).is_none() {
        return Err("nothing says how the disk is parted".into());
    }
    let root = row("rootpw").ok_or("nothing says `rootpw`")?;
    let password = root.iter().skip(1).find(|word| !word.starts_with("--")).ok_or("root has no password")?;
    let option = |command: &str, name: &str| row(command)?.iter().find_map(|word| Some(word.strip_prefix(name)?.to_string()));
    let is = |commands: &[&str]| commands.iter().any(|command| row(command).is_some());
    let end = match () {
        () if is(&["poweroff", "shutdown", "halt"]) => Act::PowerOff,
        () if is(&["reboot"]) => Act::Reboot,
        () => return Err("it is done, and waits for a key".into()),
    };
    let hostname = option("network", "--hostname=").ok_or("nothing says the host name")?;
    Ok(Answers { hostname, password: password.clone(), late, end })
}

fn autoinstall(text: &str) -> Result<Answers, String> {
    if !text.starts_with("#cloud-config\n") {
        return Err("it does not begin with #cloud-config".into());
    }
    let read = yaml::read(text).map_err(|wrong| wrong.what)?.json();
    let answers = read.get("autoinstall").ok_or("it has no `autoinstall`")?;
    if answers.get("version").and_then(|version| version.as_str().map_or(version.as_u64(), |text| text.parse().ok())) != Some(1) {
        return Err("`autoinstall` is not of version 1".into());
    }
    let said = |value: &Value, path: &str| {
        let found = path.split('/').try_fold(value, |value, key| value.get(key)).cloned();
        found.filter(|value| !value.is_null()).ok_or_else(|| format!("nothing says {path}"))
    };
    for path in ["storage/layout/name", "ssh/install-server", "apt/primary"] {
        said(answers, path)?;
    }
    let text = |value: Value| value.as_str().map_or_else(|| value.to_string(), str::to_string);
    let users = said(answers, "user-data/chpasswd/users")?;
    let root = users.as_array().and_then(|users| users.iter().find(|user| user.get("name").is_some_and(|name| name == "root")));
    let root = root.ok_or("root has no password")?;
    let late = said(answers, "late-commands").unwrap_or_default();
    let end = match said(answers, "shutdown").map(text).as_deref() {
        Ok("poweroff") => Act::PowerOff,
        _ => Act::Reboot,
    };
    Ok(Answers {
        hostname: text(said(answers, "user-data/hostname")?),
        password: text(said(root, "password")?),
        late: late.as_array().into_iter().flatten().cloned().map(text).collect(),
        end,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const KICKSTART: &str = "url --url=http://m/r\nlang en\nkeyboard us\ntimezone UTC\nclearpart --all\nbootloader\nautopart\n\
        network --bootproto=dhcp --hostname=web\nrootpw --plaintext 'p w'\npoweroff\n%packages\n@core\n%end\n\
        %post\nsed -i 's/x/PermitRootLogin yes/' /etc/ssh/sshd_config\ncurl -s -o /dev/null http://c/t/done\n%end\n";

    #[test]
    fn a_kickstart_says_what_is_needed_or_the_installer_waits() {
        let answers = read(Form::Kickstart, KICKSTART).unwrap();
        assert_eq!((answers.hostname.as_str(), answers.password.as_str(), answers.end), ("web", "p w", Act::PowerOff));
        assert!(answers.lets_root_in());
        assert_eq!(answers.pages(), ["http://c/t/done"]);
        for (cut, waits) in [
            ("autopart\n", "nothing says how the disk is parted"),
            ("poweroff\n", "it is done, and waits for a key"),
            (" --hostname=web", "nothing says the host name"),
            ("%end\n%post", "%packages has no %end"),
            ("rootpw --plaintext 'p w'\n", "nothing says `rootpw`"),
        ] {
            let text = KICKSTART.replace(cut, if cut.starts_with("%end") { "%post" } else { "" });
            assert_eq!(read(Form::Kickstart, &text).unwrap_err(), waits, "{cut}");
        }
        let without = KICKSTART.replace("sed -i", "true");
        assert!(read(Form::Kickstart, &without).unwrap().lets_root_in(), "what it says, and not by which program");
    }

    #[test]
    fn what_is_no_answer_file_is_none() {
        for (form, text, waits) in [
            (Form::Preseed, "", "nothing answers netcfg/choose_interface"),
            (Form::Preseed, "d-i nonsense\n", "`d-i nonsense` is no answer"),
            (Form::Autoinstall, "autoinstall: {}\n", "it does not begin with #cloud-config"),
            (Form::Autoinstall, "#cloud-config\nautoinstall: {version: 2}\n", "`autoinstall` is not of version 1"),
            (Form::Autoinstall, "#cloud-config\nautoinstall: {version: 1}\n", "nothing says storage/layout/name"),
            (Form::Kickstart, "<html>", "nothing says `url`"),
        ] {
            assert_eq!(read(form, text).unwrap_err(), waits, "{text}");
        }
    }
}
