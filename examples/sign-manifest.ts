// What the Kernel does: signs a manifest for the spec of a body, with an Ed25519 key, and prints the body with it.
//   node examples/sign-manifest.ts <key.pem> <signerId> <body.json> [audience] [minutes]
// The key is one whose public half was registered as a signer of purpose `manifest` (docs/identity.md).
import { createHash, createPrivateKey, randomUUID, sign } from 'node:crypto';
import { readFileSync } from 'node:fs';

const [keyFile = '', signerId = '', bodyFile = '', audience = 'castellan', minutes = '60'] = process.argv.slice(2);

/** RFC 8785 of what JSON.parse gives: members sorted, no white space. */
function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join()}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const members = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${members.map(([name, member]) => `${JSON.stringify(name)}:${canonical(member)}`).join()}}`;
}

function digest(text: string): string {
  return `sha256:${createHash('sha256').update(text).digest('hex')}`;
}

const body = JSON.parse(readFileSync(bodyFile, 'utf8'));
const now = Date.now();
const manifest = {
  v: 1,
  manifestId: randomUUID(),
  agentConfigHash: digest(canonical(body.spec)),
  issuedAt: new Date(now).toISOString(),
  expiresAt: new Date(now + Number(minutes) * 60_000).toISOString(),
  audience,
};
const bytes = canonical(manifest);
const manifestSignature = sign(null, Buffer.from(bytes), createPrivateKey(readFileSync(keyFile))).toString('base64');
const envelope = { manifest, manifestSignature, manifestSignatureId: signerId, manifestHash: digest(bytes) };
console.log(JSON.stringify({ ...body, manifest: envelope }));
