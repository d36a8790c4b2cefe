// `npm run test:k8s`: the driver for Kubernetes against a cluster that there is. It needs a namespace made by
// deploy/kubernetes/agents, and a kubeconfig whose user has the role that is there.
import { parseArgs } from 'node:util';

const USAGE = `Usage: npm run test:k8s -- --kubeconfig <file> --image <image> [--namespace <name>] [--runtime-class <name>]

Runs the preflight, the conformance of drivers and one agent in the cluster of the kubeconfig's current context, and takes away
what it has made. The image needs sh, coreutils, grep, find and bash; best is the one that your runs will have. Apply
deploy/kubernetes/agents first.

  --namespace <name>      default: castellan-agents
  --runtime-class <name>  such as gvisor
`;

const { values } = parseArgs({
  options: {
    kubeconfig: { type: 'string' },
    image: { type: 'string' },
    namespace: { type: 'string', default: 'castellan-agents' },
    'runtime-class': { type: 'string' },
    help: { type: 'boolean', default: false },
  },
});
const { kubeconfig, image, namespace } = values;
if (values.help) process.stdout.write(USAGE);
else if (kubeconfig === undefined || image === undefined) {
  process.stderr.write(USAGE);
  process.exitCode = 64;
} else {
  const { testCluster } = await import('../test/kubernetes/real-cluster.ts');
  await testCluster({
    kubeconfigFile: kubeconfig,
    image,
    namespace,
    runtimeClass: values['runtime-class'],
    egressProxy: undefined,
  });
}
