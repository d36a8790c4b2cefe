import { X509Certificate } from 'node:crypto';
import t from 'tap';
import { certificateFacts } from '../../../src/identity/certificate.ts';
import { Unauthenticated } from '../../../src/identity/errors.ts';
import { createJudge } from '../../../src/identity/mesh/judge.ts';
import { parseTrustBundle } from '../../../src/identity/trust-bundle.ts';
import { inForce, testAuthority } from '../../certs/material.ts';

const [{ authority, client }, elsewhere] = await Promise.all([testAuthority(), testAuthority()]);
const facts = certificateFacts(new X509Certificate((await client('spiffe://castellan.dev/human/a')).cert));
const stranger = certificateFacts(new X509Certificate((await elsewhere.client('spiffe://castellan.dev/human/a')).cert));

function judgeBy(bundleText: string) {
  const bundle = parseTrustBundle(bundleText);
  const chains: number[] = [];
  let now = Date.now();
  const isRevoked = (_facts: unknown, chain: readonly unknown[]) => {
    chains.push(chain.length);
    return false;
  };
  const judge = createJudge({ trustBundle: () => bundle, isRevoked, clock: () => now });
  const at = (time: number) => {
    now = time;
  };
  return { judge, chains, at };
}

t.test('an authority that is not known is the proxy’s matter; the lists are asked with an empty chain', async (t) => {
  const { judge, chains } = judgeBy(authority.cert);
  judge(stranger);
  judge(facts);
  t.same(chains, [0, 2]);
});

t.test('dates count now', async (t) => {
  const { judge, at } = judgeBy(authority.cert);
  judge(facts);
  at(inForce.notAfter.getTime() + 1_000);
  t.throws(() => judge(facts), new Unauthenticated('CERTIFICATE_EXPIRED'));
});

t.test('what is revoked is refused', async (t) => {
  const judge = createJudge({
    trustBundle: () => parseTrustBundle(authority.cert),
    isRevoked: ({ serial }, chain) => serial === facts.serial && chain.length === 2,
    clock: Date.now,
  });
  const claimed = { id: facts.uris[0] ?? '', kind: 'unknown' as const };
  t.throws(() => judge(facts), new Unauthenticated('CERTIFICATE_REVOKED', claimed));
  t.doesNotThrow(() => judge(stranger));
});

t.test('a chain is looked for once with each bundle', async (t) => {
  let bundle = parseTrustBundle(authority.cert);
  let looks = 0;
  const counted = () => {
    const { chainOf } = bundle;
    return {
      chainOf: (...question: Parameters<typeof chainOf>) => {
        looks += 1;
        return chainOf(...question);
      },
    };
  };
  let present = counted();
  const judge = createJudge({ trustBundle: () => present, isRevoked: () => false, clock: Date.now });
  judge(facts);
  judge(facts);
  t.equal(looks, 1);
  bundle = parseTrustBundle(authority.cert);
  present = counted();
  judge(facts);
  t.equal(looks, 2);
});
