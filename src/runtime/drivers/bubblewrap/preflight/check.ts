import type { BubblewrapConfig } from '../../../../config/runtime.ts';
import { type IsolationProblem, IsolationUnavailable } from '../../../errors.ts';
import { type ChainHost, createChainHost } from '../chain-host.ts';
import type { Places } from '../place.ts';
import { createPlaces } from '../places.ts';
import { findTools } from '../tools.ts';
import { NothingStarted, runCanary } from './canary.ts';
import { capabilityObstacle, machineObstacle, versionObstacle, whyNotStarted } from './diagnose.ts';
import { readFacts } from './facts.ts';

/** What isolates, tried and found to. */
export interface Ground {
  readonly host: ChainHost;
  readonly places: Places;
  readonly version: string;
  /** Tries it again as it is. Throws IsolationUnavailable. */
  tryAgain(): Promise<void>;
}

/** Builds it and tries it with the arguments of production. Throws IsolationUnavailable, and has left nothing then. */
export async function layGround(config: BubblewrapConfig, searchPath: string | undefined): Promise<Ground> {
  refuse(machineObstacle({ platform: process.platform, arch: process.arch }));
  const tools = await findTools(searchPath);
  const facts = await readFacts(tools.bwrap);
  refuse(versionObstacle(facts.bwrapVersion));
  refuse(capabilityObstacle(facts));
  const places = createPlaces({ config, tools, uid: facts.uid });
  let made: ChainHost | undefined;
  try {
    const { sharedDir } = await places.prepare();
    const host = await createChainHost(tools, { dir: sharedDir, toolchains: config.toolchains });
    made = host;
    const tryAgain = () =>
      runCanary(host, places, sharedDir).catch((error: unknown) => {
        if (!(error instanceof NothingStarted)) throw error;
        throw new IsolationUnavailable(whyNotStarted(facts, error.said), error);
      });
    await tryAgain();
    return { host, places, version: facts.bwrapVersion, tryAgain };
  } catch (error) {
    await made?.close();
    await places.close();
    throw error;
  }
}

function refuse(problem: IsolationProblem | undefined): void {
  if (problem !== undefined) throw new IsolationUnavailable(problem);
}
