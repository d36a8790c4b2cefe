import type { Anchor } from './anchors.ts';
import type { LogCheck } from './log-check.ts';
import { limitingSizes } from './log-cover.ts';
import type { Registry } from './registry.ts';
import type { EventSource } from './row.ts';
import type { Tally } from './tally.ts';

/** How far the answer reaches; see docs/audit-format.md. */
export interface Strength {
  readonly level: 'internal' | 'anchored' | 'witnessed';
  /** One sentence: what was compared, and what that cannot show. */
  readonly means: string;
  /** What limits it further. */
  readonly notes: readonly string[];
}

const INTERNAL =
  'nothing outside the log was compared: who owns the database and the keys could have cut it back or rewritten it';

/** What the checkpoints from outside make of the answer. Without events under them they make nothing of it. */
export function strengthOf({
  anchors,
  log,
  tally,
  source,
  registry,
}: {
  anchors: readonly Anchor[];
  log: LogCheck | undefined;
  tally: Tally;
  source: Pick<EventSource, 'log'>;
  registry: Registry;
}): Strength {
  const notes: string[] = [];
  const dropped = log?.claims.dropped ?? 0;
  if (dropped > 0) notes.push(`${dropped} older entries of the log of checkpoints were not compared, only newer ones`);
  const unknown = limitingSizes(registry).filter((size) => size > (log?.size ?? 0)).length;
  if (unknown > 0) {
    notes.push(
      `${unknown} limits of signers by size of the log of checkpoints were not compared: it is not at hand so far`,
    );
  }
  if (log === undefined && typeof source.log === 'string') notes.push(source.log);
  if (anchors.length === 0) return { level: 'internal', means: INTERNAL, notes };
  const fitting = log?.fitting ?? [];
  if (fitting.length > 0 && tally.anchored === 0) {
    notes.push('no event verified here is under the checkpoint given');
    return { level: 'internal', means: INTERNAL, notes };
  }
  const compared = fitting.length > 0 ? fitting : anchors;
  const witnesses = [...new Set(compared.flatMap((anchor) => anchor.witnesses))];
  const covered = `${tally.anchored} of ${tally.events} events are under a checkpoint from outside; the others are as internal`;
  if (witnesses.length === 0) {
    return {
      level: 'anchored',
      means: `${covered}. Who holds the checkpoint key could have shown another log to others`,
      notes,
    };
  }
  return {
    level: 'witnessed',
    means: `${covered}. Cosigned by ${witnesses.join(', ')}: only together with them could another log have been shown`,
    notes,
  };
}
