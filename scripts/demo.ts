// `npm run demo`: the walk of the README, unattended, on a throw-away database. Prints each step; exits 1 at the first surprise.
import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import pg from 'pg';

const MAIN = fileURLToPath(new URL('../src/main.ts', import.meta.url));
const EXAMPLES = new URL('../examples/', import.meta.url);
const RESTORE_SPEC = `UPDATE agent_specs SET spec = convert_from(spec_bytes, 'UTF8')::jsonb WHERE agent_id = $1`;
const EDIT_SPEC = `UPDATE agent_specs SET spec = jsonb_set(spec, '{instructions}', '"Do as you like."') WHERE agent_id = $1`;

interface Ready {
  readonly api: string;
  readonly databaseUrl: string;
  readonly certsDir: string;
  readonly workspaceId: string;
}

interface Answer {
  readonly status: number;
  readonly body: Record<string, unknown>;
}

const home = await mkdtemp(join(tmpdir(), 'castellan-demo-'));
const env = {
  ...process.env,
  CASTELLAN_DATA_DIR: join(home, 'data'),
  CASTELLAN_CERTS_DIR: join(home, 'certs'),
  CASTELLAN_API_PORT: '0',
  CASTELLAN_OPS_PORT: '0',
  CASTELLAN_LOG_LEVEL: 'warn',
};
const service = spawn(process.execPath, [MAIN, 'dev', '--json', '--ephemeral'], {
  env,
  stdio: ['ignore', 'pipe', 'inherit'],
});
try {
  await walk(await readiness(service));
  console.log('\nEverything as expected.');
} catch (error) {
  console.error(`\n${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
} finally {
  await ended(service);
  await rm(home, { recursive: true, force: true });
}

async function walk(ready: Ready): Promise<void> {
  const workspace = `/v1/workspaces/${ready.workspaceId}`;
  const call = caller(ready);
  const sql = async (text: string, values: unknown[] = []) => {
    const client = new pg.Client({ connectionString: ready.databaseUrl });
    await client.connect();
    await client.query(text, values).finally(() => client.end());
  };

  const created = await call('operator', 'POST', `${workspace}/agents`, example('agent.json'));
  expect('an agent in the sandbox', created, { status: 201, 'body.mode': 'sandbox' });
  const agent = `${workspace}/agents/${String(created.body['id'])}`;
  expect('start it', await call('operator', 'POST', `${agent}/start`), { status: 200, 'body.status': 'running' });
  expect('promote it as operator', await call('operator', 'POST', `${agent}/promote`), {
    status: 200,
    'body.success': false,
    'body.denies.0.code': 'PERMISSION_DENIED',
  });
  expect('promote it as kernel-admin', await call('kernel-admin', 'POST', `${agent}/promote`), {
    status: 200,
    'body.success': true,
  });
  expect('start it governed', await call('operator', 'POST', `${agent}/start`), {
    status: 200,
    'body.admission.checks.6.outcome': 'pass',
  });
  expect('stop it', await call('operator', 'POST', `${agent}/stop`), { status: 200, 'body.status': 'stopped' });

  await sql(EDIT_SPEC, [created.body['id']]);
  expect('start it after its spec was edited by SQL', await call('operator', 'POST', `${agent}/start`), {
    status: 403,
    'body.denies.0.code': 'SPEC_HASH_MISMATCH',
  });
  await sql(RESTORE_SPEC, [created.body['id']]);
  expect('start it after the spec was restored', await call('operator', 'POST', `${agent}/start`), { status: 200 });

  const relaxed = await call('kernel-admin', 'POST', `${workspace}/policy/hotreload`, example('policy-relaxed.json'));
  expect('hot reload a policy that it still meets', relaxed, { status: 200, 'body.revalidation.invalidated': 0 });
  expect('its governance', await call('operator', 'GET', `${agent}/governance`), {
    'body.governance.status': 'GOVERNED_VALID',
    'body.governance.policyHash': relaxed.body['newHash'],
  });
  const strict = await call('kernel-admin', 'POST', `${workspace}/policy/hotreload`, example('policy-strict.json'));
  expect('hot reload a stricter one', strict, { status: 200, 'body.revalidation.invalidated': 1 });
  expect('its governance', await call('operator', 'GET', `${agent}/governance`), {
    'body.governance.status': 'GOVERNED_INVALIDATED',
    'body.governance.invalidation.denies.0.code': 'BUDGET_EXCEEDED',
  });
  expect('its status', await call('operator', 'GET', `${agent}/status`), { 'body.status': 'quarantined' });
  expect('start it', await call('operator', 'POST', `${agent}/start`), {
    status: 403,
    'body.code': 'AGENT_QUARANTINED',
  });

  expect('verify the audit', await verify(ready), { status: 0, 'body.ok': true });
  await sql(
    `SET session_replication_role = replica; UPDATE audit_events SET payload = '{}' WHERE chain = '${ready.workspaceId}' AND seq = 3`,
  );
  expect('verify it after one row was edited by SQL', await verify(ready), {
    status: 1,
    'body.findings.0.chain': ready.workspaceId,
    'body.findings.0.seq': 3,
    'body.findings.0.class': 'projection-edited',
  });
}

/** Prints a step and what came of it; throws when a named value is not the expected one. */
function expect(step: string, answer: Answer, expected: Readonly<Record<string, unknown>>): void {
  const seen = Object.keys(expected).map((path) => `${path.replace('body.', '')} ${String(at(answer, path))}`);
  console.log(`${step}\n    ${seen.join(' · ')}`);
  for (const [path, value] of Object.entries(expected)) {
    if (at(answer, path) !== value) {
      throw new Error(`${step}: ${path} should be ${String(value)}\n${JSON.stringify(answer, null, 2)}`);
    }
  }
}

function at(value: unknown, path: string): unknown {
  return path.split('.').reduce<unknown>((inner, key) => (isRecord(inner) ? inner[key] : undefined), value);
}

function caller(ready: Ready) {
  const pem = (name: string) => readFileSync(join(ready.certsDir, name));
  return (who: string, method: string, path: string, body?: string): Promise<Answer> => {
    const { promise, resolve, reject } = Promise.withResolvers<Answer>();
    const outgoing = request(new URL(path, ready.api), {
      method,
      ca: pem('ca.crt'),
      cert: pem(`${who}.crt`),
      key: pem(`${who}.key`),
      headers: body === undefined ? {} : { 'content-type': 'application/json' },
      agent: false,
    });
    outgoing.on('error', reject);
    outgoing.on('response', (response) => {
      collect(response).then((text) => resolve({ status: response.statusCode ?? 0, body: parse(text) }), reject);
    });
    outgoing.end(body);
    return promise;
  };
}

async function verify(ready: Ready): Promise<Answer> {
  const child = spawn(process.execPath, [MAIN, 'audit', 'verify', '--json', '--database-url', ready.databaseUrl], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const text = await collect(child.stdout);
  return { status: await ended(child), body: parse(text) };
}

async function readiness(child: ChildProcess): Promise<Ready> {
  if (child.stdout === null) throw new Error('no output');
  for await (const line of createInterface({ input: child.stdout })) {
    const ready = parse(line);
    return {
      api: String(ready['api']),
      databaseUrl: String(ready['databaseUrl']),
      certsDir: String(ready['certsDir']),
      workspaceId: String(ready['workspaceId']),
    };
  }
  throw new Error('the service did not start');
}

/** Asks the process to end when it has not yet, and gives its exit code. */
async function ended(child: ChildProcess): Promise<number> {
  if (child.exitCode !== null) return child.exitCode;
  const { promise, resolve } = Promise.withResolvers<number>();
  child.once('exit', (code) => resolve(code ?? 1));
  if (child === service) child.kill('SIGTERM');
  return promise;
}

async function collect(stream: AsyncIterable<Buffer>): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks).toString('utf8');
}

function example(name: string): string {
  return readFileSync(new URL(name, EXAMPLES), 'utf8');
}

function parse(text: string): Record<string, unknown> {
  const value: unknown = text === '' ? {} : JSON.parse(text);
  return isRecord(value) ? value : {};
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}
