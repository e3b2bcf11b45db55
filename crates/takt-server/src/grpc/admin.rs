//! What an operator asks: where the log and the read side stand, and whether they agree.

use takt_events::hex;
use takt_ports::LogError;
use takt_proto::convert::timestamp;
use takt_proto::v1;
use tonic::{Request, Response, Status};

use super::{Services, deadline, status};

impl Services {
    async fn head(&self) -> Result<u64, Status> {
        self.engine.log().head().await.map_err(|error| status(error.into()))
    }

    /// What the inbox holds; absent while it cannot tell.
    async fn unread(&self) -> Option<u64> {
        self.nodes.as_ref()?.inbox.count().await.ok()
    }

    /// Who holds which lease; nobody, while nobody can tell.
    async fn leases(&self) -> Vec<v1::Lease> {
        let Some(nodes) = &self.nodes else { return vec![] };
        let holders = nodes.lease.holders().await.unwrap_or_default().into_iter();
        let lease = |(name, node): (smol_str::SmolStr, uuid::Uuid)| v1::Lease {
            name: takt_engine::shown_lease(&name).to_owned(),
            node: node.to_string(),
        };
        holders.map(lease).collect()
    }
}

#[tonic::async_trait]
impl v1::admin_service_server::AdminService for Services {
    async fn get_status(
        &self,
        request: Request<v1::GetStatusRequest>,
    ) -> Result<Response<v1::GetStatusResponse>, Status> {
        self.sequence(request.get_ref().min_sequence, deadline(&request)).await?;
        let (applied, checkpoint) = self.engine.progress();
        Ok(Response::new(v1::GetStatusResponse {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            head: self.head().await?,
            checkpoint,
            data_dir: self.data.to_string(),
            started: Some(timestamp(self.started)),
            applied,
            log: self.kind.name().to_owned(),
            node: self.nodes.as_ref().map_or(String::new(), |it| it.lease.node().to_string()),
            leases: self.leases().await,
            unread: self.unread().await,
            advice: self.advice.to_vec(),
        }))
    }

    async fn projection_status(
        &self,
        request: Request<v1::ProjectionStatusRequest>,
    ) -> Result<Response<v1::ProjectionStatusResponse>, Status> {
        let (applied, checkpoint) = self.engine.progress();
        let (least, wait) = (request.get_ref().min_sequence, deadline(&request));
        let hash = self.engine.view(least, wait, |world| world.hash()).await.map_err(status)?;
        let head = self.head().await?;
        let hash = hex(&hash);
        Ok(Response::new(v1::ProjectionStatusResponse { head, applied, checkpoint, hash }))
    }

    async fn rebuild_projection(
        &self,
        _request: Request<v1::RebuildProjectionRequest>,
    ) -> Result<Response<v1::ProjectionStatusResponse>, Status> {
        self.engine.rebuild().await.map_err(status)?;
        self.projection_status(Request::new(v1::ProjectionStatusRequest { min_sequence: 0 })).await
    }

    async fn verify_projection(
        &self,
        request: Request<v1::VerifyProjectionRequest>,
    ) -> Result<Response<v1::VerifyProjectionResponse>, Status> {
        self.sequence(request.get_ref().min_sequence, deadline(&request)).await?;
        let verified = self.engine.verify_all().await.map_err(status)?;
        let own = self.nodes.as_ref().map(|nodes| nodes.lease.node()).unwrap_or_default();
        let Some(it) = verified.iter().find(|it| it.node == own) else {
            return Err(Status::unavailable("this node did not answer itself in time; ask again"));
        };
        let hashes = |it: &takt_engine::Verified| match &it.digests {
            Some(digests) => (hex(&digests.live), hex(&digests.replayed)),
            None => (String::new(), String::new()),
        };
        let row = |it: &takt_engine::Verified| {
            let (live_hash, rebuild_hash) = hashes(it);
            let (node, sequence) = (it.node.to_string(), it.seq);
            v1::NodeProjection { node, sequence, live_hash, rebuild_hash }
        };
        let (live_hash, rebuild_hash) = hashes(it);
        let many = self.nodes.is_some();
        Ok(Response::new(v1::VerifyProjectionResponse {
            ok: verified.iter().all(takt_engine::Verified::is_ok),
            sequence: it.seq,
            live_hash,
            rebuild_hash,
            nodes: verified.iter().filter(|_| many).map(row).collect(),
        }))
    }

    async fn verify_log(
        &self,
        request: Request<v1::VerifyLogRequest>,
    ) -> Result<Response<v1::VerifyLogResponse>, Status> {
        self.sequence(request.get_ref().min_sequence, deadline(&request)).await?;
        let answer = match takt_ports::verify_log(self.engine.log().as_ref()).await {
            Ok(verified) => v1::VerifyLogResponse {
                ok: true,
                entries: verified.count,
                damaged: None,
                message: format!("digest {}", hex(&verified.digest)),
            },
            Err(LogError::Damaged { seq, reason }) => v1::VerifyLogResponse {
                ok: false,
                entries: seq.saturating_sub(1),
                damaged: Some(seq),
                message: reason.to_string(),
            },
            Err(error @ LogError::Unavailable { .. }) => return Err(status(error.into())),
        };
        Ok(Response::new(answer))
    }
}
