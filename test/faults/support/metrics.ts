import type { Sample } from '../check/evidence.ts';
import type { Instance } from './launch.ts';

/** What the ops listener says of an instance now. */
export async function takeSample(instance: Instance, moment: Sample['moment']): Promise<Sample> {
  const answer = await fetch(`${instance.opsUrl}/metrics`);
  const values = valuesOf(await answer.text());
  const of = (name: string) => values.get(`castellan_${name}`) ?? 0;
  return {
    instance: instance.name,
    moment,
    residentBytes: of('process_resident_memory_bytes'),
    // The pauses of the boot itself, which nobody waits for, are in the first look.
    loopDelayMax: moment === 'booted' ? 0 : of('nodejs_eventloop_lag_max_seconds'),
    queueDepth: of('audit_queue_depth'),
    openFiles: of('process_open_fds'),
    droppedEvents: of('audit_events_dropped_total'),
    waitingForPool: of('db_pool_connections{pool="app",state="waiting"}'),
  };
}

/** Values by name and labels, as the exposition format writes them. */
export function valuesOf(text: string): ReadonlyMap<string, number> {
  const values = new Map<string, number>();
  for (const line of text.split('\n')) {
    const cut = line.lastIndexOf(' ');
    if (cut > 0 && !line.startsWith('#')) values.set(line.slice(0, cut), Number(line.slice(cut + 1)));
  }
  return values;
}
