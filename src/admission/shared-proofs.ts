import type { Digest } from '../crypto/digest.ts';
import { openSharedProof, type SharedProof } from '../proofs/shared-proof.ts';
import { ProofError } from '../proofs/statement.ts';
import type { Trx } from '../storage/database.ts';
import type { Storage } from '../storage/storage.ts';
import { findStatements, type StatementRow, statementRead } from './store.ts';

/** Of statements that are kept: about 150,000 agents, for a process that has some hundred MiB. */
const MAX_BYTES = 64 * 1024 * 1024;

/** The statement that a proof's row refers to, or why there is none. */
export type SharedReading =
  | { readonly readable: true; readonly proof: SharedProof }
  | { readonly readable: false; readonly problem: string };

export interface SharedProofs {
  read(workspaceId: string, digest: Digest): Promise<SharedReading>;
  /** As read, what is not known in one statement of the caller's transaction. */
  readMany(trx: Trx, workspaceId: string, digests: Iterable<Digest>): Promise<ReadonlyMap<Digest, SharedReading>>;
  /** Reads it anew next time: whoever was refused for it may have been refused for a signature that was edited. */
  forget(workspaceId: string, digest: Digest): void;
}

/**
 * The statements over many agents that stored proofs refer to. A payload counts only under the digest that it really has,
 * so what is kept can go stale in its signature alone. The least recently used are forgotten first, and what is no proof is
 * never kept.
 */
export function createSharedProofs(storage: Pick<Storage, 'call'>, maxBytes: number = MAX_BYTES): SharedProofs {
  const readRow = statementRead(storage);
  const kept = new Map<string, SharedProof>();
  const asked = new Map<string, Promise<SharedReading>>();
  let bytes = 0;

  function find(name: string): SharedReading | undefined {
    const proof = kept.get(name);
    if (proof === undefined) return undefined;
    kept.delete(name);
    kept.set(name, proof);
    return { readable: true, proof };
  }

  function enter(workspaceId: string, digest: Digest, row: StatementRow | undefined): SharedReading {
    const reading = open(digest, row);
    if (!reading.readable) return reading;
    const name = nameOf(workspaceId, digest);
    drop(name);
    kept.set(name, reading.proof);
    bytes += reading.proof.weight;
    for (const oldest of kept.keys()) {
      if (bytes <= maxBytes) break;
      drop(oldest);
    }
    return reading;
  }

  function drop(name: string): void {
    bytes -= kept.get(name)?.weight ?? 0;
    kept.delete(name);
  }

  async function ask(workspaceId: string, digest: Digest): Promise<SharedReading> {
    return enter(workspaceId, digest, await readRow(workspaceId, digest));
  }

  return {
    async read(workspaceId, digest) {
      const name = nameOf(workspaceId, digest);
      const known = find(name) ?? asked.get(name);
      if (known !== undefined) return known;
      const asking = ask(workspaceId, digest).finally(() => asked.delete(name));
      asked.set(name, asking);
      return asking;
    },
    async readMany(trx, workspaceId, digests) {
      const readings = new Map<Digest, SharedReading>();
      const missing: Digest[] = [];
      for (const digest of new Set(digests)) {
        const known = find(nameOf(workspaceId, digest));
        if (known === undefined) missing.push(digest);
        else readings.set(digest, known);
      }
      const rows = missing.length === 0 ? [] : await findStatements(trx, workspaceId, missing);
      const found = new Map(rows.map((row) => [row.id, row]));
      for (const digest of missing) readings.set(digest, enter(workspaceId, digest, found.get(digest)));
      return readings;
    },
    forget: (workspaceId, digest) => drop(nameOf(workspaceId, digest)),
  };
}

function open(digest: Digest, row: StatementRow | undefined): SharedReading {
  if (row === undefined) return { readable: false, problem: 'the statement it refers to is not there' };
  try {
    const proof = openSharedProof(row.envelope);
    if (proof.digest === digest) return { readable: true, proof };
    return { readable: false, problem: 'the statement it refers to has another digest' };
  } catch (error) {
    if (error instanceof ProofError) return { readable: false, problem: error.message };
    throw error;
  }
}

function nameOf(workspaceId: string, digest: Digest): string {
  return `${workspaceId} ${digest}`;
}
