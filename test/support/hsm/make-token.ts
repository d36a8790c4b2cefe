// Makes a token with keys, in a process of its own: a PKCS#11 module reads its configuration once for a whole process.
// Arguments: the module, and JSON { label, pin, keys: [{ label, id, kind, extractable?, signs? }] }.
import { createRequire } from 'node:module';

import type { KeyRequest, TokenRequest } from './soft-hsm.ts';

const pkcs11 = createRequire(import.meta.url)('pkcs11js');
const SO_PIN = 'so-pin-of-the-test';
const CKM_EC_EDWARDS_KEY_PAIR_GEN = 0x1055;

const [modulePath = '', text = ''] = process.argv.slice(2);
const { label, pin, keys }: TokenRequest = JSON.parse(text);
const module = new pkcs11.PKCS11();
module.load(modulePath);
module.C_Initialize();
const [free] = module.C_GetSlotList(true).toReversed();
// 32 characters are read, however many there are.
module.C_InitToken(free, SO_PIN, label.padEnd(32));
const slot = module.C_GetSlotList(true).find((one: Buffer) => module.C_GetTokenInfo(one).label.trimEnd() === label);
const session = module.C_OpenSession(slot, pkcs11.CKF_SERIAL_SESSION | pkcs11.CKF_RW_SESSION);
module.C_Login(session, pkcs11.CKU_SO, SO_PIN);
module.C_InitPIN(session, pin);
module.C_Logout(session);
module.C_Login(session, pkcs11.CKU_USER, pin);
for (const key of keys) make(key);
module.C_Finalize();

function make({ kind, label: name, id, extractable = false, signs = true }: KeyRequest): void {
  const common = [
    { type: pkcs11.CKA_TOKEN, value: true },
    { type: pkcs11.CKA_LABEL, value: name },
    { type: pkcs11.CKA_ID, value: Buffer.from(id, 'hex') },
  ];
  const [mechanism, parameters] = generation(kind);
  module.C_GenerateKeyPair(
    session,
    { mechanism },
    [...common, { type: pkcs11.CKA_VERIFY, value: true }, ...parameters],
    [
      ...common,
      { type: pkcs11.CKA_PRIVATE, value: true },
      { type: pkcs11.CKA_SIGN, value: signs },
      { type: pkcs11.CKA_SENSITIVE, value: !extractable },
      { type: pkcs11.CKA_EXTRACTABLE, value: extractable },
    ],
  );
}

function generation(kind: KeyRequest['kind']): [number, { type: number; value: number | Buffer }[]] {
  const curve = (hex: string) => [{ type: pkcs11.CKA_EC_PARAMS, value: Buffer.from(hex, 'hex') }];
  switch (kind) {
    case 'Ed25519':
      return [CKM_EC_EDWARDS_KEY_PAIR_GEN, curve('06032b6570')];
    case 'ECDSA-P256-SHA256':
      return [pkcs11.CKM_EC_KEY_PAIR_GEN, curve('06082a8648ce3d030107')];
    case 'P-384':
      return [pkcs11.CKM_EC_KEY_PAIR_GEN, curve('06052b81040022')];
    case 'RSA-PSS-SHA256':
      return [
        pkcs11.CKM_RSA_PKCS_KEY_PAIR_GEN,
        [
          { type: pkcs11.CKA_MODULUS_BITS, value: 2048 },
          { type: pkcs11.CKA_PUBLIC_EXPONENT, value: Buffer.of(1, 0, 1) },
        ],
      ];
  }
}
