import { inspect } from 'node:util';
import type { Test } from 'tap';

import { SignerError } from '../../../src/crypto/signer.ts';
import { verifySignature } from '../../../src/crypto/verify.ts';
import type { RemoteSigner } from '../../../src/signers/drivers/remote-signer.ts';
import { type KeyedSigner, verifiedSigner } from '../../../src/signers/verified-signer.ts';
import { until } from '../../support/process.ts';

/** ms; short, so that the faults which last until the deadline do not take long. */
const SHORT_MS = 400;
/** ms that a busy machine may add to a limit. */
const SLACK_MS = 1500;
/** ms; where it is not about time. */
const AMPLE_MS = 20_000;
const CONCURRENT = 200;
const DATA = Buffer.from('what was decided');

/** A key to try a driver with. */
export interface Subject {
  open(deadlineMs?: number): Promise<KeyedSigner>;
  /** Whether node:crypto itself verifies the signature. */
  verify(data: Uint8Array, signature: Uint8Array): boolean;
  /** What no error may show. */
  readonly secrets: readonly string[];
}

/** One whose key is held elsewhere. */
export interface RemoteSubject extends Subject {
  open(deadlineMs?: number): Promise<RemoteSigner>;
  /** From now on the other side fails in that way, or for so many requests. */
  fail(fault: string, requests?: number): void;
  heal(): void;
  /** With each of them no signature may come out. */
  readonly faults: readonly string[];
  /** Those of them that another attempt gets over. */
  readonly passing: readonly string[];
}

/** What every driver holds to. */
export function conformance(t: Test, name: string, make: (t: Test) => Promise<Subject>): void {
  t.test(`${name}: signs and verifies`, async (t) => {
    const subject = await make(t);
    const { signer, key } = await subject.open(AMPLE_MS);
    t.equal(signer.algorithm, key.algorithm);
    for (const data of [DATA, Buffer.of(0), Buffer.alloc(4096, 7)]) {
      const signature = await signer.sign(data);
      t.ok(verifySignature(key, data, signature), `${data.length} bytes`);
      t.ok(subject.verify(data, signature), 'node:crypto says so, too');
      t.notOk(subject.verify(Buffer.concat([data, Buffer.of(0)]), signature), 'and not of other data');
    }
  });

  t.test(`${name}: many at once`, async (t) => {
    const subject = await make(t);
    const signer = verifiedSigner(await subject.open(AMPLE_MS));
    const many = Array.from({ length: CONCURRENT }, (_, i) => Buffer.concat([DATA, Buffer.of(i)]));
    const signatures = await Promise.all(many.map((data) => signer.sign(data, AbortSignal.timeout(AMPLE_MS))));
    t.ok(signatures.every((signature, i) => subject.verify(many[i] ?? DATA, signature)));
  });

  t.test(`${name}: a cancelled signature`, async (t) => {
    const subject = await make(t);
    const { signer } = await subject.open();
    await rejectsQuietly(t, subject, () => signer.sign(DATA, AbortSignal.abort()));
  });
}

/** What a driver holds to beyond that when others have a say. */
export function remoteConformance(t: Test, name: string, make: (t: Test) => Promise<RemoteSubject>): void {
  conformance(t, name, make);

  t.test(`${name}: cancelled while the other side is silent`, async (t) => {
    const subject = await make(t);
    const { signer, background } = await subject.open();
    subject.fail('silence');
    for (const one of [signer, background.signer]) {
      const controller = new AbortController();
      setTimeout(() => controller.abort(), 20);
      const took = await timed(() => rejectsQuietly(t, subject, () => one.sign(DATA, controller.signal)));
      t.ok(took < SLACK_MS, `after ${took} ms`);
    }
  });

  t.test(`${name}: silence ends at the deadline`, async (t) => {
    const subject = await make(t);
    const remote = await subject.open(SHORT_MS);
    subject.fail('silence');
    for (const work of [() => remote.signer.sign(DATA), () => remote.probe()]) {
      const took = await timed(() => rejectsQuietly(t, subject, work));
      t.ok(took > SHORT_MS - 10 && took < SHORT_MS + SLACK_MS, `after ${took} ms`);
    }
    await recovers(t, subject, remote);
  });

  t.test(`${name}: no signature out of a fault`, async (t) => {
    const subject = await make(t);
    const remote = await subject.open(SHORT_MS);
    const signer = verifiedSigner(remote);
    for (const fault of subject.faults) {
      subject.fail(fault);
      await rejectsQuietly(t, subject, () => signer.sign(DATA), fault);
      await recovers(t, subject, remote);
    }
  });

  t.test(`${name}: what passes is tried again`, async (t) => {
    const subject = await make(t);
    const { signer, probe } = await subject.open(AMPLE_MS);
    for (const fault of subject.passing) {
      subject.fail(fault, 2);
      t.ok(subject.verify(DATA, await signer.sign(DATA)), fault);
      subject.fail(fault, 1);
      await t.resolves(probe(), `${fault}, probe`);
    }
  });
}

async function recovers(t: Test, subject: RemoteSubject, { signer, probe }: RemoteSigner): Promise<void> {
  subject.heal();
  const signs = async () => subject.verify(DATA, await signer.sign(DATA));
  await until('signs again', () => signs().catch(() => false));
  await until('is ready again', () =>
    probe().then(
      () => true,
      () => false,
    ),
  );
  t.pass('recovers alone');
}

/** Rejects with a SignerError that keeps every secret, its causes included. */
async function rejectsQuietly(t: Test, subject: Subject, work: () => Promise<unknown>, why = ''): Promise<void> {
  const error = await work().then(
    (value) => new Error(`resolved with ${value}`),
    (error: unknown) => error,
  );
  t.ok(error instanceof SignerError, `${why}: ${error}`);
  const shown = inspect(error, { depth: Number.POSITIVE_INFINITY, showHidden: true });
  t.notOk(
    subject.secrets.find((secret) => shown.includes(secret)),
    `${why}: shows no secret`,
  );
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const from = performance.now();
  await work();
  return performance.now() - from;
}
