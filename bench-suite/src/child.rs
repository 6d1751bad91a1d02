//! A process that does not outlive whoever waits for it.

use std::process::{Child, Command, ExitStatus};

use anyhow::{Context, Result};

/// Killed when it is dropped, unless it has ended.
pub(crate) struct OwnChild(Child);

impl OwnChild {
    pub(crate) fn start(command: &mut Command) -> Result<OwnChild> {
        Ok(OwnChild(command.spawn().context("could not start another process of this program")?))
    }

    /// On Unix by SIGKILL: once this returns, nothing of the process runs any more.
    pub(crate) fn kill(&mut self) -> Result<()> {
        self.0.kill()?;
        self.0.wait()?;
        Ok(())
    }

    pub(crate) fn wait(mut self) -> Result<ExitStatus> {
        Ok(self.0.wait()?)
    }

    pub(crate) fn get(&mut self) -> &mut Child {
        &mut self.0
    }
}

impl Drop for OwnChild {
    fn drop(&mut self) {
        // Of one that has ended, nothing is left to kill.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
