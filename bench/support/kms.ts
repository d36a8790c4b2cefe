import type { Child } from './child.ts';
import type { Bench } from './phase.ts';
import { pathOf } from './program.ts';

export interface BenchKms {
  readonly url: string;
  readonly auditKey: string;
  /** SPKI in PEM. */
  readonly auditPublicKey: string;
  readonly proofKey: string;
  /** The credentials, where the SDK looks for them. */
  readonly env: Readonly<Record<string, string>>;
  readonly child: Child;
}

/** Our KMS endpoint in a process of its own: 15 ms an answer, 1,000 a second, as audit.md measures with. */
export async function startKms({ world }: Bench): Promise<BenchKms> {
  const child = await world.start({ args: [pathOf('kms-endpoint')] });
  const { credentials, ...kms } = child.ready as Pick<BenchKms, 'url' | 'auditKey' | 'auditPublicKey' | 'proofKey'> & {
    credentials: { accessKeyId: string; secretAccessKey: string; sessionToken: string };
  };
  return {
    ...kms,
    child,
    env: {
      AWS_ACCESS_KEY_ID: credentials.accessKeyId,
      AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey,
      AWS_SESSION_TOKEN: credentials.sessionToken,
      AWS_EC2_METADATA_DISABLED: 'true',
      AWS_CONFIG_FILE: '/dev/null',
      AWS_SHARED_CREDENTIALS_FILE: '/dev/null',
    },
  };
}
