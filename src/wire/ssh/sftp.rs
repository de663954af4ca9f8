//! The one SFTP handle of a connection: opened when first wanted, used by one job at a time, opened anew when the server ended it.

use super::desk::{Desk, PATIENCE};
use super::fault::Fault;
use super::link::{Refusal, Ticket};
use crate::error::Kind;
use ssh2::{Error, ErrorCode};
use std::future::poll_fn;
use std::io::ErrorKind;
use std::rc::Rc;
use std::task::Poll;
use std::time::Instant;

/// SFTP for one job, given back when dropped.
pub(super) struct SftpTurn(Rc<Desk>);

impl SftpTurn {
    /// Waits for the turn, and opens SFTP unless it is open.
    ///
    /// # Errors
    /// `Unsupported` when the server has none; `NotBegun` when it takes no channel although none is open.
    pub async fn take(desk: &Rc<Desk>, ticket: &Ticket) -> Result<SftpTurn, Fault> {
        let mine = SftpTurn::wait(desk, ticket).await?;
        let mut refused_alone: Option<Instant> = None;
        while desk.sftp.borrow().is_none() {
            let turn = desk.turn(ticket).await?;
            let opened = desk.finish_or_refused(|| desk.session.sftp().map_err(|e| desk.only_sftp(e))).await;
            drop(turn);
            match opened {
                Ok(Some(sftp)) => {
                    desk.open.set(desk.open.get() + 1);
                    *desk.sftp.borrow_mut() = Some(sftp);
                }
                Ok(None) => desk.refused.set(Some((Instant::now(), desk.open.get()))),
                Err(Fault::Refused(r)) => return Err(Fault::Refused(no_sftp(&r.why))),
                Err(other) => return Err(other),
            }
            if desk.open.get() == 0 && refused_alone.get_or_insert_with(Instant::now).elapsed() > PATIENCE {
                return Err(Fault::NotBegun);
            }
        }
        Ok(mine)
    }

    async fn wait(desk: &Rc<Desk>, ticket: &Ticket) -> Result<SftpTurn, Fault> {
        poll_fn(|_| {
            if ticket.is_abandoned() {
                return Poll::Ready(Err(Fault::Abandoned));
            }
            if desk.sftp_busy.replace(true) {
                return Poll::Pending;
            }
            Poll::Ready(Ok(SftpTurn(desk.clone())))
        })
        .await
    }
}

impl Drop for SftpTurn {
    fn drop(&mut self) {
        self.0.sftp_busy.set(false);
        self.0.again.set(true);
        if self.0.sftp_ended.replace(false) {
            self.0.release_sftp();
        }
    }
}

impl Desk {
    /// Gives up SFTP's channel when nobody uses it: a server that allows few sessions needs it for a command.
    ///
    /// The one blocking call on the owner thread, a round trip long: the ssh2 crate can end SFTP in no other way.
    pub fn release_sftp(&self) {
        if !self.sftp_busy.get() && self.sftp.borrow_mut().take().is_some() {
            self.open.set(self.open.get().saturating_sub(1));
        }
    }

    /// The error, if the connection is lost; a mere refusal, if only SFTP has ended. libssh2 has one code for both.
    pub fn only_sftp(&self, error: Error) -> Error {
        let peeked = || self.socket.peek(&mut [0]);
        let is_alive = || peeked().map_or_else(|e| e.kind() == ErrorKind::WouldBlock, |bytes| bytes > 0);
        if !matches!(error.code(), ErrorCode::Session(-43 | -25)) || !is_alive() {
            return error;
        }
        self.sftp_ended.set(true);
        Error::new(ErrorCode::Session(-22), "its SFTP server has ended, or is none")
    }
}

fn no_sftp(why: &str) -> Refusal {
    Refusal {
        kind: Kind::Unsupported,
        why: format!("no files can be moved: {why}"),
        help: Some("enable SFTP in sshd_config there: `Subsystem sftp internal-sftp`".into()),
    }
}
