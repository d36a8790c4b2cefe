import type { Kysely } from 'kysely';

import { run, secureTable } from './support/secure-table.ts';

/** Switches that keep agents from starting, read with all else that a start rests on. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await run(
    db,
    `
    -- A row is an engaged switch. What a person wrote about it is in its event alone.
    CREATE TABLE kill_switches (
      -- _system: every workspace.
      workspace_id text NOT NULL,
      -- Empty: every agent of the workspace.
      agent_id text NOT NULL CHECK (agent_id = '' OR workspace_id <> '_system'),
      engaged_at timestamptz NOT NULL,
      engaged_by text NOT NULL,
      -- Its event, in the chain of workspace_id.
      seq bigint NOT NULL,
      PRIMARY KEY (workspace_id, agent_id)
    );

    -- Agents that run although a switch is engaged for them, in the workspace of the transaction; it may know no other, and
    -- every workspace has to know the switch of all.
    CREATE FUNCTION agents_running_against_a_switch(p_limit integer)
    RETURNS TABLE (id uuid, managed boolean) LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
      SELECT a.id, a.managed FROM agents a
      WHERE a.workspace_id = current_setting('castellan.workspace', true) AND a.status IN ('starting', 'running')
        AND (
          EXISTS (SELECT FROM kill_switches k
            WHERE k.workspace_id IN ('_system', current_setting('castellan.workspace', true)) AND k.agent_id = '')
          OR EXISTS (SELECT FROM kill_switches k
            WHERE k.workspace_id = current_setting('castellan.workspace', true) AND k.agent_id = a.id::text)
        )
      ORDER BY a.id LIMIT p_limit
    $$;
    REVOKE ALL ON FUNCTION agents_running_against_a_switch(integer) FROM PUBLIC;
    GRANT EXECUTE ON FUNCTION agents_running_against_a_switch(integer) TO castellan_app;
  `,
  );
  await secureTable(db, 'kill_switches', {
    key: 'workspace_id',
    appPrivileges: 'SELECT, INSERT, DELETE',
    systemReads: true,
  });
  await run(db, READ_BY_ADMISSION);
}

/**
 * What admission reads of an agent says which switch is engaged for it, and the fingerprint under which a start is committed
 * changes with it. That of all workspaces and that of the workspace are read once for all its agents. All else of the
 * functions stays as it is.
 */
const READ_BY_ADMISSION = `
  DO $$
  DECLARE
    name text;
    signature text;
    definition text;
    parts text[];
    part text[];
  BEGIN
    FOREACH name IN ARRAY ARRAY['agents_admission_subjects', 'agents_admission_fingerprints'] LOOP
      signature := name || '(text[],integer[],uuid[])';
      definition := pg_get_functiondef(signature::regprocedure);
      parts := ARRAY[
        ARRAY[
          $is$SELECT s.state, h.policy_set,$is$,
          $be$SELECT s.state,
            CASE WHEN EXISTS (
              SELECT FROM kill_switches k WHERE k.workspace_id = '_system' AND k.agent_id = '' OFFSET 0
            ) THEN 'fleet' WHEN EXISTS (
              SELECT FROM kill_switches k WHERE k.workspace_id = w.space AND k.agent_id = '' OFFSET 0
            ) THEN 'workspace' END AS kill_switch, h.policy_set,$be$
        ],
        ARRAY[
          $is$concat_ws(' ', a.xmin, a.ctid, common.fingerprint,$is$,
          $be$concat_ws(' ', a.xmin, a.ctid, common.fingerprint, coalesce(common.kill_switch, own.kill_switch, '-'),$be$
        ],
        ARRAY[
          $is$x.id = i.id OFFSET 0
        ) a$is$,
          $be$x.id = i.id OFFSET 0
        ) a
        CROSS JOIN LATERAL (
          SELECT CASE WHEN EXISTS (
            SELECT FROM kill_switches k WHERE k.workspace_id = w.space AND k.agent_id = i.id::text OFFSET 0
          ) THEN 'agent' END AS kill_switch OFFSET 0
        ) own$be$
        ]
      ];
      IF name = 'agents_admission_subjects' THEN
        parts := parts || ARRAY[
          ARRAY[$is$workspace_state text, fingerprint text)$is$,
            $be$workspace_state text, kill_switch text, fingerprint text)$be$],
          ARRAY[$is$common.shadow_hash, common.state,$is$,
            $be$common.shadow_hash, common.state, coalesce(common.kill_switch, own.kill_switch),$be$]
        ];
      END IF;
      FOREACH part SLICE 1 IN ARRAY parts LOOP
        IF strpos(definition, part[1]) = 0 THEN
          RAISE EXCEPTION 'the function % has no more: %', name, part[1];
        END IF;
        definition := replace(definition, part[1], part[2]);
      END LOOP;
      EXECUTE 'DROP FUNCTION ' || signature;
      EXECUTE definition;
      EXECUTE 'REVOKE ALL ON FUNCTION ' || signature || ' FROM PUBLIC';
      EXECUTE 'GRANT EXECUTE ON FUNCTION ' || signature || ' TO castellan_app';
    END LOOP;
  END $$;`;
