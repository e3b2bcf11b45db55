//! Conflicts in a row: where nothing has moved there is another reason, and whoever asks is told.

use std::time::Duration;

use takt_domain::StreamName;
use takt_ports::AppendError;

use crate::error::Error;

/// How many conflicts in a row may show nothing that has moved.
const MOST: u32 = 6;
/// How long the log is left alone after the first of them; twice as long after each other.
const PAUSE: Duration = Duration::from_millis(20);

/// What one append has met so far.
#[derive(Debug, Default)]
pub(crate) struct Conflicts {
    still: u32,
}

impl Conflicts {
    /// Waits as long as a conflict asks for. Where another writer came first that is not at all;
    /// where nothing has moved, a writer may be just at work, or the log takes nothing.
    ///
    /// # Errors
    /// When nothing has moved several times in a row.
    pub(crate) async fn met(
        &mut self,
        stream: &StreamName,
        conflict: &AppendError,
    ) -> Result<(), Error> {
        let AppendError::Conflict { subject, expected, actual } = conflict else { return Ok(()) };
        if expected != actual {
            self.still = 0;
            return Ok(());
        }
        self.still += 1;
        if self.still >= MOST {
            tracing::warn!(%stream, %subject, "the log takes nothing, and does not say why");
            return Err(Error::Unavailable(format!(
                "the log has refused to append to `{subject}` {MOST} times, where nothing has moved \
                 since {actual}; look whether this user may publish to `takt.log.>`, and into the \
                 server's own log"
            )));
        }
        tokio::time::sleep(PAUSE * 2_u32.pow(self.still - 1)).await;
        Ok(())
    }
}
