/** Elevations, kept when they are over. What they are for stands in the event of the grant. */
export interface BreakGlassElevationsTable {
  workspace_id: string;
  id: string;
  principal_id: string;
  principal_kind: 'human' | 'service';
  granted_at: Date;
  expires_at: Date;
  granted_seq: number;
  ended_at: Date | null;
  end_cause: EndCause | null;
}

/** `holder`: whoever it was granted to gave it back. */
export type EndCause = 'expired' | 'holder' | 'administrator';

declare module '../storage/database.ts' {
  interface Database {
    break_glass_elevations: BreakGlassElevationsTable;
  }
}
