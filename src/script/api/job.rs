//! A command in the background of a guest.

#![expect(clippy::unwrap_used, reason = "in what the macro writes: the object of a method is always there")]

use super::guest::told;
use super::option;
use crate::lab::{Job, WaitOptions};
use crate::script::failure::Raised;
use rhai::plugin::*;
use rhai::{Dynamic, Map};

pub const FUNCTIONS: &ModuleManifest = exported_manifest!(job);

#[export_module(manifest)]
mod job {
    /// Gives the command of the job.
    ///
    /// ```rhai
    /// let job = target().run_job("true");
    /// check(job.command == "true", "as it was given");
    /// ```
    #[rhai_fn(get = "command", pure)]
    pub fn command(job: &mut Job) -> String {
        job.command().to_string()
    }

    /// Tells whether the job has ended.
    ///
    /// ```rhai
    /// let job = target().run_job("true");
    /// eventually(#{ timeout: "10s", desc: "the job has ended" }, || job.done);
    /// ```
    #[rhai_fn(get = "done", pure, return_raw)]
    pub fn done(job: &mut Job) -> Raised<bool> {
        told(job.guest(), job.done())
    }

    /// Gives the exit status of the job, or `()` while it runs.
    ///
    /// ```rhai
    /// let job = target().run_job("sleep 60");
    /// check(job.rc == (), "it still runs");
    /// ```
    #[rhai_fn(get = "rc", pure, return_raw)]
    pub fn rc(job: &mut Job) -> Raised<Dynamic> {
        Ok(told(job.guest(), job.rc())?.map_or(Dynamic::UNIT, Dynamic::from))
    }

    /// Waits for the end of the job, at most 20 minutes, and gives its exit status. A status other than 0 fails the testcase, unless
    /// the job was started with another `on_error`.
    ///
    /// ```rhai
    /// let job = target().run_job("sleep 0.1");
    /// job.wait();
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn wait(job: &mut Job) -> Raised<i64> {
        told(job.guest(), job.wait(&WaitOptions::default()))
    }

    /// Waits for the end of the job with the option `timeout`: seconds or a text such as "2h" (default "20m"). When it is over the
    /// job goes on.
    ///
    /// ```rhai
    /// let job = target().run_job("sleep 0.1");
    /// job.wait(#{ timeout: "1m" });
    /// ```
    #[rhai_fn(name = "wait", pure, return_raw)]
    pub fn wait_with(job: &mut Job, options: Map) -> Raised<i64> {
        let options = option::read::<WaitOptions>("wait", options)?;
        told(job.guest(), job.wait(&options))
    }

    /// Gives what the job has printed to its standard output so far.
    ///
    /// ```rhai
    /// let job = target().run_job("echo hello");
    /// job.wait();
    /// check(job.output() == "hello\n", "it said hello");
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn output(job: &mut Job) -> Raised<String> {
        told(job.guest(), job.output())
    }

    /// Gives what the job has printed to its standard error so far.
    ///
    /// ```rhai
    /// let job = target().run_job("echo oops >&2");
    /// job.wait();
    /// log(job.errors());
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn errors(job: &mut Job) -> Raised<String> {
        told(job.guest(), job.errors())
    }

    /// Ends the job with all processes that it started, by force after a few seconds. It may have ended already.
    ///
    /// ```rhai
    /// let job = target().run_job("sleep 60");
    /// job.kill();
    /// check(job.done, "it is gone");
    /// ```
    #[rhai_fn(pure, return_raw)]
    pub fn kill(job: &mut Job) -> Raised<()> {
        told(job.guest(), job.kill())
    }

    /// Gives the job as text.
    ///
    /// ```rhai
    /// log(`started ${target().run_job("true")}`);
    /// ```
    #[rhai_fn(name = "to_string", name = "to_debug", pure)]
    pub fn shown(job: &mut Job) -> String {
        job.to_string()
    }
}
