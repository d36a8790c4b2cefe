import { once } from 'node:events';
import { cp, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { connect } from 'node:tls';

import { type Issued, issue, newKey, validFor } from '../../src/certs/authority.ts';
import { workspaceWithAgents } from '../support/agents.ts';
import { type Figure, figure } from '../support/figure.ts';
import { HttpConnection, requestBytes, type Target } from '../support/http-connection.ts';
import type { Bench, Phase } from '../support/phase.ts';

const ROTATIONS = { usual: 100, full: 1_000 };
const KEEPING = 16;
const RENEWING = 2;
/** As often as the settings allow. */
const RELOAD_MS = '100';
/** ms after which a certificate that is not shown is a failure of the rotation. */
const LIMIT_MS = 5_000;
/** ms between two looks at what is shown. */
const LOOK_MS = 10;

export const rotation: Phase = {
  name: 'rotation',
  what: 'server certificates and trust bundles exchanged one after the other under load',
  run: measureRotation,
};

async function measureRotation(bench: Bench): Promise<Figure[]> {
  const { world, options } = bench;
  const dir = join(world.home, 'rotating-certs');
  await cp(world.certsDir, dir, { recursive: true });
  const agents = await workspaceWithAgents(world, 'rotation', KEEPING);
  const pairs = await alternatives(dir);
  const service = await world.startService({ CASTELLAN_CERTS_DIR: dir, CASTELLAN_IDENTITY_RELOAD_MS: RELOAD_MS });
  const path = `/v1/workspaces/${agents.workspaceId}/agents/${agents.id(0)}/status`;
  const load = startLoad(service.target, requestBytes(service.target, 'GET', path));
  try {
    const count = options.full ? ROTATIONS.full : ROTATIONS.usual;
    const started = performance.now();
    for (let turn = 0; turn < count; turn += 1) await rotate(dir, pairs, turn, service.target);
    const seconds = (performance.now() - started) / 1000;
    const { answered, failed, lost, sample } = await load.end();
    bench.say(`  ${count} rotations, ${answered} answers, ${failed} failed ${sample ?? ''}, ${lost} connections lost`);
    const one = (name: string, what: string, unit: string, value: number) =>
      figure(`rotation.${name}`, what, unit, [value]);
    return [
      one('failed', `good requests without a 200 in ${count} rotations`, '', failed),
      one('lost', 'kept connections that ended', '', lost),
      one('perSecond', 'rotations, each shown before the next', '/s', count / seconds),
      one('answers', 'good requests answered meanwhile', '/s', answered / seconds),
    ];
  } finally {
    await load.end();
    await service.stop();
  }
}

/** Two certificates over each of two keys, of the authority that every client knows. */
async function alternatives(dir: string): Promise<(Issued & { readonly ca: string })[]> {
  const read = (name: string) => readFile(join(dir, name), 'utf8');
  const authority = { key: await read('ca.key'), cert: await read('ca.crt') };
  const keys = [await newKey(), await newKey()];
  const names = [{ dns: 'localhost' }, { ip: '127.0.0.1' }];
  const request = { commonName: 'localhost', names, usage: 'server' as const, validity: validFor(Date.now(), 30) };
  const bundles = [authority.cert, `# and again\n${authority.cert}`];
  return Promise.all(
    [0, 1, 0, 1].map(async (turn) => ({ ...(await issue(authority, request, keys[turn])), ca: bundles[turn] ?? '' })),
  );
}

async function rotate(dir: string, pairs: readonly (Issued & { ca: string })[], turn: number, target: Target) {
  const next = pairs[turn % pairs.length];
  if (next === undefined) throw new Error('no certificate');
  await put(join(dir, 'server.crt'), next.cert);
  await put(join(dir, 'server.key'), next.key);
  await put(join(dir, 'ca.crt'), next.ca);
  const deadline = performance.now() + LIMIT_MS;
  while (!next.cert.includes(await shownBy(target))) {
    if (performance.now() > deadline) throw new Error(`rotation ${turn} is not in force after ${LIMIT_MS} ms`);
    await pause(LOOK_MS);
  }
}

async function put(path: string, text: string): Promise<void> {
  await writeFile(`${path}.next`, text);
  await rename(`${path}.next`, path);
}

/** The body of the certificate that a new connection is shown, as a PEM file has its second line. */
async function shownBy({ host, port, tls }: Target): Promise<string> {
  const socket = connect({ host, port, servername: 'localhost', ...tls });
  await once(socket, 'secureConnect');
  const pem = socket.getPeerX509Certificate()?.toString() ?? '';
  socket.destroy();
  return pem.split('\n').slice(1, -2).join('\n');
}

interface LoadCounts {
  readonly answered: number;
  readonly failed: number;
  readonly lost: number;
  readonly sample: string | undefined;
}

/** Clients that keep their connection and clients that make a new one for each request. */
function startLoad(target: Target, request: Buffer): { end(): Promise<LoadCounts> } {
  let running = true;
  let [answered, failed, lost] = [0, 0, 0];
  let sample: string | undefined;

  async function ask(connection: HttpConnection): Promise<boolean> {
    try {
      const { status, body } = await connection.send(request);
      if (status === 200) {
        answered += 1;
        return true;
      }
      sample ??= `${status} ${body.toString('utf8', 0, 200)}`;
    } catch (error) {
      sample ??= String(error);
    }
    failed += 1;
    return false;
  }

  async function keep(): Promise<void> {
    const connection = new HttpConnection(target);
    while (running) {
      if (await ask(connection)) continue;
      lost += 1;
      connection.close();
    }
    connection.close();
  }

  async function renew(): Promise<void> {
    while (running) {
      const connection = new HttpConnection(target);
      await ask(connection);
      connection.close();
    }
  }

  const clients = [...Array.from({ length: KEEPING }, keep), ...Array.from({ length: RENEWING }, renew)];
  return {
    end: async () => {
      running = false;
      await Promise.all(clients);
      return { answered, failed, lost, sample };
    },
  };
}
