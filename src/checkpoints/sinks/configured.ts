import type { Clock } from '../../clock.ts';
import type { CheckpointSinks } from '../../config/checkpoints.ts';
import { parseVerifierKey } from '../../transparency/note-key.ts';
import { fileSink } from './file.ts';
import { s3Sink } from './s3.ts';
import type { Sink } from './sink.ts';
import { webhookSink } from './webhook.ts';
import { type WitnessParts, witnessSink } from './witness.ts';

/** The sinks that the settings name. Throws TransparencyError MALFORMED for a witness's key that is none. */
export function configuredSinks(config: CheckpointSinks, clock: Clock, parts: WitnessParts): Sink[] {
  const { file, s3, webhook, witnesses } = config;
  return [
    ...(file === undefined ? [] : [fileSink(file)]),
    ...(s3 === undefined ? [] : [s3Sink(s3, clock)]),
    ...(webhook === undefined ? [] : [webhookSink(webhook, clock)]),
    ...witnesses.map(({ url, verifierKey }) => witnessSink({ url, key: parseVerifierKey(verifierKey) }, parts)),
  ];
}
