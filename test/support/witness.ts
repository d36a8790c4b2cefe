import { openCheckpoint } from '../../src/transparency/checkpoint.ts';
import { emptyRoot } from '../../src/transparency/merkle.ts';
import { formatSignatureLine } from '../../src/transparency/note.ts';
import type { NoteKey } from '../../src/transparency/note-key.ts';
import { cosignNote } from '../../src/transparency/sign-note.ts';
import { verifyConsistency } from '../../src/transparency/verify-proof.ts';
import { parseAddCheckpoint } from '../../src/transparency/witness.ts';
import { newNoteSigner } from '../transparency/support/note-keys.ts';
import type { Tap } from './postgres.ts';
import { type Answered, type Received, receiver } from './receiver.ts';

export interface TestWitness {
  readonly url: string;
  readonly key: NoteKey;
  /** What it saw last. */
  seen: { readonly size: number; readonly root: Uint8Array };
  /** Sizes it was asked from and to. */
  readonly asked: (readonly [number, number])[];
  /** Answers instead of it while it is set. */
  instead: (() => Answered) | undefined;
}

/** A witness that follows C2SP tlog-witness for one log: it cosigns only what goes on from what it saw last. */
export async function witness(
  t: Tap,
  log: { readonly key: NoteKey },
  name = 'witness.example/w1',
): Promise<TestWitness> {
  const signer = newNoteSigner(name, 'cosignature/v1');
  const world: TestWitness = {
    url: await receiver(t, (request) => world.instead?.() ?? answer(request)),
    key: signer.key,
    seen: { size: 0, root: emptyRoot() },
    asked: [],
    instead: undefined,
  };
  return world;

  async function answer({ method, path, body }: Received): Promise<Answered> {
    if (method !== 'POST' || path !== '/add-checkpoint') return { status: 404 };
    const { oldSize, proof, note } = parseAddCheckpoint(body);
    const { checkpoint, text, unknown } = openCheckpoint(note, log.key.name, { log: [log.key] });
    if (unknown.length > 0) return { status: 400 };
    const { size, rootHash: root } = checkpoint;
    world.asked.push([oldSize, size]);
    if (oldSize !== world.seen.size) {
      return { status: 409, headers: { 'content-type': 'text/x.tlog.size' }, body: `${world.seen.size}\n` };
    }
    if (!verifyConsistency({ oldSize, size, oldRoot: world.seen.root, root, proof })) return { status: 422 };
    world.seen = { size, root };
    return { status: 200, body: formatSignatureLine(await cosignNote(text, signer, 1_800_000_000)) };
  }
}
