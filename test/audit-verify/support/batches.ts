import { randomBytes } from 'node:crypto';

import { mth, path } from '../../transparency/support/reference.ts';
import type { Row, Step } from './history.ts';
import { signHash, signRoot, type TestSigner } from './keys.ts';

/** As the columns have it, and the root that was signed. */
export interface Batch {
  index: number;
  size: number;
  path: Buffer;
  root: Buffer;
}

/** Rows under one signature, as a transaction signs them, among as many events of `others` chains as are asked for. */
export function signedTogether(rows: readonly Row[], signer: TestSigner, others = 0): Row[] {
  const before = Array.from({ length: Math.ceil(others / 2) }, () => randomBytes(32));
  const after = Array.from({ length: Math.floor(others / 2) }, () => randomBytes(32));
  const leaves = [...before, ...rows.map(({ hash }) => Buffer.from(hash, 'hex')), ...after];
  const root = mth(leaves);
  const signature = signRoot(signer.privateKey, root);
  return rows.map((row, at) => {
    const index = before.length + at;
    const batch = { index, size: leaves.length, path: Buffer.concat(path(index, leaves)), root };
    return { ...row, signature, signerId: signer.signerId, signMode: 'batch', batch };
  });
}

/** The row signed by this signer in the mode it has. */
export function signedAgain(row: Row, signer: TestSigner): Row {
  const [batch] = row.batch === undefined ? [] : signedTogether([row], signer);
  return batch ?? { ...row, signature: signHash(signer.privateKey, row.hash), signerId: signer.signerId };
}

/** What another signer's signature in the place of this row's would be. */
export function signatureBy(signer: TestSigner, { hash, batch }: Row): string {
  return batch === undefined ? signHash(signer.privateKey, hash) : signRoot(signer.privateKey, batch.root);
}

/** Signs those that follow each other in one transaction together. */
export function inTransactions(rows: readonly Row[], steps: readonly Step[]): Row[] {
  const signed: Row[] = [];
  for (let from = 0, to = 0; from < rows.length; from = to) {
    const step = steps[from];
    for (to = from + 1; step?.tx !== undefined && isOfOne(step, steps[to]); ) to += 1;
    const together = rows.slice(from, to);
    const signer = step?.mode === 'batch' ? step.signer : null;
    signed.push(...(signer === null ? together : signedTogether(together, signer, step?.others)));
  }
  return signed;
}

function isOfOne(step: Step, next: Step | undefined): boolean {
  return next !== undefined && next.tx === step.tx && next.mode === 'batch' && next.signer === step.signer;
}

/**
 * The steps in stretches of one mode: before each of the given indexes an event switches to the other mode. Steps of one
 * transaction get one signer.
 */
export function inModes(steps: readonly Step[], toggles: readonly number[]): Step[] {
  const stretched: Step[] = [];
  let mode: 'event' | 'batch' = 'event';
  for (const [index, step] of steps.entries()) {
    const before = stretched.at(-1);
    const shares = mode === 'batch' && before?.mode === 'batch' && before.tx !== undefined && before.tx === step.tx;
    const signer = shares && before.signer !== null && step.signer !== null ? before.signer : step.signer;
    if (toggles.includes(index) && step.signer !== null) {
      const payload = { from: mode, to: mode === 'event' ? 'batch' : 'event' };
      mode = mode === 'event' ? 'batch' : 'event';
      stretched.push({ ...step, mode, type: 'audit.signmode.switched', payload });
      stretched.push({ ...step, mode });
    } else {
      stretched.push({ ...step, mode, signer });
    }
  }
  return stretched;
}
