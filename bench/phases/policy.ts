import { readFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

import { createWasmEngine } from '../../src/policy/evaluator/wasm-pool.ts';
import { findOpaBinary } from '../../src/policy/opa-binary.ts';
import { SHIPPED, type ShippedManifest } from '../../src/policy/shipped.ts';
import { SPEC } from '../support/agents.ts';
import { type Figure, figure } from '../support/figure.ts';
import { requestBytes, type Target } from '../support/http-connection.ts';
import { type Timing, timeCalls } from '../support/load.ts';
import { rates } from '../support/load-figures.ts';
import type { Bench, Phase } from '../support/phase.ts';
import { inTurn } from '../support/rounds.ts';
import { ratios } from '../support/statistics.ts';
import type { Server } from '../support/world.ts';

/** Of ours and of OPA's alike. */
const CONCURRENCY = 16;
const PACKAGE = 'castellan.promotion';
const POLICIES = new URL('../../policies/', import.meta.url);
/** What OPA is asked for: the one rule that is used. Its whole package would cost it more. */
const OPA_PATH = '/v1/data/castellan/promotion/deny';
const OPA_READY_MS = 20_000;

const CASES = {
  allow: { input: inputOf('kernel-admin', SPEC), says: '"result":[]', denials: 0 },
  // Breaks a rule that formats its reason, which is the dearest way to say no.
  deny: {
    input: inputOf('operator', { ...SPEC, model: { ...SPEC.model, temperature: 1.9 }, capabilities: ['format_disk'] }),
    says: 'TEMPERATURE_VIOLATION',
    denials: 3,
  },
};

export const policy: Phase = {
  name: 'policy',
  what: 'decisions of the shipped policy in process, against the OPA binary over HTTP',
  run: measurePolicy,
};

async function measurePolicy(bench: Bench): Promise<Figure[]> {
  const engine = createWasmEngine();
  try {
    const manifest: ShippedManifest = JSON.parse(await readFile(SHIPPED.manifest, 'utf8'));
    await engine.load(manifest.hash, await readFile(SHIPPED.wasm));
    const opa = await startOpa(bench);
    const { seconds } = bench.options;
    const ours = (name: keyof typeof CASES) => (connections: number) =>
      timeCalls(connections, seconds, async () => {
        const outcome = await engine.evaluate(manifest.hash, PACKAGE, CASES[name].input, { workspaceId: 'bench' });
        if (outcome?.deny.length !== CASES[name].denials) throw new Error(`${name}: ${JSON.stringify(outcome)}`);
      });
    const theirs = (name: keyof typeof CASES) => {
      const request = requestBytes(opa.target, 'POST', OPA_PATH, { input: CASES[name].input });
      return (connections: number) =>
        bench.load(`opa-${name}`, opa, { connections, seconds, next: () => request, mustSay: CASES[name].says });
    };
    const results = await inTurn<string, Timing>(bench, CONCURRENCY, {
      one: () => ours('allow')(1),
      oneDenied: () => ours('deny')(1),
      allow: ours('allow'),
      opaAllow: theirs('allow'),
      deny: ours('deny'),
      opaDeny: theirs('deny'),
    });
    return policyFigures((name) => results[name] ?? []);
  } finally {
    await engine.close();
  }
}

function policyFigures(of: (name: string) => readonly Timing[]): Figure[] {
  const p = (name: string, key: 'p50' | 'p99') => of(name).map((result) => result[key]);
  const against = (ours: string, theirs: string) => ratios(rates(of(ours)), rates(of(theirs)));
  return [
    figure('policy.p50', 'one decision at a time, allowing: half of them', 'ms', p('one', 'p50')),
    figure('policy.p99', 'one decision at a time, allowing: 99 of 100', 'ms', p('one', 'p99')),
    figure('policy.deny.p99', 'one decision at a time, denying: 99 of 100', 'ms', p('oneDenied', 'p99')),
    figure(
      'policy.allow.ratio',
      `against OPA over HTTP, ${CONCURRENCY} at a time, allowing`,
      'x',
      against('allow', 'opaAllow'),
    ),
    figure(
      'policy.deny.ratio',
      `against OPA over HTTP, ${CONCURRENCY} at a time, denying`,
      'x',
      against('deny', 'opaDeny'),
    ),
    figure('policy.allow.perSecond', 'decisions, allowing', '/s', rates(of('allow'))),
    figure('policy.allow.opa', 'OPA over HTTP, allowing', '/s', rates(of('opaAllow'))),
    figure('policy.deny.perSecond', 'decisions, denying', '/s', rates(of('deny'))),
    figure('policy.deny.opa', 'OPA over HTTP, denying', '/s', rates(of('opaDeny'))),
  ];
}

/** The binary that compiles our policies, as a server on loopback with the same modules and data. */
async function startOpa(bench: Bench): Promise<Server> {
  const target: Target = { host: '127.0.0.1', port: await freePort() };
  const file = (name: string) => fileURLToPath(new URL(name, POLICIES));
  const listen = ['--addr', `${target.host}:${target.port}`, '--log-level', 'error'];
  const child = await bench.world.start({
    program: await findOpaBinary({ path: process.env['PATH'] }),
    args: ['run', '--server', '--v1-compatible', ...listen, file('promotion.rego'), file('data.json')],
    until: () => answers(`http://${target.host}:${target.port}/health`),
  });
  return { target, pid: child.pid };
}

async function answers(url: string): Promise<void> {
  for (const deadline = Date.now() + OPA_READY_MS; ; await delay(50)) {
    const status = await fetch(url).then(
      (response) => response.status,
      () => 0,
    );
    if (status === 200) return;
    if (Date.now() > deadline) throw new Error(`${url} does not answer`);
  }
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject).listen(0, '127.0.0.1', resolve);
  });
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (typeof address !== 'object' || address === null) throw new Error('no free port');
  return address.port;
}

function inputOf(role: string, spec: unknown) {
  return {
    actor: { id: role, kind: 'human', roles: [role] },
    workspace: 'bench',
    agent: { id: '01990000-0000-7000-8000-000000000001', mode: 'sandbox', spec, specHash: `sha256:${'0'.repeat(64)}` },
    mode: 'promote',
  };
}
