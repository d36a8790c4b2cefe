import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import t from 'tap';

import { openWorld } from '../system/support/world.ts';
import cases from './refusals.json' with { type: 'json' };
import spellings from './spellings.json' with { type: 'json' };
import {
  canonical,
  digest,
  envelopeFor,
  type ManifestKey,
  MINUTE,
  manifestFor,
  newKey,
  refused,
  registration,
  SPEC,
  seal,
  signed,
  stored,
  trustedKey,
} from './support.ts';

const AGENTS = '/v1/workspaces/demo/agents';
const NAMES = /^(?:manifestId|manifestHash|signerId|code)$/;

interface Case {
  readonly why: string;
  readonly status: number;
  readonly code: string;
  readonly pointer?: string;
  readonly omit?: boolean;
  /** The text in the place of the envelope. */
  readonly raw?: string;
  /** Members of the manifest before it is signed, and those left out. */
  readonly manifest?: Readonly<Record<string, unknown>>;
  readonly without?: readonly string[];
  /** Minutes from now. */
  readonly minutes?: readonly number[];
  /** Members of the envelope. */
  readonly envelope?: Readonly<Record<string, unknown>>;
  /** Members of the manifest after it was signed. */
  readonly afterwards?: Readonly<Record<string, unknown>>;
  readonly keepHash?: boolean;
  readonly signText?: boolean;
  readonly signDigest?: boolean;
  readonly padding?: number;
  /** A member that is put behind those of the manifest. */
  readonly twice?: string;
  /** A piece of the text, and what is sent in its place. */
  readonly respell?: readonly string[];
}

type World = Awaited<ReturnType<typeof openWorld>>;

const world = await openWorld(t);
const key = await trustedKey(world);

t.test('each way to be wrong has its code, its event, and leaves nothing', async (t) => {
  for (const one of cases as readonly Case[]) {
    await t.test(one.why, async (t) => {
      const text = bodyOf(world, key, one);
      const { answer, payload } = await refused(t, world, one, () => world.call('operator', 'POST', AGENTS, text));
      if (one.pointer !== undefined) {
        const pointers = answer.body.errors.map(({ pointer }: { pointer: string }) => pointer);
        t.ok(pointers.includes(one.pointer), pointers.join());
      }
      t.same(
        Object.keys(payload).filter((name) => !NAMES.test(name)),
        [],
      );
    });
  }
});

t.test('another spelling of the same values is the same manifest', async (t) => {
  for (const { why, indent, reversed, respell, slashes } of spellings as readonly {
    why: string;
    indent?: number;
    reversed?: boolean;
    respell?: readonly string[];
    slashes?: boolean;
  }[]) {
    const envelope = envelopeFor(world, key, SPEC);
    const inOrder = reversed === true ? { ...envelope, manifest: reverse(envelope.manifest) } : envelope;
    let text = respelt(JSON.stringify({ spec: SPEC, manifest: inOrder }), respell);
    if (indent !== undefined) text = JSON.stringify(JSON.parse(text), null, indent);
    if (slashes === true) text = text.replaceAll('/', '\\/');
    const answer = await world.call('operator', 'POST', AGENTS, text);
    t.equal(answer.status, 201, `${why}: ${answer.text}`);
  }
});

t.test('what is refused is named in the audit by what has the form of a name, and by nothing else', async (t) => {
  const good = envelopeFor(world, key, SPEC, { audience: 'another' });
  const wrong = { status: 403, code: 'MANIFEST_WRONG_PURPOSE' };
  const create = (manifest: unknown) => () => world.call('operator', 'POST', AGENTS, { spec: SPEC, manifest });
  const { payload } = await refused(t, world, wrong, create(good));
  t.same(payload, {
    manifestId: good.manifest.manifestId,
    manifestHash: good.manifestHash,
    signerId: key.signerId,
    code: wrong.code,
  });
  const script = '<script>alert(1)</script>';
  const bad = { ...good, manifest: { manifestId: script }, manifestHash: script, manifestSignatureId: script };
  const malformed = { status: 400, code: 'MANIFEST_MALFORMED' };
  const { payload: nameless } = await refused(t, world, malformed, create(bad));
  t.same(nameless, { code: malformed.code });
});

t.test('who may not write agents learns nothing about manifests', async (t) => {
  const manifest = envelopeFor(world, key, SPEC);
  const answer = await world.call('auditor', 'POST', AGENTS, { spec: SPEC, manifest });
  t.match(answer, { status: 403, body: { code: 'PERMISSION_DENIED' } });
  const stranger = await world.call('outsider', 'POST', AGENTS, { spec: SPEC, manifest: { manifest: 1 } });
  t.equal(stranger.status, 404);
  const nowhere = '/v1/workspaces/none/agents';
  for (const presented of [manifest, {}]) {
    const { status } = await world.call('kernel-admin', 'POST', nowhere, { spec: SPEC, manifest: presented });
    t.equal(status, 404, 'a workspace that does not exist');
  }
});

t.test('a body that is no JSON at all is no manifest', async (t) => {
  const text = JSON.stringify({ spec: SPEC, manifest: envelopeFor(world, key, SPEC) });
  for (const body of [`\ufeff${text}`, text.slice(0, -1), text.replace('"spec":', '"spec":{},"spec":')]) {
    const { result, events } = await world.eventsOf(() => world.call('operator', 'POST', AGENTS, body));
    t.match(result, { status: 400, body: { code: 'MALFORMED_JSON' } });
    t.same(events, []);
  }
});

t.test('a manifest that cannot be read, where the workspace would be in the same body', async (t) => {
  const text = JSON.stringify({ agent_config: SPEC, workspace_id: 'demo', manifest: envelopeFor(world, key, SPEC) });
  const body = text.replace('"v":1', '"v":1,"v":1');
  const chains = { operator: 'demo', 'kernel-admin': '_system' };
  for (const [who, chain] of Object.entries(chains)) {
    const { result, events } = await world.eventsOf(() => world.call(who, 'POST', '/api/v1/agent/spawn', body));
    t.match(result, {
      status: 400,
      body: { code: 'MANIFEST_MALFORMED', errors: [{ pointer: '/manifest/manifest/v' }] },
    });
    t.match(events, [{ chain, type: 'manifest.rejected', actor: who, payload: { code: 'MANIFEST_MALFORMED' } }]);
    t.equal(events.length, 1);
  }
});

t.test('a profile that needs no manifest has the one that comes with it checked', async (t) => {
  const spec = { name: 'reader', profile: 'personal' };
  const create = (manifest?: unknown) =>
    world.call('operator', 'POST', AGENTS, { spec, ...(manifest ? { manifest } : {}) });
  t.equal((await create()).status, 201);
  t.equal((await create(envelopeFor(world, key, spec))).status, 201);
  const expired = { status: 403, code: 'MANIFEST_EXPIRED' };
  const past = { expiresAt: new Date(world.now() - MINUTE).toISOString() };
  await refused(t, world, expired, () => create(envelopeFor(world, key, spec, past)));
});

t.test('a signer of another purpose vouches for no agent, not even with its own key', async (t) => {
  for (const purpose of ['audit', 'proof']) {
    const other = newKey();
    await world.expect(201, 'kernel-admin', 'POST', '/v1/signers', registration(other, purpose));
    const manifest = envelopeFor(world, other, SPEC);
    await refused(t, world, { status: 403, code: 'MANIFEST_WRONG_PURPOSE' }, () =>
      world.call('operator', 'POST', AGENTS, { spec: SPEC, manifest }),
    );
  }
});

t.test('a signature by another trusted key is none of the one that is named', async (t) => {
  const other = await trustedKey(world);
  const manifest = { ...envelopeFor(world, other, SPEC), manifestSignatureId: key.signerId };
  await refused(t, world, { status: 403, code: 'MANIFEST_SIGNATURE_INVALID' }, () =>
    world.call('operator', 'POST', AGENTS, { spec: SPEC, manifest }),
  );
  t.match(await stored(world), { manifests: spellings.length + 1 });
});

function bodyOf(world: World, key: ManifestKey, one: Case): string {
  if (one.omit === true) return JSON.stringify({ spec: SPEC });
  if (one.raw !== undefined) return `{"spec":${JSON.stringify(SPEC)},"manifest":${one.raw}}`;
  const text = JSON.stringify({ spec: SPEC, manifest: presented(world, key, one) });
  const end = text.lastIndexOf('},"manifestSignature"');
  const doubled = one.twice === undefined ? text : `${text.slice(0, end)},${one.twice}${text.slice(end)}`;
  return respelt(doubled, one.respell);
}

function presented(world: World, key: ManifestKey, one: Case): object {
  const [from = 0, to = 60] = one.minutes ?? [];
  const time = (minutes: number) => new Date(world.now() + minutes * MINUTE).toISOString();
  const full = { ...manifestFor(world, SPEC), issuedAt: time(from), expiresAt: time(to), ...one.manifest };
  const manifest = Object.fromEntries(Object.entries(full).filter(([name]) => one.without?.includes(name) !== true));
  const envelope = seal(key, manifest, one.envelope);
  if (one.signText === true) {
    const bytes = Buffer.from(JSON.stringify(manifest, null, 1));
    return { ...envelope, manifestSignature: signed(key, bytes).toString('base64') };
  }
  if (one.signDigest === true) {
    const bytes = createHash('sha256').update(canonical(manifest)).digest();
    return { ...envelope, manifestSignature: signed(key, bytes).toString('base64') };
  }
  if (one.padding !== undefined) return { ...envelope, padding: 'x'.repeat(one.padding) };
  if (one.afterwards === undefined) return envelope;
  const changed = { ...manifest, ...one.afterwards };
  return { ...envelope, manifest: changed, ...(one.keepHash === true ? {} : { manifestHash: digest(changed) }) };
}

function respelt(text: string, [from, to]: readonly string[] = []): string {
  if (from === undefined || to === undefined) return text;
  assert(text.includes(from), `nothing to respell in ${text}`);
  return text.replace(from, to);
}

function reverse(value: object): object {
  return Object.fromEntries(Object.entries(value).reverse());
}
