import { ConfigError, type ServiceConfig } from '../config.ts';
import { SignerError } from '../crypto/signer.ts';
import { CodedError } from '../errors.ts';
import { readKernelFiles } from '../manifests/kernel-api.ts';
import { openSigners } from '../signers/open.ts';
import { parseVerifierKey } from '../transparency/note-key.ts';
import type { Round, Switched, Watcher } from '../trust/watcher.ts';

/** Everything that settings name by path is read, and is good or is told: all problems at once, in a ConfigError. */
export async function readFiles(config: ServiceConfig, watcher: Watcher) {
  const problems: string[] = [];
  const [started, signers] = await Promise.all([
    loadWatched(problems, watcher),
    collect(problems, () => openSigners({ ...config.signers, checkpoint: config.checkpoints?.signer })),
  ]);
  const { kernel } = config.manifests;
  if (kernel !== undefined) await collect(problems, () => readKernelFiles(kernel));
  for (const { verifierKey } of config.checkpoints?.sinks.witnesses ?? []) {
    await collect(problems, async () => parseVerifierKey(verifierKey));
  }
  if (problems.length > 0 || signers === undefined) throw new ConfigError(problems);
  return { started, signers };
}

async function loadWatched(problems: string[], watcher: Watcher): Promise<readonly Switched[]> {
  const { switched, refused } = await watcher.load();
  problems.push(...refused.flatMap(linesOf));
  return switched;
}

function linesOf({ source, problems }: Round['refused'][number]): string[] {
  return problems.map((problem) => `${source.replaceAll('_', ' ')}: ${problem}`);
}

/** The result, or undefined with what an operator must mend added to `problems`. */
async function collect<T>(problems: string[], work: () => Promise<T>): Promise<T | undefined> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof ConfigError) problems.push(...error.problems);
    // A key that cannot be reached is no mistake in the settings.
    else if (error instanceof CodedError && !(error instanceof SignerError)) problems.push(error.message);
    else throw error;
    return undefined;
  }
}
