import { randomBytes } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { TLSSocket } from 'node:tls';

import type { Access } from '../../../src/runtime/drivers/kubernetes/client/access.ts';
import type { Isolation } from '../../../src/runtime/isolation.ts';
import { ROOT } from '../../delivery/support/container.ts';
import { schemaProblems } from '../../delivery/support/kubernetes-schemas.ts';
import { isMap, kustomized, listed, type Manifest, member, type Value } from '../../delivery/support/kustomize.ts';
import { isAllowed, reviewed } from './access.ts';
import { runControllers } from './controllers.ts';
import { serveExec } from './exec.ts';
import { createKubelet, type Kubelet } from './kubelet.ts';
import { isDeleting, merged, nameOf, selectorOf } from './objects.ts';
import { type Target, targetOf } from './routes.ts';
import { createStore, Refusal, type Store } from './store.ts';
import { type TestTls, testTls } from './tls.ts';
import { createWatches, type Watches } from './watches.ts';

const REVIEWS = '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews';

/** Answers a request in the place of the cluster; undefined: it is answered as it should be. */
export type Fault = (request: {
  readonly method: string;
  readonly path: string;
  readonly verb: string;
}) => Refusal | undefined;

export interface FakeCluster {
  readonly namespace: string;
  readonly port: number;
  readonly store: Store;
  readonly kubelet: Kubelet;
  readonly watches: Watches;
  readonly tls: TestTls;
  /** Of the service account. */
  readonly access: Access;
  /** Another token, which alone is taken from now on. */
  rotateToken(): void;
  /** Asked first, in order; a fault is dropped by what `fault` returns. */
  fault(fault: Fault): () => void;
  /** Of every request that was answered: method, path with query. */
  readonly requests: readonly string[];
  /** What controllers say in events. */
  readonly warnings: readonly string[];
  /** Ends every connection, as a restart of the API server does. */
  cut(): void;
  close(): Promise<void>;
}

/**
 * An API server of one namespace over TLS, with the manifests of deploy/kubernetes/agents in it, controllers, and a node that
 * runs containers through `local`.
 */
export async function startFakeCluster(local: Isolation): Promise<FakeCluster> {
  const store = createStore();
  const watches = createWatches(store);
  const kubelet = createKubelet(store, local);
  const tls = await testTls();
  const faults = new Set<Fault>();
  const requests: string[] = [];
  const warnings: string[] = [];
  const sockets = new Set<Socket>();
  let token = newToken();
  const namespace = applyManifests(store);
  const controllers = runControllers(store, (message) => warnings.push(message));
  const leave = store.onChange(({ type, plural, object }) => {
    if (plural !== 'pods') return;
    if (type === 'DELETED') void kubelet.kill(object, 0);
    else if (isDeleting(object)) void end(object);
    else setImmediate(() => kubelet.sync(store.get('pods', nameOf(object)) ?? object));
  });

  /** A pod goes from the API server when its node says that nothing of it runs. */
  async function end(pod: Manifest): Promise<void> {
    await kubelet.kill(pod, Number(member(pod, 'metadata', 'deletionGracePeriodSeconds') ?? 1));
    if (store.get('pods', nameOf(pod)) !== undefined) store.delete('pods', nameOf(pod));
  }

  function admitted(request: IncomingMessage): Target | undefined {
    const target = targetOf(request, namespace);
    const path = request.url ?? '';
    const verb = target?.verb ?? '';
    for (const fault of [...faults]) {
      const refusal = fault({ method: request.method ?? '', path, verb });
      if (refusal !== undefined) throw refusal;
    }
    if (!isKnown(request)) throw new Refusal(401, 'Unauthorized', 'Unauthorized');
    if (target !== undefined && !isAllowed(store.list('roles'), target)) {
      const what = `cannot ${target.verb} resource "${target.resource}" in API group "${target.group}"`;
      throw new Refusal(403, 'Forbidden', `${target.resource} is forbidden: User "castellan" ${what}`);
    }
    return target;
  }

  function isKnown({ headers, socket }: IncomingMessage): boolean {
    return headers.authorization === `Bearer ${token}` || (socket instanceof TLSSocket && socket.authorized);
  }

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = await bodyOf(request);
    requests.push(`${request.method} ${request.url}`);
    const target = admitted(request);
    if (request.url === '/version') return json(response, 200, { gitVersion: 'v1.35.1-fake', major: '1', minor: '35' });
    if (request.url === REVIEWS && isMap(body)) return json(response, 201, reviewed(store.list('roles'), body));
    if (target === undefined) throw new Refusal(404, 'NotFound', 'the server could not find the requested resource');
    if (target.subresource === 'log') return log(target, response);
    if (target.subresource === 'exec' && existing('pods', target.name))
      throw new Refusal(400, 'BadRequest', 'Upgrade request required');
    if (target.verb === 'watch') return watches.serve(target, response);
    json(response, target.verb === 'create' ? 201 : 200, act(target, body, request.headers['content-type'] ?? ''));
  }

  function act({ verb, plural, name, query }: Target, body: Value | undefined, type: string): Manifest {
    if (verb === 'list') return listOf(plural, query);
    if (verb === 'get') return existing(plural, name);
    if (verb === 'delete') return remove(plural, name, isMap(body) ? body : {});
    if (verb === 'patch') return patched(plural, name, body, type);
    if (!isMap(body)) throw new Refusal(400, 'BadRequest', 'no object');
    const problems = schemaProblems([body]);
    if (problems.length > 0) throw new Refusal(422, 'Invalid', problems.join('; '));
    if (verb === 'update') return store.replace(plural, body);
    const inNamespace = merged(body, { metadata: { namespace } });
    return store.create(plural, inNamespace);
  }

  function listOf(plural: Target['plural'], query: URLSearchParams): Manifest {
    const from = Number(query.get('continue') ?? 0);
    const limit = Number(query.get('limit') ?? Number.POSITIVE_INFINITY);
    const all = store.list(plural).filter(selectorOf(query.get('labelSelector')));
    const items = all.slice(from, from + limit);
    const next = from + limit < all.length ? { continue: String(from + limit) } : {};
    return { apiVersion: 'v1', kind: 'List', metadata: { resourceVersion: String(store.version), ...next }, items };
  }

  function existing(plural: Target['plural'], name: string): Manifest {
    const object = store.get(plural, name);
    if (object === undefined) throw new Refusal(404, 'NotFound', `${plural} "${name}" not found`);
    return object;
  }

  function remove(plural: Target['plural'], name: string, options: Manifest): Manifest {
    const object = existing(plural, name);
    const grace = options['gracePeriodSeconds'] ?? member(object, 'spec', 'terminationGracePeriodSeconds') ?? 0;
    const isGraceful = plural === 'pods' && Number(grace) > 0;
    if (!isGraceful) store.delete(plural, name);
    else {
      const deletionTimestamp = new Date(Date.now() + Number(grace) * 1000).toISOString();
      store.patch(plural, name, { metadata: { deletionTimestamp, deletionGracePeriodSeconds: Number(grace) } });
    }
    return { kind: 'Status', apiVersion: 'v1', status: 'Success' };
  }

  /** Of JSON patches the one that opens a gate. */
  function patched(plural: Target['plural'], name: string, body: Value | undefined, type: string): Manifest {
    const pod = existing(plural, name);
    if (type !== 'application/json-patch+json') throw new Refusal(415, 'UnsupportedMediaType', type);
    const gates = member(pod, 'spec', 'schedulingGates');
    const [first] = listed(gates);
    const [test] = listed(body);
    if (first === undefined || member(test, 'value') !== member(first, 'name')) {
      throw new Refusal(422, 'Invalid', 'the server rejected our request due to an error in our request');
    }
    const left = listed(gates).slice(1);
    return store.patch(plural, name, { spec: { schedulingGates: left } }) ?? pod;
  }

  function log({ name, query }: Target, response: ServerResponse): void {
    existing('pods', name);
    const follow = query.get('follow') === 'true';
    let began = false;
    const write = (chunk: Buffer) => {
      if (!began) response.writeHead(200, { 'content-type': 'text/plain' });
      began = true;
      response.write(chunk);
    };
    const stop = kubelet.log(name, follow, Number(query.get('tailLines') ?? 1e9), write);
    if (!follow) response.end();
    else response.on('close', stop);
  }

  const server = createServer({
    ca: tls.authority.cert,
    cert: tls.server.cert,
    key: tls.server.key,
    requestCert: true,
    rejectUnauthorized: false,
  });
  server.on('secureConnection', (socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
  });
  server.on('request', (request, response) => {
    answer(request, response).catch((error: unknown) => refuse(response, error));
  });
  server.on('upgrade', (request, socket) => {
    requests.push(`${request.method} ${request.url}`);
    try {
      const target = admitted(request);
      if (target?.subresource !== 'exec') throw new Refusal(400, 'BadRequest', 'no such upgrade');
      if (!isAllowed(store.list('roles'), { ...target, verb: 'create' })) {
        throw new Refusal(403, 'Forbidden', 'pods/exec is forbidden: cannot create');
      }
      existing('pods', target.name);
      serveExec(kubelet, target, request, socket);
    } catch (error) {
      const status = statusOf(error);
      const text = JSON.stringify(status);
      socket.end(
        `HTTP/1.1 ${status.code} Refused\r\ncontent-type: application/json\r\ncontent-length: ${text.length}\r\n\r\n${text}`,
      );
    }
  });
  const { promise, resolve } = Promise.withResolvers<void>();
  server.listen(0, '127.0.0.1', resolve);
  await promise;
  const port = portOf(server.address());

  return {
    namespace,
    port,
    store,
    kubelet,
    watches,
    tls,
    access: async () => ({
      origin: `https://127.0.0.1:${port}`,
      ca: tls.authority.cert,
      cert: undefined,
      key: undefined,
      token,
    }),
    rotateToken: () => {
      token = newToken();
    },
    fault: (fault) => {
      faults.add(fault);
      return () => faults.delete(fault);
    },
    requests,
    warnings,
    cut: () => {
      for (const socket of sockets) socket.destroy();
    },
    close: async () => {
      leave();
      controllers.close();
      watches.close();
      await kubelet.close();
      for (const socket of sockets) socket.destroy();
      await new Promise<void>((done) => server.close(() => done()));
    },
  };
}

function applyManifests(store: Store): string {
  const objects = kustomized(`${ROOT}/deploy/kubernetes/agents`);
  const plurals = {
    Namespace: 'namespaces',
    NetworkPolicy: 'networkpolicies',
    Role: 'roles',
    ClusterRole: 'roles',
  } as const;
  let namespace = '';
  for (const object of objects) {
    const kind = String(object['kind']);
    if (kind === 'Namespace') namespace = nameOf(object);
    for (const [name, plural] of Object.entries(plurals)) if (name === kind) store.create(plural, object);
  }
  return namespace;
}

function json(
  response: ServerResponse,
  status: number,
  body: object,
  headers: Readonly<Record<string, string>> = {},
): void {
  response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body));
}

function refuse(response: ServerResponse, error: unknown): void {
  if (response.headersSent) return void response.destroy();
  const status = statusOf(error);
  json(response, status.code, status, error instanceof Refusal ? error.headers : {});
}

function statusOf(error: unknown) {
  const [code, reason] = error instanceof Refusal ? [error.status, error.reason] : [500, 'InternalError'];
  return { kind: 'Status', apiVersion: 'v1', status: 'Failure', message: String(error), reason, code };
}

async function bodyOf(request: IncomingMessage): Promise<Value | undefined> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk);
  const text = Buffer.concat(chunks).toString();
  return text === '' ? undefined : JSON.parse(text);
}

function newToken(): string {
  return randomBytes(24).toString('base64url');
}

function portOf(address: string | AddressInfo | null): number {
  if (address === null || typeof address === 'string') throw new TypeError('the server does not listen');
  return address.port;
}
