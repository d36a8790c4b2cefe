import type { FastifyInstance } from 'fastify';

import type { Clock } from '../clock.ts';
import { isTls } from '../http/drain.ts';
import { createAsk } from '../identity/revocation/ocsp/responder.ts';
import { createStapler } from '../identity/revocation/ocsp/staple.ts';
import type { OcspStatusOptions } from '../identity/revocation/ocsp/status.ts';
import type { Logger } from '../logger.ts';

export interface OcspReports extends Pick<OcspStatusOptions, 'revoked' | 'failed'> {
  /** The service whose connections are judged again for a certificate that is found revoked. */
  tell(app: FastifyInstance): void;
}

/** What responders say of clients while they are connected, and what does not count of that. */
export function ocspReports(logger: Logger): OcspReports {
  let told: FastifyInstance | undefined;
  return {
    tell: (app) => {
      told = app;
    },
    revoked: () => {
      told?.trust.recheck().catch((err: unknown) => logger.warn({ err }, 'connections were not judged again'));
    },
    failed: (err) => logger.warn({ err }, 'a responder does not say whether a certificate is good'),
  };
}

/** Hands clients of the listeners what the responder says of the servers' own certificates. */
export function staple(app: FastifyInstance, clock: Clock, logger: Logger): void {
  const attach = createStapler({
    ask: createAsk({ withNonce: false, clock }),
    clock,
    failed: (err) => logger.warn({ err }, 'there is no OCSP response for the own certificate'),
  });
  for (const server of [app.server, app.humanListener?.server]) {
    if (server !== undefined && isTls(server)) attach(server);
  }
}
