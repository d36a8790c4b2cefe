import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { connect, type TLSSocket } from 'node:tls';
import t from 'tap';
import { testAuthority } from '../certs/material.ts';
import fc from '../support/fast-check.ts';
import { testService } from '../support/service.ts';
import { OPERATIONS } from './support/document.ts';
import { ANYONE, goodPlans } from './support/plans.ts';
import { exchange } from './support/raw.ts';
import { RUNS } from './support/runs.ts';

const service = await testService(t);
const { authority, client } = await testAuthority();
const forged = await client('spiffe://castellan.dev/human/kernel-admin');
const ca = [readFileSync(join(service.certsDir, 'ca.crt'), 'utf8'), authority.cert];

const STRANGERS = {
  'without a certificate': {},
  'with a certificate of another authority': { cert: forged.cert, key: forged.key },
  'with the certificate of the server': {
    cert: readFileSync(join(service.certsDir, 'server.crt')),
    key: readFileSync(join(service.certsDir, 'server.key')),
  },
};

for (const [why, material] of Object.entries(STRANGERS)) {
  t.test(`nobody is answered ${why}`, async (t) => {
    for (const operation of OPERATIONS) {
      for (const { method, target } of fc.sample(goodPlans(operation, {}, {}, ANYONE), Math.ceil(RUNS / 8))) {
        const bytes = Buffer.from(`${method} ${target} HTTP/1.1\r\nHost: a\r\n\r\n`, 'latin1');
        const { answers, rest, closed } = await exchange(stranger(material), bytes);
        // With TLS 1.3 the client's side of the handshake is over before it is refused: what counts is that no answer comes.
        const refused = answers.every(({ status }) => status === 401);
        t.same([refused, rest, closed], [true, '', true], `${operation.operationId}: ${answers[0]?.body}`);
      }
    }
  });
}

function stranger(material: object): TLSSocket {
  const { hostname, port } = new URL(service.service.apiUrl);
  const socket = connect({ host: hostname, port: Number(port), ca, ...material });
  socket.on('error', () => socket.destroy());
  return socket;
}
