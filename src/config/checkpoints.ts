import { resolve } from 'node:path';

import type { SettingsReader } from './read.ts';
import { isSafeUrl, longSecret, safeUrl } from './safe-url.ts';

/** name+hash+key and a URL. */
const WITNESS = /^([^\s+]+\+[0-9a-f]{8}\+[A-Za-z0-9+/=]+)\s+(\S+)$/u;

/** How checkpoints are made; the key is a setting of its own. */
export interface CheckpointSettings {
  /** The name of the log, and of the key in its notes. */
  readonly origin: string;
  readonly intervalMs: number;
  readonly sinks: CheckpointSinks;
}

/** Where notes are handed to; absent members are not configured. */
export interface CheckpointSinks {
  /** A directory. */
  readonly file: string | undefined;
  readonly s3:
    | {
        readonly url: string;
        readonly region: string;
        readonly credentials: { readonly accessKeyId: string; readonly secretAccessKey: string } | undefined;
        readonly lockMode: 'COMPLIANCE' | 'GOVERNANCE';
        readonly retentionDays: number;
      }
    | undefined;
  /** `secret` is base64. */
  readonly webhook: { readonly url: string; readonly secret: string } | undefined;
  readonly witnesses: readonly { readonly url: string; readonly verifierKey: string }[];
}

/** What is wrong with the settings is added to the reader's problems. */
export function readCheckpoints(read: SettingsReader): CheckpointSettings {
  const origin = read.required('CASTELLAN_CHECKPOINT_ORIGIN');
  // Spaces and a plus would end it in a note (C2SP signed-note), and a schema is no part of a name.
  if (!/^[a-z0-9][a-z0-9._/-]{0,254}$/.test(origin)) {
    read.problem('CASTELLAN_CHECKPOINT_ORIGIN must be a name without a schema, such as log.example.org/castellan');
  }
  const intervalMs = read.integer('CASTELLAN_CHECKPOINT_INTERVAL_SECONDS') * 1000;
  return { origin, intervalMs, sinks: readSinks(read) };
}

/** Whether there is a key. Where there is none, nothing may say where the notes go. */
export function signsCheckpoints(read: SettingsReader, { sinks }: CheckpointSettings): boolean {
  if (read.text('CASTELLAN_CHECKPOINT_SIGNING_KEY_SOURCE') !== 'local') return true;
  if (read.text('CASTELLAN_CHECKPOINT_SIGNING_KEY_FILE') !== undefined) return true;
  const { file, s3, webhook, witnesses } = sinks;
  if (file !== undefined || s3 !== undefined || webhook !== undefined || witnesses.length > 0) {
    read.problem('CASTELLAN_CHECKPOINT_SIGNING_KEY_FILE is required where checkpoints are to be handed on');
  }
  return false;
}

function readSinks(read: SettingsReader): CheckpointSinks {
  const directory = read.text('CASTELLAN_CHECKPOINT_SINK_DIR');
  return {
    file: directory === undefined ? undefined : resolve(directory),
    s3: s3(read),
    webhook: webhook(read),
    witnesses: witnesses(read),
  };
}

function s3(read: SettingsReader): CheckpointSinks['s3'] {
  const url = safeUrl(read, 'CASTELLAN_CHECKPOINT_S3_URL');
  const accessKeyId = read.text('CASTELLAN_CHECKPOINT_S3_ACCESS_KEY_ID');
  const secretAccessKey = read.text('CASTELLAN_CHECKPOINT_S3_SECRET_ACCESS_KEY');
  if ((accessKeyId === undefined) !== (secretAccessKey === undefined)) {
    read.problem('CASTELLAN_CHECKPOINT_S3_ACCESS_KEY_ID and CASTELLAN_CHECKPOINT_S3_SECRET_ACCESS_KEY go together');
  }
  const credentials =
    accessKeyId === undefined || secretAccessKey === undefined ? undefined : { accessKeyId, secretAccessKey };
  const lockMode =
    read.text('CASTELLAN_CHECKPOINT_S3_LOCK_MODE') === 'GOVERNANCE' ? ('GOVERNANCE' as const) : ('COMPLIANCE' as const);
  const region = read.required('CASTELLAN_CHECKPOINT_S3_REGION');
  const retentionDays = read.integer('CASTELLAN_CHECKPOINT_S3_RETENTION_DAYS');
  return url === undefined ? undefined : { url, region, credentials, lockMode, retentionDays };
}

function webhook(read: SettingsReader): CheckpointSinks['webhook'] {
  const url = safeUrl(read, 'CASTELLAN_CHECKPOINT_WEBHOOK_URL');
  const secret = longSecret(read, 'CASTELLAN_CHECKPOINT_WEBHOOK_SECRET');
  if ((url === undefined) !== (secret === undefined)) {
    read.problem('CASTELLAN_CHECKPOINT_WEBHOOK_URL and CASTELLAN_CHECKPOINT_WEBHOOK_SECRET go together');
  }
  return url === undefined || secret === undefined ? undefined : { url, secret };
}

function witnesses(read: SettingsReader): CheckpointSinks['witnesses'] {
  const list = (read.text('CASTELLAN_CHECKPOINT_WITNESSES') ?? '').split(',').map((one) => one.trim());
  return list
    .filter((one) => one !== '')
    .map((one) => {
      const [, verifierKey = '', url = ''] = WITNESS.exec(one) ?? [];
      if (!isSafeUrl(url)) {
        read.problem(
          'CASTELLAN_CHECKPOINT_WITNESSES must be pairs of a verifier key and an https URL, comma separated',
        );
      }
      return { verifierKey, url };
    });
}
