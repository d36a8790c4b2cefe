import type { ClusterHost } from '../runtime/isolation.ts';

/** Of what pods said before they were followed. */
const TAIL_BYTES = 65_536;

/** The output of an agent's pods while they run. */
export interface PodLogs {
  /** Follows them unless they are followed already. */
  start(workspaceId: string, agentId: string): void;
  stop(): void;
}

export function followPods(host: Pick<ClusterHost, 'logs'>, onOutput: (pod: string, chunk: Buffer) => void): PodLogs {
  let following: AbortController | undefined;
  let hasFollowed = false;

  return {
    start: (workspaceId, agentId) => {
      if (following !== undefined) return;
      const controller = new AbortController();
      following = controller;
      // What was kept before is not kept twice.
      const tailBytes = hasFollowed ? 0 : TAIL_BYTES;
      hasFollowed = true;
      const options = { follow: true, tailBytes, signal: controller.signal };
      void host
        .logs(workspaceId, agentId, options, onOutput)
        // The next look at the cluster begins it again.
        .catch(() => undefined)
        .finally(() => {
          if (following === controller) following = undefined;
        });
    },
    stop: () => {
      following?.abort();
      following = undefined;
    },
  };
}
