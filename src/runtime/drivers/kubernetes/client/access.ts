import { readFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { type Static, type TSchema, Type } from '@sinclair/typebox';
import { Value } from '@sinclair/typebox/value';
import { parse } from 'yaml';

import { ConfigError } from '../../../../config.ts';

const IN_CLUSTER = 'https://kubernetes.default.svc';
const SERVICE_ACCOUNT = '/var/run/secrets/kubernetes.io/serviceaccount';

/** Where an API server is, and how to show who asks: PEM, and a bearer token. */
export interface Credentials {
  readonly origin: string;
  readonly ca: string | undefined;
  readonly cert: string | undefined;
  readonly key: string | undefined;
  readonly token: string | undefined;
}

/** Reads the files anew each time: a token of a service account is replaced every hour. */
export type Access = () => Promise<Credentials>;

const Named = <T extends TSchema>(name: string, content: T) =>
  Type.Array(Type.Object({ name: Type.String(), [name]: content }));

const Cluster = Type.Object({
  server: Type.String(),
  'certificate-authority': Type.Optional(Type.String()),
  'certificate-authority-data': Type.Optional(Type.String()),
  'insecure-skip-tls-verify': Type.Optional(Type.Boolean()),
});
const User = Type.Object({
  'client-certificate': Type.Optional(Type.String()),
  'client-certificate-data': Type.Optional(Type.String()),
  'client-key': Type.Optional(Type.String()),
  'client-key-data': Type.Optional(Type.String()),
  token: Type.Optional(Type.String()),
  tokenFile: Type.Optional(Type.String()),
});
const Context = Type.Object({ cluster: Type.String(), user: Type.String() });
const Kubeconfig = Type.Object({
  'current-context': Type.String(),
  clusters: Named('cluster', Type.Unknown()),
  users: Named('user', Type.Unknown()),
  contexts: Named('context', Type.Unknown()),
});

/**
 * The current context of a kubeconfig. Programs that fetch credentials (`exec`, `auth-provider`) are not run, and an API
 * server is never trusted unseen. The access throws ConfigError.
 */
export function kubeconfigAccess(file: string): Access {
  return async () => {
    const config = checked(Kubeconfig, parse(await readFile(file, 'utf8')), file);
    const context = checked(Context, member(config.contexts, config['current-context'], 'context', file), file);
    const cluster = checked(Cluster, member(config.clusters, context.cluster, 'cluster', file), file);
    const user = checked(User, member(config.users, context.user, 'user', file), file);
    if (cluster['insecure-skip-tls-verify'] === true) throw new ConfigError([`${file}: the cluster must be verified`]);
    const text = (data: string | undefined, path: string | undefined) => contentOf(data, path, dirname(file));
    const credentials = {
      origin: originOf(cluster.server, file),
      ca: await text(cluster['certificate-authority-data'], cluster['certificate-authority']),
      cert: await text(user['client-certificate-data'], user['client-certificate']),
      key: await text(user['client-key-data'], user['client-key']),
      token: user.token ?? (await text(undefined, user.tokenFile))?.trim(),
    };
    if (credentials.token === undefined && (credentials.cert === undefined || credentials.key === undefined)) {
      throw new ConfigError([`${file}: the user has neither a token nor a client certificate with its key`]);
    }
    return credentials;
  };
}

/** The service account of the pod that this runs in, whose name server knows the API server. */
export function inClusterAccess(dir: string = SERVICE_ACCOUNT): Access {
  return async () => ({
    origin: IN_CLUSTER,
    ca: await readFile(`${dir}/ca.crt`, 'utf8'),
    cert: undefined,
    key: undefined,
    token: (await readFile(`${dir}/token`, 'utf8')).trim(),
  });
}

function member(list: readonly Record<string, unknown>[], name: string, kind: string, file: string): unknown {
  const found = list.find((item) => item['name'] === name);
  if (found === undefined) throw new ConfigError([`${file}: there is no ${kind} ${name}`]);
  return found[kind];
}

function checked<T extends TSchema>(schema: T, value: unknown, file: string): Static<T> {
  if (Value.Check(schema, value)) return value;
  const [first] = Value.Errors(schema, value);
  throw new ConfigError([`${file} is no kubeconfig: ${first?.path ?? '/'} ${first?.message ?? ''}`]);
}

async function contentOf(data: string | undefined, path: string | undefined, dir: string): Promise<string | undefined> {
  if (data !== undefined) return Buffer.from(data, 'base64').toString();
  return path === undefined ? undefined : readFile(resolve(dir, path), 'utf8');
}

function originOf(text: string, source: string): string {
  const url = URL.parse(text);
  if (url?.protocol !== 'https:' || url.username !== '' || url.pathname !== '/') {
    throw new ConfigError([`${source}: the address of the API server must be https://host:port`]);
  }
  return url.origin;
}
