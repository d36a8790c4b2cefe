import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { connect, type TLSSocket } from 'node:tls';
import t from 'tap';
import { Pool } from 'undici';

import { type Issued, issue, makeAuthority, newKey, validFor } from '../../src/certs/authority.ts';
import { testService } from '../support/service.ts';
import { ownFiles } from '../trust/mounted.ts';

const ROTATIONS = 40;
const KEEPING = 4;
const RENEWING = 1;
const PATH = '/v1/workspaces/demo/agents?limit=1';
const inForce = validFor(Date.now(), 30);

t.test(`${ROTATIONS} rotations under load: no good request fails`, async (t) => {
  const files = await ownFiles(t);
  const world = await testService(t, { api: files.api, identity: files.identity, withoutJobs: ['identity-files'] });
  const { app, apiUrl } = world.service;
  const stores = await alternatives(files.authority);
  const second = await makeAuthority('next authority', inForce);
  const bundles = [files.authority.cert, files.authority.cert + second.cert];
  const map = JSON.parse(await files.read('identity-map.json'));
  const extra = { match: { spiffe: 'spiffe://castellan.dev/human/new' }, id: 'new', kind: 'human' };
  const maps = [map, { principals: [...map.principals, { ...extra, roles: ['auditor'], workspaces: ['demo'] }] }];

  const load = startLoad(apiUrl, tlsOf(world.certsDir));
  t.teardown(() => load.end());
  const seen = new Set<string>();
  for (let turn = 0; turn < ROTATIONS; turn += 1) {
    const next = stores[turn % stores.length] ?? files.authority;
    // As a hand would do it: the certificate is there for a moment without its key.
    await files.put('server.crt', next.cert);
    await files.put('server.key', next.key);
    await files.put('ca.crt', bundles[turn % 2] ?? '');
    await files.put('identity-map.json', JSON.stringify(maps[turn % 2]));
    await app.trust.look();
    seen.add(await shownBy(apiUrl, tlsOf(world.certsDir)));
  }
  const { answered, failures, connections, lost } = await load.end();
  t.same(failures, []);
  t.equal(seen.size, stores.length, 'each certificate was shown');
  t.ok(answered > ROTATIONS * 10, `${answered} answers`);
  t.ok(connections > KEEPING, `${connections} handshakes`);
  t.equal(lost, 0, 'no connection that was there before was ended');

  const { body } = await world.call('auditor', 'GET', '/v1/audit/events?type=server.certificate.applied&limit=500');
  t.equal(body.events.length, ROTATIONS + 1, 'an event for the start and one for each');
});

/** Certificates of one authority over two keys. */
async function alternatives(authority: Issued): Promise<Issued[]> {
  const keys = [await newKey(), await newKey()];
  const names = [{ dns: 'localhost' }, { ip: '127.0.0.1' }];
  const request = { commonName: 'localhost', names, usage: 'server' as const, validity: inForce };
  return Promise.all([0, 1, 0, 1].map((key) => issue(authority, request, keys[key])));
}

type ClientTls = ReturnType<typeof tlsOf>;

function tlsOf(certsDir: string) {
  const pem = (name: string) => readFileSync(join(certsDir, name), 'utf8');
  return { ca: pem('ca.crt'), cert: pem('operator.crt'), key: pem('operator.key') };
}

/** Clients that keep their connections and clients that make a new one for each request, without a pause. */
function startLoad(apiUrl: string, tls: ClientTls) {
  const running = new AbortController();
  const failures: string[] = [];
  let [answered, connections, lost] = [0, 0, 0];

  const open = () => {
    const pool = new Pool(apiUrl, { connections: 1, connect: tls });
    pool.on('connect', () => {
      connections += 1;
    });
    return pool;
  };
  const ask = async (pool: Pool) => {
    try {
      const { statusCode, body } = await pool.request({ method: 'GET', path: PATH });
      const text = await body.text();
      if (statusCode === 200) answered += 1;
      else failures.push(`${statusCode} ${text}`);
    } catch (error) {
      failures.push(String(error));
    }
  };
  const keeping = async () => {
    const pool = open();
    pool.on('disconnect', () => {
      if (!running.signal.aborted) lost += 1;
    });
    while (!running.signal.aborted) await ask(pool);
    await pool.close();
  };
  const renewing = async () => {
    while (!running.signal.aborted) {
      const pool = open();
      await ask(pool);
      await pool.close();
    }
  };
  const clients = [...Array.from({ length: KEEPING }, keeping), ...Array.from({ length: RENEWING }, renewing)];
  return {
    end: async () => {
      running.abort();
      await Promise.all(clients);
      return { answered, failures: failures.slice(0, 5), connections, lost };
    },
  };
}

async function shownBy(apiUrl: string, tls: ClientTls): Promise<string> {
  const port = Number(new URL(apiUrl).port);
  const socket: TLSSocket = connect({ port, host: '127.0.0.1', servername: 'localhost', ...tls });
  await once(socket, 'secureConnect');
  const fingerprint = socket.getPeerX509Certificate()?.fingerprint256 ?? '';
  socket.destroy();
  return fingerprint;
}
