//! The log, arguments, variables and machines of the testcase.

use crate::event::Level;
use crate::lab::Guest;
use crate::script::case::{Aimed, Case};
use crate::script::failure::{Raised, misuse, raise};
use crate::script::show;
use rhai::Dynamic;
use rhai::plugin::*;

pub const FUNCTIONS: &ModuleManifest = exported_manifest!(testcase);

#[export_module(manifest)]
mod testcase {
    /// Writes a line into the testcase's log.
    ///
    /// ```rhai
    /// log("the guest has been up for an hour");
    /// ```
    #[rhai_fn(return_raw)]
    pub fn log(call: NativeCallContext, text: Dynamic) -> Raised<()> {
        line(&call, Level::Verbose, &text)
    }

    /// Stores a comment with the result; reports show it.
    ///
    /// ```rhai
    /// comment("8 of 10 iterations used the fast path");
    /// ```
    #[rhai_fn(return_raw)]
    pub fn comment(call: NativeCallContext, text: Dynamic) -> Raised<()> {
        line(&call, Level::Comment, &text)
    }

    /// Stores a warning with the result. The outcome stays as it is.
    ///
    /// ```rhai
    /// warn("the clock moved by 2.5 s");
    /// ```
    #[rhai_fn(return_raw)]
    pub fn warn(call: NativeCallContext, text: Dynamic) -> Raised<()> {
        line(&call, Level::Warning, &text)
    }

    /// Stores why the result is not a pass, beside the reason that `fail` gives.
    ///
    /// ```rhai
    /// reason("the third disk was read-only");
    /// ```
    #[rhai_fn(return_raw)]
    pub fn reason(call: NativeCallContext, text: Dynamic) -> Raised<()> {
        line(&call, Level::Reason, &text)
    }

    /// Stores a raw result row, as a tool printed it.
    ///
    /// ```rhai
    /// result_line("TX 1.23 MB/s");
    /// ```
    #[rhai_fn(return_raw)]
    pub fn result_line(call: NativeCallContext, text: Dynamic) -> Raised<()> {
        line(&call, Level::Result, &text)
    }

    /// Draws a line between two parts of the log.
    ///
    /// ```rhai
    /// delimit("second half");
    /// ```
    #[rhai_fn(return_raw)]
    pub fn delimit(call: NativeCallContext, text: Dynamic) -> Raised<()> {
        line(&call, Level::Delimiter, &text)
    }

    /// Says how far the testcase is. The terminal shows the last one; the log keeps all.
    ///
    /// ```rhai
    /// progress("3 of 4 disks checked");
    /// ```
    #[rhai_fn(return_raw)]
    pub fn progress(call: NativeCallContext, text: Dynamic) -> Raised<()> {
        let case = Case::of(&call)?;
        case.context.progress(None, show::plain(&text), None);
        Ok(())
    }

    /// Gives an argument of the testcase by its name.
    ///
    /// ```rhai
    /// // let loops = arg("loops");   // in a testcase whose meta() has args: #{ loops: 50 }
    /// ```
    #[rhai_fn(return_raw)]
    pub fn arg(call: NativeCallContext, name: &str) -> Raised<Dynamic> {
        let case = Case::of(&call)?;
        case.arg(name).ok_or_else(|| {
            let help = crate::name::did_you_mean(name, case.args.keys().map(|k| k.as_str()));
            misuse(format!("the testcase has no argument `{name}`"), help)
        })
    }

    /// Gives the value of a variable (`-D NAME=value`) as text. Without one, the call is an error.
    ///
    /// ```rhai
    /// // let site = config("SITE");
    /// ```
    #[rhai_fn(return_raw)]
    pub fn config(call: NativeCallContext, name: &str) -> Raised<String> {
        let case = Case::of(&call)?;
        let value = case.variables.lookup(name).map_err(|e| raise(&case.context, &e))?;
        value.ok_or_else(|| {
            let near = case.variables.read(|variables| variables.missing(name).help);
            let otherwise = format!("run with -D {name}=value, or give a default: config(\"{name}\", \"…\")");
            misuse(format!("the variable `{name}` is not set"), Some(near.unwrap_or(otherwise)))
        })
    }

    /// Gives the value of a variable, or what is to stand for it. The default's type is the value's type.
    ///
    /// ```rhai
    /// let patience = config("EXTRA_TIME", 1);
    /// let site = config("SITE", "cambridge");
    /// ```
    #[rhai_fn(name = "config", return_raw)]
    pub fn config_or(call: NativeCallContext, name: &str, otherwise: Dynamic) -> Raised<Dynamic> {
        let case = Case::of(&call)?;
        let found = case.variables.lookup(name).map_err(|e| raise(&case.context, &e))?;
        let Some(value) = found else { return Ok(otherwise) };
        let mut defaults = rhai::Map::new();
        defaults.insert(name.into(), otherwise);
        let typed = crate::script::args::typed("config", &defaults, &[format!("{name}={value}")]);
        Ok(typed.map_err(|e| raise(&case.context, &e))?.remove(name).unwrap_or_default())
    }

    /// Gives what the testcase is to run on: a guest, or the host or pool that its meta() says (`target: "host"`). It is the one that
    /// the sequence names, or else the first.
    ///
    /// ```rhai
    /// let vm = target();
    /// log(vm.name);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn target(call: NativeCallContext) -> Raised<Dynamic> {
        let case = Case::of(&call)?;
        Ok(match case.target().map_err(|e| raise(&case.context, &e))? {
            Aimed::Guest(guest) => Dynamic::from(guest),
            Aimed::Host(host) => Dynamic::from(host),
            Aimed::Pool(pool) => Dynamic::from(pool),
        })
    }

    /// Gives a guest by its name.
    ///
    /// ```rhai
    /// let vm = guest(target().name);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn guest(call: NativeCallContext, name: &str) -> Raised<Guest> {
        let case = Case::of(&call)?;
        case.lab.guest(name, &case.context).map_err(|e| raise(&case.context, &e))
    }

    /// Gives all guests: those of the command line in its order, then those of each pool by name.
    ///
    /// ```rhai
    /// for vm in guests() { log(vm.name); }
    /// ```
    #[rhai_fn(return_raw)]
    pub fn guests(call: NativeCallContext) -> Raised<rhai::Array> {
        let case = Case::of(&call)?;
        let all = case.lab.guests(&case.context).map_err(|e| raise(&case.context, &e))?;
        Ok(all.into_iter().map(Dynamic::from).collect())
    }
}

fn line(call: &NativeCallContext, level: Level, text: &Dynamic) -> Raised<()> {
    Case::of(call)?.context.log(level, show::plain(text));
    Ok(())
}
