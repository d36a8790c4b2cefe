import t from 'tap';

import { mth } from '../../transparency/support/reference.ts';
import { missing, reattesting, registryOf, secondAndOurs } from '../support/both.ts';
import { canonicalBody, EPOCH, event, history, sha256 } from '../support/history.ts';
import { testSigner } from '../support/keys.ts';
import { entryOf } from '../support/world.ts';

const ed = testSigner('ed');
const ec = testSigner('ec', 'ECDSA-P256-SHA256');
const stolen = { ...testSigner('stolen'), state: 'compromised', revokedAt: new Date(EPOCH - 3_600_000).toISOString() };
const signers = [ed, ec, stolen];

t.test('both take the word of another signer for what a stolen key signed', { skip: missing }, async (t) => {
  const rows = history('demo', [{ signer: ed }, { signer: stolen }, { signer: ec }, { signer: stolen }]);
  const { second, ours } = await secondAndOurs(t, [...rows, event('demo', rows, reattesting(ed, rows, {}))], {
    registry: { signers },
  });
  t.match(second, { ok: true, findings: [{ chain: 'demo', seq: 2, class: 'reattested' }] });
  t.match(ours, { ok: true, findings: [{ chain: 'demo', seq: 2, class: 'reattested' }] });
});

t.test('for both a stolen key does not vouch for itself, whatever time it writes', { skip: missing }, async (t) => {
  const signer = { ...stolen, trustedUpTo: new Date(EPOCH + 150).toISOString() };
  const rows = history('demo', [{ signer }, { signer }]);
  rows.push(event('demo', rows, { ...reattesting(signer, rows, {}), at: 150 }));
  const { second, ours } = await secondAndOurs(t, rows, { registry: { signers: [ed, signer] } });
  const findings = [{ chain: 'demo', seq: 2, class: 'signer-compromised' }];
  t.match(second, { ok: false, findings });
  t.match(ours, { ok: false, findings });
});

t.test('both compare a registry with the event of its version', { skip: missing }, async (t) => {
  const rows = history('_system', [
    { signer: ed, type: 'signer.registered', payload: { registryVersion: 6, registryDigest: 'sha256:other' } },
    {
      signer: ed,
      type: 'signer.retired',
      payload: { registryVersion: 7, registryDigest: digestOf(registryOf(signers)) },
    },
    { signer: ed },
  ]);
  const misfit = [{ chain: '_system', seq: 2, class: 'projection-edited' }];
  const edited = signers.map((one) => (one === stolen ? { ...one, validToSize: 3, replaces: 'ed' } : one));
  for (const [registry, findings] of [
    [{ signers, version: 7 }, []],
    [{ signers: edited, version: 7 }, misfit],
    [{ signers: edited, version: 8 }, []],
    [{ signers: edited }, []],
  ] as const) {
    const { second, ours } = await secondAndOurs(t, rows, { registry });
    t.same([second.findings, second.ok], [findings, findings.length === 0]);
    t.match(ours, { ok: findings.length === 0, findings });
  }
});

t.test('both limit signers by the size of the log of checkpoints', { skip: missing }, async (t) => {
  const old = { ...testSigner('old'), state: 'retired', validToSize: 1 };
  const fresh = { ...testSigner('fresh'), validFromSize: 2 };
  const rows = history(
    'demo',
    [old, old, fresh, old, ed, fresh, old].map((signer) => ({ signer })),
  );
  const roots = [2, 5].map((size) => mth(rows.slice(0, size).map(({ body }) => body)));
  const log = [2, 5].map((size, at) => entryOf('demo', size, roots[at] ?? Buffer.alloc(32)).bytes);
  const registry = { signers: [...signers, old, fresh] };
  const { second, ours } = await secondAndOurs(t, rows, { registry, log });
  const findings = [3, 4, 7].map((seq) => ({ chain: 'demo', seq, class: 'signer-out-of-range' }));
  t.same(second.findings, findings);
  t.match(ours, { ok: false, findings });
  t.equal((await secondAndOurs(t, rows, { registry })).second.ok, true, 'without the log only times count');
});

t.test('for both a rotation is unsigned only in an emergency', { skip: missing }, async (t) => {
  for (const [emergency, findings] of [
    [true, []],
    [false, ['signature-missing']],
    ['true', ['signature-missing']],
    [undefined, ['signature-missing']],
  ] as const) {
    const rows = history('_system', [
      { signer: ed },
      { signer: null, type: 'signer.rotation.requested', payload: { signerId: 'new', emergency } },
      { signer: ed, type: 'audit.deferred.covered', payload: { from: 2, to: 2 } },
    ]);
    const { second, ours } = await secondAndOurs(t, rows, { registry: { signers } });
    for (const { findings: found, ok } of [second, ours]) {
      const atTwo = found.filter(({ seq }: { seq: number }) => seq === 2);
      t.match(
        atTwo,
        findings.map((name) => ({ class: name })),
        `${emergency}`,
      );
      t.equal(atTwo.length, findings.length);
      t.equal(ok, findings.length === 0);
    }
  }
});

/** A third writing of the registry's digest; the second is in the verifier. */
function digestOf(entries: readonly object[]): string {
  const later = { trustedUpTo: null, validFromSize: null, validToSize: null, replaces: null };
  const whole = entries.map((entry) => ({ signerId: '', ...later, ...entry }));
  return `sha256:${sha256(canonicalBody(whole.sort((a, b) => (a.signerId < b.signerId ? -1 : 1))))}`;
}
