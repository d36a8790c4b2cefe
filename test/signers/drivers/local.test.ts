import { createHmac, verify } from 'node:crypto';
import t from 'tap';

import { verificationKey } from '../../../src/crypto/verify.ts';
import { createLocalSigner, generateEd25519 } from '../../../src/signers/drivers/local/ed25519.ts';
import { createHmacSigner } from '../../../src/signers/drivers/local/hmac.ts';
import { conformance } from './conformance.ts';

conformance(t, 'local Ed25519', async () => {
  const { privateKeyPem, publicKeyPem } = generateEd25519();
  const signer = createLocalSigner({ signerId: 'local-1', privateKeyPem });
  return {
    open: async () => ({ signer, key: verificationKey('Ed25519', publicKeyPem), inProcess: true }),
    verify: (data, signature) => verify(null, data, publicKeyPem, signature),
    secrets: privateKeyPem.split('\n').filter((line) => !line.startsWith('-----') && line !== ''),
  };
});

conformance(t, 'local HMAC', async () => {
  const secret = Buffer.from('a shared secret of 32 bytes, or more');
  const signer = createHmacSigner({ signerId: 'shared-1', secret });
  return {
    open: async () => ({ signer, key: verificationKey('HMAC-SHA256', secret), inProcess: true }),
    verify: (data, signature) => createHmac('sha256', secret).update(data).digest().equals(signature),
    secrets: [secret.toString(), secret.toString('hex'), secret.toString('base64')],
  };
});
