// The KMS endpoint of the tests as a process of its own: the real protocol, with the delay and the quota of a real one.
import { kmsEndpoint } from '../test/support/kms-endpoint/kms-endpoint.ts';

const LATENCY_MS = 15;
const PER_SECOND = 1000;

const teardowns: (() => unknown)[] = [];
const kms = await kmsEndpoint({ teardown: (work: () => unknown) => teardowns.push(work) });
kms.latencyMs = LATENCY_MS;
kms.perSecond = PER_SECOND;
const [audit, proof] = [kms.createKey('ECC_NIST_EDWARDS25519'), kms.createKey('ECC_NIST_P256')];
const spki = audit.pair?.publicKey.export({ type: 'spki', format: 'pem' });
console.log(
  JSON.stringify({
    url: kms.url,
    auditKey: audit.arn,
    auditPublicKey: spki,
    proofKey: proof.arn,
    credentials: kms.credentials,
  }),
);
process.once('SIGTERM', () => {
  for (const work of teardowns) void work();
});
