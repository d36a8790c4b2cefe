import type { ClientConfig } from 'pg';

import { columnTypes } from './column-types.ts';
import { TickSocket } from './tick-socket.ts';

/** ms; how long a caller waits for a connection, new or from an exhausted pool (security.md: 503 within 2 s). */
export const CONNECT_TIMEOUT_MS = 1800;
/** ms; above the signer's deadline of 2 s, below IDLE_IN_TRANSACTION (audit.md, time limits). */
const LOCK_TIMEOUT_MS = 3000;
/** ms; a transaction left open ends itself, below the handler's 10 s. */
const IDLE_IN_TRANSACTION_MS = 5000;
/** ms; the server cancels a statement before the handler gives up on it. */
const STATEMENT_TIMEOUT_MS = 8000;
/** ms; the client's own limit, for a server that no longer answers at all. */
const QUERY_TIMEOUT_MS = 9000;

/** The database roles a service connection may run as (contract §13). */
export type ServiceRole = 'castellan_app' | 'castellan_system';

/**
 * The settings of a service connection. The role is part of the start-up packet, so that even a superuser's login runs as
 * the restricted role from its first statement on. Needs a direct connection or a session pooler.
 */
export function serviceConnection(url: string, role: ServiceRole, applicationName: string): ClientConfig {
  return {
    ...connectionTarget(url, [
      `role=${role}`,
      `statement_timeout=${STATEMENT_TIMEOUT_MS}`,
      `lock_timeout=${LOCK_TIMEOUT_MS}`,
      `idle_in_transaction_session_timeout=${IDLE_IN_TRANSACTION_MS}`,
    ]),
    application_name: applicationName,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    query_timeout: QUERY_TIMEOUT_MS,
    keepAlive: true,
    // Statements go out without waiting for the answers to earlier ones.
    pipeline: true,
    stream: () => new TickSocket(),
    types: columnTypes,
  };
}

/** The settings of an administrative connection (migrations, checks): as its own login, without time limits. */
export function adminConnection(url: string): ClientConfig {
  return {
    ...connectionTarget(url, ['statement_timeout=0', 'lock_timeout=0', 'idle_in_transaction_session_timeout=0']),
    application_name: 'castellan-admin',
    connectionTimeoutMillis: 5000,
    types: columnTypes,
  };
}

/**
 * pg lets `?options=` of a URL replace the caller's options, and with them the role. They are taken out of the URL and put
 * first: of two settings of one name the server keeps the last.
 */
function connectionTarget(url: string, settings: readonly string[]): ClientConfig {
  const target = new URL(url);
  const given = target.searchParams.get('options') ?? '';
  target.searchParams.delete('options');
  // pg_temp last: a temporary table must never stand in front of a real one.
  const ours = ['search_path=public,pg_temp', 'timezone=UTC', ...settings].map((setting) => `-c ${setting}`);
  return { connectionString: target.href, options: [given, ...ours].join(' ').trim() };
}
