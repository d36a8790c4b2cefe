import { readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { parse, parseAllDocuments } from 'yaml';
import { readIdentity } from '../../../src/config/identity.ts';
import { SettingsReader } from '../../../src/config/read.ts';
import { ROOT } from './container.ts';

/** What Castellan's own manifests say. */
const PORT = 8443;
const HOST = 'castellan.castellan.svc.cluster.local';
const CLIENT = 'castellan.dev/client';
const PROXIES = 'CASTELLAN_MESH_PROXY_IDENTITIES';

/** Text of each YAML file under `deploy`, by its path below it. */
export type MeshFiles = ReadonlyMap<string, string>;

// biome-ignore lint/suspicious/noExplicitAny: manifests of others' kinds, read member by member
type Manifest = any;

export function meshFiles(): MeshFiles {
  const deploy = join(ROOT, 'deploy');
  const names = ['istio', 'linkerd'].flatMap((folder) =>
    readdirSync(join(deploy, folder), { recursive: true, encoding: 'utf8' }).map((name) => join(folder, name)),
  );
  const files = names.filter((name) => name.endsWith('.yaml'));
  return new Map(files.map((name) => [relative('.', name), readFileSync(join(deploy, name), 'utf8')]));
}

/** What would leave a hole, or would not work. Empty when the manifests keep the rules. */
export function meshProblems(files: MeshFiles): string[] {
  const documents = [...files].flatMap(([file, text]) =>
    parseAllDocuments(text).map((one) => ({ file, it: one.toJS() })),
  );
  const find = (folder: string, kind: string): Manifest =>
    documents.find(({ file, it }) => file.startsWith(`${folder}/`) && it.kind === kind)?.it ?? {};
  const rules: readonly (readonly [string, boolean])[] = [
    ...listed(files),
    ...proxies(documents),
    ...gateway(find),
    ...passthrough(find),
    ...linkerd(find),
  ];
  return rules.filter(([, holds]) => !holds).map(([rule]) => rule);
}

type Find = (folder: string, kind: string) => Manifest;
type Rules = (readonly [string, boolean])[];

function listed(files: MeshFiles): Rules {
  return [...files.keys()]
    .filter((name) => !name.endsWith('/kustomization.yaml'))
    .map((name) => {
      const [file, folder] = [name.slice(name.lastIndexOf('/') + 1), name.slice(0, name.lastIndexOf('/'))];
      const { resources = [], patches = [] }: Manifest = parse(files.get(`${folder}/kustomization.yaml`) ?? '{}');
      const all: string[] = [...resources, ...patches.map(({ path }: { path: string }) => path)];
      return [`${name} is in its kustomization`, all.includes(file)];
    });
}

function proxies(documents: readonly { file: string; it: Manifest }[]): Rules {
  const named = documents.filter(({ it }) => it.data?.[PROXIES] !== undefined);
  const reader = new SettingsReader({ [PROXIES]: named[0]?.it.data[PROXIES] ?? '' });
  const identities = readIdentity(reader).proxies;
  return [
    [
      'only behind the gateway is a proxy believed',
      named.map(({ file }) => file).join() === 'istio/castellan/settings.yaml',
    ],
    ['one whole SPIFFE ID', identities.length === 1 && reader.problems.length === 0],
    ['no pattern', !identities.some((name) => /[*?]/.test(name))],
  ];
}

function gateway(find: Find): Rules {
  const at = 'istio/gateway';
  const pod = find(at, 'Deployment').spec?.template;
  const topology: Manifest = parse(pod?.metadata.annotations['proxy.istio.io/config'] ?? '{}');
  const [server] = find(at, 'Gateway').spec?.servers ?? [];
  const rule = find(at, 'DestinationRule').spec;
  const [route] = find(at, 'VirtualService').spec?.http ?? [];
  const [source] = find(at, 'AuthorizationPolicy').spec?.rules?.[0]?.from ?? [];
  const castellan = find('istio/castellan', 'Deployment').spec?.template.metadata.labels;
  return [
    ['the header is the gateway’s word alone', topology.gatewayTopology?.forwardClientCertDetails === 'SANITIZE_SET'],
    ['the gateway may reach Castellan', pod?.metadata.labels[CLIENT] === 'true'],
    ['clients show a certificate', server?.tls.mode === 'MUTUAL' && server.tls.minProtocolVersion === 'TLSV1_3'],
    ['the gateway shows one', rule?.trafficPolicy.tls.mode === 'MUTUAL'],
    ['the same one at both ends', server?.tls.credentialName === rule?.trafficPolicy.tls.credentialName],
    ['Castellan’s name is checked', rule?.trafficPolicy.tls.subjectAltNames?.join() === HOST],
    ['the rule is the gateway’s alone', rule?.host === HOST && rule.exportTo?.join() === '.'],
    [
      'to Castellan’s port',
      route?.route[0].destination.host === HOST && route.route[0].destination.port.number === PORT,
    ],
    ['nothing is repeated', route?.retries?.attempts === 0],
    ['no proxy behind the proxy', source?.source.notPrincipals?.join() === 'castellan.dev/proxy/*'],
    ['no sidecar in between', castellan?.['sidecar.istio.io/inject'] === 'false'],
    ['no ztunnel in between', castellan?.['istio.io/dataplane-mode'] === 'none'],
  ];
}

function passthrough(find: Find): Rules {
  const at = 'istio/passthrough';
  const authentication = find(at, 'PeerAuthentication').spec;
  const [rule] = find(at, 'DestinationRule').spec?.trafficPolicy?.portLevelSettings ?? [];
  const [port] = find(at, 'Service').spec?.ports ?? [];
  return [
    ['the sidecar leaves the port alone', authentication?.portLevelMtls?.[String(PORT)]?.mode === 'DISABLE'],
    ['and nothing else', authentication?.mtls.mode === 'STRICT'],
    ['clients add no TLS', rule?.port.number === PORT && rule.tls.mode === 'DISABLE'],
    ['the port is TLS', port?.port === PORT && port.appProtocol === 'tls'],
  ];
}

function linkerd(find: Find): Rules {
  const opaque = 'config.linkerd.io/opaque-ports';
  const policy = find('linkerd', 'NetworkPolicy').spec;
  return [
    ['opaque at the pod', find('linkerd', 'Deployment').spec?.template.metadata.annotations[opaque] === String(PORT)],
    ['opaque at the service', find('linkerd', 'Service').metadata?.annotations[opaque] === String(PORT)],
    ['the proxies reach each other', policy?.ingress?.[0]?.ports?.[0]?.port === 4143],
    ['clients alone', policy?.ingress?.[0]?.from?.[0]?.podSelector?.matchLabels?.[CLIENT] === 'true'],
  ];
}
