import type { Kysely } from 'kysely';

import { run } from './support/secure-table.ts';

export async function up(db: Kysely<unknown>): Promise<void> {
  await run(
    db,
    `
    CREATE TABLE signers (
      signer_id text PRIMARY KEY CHECK (signer_id ~ '^[A-Za-z0-9][A-Za-z0-9._:/-]{0,254}$'),
      alg text NOT NULL CHECK (alg IN ('HMAC-SHA256', 'Ed25519', 'ECDSA-P256-SHA256', 'RSA-PSS-SHA256')),
      public_key text,
      purpose text NOT NULL CHECK (purpose IN ('audit', 'proof', 'manifest', 'checkpoint')),
      state text NOT NULL CHECK (state IN ('pending', 'active', 'retiring', 'retired', 'revoked', 'compromised')),
      not_before timestamptz,
      not_after timestamptz,
      -- An audit signature counts only up to here once the signer is revoked.
      revoked_at timestamptz,
      revoked_reason text,
      version bigint NOT NULL DEFAULT 1,
      created_at timestamptz NOT NULL,
      created_by text NOT NULL,
      updated_at timestamptz NOT NULL,
      CHECK ((alg = 'HMAC-SHA256') = (public_key IS NULL)),
      CHECK ((state IN ('revoked', 'compromised')) = (revoked_at IS NOT NULL))
    );
    -- One key, one purpose: the same public key cannot be registered twice.
    CREATE UNIQUE INDEX signers_public_key ON signers (public_key);

    ALTER TABLE signers ENABLE ROW LEVEL SECURITY;
    ALTER TABLE signers FORCE ROW LEVEL SECURITY;
    -- Every workspace verifies with the registry; only a transaction on the system chain may change it.
    CREATE POLICY signers_app_read ON signers FOR SELECT TO castellan_app USING (true);
    CREATE POLICY signers_app_insert ON signers FOR INSERT TO castellan_app
      WITH CHECK (current_setting('castellan.workspace', true) = '_system');
    CREATE POLICY signers_app_update ON signers FOR UPDATE TO castellan_app
      USING (current_setting('castellan.workspace', true) = '_system')
      WITH CHECK (current_setting('castellan.workspace', true) = '_system');
    CREATE POLICY signers_system ON signers FOR SELECT TO castellan_system USING (true);
    CREATE POLICY signers_verifier ON signers FOR SELECT TO castellan_verifier USING (true);
    CREATE POLICY signers_owner ON signers TO castellan_owner USING (true) WITH CHECK (true);
    GRANT SELECT, INSERT, UPDATE ON signers TO castellan_app;
    GRANT SELECT ON signers TO castellan_system, castellan_verifier;
  `,
  );
}
