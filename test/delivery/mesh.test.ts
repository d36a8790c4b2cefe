import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';

import { ROOT } from './support/container.ts';
import { meshFiles, meshProblems } from './support/mesh-rules.ts';

const files = meshFiles();

t.test('the manifests for meshes keep the rules', async (t) => {
  t.same(meshProblems(files), []);
});

/** Where → what is changed → what must be said about it. */
const MISTAKES: readonly (readonly [file: string, from: string, to: string, says: string])[] = [
  ['istio/castellan/settings.yaml', 'proxy/gateway', 'proxy/*', 'one whole SPIFFE ID'],
  ['istio/castellan/settings.yaml', 'spiffe://castellan.dev/proxy/gateway', '"*"', 'no pattern'],
  ['istio/castellan/settings.yaml', 'castellan.dev/proxy', 'elsewhere.example/proxy', 'one whole SPIFFE ID'],
  [
    'istio/castellan/kustomization.yaml',
    '  - path: settings.yaml\n',
    '',
    'istio/castellan/settings.yaml is in its kustomization',
  ],
  ['istio/castellan/deployment.yaml', 'inject: "false"', 'inject: "true"', 'no sidecar in between'],
  ['istio/castellan/deployment.yaml', 'none', 'ambient', 'no ztunnel in between'],
  ['istio/gateway/deployment.yaml', ': SANITIZE_SET', ': FORWARD_ONLY', 'the header is the gateway’s word alone'],
  ['istio/gateway/deployment.yaml', 'castellan.dev/client: "true"', 'a: b', 'the gateway may reach Castellan'],
  ['istio/gateway/gateway.yaml', 'mode: MUTUAL', 'mode: SIMPLE', 'clients show a certificate'],
  ['istio/gateway/destination-rule.yaml', 'mode: MUTUAL', 'mode: ISTIO_MUTUAL', 'the gateway shows one'],
  [
    'istio/gateway/destination-rule.yaml',
    'credentialName: castellan-proxy',
    'credentialName: x',
    'the same one at both ends',
  ],
  [
    'istio/gateway/destination-rule.yaml',
    'subjectAltNames: [castellan.',
    'subjectAltNames: [x.',
    'Castellan’s name is checked',
  ],
  ['istio/gateway/destination-rule.yaml', '["."]', '["*"]', 'the rule is the gateway’s alone'],
  ['istio/gateway/virtual-service.yaml', 'number: 8443', 'number: 9464', 'to Castellan’s port'],
  ['istio/gateway/virtual-service.yaml', 'attempts: 0', 'attempts: 2', 'nothing is repeated'],
  [
    'istio/gateway/authorization-policy.yaml',
    'notPrincipals: ["castellan.dev/proxy/*"]',
    '',
    'no proxy behind the proxy',
  ],
  ['istio/passthrough/peer-authentication.yaml', 'mode: DISABLE', 'mode: STRICT', 'the sidecar leaves the port alone'],
  [
    'istio/passthrough/peer-authentication.yaml',
    'mtls: { mode: STRICT }',
    'mtls: { mode: DISABLE }',
    'and nothing else',
  ],
  ['istio/passthrough/destination-rule.yaml', 'mode: DISABLE', 'mode: ISTIO_MUTUAL', 'clients add no TLS'],
  ['istio/passthrough/service.yaml', 'appProtocol: tls', 'appProtocol: http', 'the port is TLS'],
  ['linkerd/deployment.yaml', 'opaque-ports: "8443"', 'opaque-ports: "9464"', 'opaque at the pod'],
  ['linkerd/service.yaml', 'opaque-ports: "8443"', 'opaque-ports: "1"', 'opaque at the service'],
  ['linkerd/network-policy.yaml', 'port: 4143', 'port: 4140', 'the proxies reach each other'],
  ['linkerd/network-policy.yaml', 'castellan.dev/client', 'a', 'clients alone'],
];

for (const [file, from, to, says] of MISTAKES) {
  t.test(`${file}: ${from.trim()} → ${to}`, async (t) => {
    const text = files.get(file) ?? '';
    t.ok(text.includes(from), 'there is something to change');
    t.ok(
      meshProblems(
        new Map(files).set(
          file,
          text.replace(from, () => to),
        ),
      ).includes(says),
    );
  });
}

t.test('the names are those of the base', async (t) => {
  const base = (name: string) => readFileSync(join(ROOT, 'deploy/kubernetes/base', name), 'utf8');
  t.match(base('service.yaml'), /name: castellan\n[\s\S]*port: 8443/);
  t.match(base('kustomization.yaml'), /^namespace: castellan$/m);
  t.match(base('network-policy.yaml'), /castellan\.dev\/client: "true"/);
});
