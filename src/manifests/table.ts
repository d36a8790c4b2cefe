/** A manifest that was accepted, for good: it is never accepted again. */
interface AcceptedManifestsTable {
  manifest_id: string;
  workspace_id: string;
  manifest_hash: string;
  signer_id: string;
  expires_at: Date;
  accepted_at: Date;
}

declare module '../storage/database.ts' {
  interface Database {
    accepted_manifests: AcceptedManifestsTable;
  }
}
