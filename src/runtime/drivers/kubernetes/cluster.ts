import type { KubernetesConfig } from '../../../config/runtime.ts';
import type { Logger } from '../../../logger.ts';
import type { ClusterClient } from './client/client.ts';
import { createReflector, type Reflector } from './client/reflector.ts';
import { Deployment, Pod } from './client/resources.ts';
import { MANAGED } from './labels.ts';

/** What all parts of the driver share. */
export interface Cluster {
  readonly client: ClusterClient;
  readonly config: KubernetesConfig & { readonly image: string };
  readonly paths: Paths;
  /** Ours, kept up to date. */
  readonly pods: Reflector<Pod>;
  readonly deployments: Reflector<Deployment>;
  /** A label. */
  readonly service: string;
  readonly logger: Logger;
}

export interface Paths {
  readonly namespace: string;
  readonly pods: string;
  readonly secrets: string;
  readonly jobs: string;
  readonly deployments: string;
  readonly networkPolicies: string;
}

export function pathsOf(namespace: string): Paths {
  const core = `/api/v1/namespaces/${namespace}`;
  return {
    namespace: core,
    pods: `${core}/pods`,
    secrets: `${core}/secrets`,
    jobs: `/apis/batch/v1/namespaces/${namespace}/jobs`,
    deployments: `/apis/apps/v1/namespaces/${namespace}/deployments`,
    networkPolicies: `/apis/networking.k8s.io/v1/namespaces/${namespace}/networkpolicies`,
  };
}

export function createCluster(parts: Omit<Cluster, 'paths' | 'pods' | 'deployments'>): Cluster {
  const { client, logger } = parts;
  const paths = pathsOf(parts.config.namespace);
  const options = { client, logger, labelSelector: MANAGED };
  return {
    ...parts,
    paths,
    pods: createReflector(Pod, { ...options, path: paths.pods }),
    deployments: createReflector(Deployment, { ...options, path: paths.deployments }),
  };
}
