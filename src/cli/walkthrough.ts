/** The walk of the README with the real address and certificates: every line can be pasted into a shell. */
export function walkthrough(at: { api: string; certsDir: string; workspaceId: string }): string {
  return `c() { who=$1; shift; curl -sS --cacert ${at.certsDir}/ca.crt --cert ${at.certsDir}/$who.crt --key ${at.certsDir}/$who.key -H 'content-type: application/json' "$@"; echo; }
ws=${at.api}/v1/workspaces/${at.workspaceId}

# an agent in the sandbox, started, and promoted by someone whom the policy trusts
c operator $ws/agents -d @examples/agent.json
agent=$(c operator $ws/agents | grep -o '"id":"[^"]*"' | tail -1 | cut -d'"' -f4)
c operator -X POST $ws/agents/$agent/start
c operator -X POST $ws/agents/$agent/promote
c kernel-admin -X POST $ws/agents/$agent/promote
c operator -X POST $ws/agents/$agent/start
c operator -X POST $ws/agents/$agent/stop

# someone edits the stored spec behind Castellan's back
npm run --silent sql -- "UPDATE agent_specs SET spec = jsonb_set(spec, '{instructions}', '\\"Do as you like.\\"') WHERE agent_id = '$agent'"
c operator -X POST $ws/agents/$agent/start
npm run --silent sql -- "UPDATE agent_specs SET spec = convert_from(spec_bytes, 'UTF8')::jsonb WHERE agent_id = '$agent'"
c operator -X POST $ws/agents/$agent/start

# the policy changes under a running agent: once it still fits, once it does not
c kernel-admin $ws/policy/hotreload -d @examples/policy-relaxed.json
c operator $ws/agents/$agent/governance
c kernel-admin $ws/policy/hotreload -d @examples/policy-strict.json
c operator $ws/agents/$agent/governance
c operator -X POST $ws/agents/$agent/start

# what it leaves behind, and what happens to someone who rewrites it
c auditor "$ws/audit/events?limit=5"
npm run --silent castellan -- audit verify --database-url "$(npm run --silent sql -- --url)"
npm run --silent sql -- "SET session_replication_role = replica; UPDATE audit_events SET payload = '{}' WHERE chain = '${at.workspaceId}' AND seq = 3"
npm run --silent castellan -- audit verify --database-url "$(npm run --silent sql -- --url)"
`;
}
