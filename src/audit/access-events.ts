import { Type } from '@sinclair/typebox';

import { count, digest, id, payload, personal, text, time } from './event-members.ts';

/** Events about who may call, all of them in the chain `_system` but for those of an elevation, which its workspace has. */
export const ACCESS_EVENTS = {
  'identity.map.applied': payload({ digest, principals: count, closedConnections: count }),
  'trust.bundle.applied': payload({ digest, authorities: count, closedConnections: count }),
  'server.certificate.applied': payload({ fingerprint: text, notAfter: time }),
  'revocations.applied': payload({
    digest,
    source: text,
    issuer: Type.Optional(text),
    crlNumber: Type.Optional(text),
    entries: count,
    nextUpdate: Type.Optional(time),
    closedConnections: count,
  }),
  'token.issuers.applied': payload({ digest, issuers: count }),
  'identity.reload.refused': payload({ source: text, digest: Type.Optional(digest), problem: text }),
  'access.lock.placed': payload({
    lockId: id,
    kind: text,
    serial: Type.Optional(text),
    principalId: Type.Optional(text),
    expiresAt: Type.Optional(time),
    reason: personal,
  }),
  'access.lock.released': payload({ lockId: id, reason: personal }),
  'access.breakglass.granted': payload({ elevationId: id, minutes: count, expiresAt: time, reason: personal }),
  'access.breakglass.used': payload({ elevationId: id, route: text, permission: text }),
  'access.breakglass.ended': payload({ elevationId: id, cause: text }),
} as const;
