//! Keys: put, get, delete, transactions.

use bytes::Bytes;
use wire::etcdserverpb::{
    CompactionRequest, DeleteRangeRequest, DeleteRangeResponse, PutRequest, PutResponse,
    RangeRequest, RangeResponse, TxnRequest, TxnResponse,
};

use crate::{connection::Client, error::ClientError};

impl Client {
    /// Writes one key.
    ///
    /// # Errors
    /// Any; [`crate::Advice::Look`] means that it may have been written.
    pub async fn put(
        &self,
        key: impl Into<Bytes>,
        value: impl Into<Bytes>,
    ) -> Result<PutResponse, ClientError> {
        let request = PutRequest { key: key.into(), value: value.into(), ..Default::default() };
        let answer = self.call("put", |to| {
            let request = request.clone();
            async move { to.keys().put(request).await }
        });
        Ok(answer.await?.0)
    }

    /// Reads one key linearizably.
    ///
    /// # Errors
    /// Any.
    pub async fn get(&self, key: impl Into<Bytes>) -> Result<RangeResponse, ClientError> {
        self.range(RangeRequest { key: key.into(), ..Default::default() }).await
    }

    /// Reads what the request says.
    ///
    /// # Errors
    /// Any.
    pub async fn range(&self, request: RangeRequest) -> Result<RangeResponse, ClientError> {
        let answer = self.call("range", |to| {
            let request = request.clone();
            async move { to.keys().range(request).await }
        });
        Ok(answer.await?.0)
    }

    /// Deletes one key.
    ///
    /// # Errors
    /// Any; [`crate::Advice::Look`] means that it may be gone.
    pub async fn delete(&self, key: impl Into<Bytes>) -> Result<DeleteRangeResponse, ClientError> {
        let request = DeleteRangeRequest { key: key.into(), ..Default::default() };
        let answer = self.call("delete", |to| {
            let request = request.clone();
            async move { to.keys().delete_range(request).await }
        });
        Ok(answer.await?.0)
    }

    /// Compares and acts in one step.
    ///
    /// # Errors
    /// Any; [`crate::Advice::Look`] means that it may have happened.
    pub async fn txn(&self, request: TxnRequest) -> Result<TxnResponse, ClientError> {
        let answer = self.call("txn", |to| {
            let request = request.clone();
            async move { to.keys().txn(request).await }
        });
        Ok(answer.await?.0)
    }

    /// Forgets history below a revision.
    ///
    /// # Errors
    /// Any.
    pub async fn compact(&self, revision: base::Revision) -> Result<(), ClientError> {
        let request = CompactionRequest { revision: revision.get(), physical: false };
        self.call("compact", |to| async move { to.keys().compact(request).await }).await?;
        Ok(())
    }
}
