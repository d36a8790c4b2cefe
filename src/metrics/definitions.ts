import { Counter, Gauge, Histogram, Registry } from 'prom-client';

const PREFIX = 'castellan_';

/** Upper bounds in seconds; the promises of the service are at 0.02 and 0.1. */
const REQUEST_SECONDS = [0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
/** Evaluation in process takes tens of microseconds; 0.5 ms is the promise. */
const DECISION_SECONDS = [0.00002, 0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.005, 0.025, 0.1, 1];
const SIGN_SECONDS = [0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 5];
/** `echo` takes tens of milliseconds; a run may take 15 minutes. */
const RUN_SECONDS = [0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 900];
const BATCH_SIZES = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512];

/** Every metric of the service, one line each, in a registry of its own. Names are those of the contract (§11). */
export function defineMetrics() {
  const registry = new Registry();
  const counter = <L extends string = never>(name: string, help: string, labelNames: L[] = []) =>
    new Counter({ name: PREFIX + name, help, labelNames, registers: [registry] });
  const gauge = <L extends string = never>(name: string, help: string, labelNames: L[] = []) =>
    new Gauge({ name: PREFIX + name, help, labelNames, registers: [registry] });
  const histogram = <L extends string = never>(name: string, help: string, buckets: number[], labelNames: L[] = []) =>
    new Histogram({ name: PREFIX + name, help, buckets, labelNames, registers: [registry] });

  return {
    registry,
    agentStartsAllowed: counter('agent_starts_allowed_total', 'Agent starts that admission allowed'),
    agentStartsDenied: counter('agent_starts_denied_total', 'Denied agent starts, by the first code', ['reason']),
    agentsSupervised: gauge('agents_supervised', 'Agents that this replica runs'),
    agentLaunches: counter('agent_launches_total', 'Processes of agents, by what came of launching them', ['outcome']),
    agentRestarts: counter('agent_restarts_total', 'Processes of agents that are launched again after one ended'),
    agentInvalidations: counter('agent_invalidation_events_total', 'Governed agents that lost their standing'),
    policyReloads: counter('policy_reload_success_total', 'Policy versions activated'),
    policyReloadFailures: counter('policy_reload_failure_total', 'Policy reloads refused or failed'),
    policyVersionInfo: gauge('policy_version_info', 'Policies last activated here', ['policy_set', 'hash']),
    policyDecisionSeconds: histogram('policy_decision_duration_seconds', 'One policy evaluation', DECISION_SECONDS),
    promotionAttempts: counter('promotion_attempts_total', 'Promotion requests'),
    promotionDenies: counter('promotion_denies_total', 'Denied promotions, by the first code', ['reason']),
    admissionSeconds: histogram('admission_duration_seconds', 'The chain of admission checks', REQUEST_SECONDS),
    httpSeconds: histogram('http_request_duration_seconds', 'HTTP requests, by route pattern', REQUEST_SECONDS, [
      'method',
      'route',
      'status',
    ]),
    requestsLimited: counter('requests_limited_total', 'Requests refused with 429 or 503 for a limit', [
      'reason',
      'lane',
    ]),
    requestsInFlight: gauge('requests_in_flight', 'Requests that hold a place in their lane', ['lane']),
    requestsWaiting: gauge('requests_waiting', 'Requests that wait for a place in their lane', ['lane']),
    requestPlaces: gauge('request_places', 'Places in a lane; fewer when requests take long', ['lane']),
    overloadLevel: gauge('overload_level', 'Part refused because the event loop is late; 0 is none'),
    breakGlassActive: gauge('break_glass_active', 'Elevations in force, as this replica knows them'),
    breakGlassGranted: counter('break_glass_granted_total', 'Elevations granted here'),
    breakGlassRequests: counter('break_glass_requests_total', 'Requests that an elevation alone let pass'),
    auditBatchSize: histogram('audit_append_batch_size', 'Audit events per commit', BATCH_SIZES),
    auditSignSeconds: histogram('audit_sign_duration_seconds', 'Signing the events of one commit', SIGN_SECONDS),
    auditEvents: counter('audit_events_total', 'Audit events appended'),
    auditEventsDropped: counter('audit_events_dropped_total', 'Audit events lost; anything but 0 is an incident'),
    auditQueueDepth: gauge('audit_queue_depth', 'Units of work waiting for their chain'),
    signerErrors: counter('signer_errors_total', 'Failed calls of a signer'),
    checkpointSize: gauge('checkpoint_size', 'Entries under the newest note that was signed here'),
    checkpointTime: gauge('checkpoint_timestamp_seconds', 'When the newest note that was signed here was made'),
    checkpointRefusals: counter(
      'checkpoint_refusals_total',
      'Rounds that refused to sign; anything but 0 is an incident',
    ),
    checkpointDamaged: gauge(
      'checkpoint_damaged_chains',
      'Chains without a new checkpoint, for rows that were changed',
    ),
    checkpointDeliveries: counter('checkpoint_deliveries_total', 'Notes handed to a sink', ['sink', 'outcome']),
    checkpointDelivered: gauge('checkpoint_delivered_size', 'Entries under the newest note that a sink has', ['sink']),
    isolationAvailable: gauge('isolation_available', '1 while processes can be isolated here'),
    isolationDegraded: gauge('isolation_degraded', '1 while that is without limits of memory, processes and disk'),
    isolationSlots: gauge('isolation_slots', 'Places for isolated processes on this machine', ['state']),
    dbPoolConnections: gauge('db_pool_connections', 'Connections of a database pool', ['pool', 'state']),
    certificateDaysLeft: gauge(
      'certificate_days_left',
      'Days until a certificate or list ends; `earliest`: the first',
      ['certificate'],
    ),
    identityReloads: counter('identity_reloads_total', 'Changed files of who may call, put in force or refused', [
      'source',
      'outcome',
    ]),
    connectionsEnded: counter('connections_ended_total', 'Connections ended because their caller counts no more', [
      'reason',
    ]),
    tokenKeyFetches: counter('token_key_fetches_total', 'Questions to an issuer of tokens for its keys', [
      'issuer',
      'outcome',
    ]),
    sandboxRuns: counter('sandbox_runs_total', 'Sandbox runs that ended here, by status', ['status']),
    sandboxRunSeconds: histogram(
      'sandbox_run_duration_seconds',
      'From the row of a sandbox run to its kept end, the wait for a place included',
      RUN_SECONDS,
    ),
    sandboxQueueDepth: gauge('sandbox_queue_depth', 'Sandbox runs that wait for a place on this replica'),
    sandboxRunning: gauge('sandbox_running', 'Sandbox runs under way on this replica'),
    egressConnections: counter('egress_connections_total', 'Connections that sandboxes asked the egress proxy for', [
      'verdict',
    ]),
    egressBytes: counter('egress_bytes_total', 'Bytes through the egress proxy, as sandboxes see them', ['direction']),
    jobRoundSeconds: histogram('job_round_duration_seconds', 'One round of a periodic job', REQUEST_SECONDS, ['job']),
    jobFailures: counter('job_failures_total', 'Rounds of a periodic job that failed', ['job']),
  };
}
