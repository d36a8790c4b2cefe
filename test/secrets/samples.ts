import { generateKeyPairSync, randomBytes } from 'node:crypto';

/** A letter or digit for every byte; the samples are made at run time, so that no file here holds anything like a secret. */
export function random(
  length: number,
  alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789',
): string {
  return [...randomBytes(length)].map((byte) => alphabet.charAt(byte % alphabet.length)).join('');
}

/** Random, and certainly a mixture: no test depends on luck. */
export function generated(length: number): string {
  return `${'aB3x9Kq7'.repeat(length / 8)}${random(length)}`.slice(-length).replace(/^.{8}/, 'aB3x9Kq7');
}

export function pem(body: string, label = 'PRIVATE KEY', end = '\n'): string {
  return [`-----${'BEGIN'} ${label}-----`, ...(body.match(/.{1,64}/g) ?? []), `-----${'END'} ${label}-----`, ''].join(
    end,
  );
}

const PASSPHRASE = { cipher: 'aes-256-cbc', passphrase: 'x' };

/** Every spelling of a private key in PEM. */
export function pemKeys(): readonly (readonly [what: string, text: string, kind: string])[] {
  const ed25519 = generateKeyPairSync('ed25519').privateKey;
  const ec = generateKeyPairSync('ec', { namedCurve: 'prime256v1' }).privateKey;
  const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey;
  const pkcs8 = ed25519.export({ format: 'pem', type: 'pkcs8' }).toString();
  const rsaPem = rsa.export({ format: 'pem', type: 'pkcs8' }).toString();
  const openssh = Buffer.concat([Buffer.from('openssh-key-v1\0'), randomBytes(200)]).toString('base64');
  const plain = 'pem-private-key';
  const encrypted = 'pem-private-key-encrypted';
  return [
    ['PKCS#8', pkcs8, plain],
    ['PKCS#8, RSA', rsaPem, plain],
    ['PKCS#8, CRLF', rsaPem.replaceAll('\n', '\r\n'), plain],
    ['PKCS#8, enciphered', rsa.export({ format: 'pem', type: 'pkcs8', ...PASSPHRASE }).toString(), encrypted],
    ['PKCS#1', rsa.export({ format: 'pem', type: 'pkcs1' }).toString(), plain],
    ['PKCS#1, enciphered', rsa.export({ format: 'pem', type: 'pkcs1', ...PASSPHRASE }).toString(), encrypted],
    ['SEC 1', ec.export({ format: 'pem', type: 'sec1' }).toString(), plain],
    ['SEC 1, enciphered', ec.export({ format: 'pem', type: 'sec1', ...PASSPHRASE }).toString(), encrypted],
    ['OpenSSH', pem(openssh, 'OPENSSH PRIVATE KEY'), plain],
    ['PGP', pem(`lQ${random(600)}`, 'PGP PRIVATE KEY BLOCK').replace('\n', '\nVersion: x 1.0\n\n'), plain],
    ['JSON', JSON.stringify({ private_key: rsaPem }), plain],
    ['JSON in JSON', JSON.stringify(JSON.stringify({ private_key: rsaPem })), plain],
    ['JSON, enciphered PKCS#1', JSON.stringify(rsa.export({ format: 'pem', type: 'pkcs1', ...PASSPHRASE })), encrypted],
    ['YAML', `key: |\n${rsaPem.replaceAll(/^/gm, '    ')}`, plain],
    ['a comment', rsaPem.replaceAll(/^/gm, '# '), plain],
    ['strings joined', pkcs8.replaceAll(/^(.+)$/gm, "  '$1\\n' +"), plain],
    ['one line', pkcs8.replaceAll('\n', ' '), plain],
    ['base64 of PEM', `  tls.key: ${Buffer.from(rsaPem).toString('base64')}\n`, plain],
    ['cut off', rsaPem.slice(0, 400), plain],
  ];
}
