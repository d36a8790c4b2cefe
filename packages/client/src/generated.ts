// Made from openapi.yaml by `node scripts/build-client-types.ts`. Do not edit.
// biome-ignore-all format: generated
// biome-ignore-all lint: generated

export type Problem = {
  /** Stable URI of the code */
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly detail: string;
  /** The request id */
  readonly instance: string;
  readonly code: string;
  readonly errors?: readonly {
    /** RFC 6901; /query/… and /path/… for what is not in the body */
    readonly pointer?: string;
    /** A module of a policy bundle */
    readonly file?: string;
    readonly row?: number;
    readonly column?: number;
    readonly detail: string;
  }[];
  readonly denies?: readonly ({
    readonly code: string;
    readonly reason: string;
    readonly severity: "DENY" | "RESTRICT";
    readonly check: string;
    readonly [name: string]: unknown;
  })[];
  readonly decisionId?: string;
  readonly [name: string]: unknown;
};

export interface Operations {
  /** Create a stopped sandbox agent from a config, a template, or both; nothing is started. `POST /api/v1/agent/spawn` */
  spawnAgent: {
    input: { body: {
      /** Members of AgentSpec. With a template: an RFC 7396 merge patch of its config; the result must be an AgentSpec */
      readonly agent_config: { readonly [name: string]: unknown };
      readonly template_id?: string;
      /** Needed where the profile is illuvrse; checked wherever it is sent. Another form is MANIFEST_MALFORMED */
      readonly manifest?: {
        readonly manifest: {
          readonly v: 1;
          /** A UUID in lower case; each is accepted once */
          readonly manifestId: string;
          /** specHash of the spec that results */
          readonly agentConfigHash: string;
          /** RFC 3339 UTC with milliseconds */
          readonly issuedAt: string;
          /** RFC 3339 UTC with milliseconds */
          readonly expiresAt: string;
          /** Whom it is for: this service */
          readonly audience: string;
        };
        /** Canonical base64 of the signature over the RFC 8785 bytes of `manifest` */
        readonly manifestSignature: string;
        /** An active signer of purpose manifest */
        readonly manifestSignatureId: string;
        /** SHA-256 of the RFC 8785 bytes of `manifest` */
        readonly manifestHash: string;
      } | unknown;
      /** Needed by callers who may use more than one workspace */
      readonly workspace_id?: string;
    } };
    answer: { status: 201; body: {
      /** UUIDv7 */
      readonly agent_id: string;
      readonly status: "stopped";
      readonly mode: "sandbox";
    } };
  };
  /** Run commands in a sandbox of their own, and wait for what comes of them unless async; the agent itself is not run. `POST /api/v1/agent/{agent_id}/sandbox/run` */
  runSandbox: {
    input: { params: {
      readonly agent_id: string;
    }; body: {
      /** Commands, each run by `sh -c` one after another in one working directory, also after a failure; 262,144 bytes together at most */
      readonly tests: readonly string[];
      /** Of the whole run, from when it starts; default 60, or less where the workspace allows less */
      readonly timeout_seconds?: number;
      /** Never a secret, and no secretRef: it is not kept, but the commands may print it */
      readonly env?: { readonly [name: string]: string };
      readonly resources?: {
        /** Cores */
        readonly cpu?: number;
        readonly memoryMb?: number;
        readonly pids?: number;
        readonly diskMb?: number;
      };
      readonly network?: {
        readonly allowDomains?: readonly string[];
      };
      /** Answer at once; the run may wait for a place */
      readonly async?: boolean;
    } };
    answer: { status: 200; body: {
      /** UUIDv7 */
      readonly run_id: string;
      /** UUIDv7 */
      readonly agent_id: string;
      readonly status: "queued" | "running" | "passed" | "failed" | "killed" | "timeout" | "error";
      /** RFC 3339 UTC with milliseconds */
      readonly created_at: string;
      readonly created_by: string;
      /** RFC 3339 UTC with milliseconds */
      readonly started_at?: string;
      /** RFC 3339 UTC with milliseconds */
      readonly ended_at?: string;
      /** Why it ended before its time, such as caller or kill_switch */
      readonly cause?: string;
      readonly limits: {
        /** Cores */
        readonly cpu: number;
        readonly memoryMb: number;
        readonly pids: number;
        readonly diskMb: number;
        readonly timeout_seconds: number;
        /** A command that writes more is ended: output_limit */
        readonly output_bytes: number;
      };
      readonly isolation: {
        readonly driver: string;
        readonly version: string;
        readonly limits: "enforced" | "degraded";
        readonly network: "none" | "allowlist";
      };
      /** Of each command; empty until the run has ended */
      readonly results: readonly ({
        readonly command: string;
        readonly result: "ok" | "failed" | "timeout" | "oom" | "output_limit" | "disk_limit" | "cancelled" | "setup_failed";
        /** As a shell says it; null when it was ended for its time, its output or a cancellation, or never began */
        readonly exit_code: number | null;
        /** Its head and its tail */
        readonly stdout: string;
        /** Its head and its tail */
        readonly stderr: string;
        /** Something of stdout or stderr is left out */
        readonly truncated: boolean;
        readonly duration_ms: number;
        readonly signal?: string;
        readonly usage?: {
          readonly peak_memory_bytes: number | null;
          readonly cpu_ms: number | null;
        };
      })[];
      /** What the egress proxy decided, at most the first 1,000 */
      readonly connections?: readonly ({
        /** RFC 3339 UTC with milliseconds */
        readonly at: string;
        readonly host: string;
        readonly port: number;
        readonly verdict: "allowed" | "denied";
        readonly code?: string;
        readonly bytes_out: number;
        readonly bytes_in: number;
      })[];
    } } | { status: 202; body: {
      /** UUIDv7 */
      readonly run_id: string;
      readonly status: "queued";
    } };
  };
  /** Sandbox runs of the agent by id, that is by time, without results. `GET /api/v1/agent/{agent_id}/sandbox/runs` */
  listSandboxRuns: {
    input: { params: {
      readonly agent_id: string;
    }; query?: {
      readonly status?: "queued" | "running" | "passed" | "failed" | "killed" | "timeout" | "error";
      /** Default 50 */
      readonly limit?: number;
      /** The nextCursor of the page before; opaque */
      readonly cursor?: string;
    } };
    answer: { status: 200; body: {
      readonly runs: readonly ({
        /** UUIDv7 */
        readonly run_id: string;
        /** UUIDv7 */
        readonly agent_id: string;
        readonly status: "queued" | "running" | "passed" | "failed" | "killed" | "timeout" | "error";
        /** RFC 3339 UTC with milliseconds */
        readonly created_at: string;
        readonly created_by: string;
        /** RFC 3339 UTC with milliseconds */
        readonly started_at?: string;
        /** RFC 3339 UTC with milliseconds */
        readonly ended_at?: string;
        /** Why it ended before its time, such as caller or kill_switch */
        readonly cause?: string;
        readonly limits: {
          /** Cores */
          readonly cpu: number;
          readonly memoryMb: number;
          readonly pids: number;
          readonly diskMb: number;
          readonly timeout_seconds: number;
          /** A command that writes more is ended: output_limit */
          readonly output_bytes: number;
        };
        readonly isolation: {
          readonly driver: string;
          readonly version: string;
          readonly limits: "enforced" | "degraded";
          readonly network: "none" | "allowlist";
        };
      })[];
      /** Null on the last page */
      readonly next_cursor: string | null;
    } };
  };
  /** A sandbox run as far as it has come, with its results once it has ended. `GET /api/v1/agent/{agent_id}/sandbox/runs/{run_id}` */
  getSandboxRun: {
    input: { params: {
      readonly agent_id: string;
      readonly run_id: string;
    } };
    answer: { status: 200; body: {
      /** UUIDv7 */
      readonly run_id: string;
      /** UUIDv7 */
      readonly agent_id: string;
      readonly status: "queued" | "running" | "passed" | "failed" | "killed" | "timeout" | "error";
      /** RFC 3339 UTC with milliseconds */
      readonly created_at: string;
      readonly created_by: string;
      /** RFC 3339 UTC with milliseconds */
      readonly started_at?: string;
      /** RFC 3339 UTC with milliseconds */
      readonly ended_at?: string;
      /** Why it ended before its time, such as caller or kill_switch */
      readonly cause?: string;
      readonly limits: {
        /** Cores */
        readonly cpu: number;
        readonly memoryMb: number;
        readonly pids: number;
        readonly diskMb: number;
        readonly timeout_seconds: number;
        /** A command that writes more is ended: output_limit */
        readonly output_bytes: number;
      };
      readonly isolation: {
        readonly driver: string;
        readonly version: string;
        readonly limits: "enforced" | "degraded";
        readonly network: "none" | "allowlist";
      };
      /** Of each command; empty until the run has ended */
      readonly results: readonly ({
        readonly command: string;
        readonly result: "ok" | "failed" | "timeout" | "oom" | "output_limit" | "disk_limit" | "cancelled" | "setup_failed";
        /** As a shell says it; null when it was ended for its time, its output or a cancellation, or never began */
        readonly exit_code: number | null;
        /** Its head and its tail */
        readonly stdout: string;
        /** Its head and its tail */
        readonly stderr: string;
        /** Something of stdout or stderr is left out */
        readonly truncated: boolean;
        readonly duration_ms: number;
        readonly signal?: string;
        readonly usage?: {
          readonly peak_memory_bytes: number | null;
          readonly cpu_ms: number | null;
        };
      })[];
      /** What the egress proxy decided, at most the first 1,000 */
      readonly connections?: readonly ({
        /** RFC 3339 UTC with milliseconds */
        readonly at: string;
        readonly host: string;
        readonly port: number;
        readonly verdict: "allowed" | "denied";
        readonly code?: string;
        readonly bytes_out: number;
        readonly bytes_in: number;
      })[];
    } };
  };
  /** End a sandbox run that waits or runs; one that has ended stays as it is, without an event. `POST /api/v1/agent/{agent_id}/sandbox/runs/{run_id}/cancel` */
  cancelSandboxRun: {
    input: { params: {
      readonly agent_id: string;
      readonly run_id: string;
    }; body?: { readonly [name: string]: never } };
    answer: { status: 200; body: {
      /** UUIDv7 */
      readonly run_id: string;
      /** UUIDv7 */
      readonly agent_id: string;
      readonly status: "queued" | "running" | "passed" | "failed" | "killed" | "timeout" | "error";
      /** RFC 3339 UTC with milliseconds */
      readonly created_at: string;
      readonly created_by: string;
      /** RFC 3339 UTC with milliseconds */
      readonly started_at?: string;
      /** RFC 3339 UTC with milliseconds */
      readonly ended_at?: string;
      /** Why it ended before its time, such as caller or kill_switch */
      readonly cause?: string;
      readonly limits: {
        /** Cores */
        readonly cpu: number;
        readonly memoryMb: number;
        readonly pids: number;
        readonly diskMb: number;
        readonly timeout_seconds: number;
        /** A command that writes more is ended: output_limit */
        readonly output_bytes: number;
      };
      readonly isolation: {
        readonly driver: string;
        readonly version: string;
        readonly limits: "enforced" | "degraded";
        readonly network: "none" | "allowlist";
      };
      /** Of each command; empty until the run has ended */
      readonly results: readonly ({
        readonly command: string;
        readonly result: "ok" | "failed" | "timeout" | "oom" | "output_limit" | "disk_limit" | "cancelled" | "setup_failed";
        /** As a shell says it; null when it was ended for its time, its output or a cancellation, or never began */
        readonly exit_code: number | null;
        /** Its head and its tail */
        readonly stdout: string;
        /** Its head and its tail */
        readonly stderr: string;
        /** Something of stdout or stderr is left out */
        readonly truncated: boolean;
        readonly duration_ms: number;
        readonly signal?: string;
        readonly usage?: {
          readonly peak_memory_bytes: number | null;
          readonly cpu_ms: number | null;
        };
      })[];
      /** What the egress proxy decided, at most the first 1,000 */
      readonly connections?: readonly ({
        /** RFC 3339 UTC with milliseconds */
        readonly at: string;
        readonly host: string;
        readonly port: number;
        readonly verdict: "allowed" | "denied";
        readonly code?: string;
        readonly bytes_out: number;
        readonly bytes_in: number;
      })[];
    } };
  };
  /** The output of a sandbox run as server-sent events while it comes, or from what is kept; Last-Event-ID resumes. `GET /api/v1/agent/{agent_id}/sandbox/runs/{run_id}/output` */
  followSandboxRun: {
    input: { params: {
      readonly agent_id: string;
      readonly run_id: string;
    } };
    answer: { status: 200; body: string };
  };
  /** Change the replicas of a running agent; more of them pass admission, as a start does. `POST /api/v1/agent/{agent_id}/scale` */
  scaleSpawnedAgent: {
    input: { params: {
      readonly agent_id: string;
    }; body: {
      readonly replicas: number;
    } };
    answer: { status: 200; body: {
      readonly success: true;
      /** UUIDv7 */
      readonly agent_id: string;
      readonly status: "stopped" | "starting" | "running" | "stopping" | "failed" | "quarantined";
      readonly managed: boolean;
      readonly replicas: number;
      readonly previous_replicas: number;
      readonly admission?: {
        /** sha256: and lower-case hex */
        readonly policy_hash: string;
        readonly checks: readonly {
          readonly check: string;
          readonly outcome: string;
        }[];
        readonly interceptors: readonly {
          readonly check: string;
          readonly outcome: string;
        }[];
      };
      /** UUIDv7 */
      readonly decision_id?: string;
      /** Null when it had as many already */
      readonly audit_event: {
        readonly chain: string;
        readonly seq: number;
        readonly hash: string;
      } | null;
    } };
  };
  /** Start an agent if admission lets it; one that runs is left alone. `POST /api/v1/agent/{agent_id}/start` */
  startSpawnedAgent: {
    input: { params: {
      readonly agent_id: string;
    }; body?: {
      readonly replicas?: number;
    } };
    answer: { status: 200; body: {
      readonly success: true;
      /** UUIDv7 */
      readonly agent_id: string;
      readonly status: "stopped" | "starting" | "running" | "stopping" | "failed" | "quarantined";
      readonly managed: boolean;
      /** Nothing was decided: no admission, no decision, no event */
      readonly already_running?: true;
      readonly admission?: {
        /** sha256: and lower-case hex */
        readonly policy_hash: string;
        readonly checks: readonly {
          readonly check: string;
          readonly outcome: string;
        }[];
        readonly interceptors: readonly {
          readonly check: string;
          readonly outcome: string;
        }[];
      };
      /** UUIDv7 */
      readonly decision_id?: string;
      readonly audit_event?: {
        readonly chain: string;
        readonly seq: number;
        readonly hash: string;
      };
    } };
  };
  /** Stop an agent; needs no signer. One that does not run stays as it is, without an event. `POST /api/v1/agent/{agent_id}/stop` */
  stopSpawnedAgent: {
    input: { params: {
      readonly agent_id: string;
    }; body?: {
      readonly reason?: string;
    } };
    answer: { status: 200; body: {
      readonly success: true;
      /** UUIDv7 */
      readonly agent_id: string;
      readonly status: "stopped" | "starting" | "running" | "stopping" | "failed" | "quarantined";
      readonly audit_event: {
        readonly chain: string;
        readonly seq: number;
        readonly hash: string;
      } | null;
    } };
  };
  /** Templates by id; a page may be shorter than its limit when the configs are large. `GET /api/v1/templates` */
  listTemplates: {
    input: { query?: {
      /** Needed by callers who may use more than one workspace */
      readonly workspace_id?: string;
      /** Default 50 */
      readonly limit?: number;
      /** The nextCursor of the page before; opaque */
      readonly cursor?: string;
    } };
    answer: { status: 200; body: {
      readonly templates: readonly {
        readonly template_id: string;
        readonly version: number;
        readonly workspace_id: string;
        readonly name: string;
        readonly agent_config: { readonly [name: string]: unknown };
        /** sha256: and lower-case hex */
        readonly config_hash: string;
        /** RFC 3339 UTC with milliseconds */
        readonly updated_at: string;
        readonly updated_by: string;
      }[];
      readonly next_cursor: string | null;
    } };
  };
  /** Create a template; its id is unique in the workspace, and a new UUID when none is sent. `POST /api/v1/templates` */
  createTemplate: {
    input: { body: {
      readonly template_id?: string;
      /** The one that will be the first; else it is a 409 */
      readonly version?: number;
      /** Needed by callers who may use more than one workspace */
      readonly workspace_id?: string;
      readonly name: string;
      /** Members of AgentSpec, any of them */
      readonly agent_config: { readonly [name: string]: unknown };
      /** Needed where the profile is illuvrse; checked wherever it is sent. Another form is MANIFEST_MALFORMED */
      readonly manifest?: {
        readonly manifest: {
          readonly v: 1;
          /** A UUID in lower case; each is accepted once */
          readonly manifestId: string;
          /** specHash of the spec that results */
          readonly agentConfigHash: string;
          /** RFC 3339 UTC with milliseconds */
          readonly issuedAt: string;
          /** RFC 3339 UTC with milliseconds */
          readonly expiresAt: string;
          /** Whom it is for: this service */
          readonly audience: string;
        };
        /** Canonical base64 of the signature over the RFC 8785 bytes of `manifest` */
        readonly manifestSignature: string;
        /** An active signer of purpose manifest */
        readonly manifestSignatureId: string;
        /** SHA-256 of the RFC 8785 bytes of `manifest` */
        readonly manifestHash: string;
      } | unknown;
    } };
    answer: { status: 201; body: {
      readonly template_id: string;
      readonly version: number;
      readonly workspace_id: string;
      readonly name: string;
      readonly agent_config: { readonly [name: string]: unknown };
      /** sha256: and lower-case hex */
      readonly config_hash: string;
      /** RFC 3339 UTC with milliseconds */
      readonly updated_at: string;
      readonly updated_by: string;
    } };
  };
  /** One template in its present version, which the ETag names. `GET /api/v1/templates/{template_id}` */
  getTemplate: {
    input: { params: {
      readonly template_id: string;
    }; query?: {
      /** Needed by callers who may use more than one workspace */
      readonly workspace_id?: string;
    } };
    answer: { status: 200; body: {
      readonly template_id: string;
      readonly version: number;
      readonly workspace_id: string;
      readonly name: string;
      readonly agent_config: { readonly [name: string]: unknown };
      /** sha256: and lower-case hex */
      readonly config_hash: string;
      /** RFC 3339 UTC with milliseconds */
      readonly updated_at: string;
      readonly updated_by: string;
    } } | { status: 304; body: undefined };
  };
  /** A new version: another name, a merge patch (RFC 7396) of the config, or both; honours If-Match. `PATCH /api/v1/templates/{template_id}` */
  patchTemplate: {
    input: { params: {
      readonly template_id: string;
    }; query?: {
      /** Needed by callers who may use more than one workspace */
      readonly workspace_id?: string;
    }; body: {
      readonly name?: string;
      /** RFC 7396 merge patch of the config */
      readonly agent_config?: { readonly [name: string]: unknown };
      /** Needed where the profile is illuvrse; checked wherever it is sent. Another form is MANIFEST_MALFORMED */
      readonly manifest?: {
        readonly manifest: {
          readonly v: 1;
          /** A UUID in lower case; each is accepted once */
          readonly manifestId: string;
          /** specHash of the spec that results */
          readonly agentConfigHash: string;
          /** RFC 3339 UTC with milliseconds */
          readonly issuedAt: string;
          /** RFC 3339 UTC with milliseconds */
          readonly expiresAt: string;
          /** Whom it is for: this service */
          readonly audience: string;
        };
        /** Canonical base64 of the signature over the RFC 8785 bytes of `manifest` */
        readonly manifestSignature: string;
        /** An active signer of purpose manifest */
        readonly manifestSignatureId: string;
        /** SHA-256 of the RFC 8785 bytes of `manifest` */
        readonly manifestHash: string;
      } | unknown;
    } };
    answer: { status: 200; body: {
      readonly template_id: string;
      readonly version: number;
      readonly workspace_id: string;
      readonly name: string;
      readonly agent_config: { readonly [name: string]: unknown };
      /** sha256: and lower-case hex */
      readonly config_hash: string;
      /** RFC 3339 UTC with milliseconds */
      readonly updated_at: string;
      readonly updated_by: string;
    } };
  };
  /** Delete a template; its versions stay as evidence, and agents spawned from it stay as they are. `DELETE /api/v1/templates/{template_id}` */
  deleteTemplate: {
    input: { params: {
      readonly template_id: string;
    }; query?: {
      /** Needed by callers who may use more than one workspace */
      readonly workspace_id?: string;
    } };
    answer: { status: 204; body: undefined };
  };
  /** This description, as OpenAPI 3.1. `GET /openapi.json` */
  getOpenApi: {
    input: {};
    answer: { status: 200; body: { readonly [name: string]: unknown } };
  };
  /** The locks, oldest first; one that has expired is shown until it is released. `GET /v1/access/locks` */
  listAccessLocks: {
    input: { query?: {
      /** Default 50 */
      readonly limit?: number;
      /** The nextCursor of the page before; opaque */
      readonly cursor?: string;
    } };
    answer: { status: 200; body: {
      readonly locks: readonly ({
        readonly lockId: string;
        /** Upper-case hex without leading zeros */
        readonly serial?: string;
        readonly principalId?: string;
        readonly state: "active" | "expired";
        /** RFC 3339 UTC with milliseconds */
        readonly placedAt: string;
        readonly placedBy: string;
        /** RFC 3339 UTC with milliseconds */
        readonly expiresAt?: string;
        /** Absent once it is erased */
        readonly reason?: string;
        /** The access.lock.placed */
        readonly auditEvent: {
          readonly chain: string;
          readonly seq: number;
        };
      })[];
      /** Null on the last page */
      readonly nextCursor: string | null;
    } };
    item: {
      readonly lockId: string;
      /** Upper-case hex without leading zeros */
      readonly serial?: string;
      readonly principalId?: string;
      readonly state: "active" | "expired";
      /** RFC 3339 UTC with milliseconds */
      readonly placedAt: string;
      readonly placedBy: string;
      /** RFC 3339 UTC with milliseconds */
      readonly expiresAt?: string;
      /** Absent once it is erased */
      readonly reason?: string;
      /** The access.lock.placed */
      readonly auditEvent: {
        readonly chain: string;
        readonly seq: number;
      };
    };
  };
  /** Lock out a client certificate or a principal: what it has open ends, and nothing of it is accepted. `POST /v1/access/locks` */
  placeAccessLock: {
    input: { body: {
      /** Of a client certificate, hex, with or without colons; either this or principalId */
      readonly serial?: string;
      /** As events name it; either this or serial */
      readonly principalId?: string;
      /** Default: until it is released */
      readonly expiresAt?: string;
      readonly reason: string;
    } };
    answer: { status: 201; body: {
      readonly lockId: string;
      /** Upper-case hex without leading zeros */
      readonly serial?: string;
      readonly principalId?: string;
      readonly state: "active" | "expired";
      /** RFC 3339 UTC with milliseconds */
      readonly placedAt: string;
      readonly placedBy: string;
      /** RFC 3339 UTC with milliseconds */
      readonly expiresAt?: string;
      /** Absent once it is erased */
      readonly reason?: string;
      /** The access.lock.placed */
      readonly auditEvent: {
        readonly chain: string;
        readonly seq: number;
      };
    } };
  };
  /** One lock. `GET /v1/access/locks/{lockId}` */
  getAccessLock: {
    input: { params: {
      readonly lockId: string;
    } };
    answer: { status: 200; body: {
      readonly lockId: string;
      /** Upper-case hex without leading zeros */
      readonly serial?: string;
      readonly principalId?: string;
      readonly state: "active" | "expired";
      /** RFC 3339 UTC with milliseconds */
      readonly placedAt: string;
      readonly placedBy: string;
      /** RFC 3339 UTC with milliseconds */
      readonly expiresAt?: string;
      /** Absent once it is erased */
      readonly reason?: string;
      /** The access.lock.placed */
      readonly auditEvent: {
        readonly chain: string;
        readonly seq: number;
      };
    } };
  };
  /** Release a lock. `DELETE /v1/access/locks/{lockId}` */
  releaseAccessLock: {
    input: { params: {
      readonly lockId: string;
    }; body: {
      readonly reason: string;
    } };
    answer: { status: 200; body: {
      readonly lockId: string;
      readonly auditEvent: {
        readonly chain: string;
        readonly seq: number;
        readonly hash: string;
      };
    } };
  };
  /** The newest signed note, and the newest checkpoint of the chain _system that it covers. `GET /v1/audit/checkpoint` */
  getSystemAuditCheckpoint: {
    input: {};
    answer: { status: 200; body: {
      /** The newest signed note (C2SP tlog-checkpoint) */
      readonly note: string;
      readonly origin: string;
      readonly size: number;
      /** base64 of 32 bytes */
      readonly root: string;
      readonly signerId: string;
      readonly createdAt: string;
      readonly entry: {
        /** Position in the log, from 0 */
        readonly index: number;
        readonly chain: string;
        /** Events of the chain that it covers */
        readonly size: number;
        /** base64 of 32 bytes */
        readonly root: string;
        /** base64 of the exact bytes that are the leaf of the log */
        readonly entry: string;
        readonly createdAt: string;
        /** Inclusion in the log at the size of the note (RFC 6962 §2.1.1) */
        readonly proof: readonly string[];
      };
    } };
  };
  /** That the chain _system of one size begins with that of an earlier one. `GET /v1/audit/consistency` */
  getSystemAuditConsistency: {
    input: { query: {
      /** A number of events of the chain */
      readonly from: number;
      /** A later number of events, that a checkpoint covers */
      readonly to: number;
    } };
    answer: { status: 200; body: {
      readonly chain: string;
      readonly from: number;
      readonly to: number;
      /** base64 of 32 bytes */
      readonly fromRoot: string;
      /** base64 of 32 bytes */
      readonly toRoot: string;
      readonly proof: readonly string[];
    } };
  };
  /** Erase what people wrote in events of the chain _system. `POST /v1/audit/erasures` */
  eraseSystemPersonalData: {
    input: { body: {
      /** All that this actor wrote; either this or events */
      readonly actorId?: string;
      /** What stands in the events with these seq */
      readonly events?: readonly number[];
      readonly reason: string;
    } };
    answer: { status: 200; body: {
      readonly erasureId: string;
      /** Values that were erased; 0 when none was left */
      readonly values: number;
      /** More are left than one erasure takes: ask again */
      readonly more: boolean;
      readonly auditEvent: {
        readonly chain: string;
        readonly seq: number;
        readonly hash: string;
      };
    } };
  };
  /** Events that belong to no workspace (chain _system), by seq ascending. `GET /v1/audit/events` */
  listSystemAuditEvents: {
    input: { query?: {
      /** Only events with a higher seq */
      readonly after?: number;
      /** The nextCursor of the page before; opaque */
      readonly cursor?: string;
      /** Default 50 */
      readonly limit?: number;
      readonly type?: "workspace.created" | "workspace.settings.changed" | "workspace.suspended" | "workspace.resumed" | "agent.created" | "agent.updated" | "agent.forked" | "agent.deleted" | "agent.start.allowed" | "agent.start.denied" | "agent.stopped" | "agent.launched" | "agent.exited" | "agent.failed" | "sandbox.run.created" | "sandbox.run.denied" | "sandbox.run.completed" | "sandbox.run.failed" | "sandbox.run.timeout" | "sandbox.run.killed" | "sandbox.run.cancelled" | "sandbox.run.error" | "agent.scaled" | "agent.expired" | "agent.quarantined" | "agent.released" | "agent.release.denied" | "agent.revalidated" | "agent.invalidated" | "promotion.requested" | "promotion.approval.given" | "promotion.rejected" | "promotion.lapsed" | "promotion.approved" | "promotion.denied" | "proof.issued" | "proof.renewed" | "proof.mass.renewed" | "template.created" | "template.updated" | "template.deleted" | "manifest.accepted" | "manifest.rejected" | "killswitch.engaged" | "killswitch.cleared" | "policy.activated" | "policy.rolledback" | "policy.shadowed" | "policy.rejected" | "revalidation.requested" | "signer.registered" | "signer.rotation.requested" | "signer.rotation.applied" | "signer.retired" | "signer.range.closed" | "signer.revoked" | "signer.compromise" | "identity.map.applied" | "trust.bundle.applied" | "server.certificate.applied" | "revocations.applied" | "token.issuers.applied" | "identity.reload.refused" | "access.lock.placed" | "access.lock.released" | "access.breakglass.granted" | "access.breakglass.used" | "access.breakglass.ended" | "access.denied" | "audit.deferred.covered" | "audit.signmode.switched" | "audit.range.reattested" | "audit.hold.placed" | "audit.hold.released" | "audit.pruned" | "erasure.performed";
      readonly actor?: string;
      /** Only events at or after this time */
      readonly from?: string;
      /** Only events before this time */
      readonly to?: string;
    } };
    answer: { status: 200; body: {
      readonly events: readonly ({
        readonly id: string;
        readonly chain: string;
        readonly seq: number;
        readonly eventType: string;
        readonly ts: string;
        readonly actor: {
          readonly id: string;
          readonly kind: string;
        };
        readonly payload: { readonly [name: string]: unknown };
        /** What people wrote, by the member of payload that commits to it; absent once it is erased */
        readonly personal?: { readonly [name: string]: string };
        readonly prevHash: string;
        readonly hash: string;
        readonly signature: string | null;
        readonly signerId: string | null;
        readonly signMode: string;
        /** Of mode batch: the way from the hash to the root that was signed (docs/audit-format.md §3) */
        readonly batch?: {
          readonly index: number;
          readonly size: number;
          readonly path: readonly string[];
        };
        /** base64 of the exact bytes that hash covers */
        readonly body: string;
      })[];
      readonly nextCursor: string | null;
      /** Events up to this seq were removed, or may be at any time, as an event audit.pruned says; null for none */
      readonly prunedTo: number | null;
    } };
    item: {
      readonly id: string;
      readonly chain: string;
      readonly seq: number;
      readonly eventType: string;
      readonly ts: string;
      readonly actor: {
        readonly id: string;
        readonly kind: string;
      };
      readonly payload: { readonly [name: string]: unknown };
      /** What people wrote, by the member of payload that commits to it; absent once it is erased */
      readonly personal?: { readonly [name: string]: string };
      readonly prevHash: string;
      readonly hash: string;
      readonly signature: string | null;
      readonly signerId: string | null;
      readonly signMode: string;
      /** Of mode batch: the way from the hash to the root that was signed (docs/audit-format.md §3) */
      readonly batch?: {
        readonly index: number;
        readonly size: number;
        readonly path: readonly string[];
      };
      /** base64 of the exact bytes that hash covers */
      readonly body: string;
    };
  };
  /** The chain _system as evidence, in JSONL. `GET /v1/audit/export` */
  exportSystemAudit: {
    input: { query?: {
      /** Only events from this seq on */
      readonly from?: number;
    } };
    answer: { status: 200; body: string };
  };
  /** Whether the chain _system is under a legal hold. `GET /v1/audit/hold` */
  getSystemAuditHold: {
    input: {};
    answer: { status: 200; body: {
      readonly held: boolean;
      /** RFC 3339 UTC with milliseconds */
      readonly placedAt?: string;
      readonly placedBy?: string;
      /** Absent once it is erased */
      readonly reason?: string;
      /** The audit.hold.placed */
      readonly auditEvent?: {
        readonly chain: string;
        readonly seq: number;
      };
    } };
  };
  /** Place a legal hold on the chain _system. `PUT /v1/audit/hold` */
  placeSystemAuditHold: {
    input: { body: {
      readonly reason: string;
    } };
    answer: { status: 200; body: {
      readonly held: boolean;
      /** RFC 3339 UTC with milliseconds */
      readonly placedAt?: string;
      readonly placedBy?: string;
      /** Absent once it is erased */
      readonly reason?: string;
      /** The audit.hold.placed */
      readonly auditEvent?: {
        readonly chain: string;
        readonly seq: number;
      };
    } };
  };
  /** Release the legal hold on the chain _system. `DELETE /v1/audit/hold` */
  releaseSystemAuditHold: {
    input: { body: {
      readonly reason: string;
    } };
    answer: { status: 200; body: {
      readonly held: boolean;
      /** RFC 3339 UTC with milliseconds */
      readonly placedAt?: string;
      readonly placedBy?: string;
      /** Absent once it is erased */
      readonly reason?: string;
      /** The audit.hold.placed */
      readonly auditEvent?: {
        readonly chain: string;
        readonly seq: number;
      };
    } };
  };
  /** That an event is in the chain _system that the newest checkpoint covers. `GET /v1/audit/proof` */
  getSystemAuditProof: {
    input: { query: {
      /** Of an event that a checkpoint covers */
      readonly seq: number;
    } };
    answer: { status: 200; body: {
      readonly seq: number;
      /** base64 of 32 bytes */
      readonly leafHash: string;
      /** Leaf seq - 1 in the chain's tree at the size of the entry */
      readonly proof: readonly string[];
      readonly checkpoint: {
        /** The newest signed note (C2SP tlog-checkpoint) */
        readonly note: string;
        readonly origin: string;
        readonly size: number;
        /** base64 of 32 bytes */
        readonly root: string;
        readonly signerId: string;
        readonly createdAt: string;
        readonly entry: {
          /** Position in the log, from 0 */
          readonly index: number;
          readonly chain: string;
          /** Events of the chain that it covers */
          readonly size: number;
          /** base64 of 32 bytes */
          readonly root: string;
          /** base64 of the exact bytes that are the leaf of the log */
          readonly entry: string;
          readonly createdAt: string;
          /** Inclusion in the log at the size of the note (RFC 6962 §2.1.1) */
          readonly proof: readonly string[];
        };
      };
    } };
  };
  /** Approve the removal of the oldest events of the chain _system, which a checkpoint covers. `POST /v1/audit/prunings` */
  pruneSystemAudit: {
    input: { body: {
      /** The last event to be removed */
      readonly to: number;
      readonly reason: string;
    } | {
      /** All that may be removed of what is older; not in the future */
      readonly before: string;
      readonly reason: string;
    } };
    answer: { status: 201; body: {
      readonly chain: string;
      readonly to: number;
      /** Of the event at to */
      readonly hash: string;
      /** Entries of the log of checkpoints under the note that covers them */
      readonly logSize: number;
      readonly receipt: {
        readonly chain: string;
        readonly seq: number;
        readonly hash: string;
      };
    } };
  };
  /** Vouch for the events of the chain _system that a compromised signer left in doubt. `POST /v1/audit/reattestations` */
  reattestSystemAudit: {
    input: { body: {
      /** A signer that is compromised */
      readonly signerId: string;
      readonly reason: string;
      /** The last event that was compared: with another one in doubt behind it nothing is vouched for */
      readonly to?: number;
      /** Of that event */
      readonly hash?: string;
    } };
    answer: { status: 201; body: {
      readonly chain: string;
      readonly signerId: string;
      /** The first event of that signer outside the range for which it is trusted */
      readonly from: number;
      /** The last one */
      readonly to: number;
      /** Of the event at to */
      readonly hash: string;
      /** The event that vouches for them */
      readonly event: {
        readonly seq: number;
        readonly hash: string;
      };
    } };
  };
  /** Verify the chain _system. `POST /v1/audit/verify` */
  verifySystemAudit: {
    input: {};
    answer: { status: 200; body: {
      readonly ok: boolean;
      /** internal: nothing outside the log was compared */
      readonly strength: string;
      readonly events: number;
      readonly signatures: number;
      readonly findings: readonly {
        readonly chain: string;
        readonly seq: number;
        readonly class: string;
        readonly detail: string;
      }[];
    } };
  };
  /** Elevations in the workspaces of the caller, oldest first; those that are over stay listed. `GET /v1/break-glass` */
  listElevations: {
    input: { query?: {
      /** true: only those in force */
      readonly active?: boolean;
      /** Default 50 */
      readonly limit?: number;
      /** The nextCursor of the page before; opaque */
      readonly cursor?: string;
    } };
    answer: { status: 200; body: {
      readonly elevations: readonly ({
        readonly elevationId: string;
        readonly principalId: string;
        readonly workspaceId: string;
        readonly role: "kernel-admin";
        /** RFC 3339 UTC with milliseconds */
        readonly grantedAt: string;
        /** RFC 3339 UTC with milliseconds */
        readonly expiresAt: string;
        readonly state: "active" | "ended";
        /** RFC 3339 UTC with milliseconds */
        readonly endedAt?: string;
        /** holder: given back */
        readonly endCause?: "expired" | "holder" | "administrator";
        /** The access.breakglass.granted, which has the justification */
        readonly auditEvent: {
          readonly chain: string;
          readonly seq: number;
        };
      })[];
      /** Null on the last page */
      readonly nextCursor: string | null;
    } };
    item: {
      readonly elevationId: string;
      readonly principalId: string;
      readonly workspaceId: string;
      readonly role: "kernel-admin";
      /** RFC 3339 UTC with milliseconds */
      readonly grantedAt: string;
      /** RFC 3339 UTC with milliseconds */
      readonly expiresAt: string;
      readonly state: "active" | "ended";
      /** RFC 3339 UTC with milliseconds */
      readonly endedAt?: string;
      /** holder: given back */
      readonly endCause?: "expired" | "holder" | "administrator";
      /** The access.breakglass.granted, which has the justification */
      readonly auditEvent: {
        readonly chain: string;
        readonly seq: number;
      };
    };
  };
  /** Become kernel-admin of one workspace for some minutes; the reason and every use are in its audit. `POST /v1/break-glass` */
  elevate: {
    input: { body: {
      readonly workspaceId: string;
      /** At most CASTELLAN_BREAK_GLASS_MAX_MINUTES */
      readonly minutes: number;
      /** Why; it stands in the audit event */
      readonly justification: string;
    } };
    answer: { status: 201; body: {
      readonly elevationId: string;
      readonly principalId: string;
      readonly workspaceId: string;
      readonly role: "kernel-admin";
      /** RFC 3339 UTC with milliseconds */
      readonly grantedAt: string;
      /** RFC 3339 UTC with milliseconds */
      readonly expiresAt: string;
      readonly state: "active" | "ended";
      /** RFC 3339 UTC with milliseconds */
      readonly endedAt?: string;
      /** holder: given back */
      readonly endCause?: "expired" | "holder" | "administrator";
      /** The access.breakglass.granted, which has the justification */
      readonly auditEvent: {
        readonly chain: string;
        readonly seq: number;
      };
    } };
  };
  /** End an elevation before its time: by its holder, or an administrator of its workspace. `DELETE /v1/break-glass/{elevationId}` */
  endElevation: {
    input: { params: {
      readonly elevationId: string;
    } };
    answer: { status: 200; body: {
      readonly elevationId: string;
      readonly principalId: string;
      readonly workspaceId: string;
      readonly role: "kernel-admin";
      /** RFC 3339 UTC with milliseconds */
      readonly grantedAt: string;
      /** RFC 3339 UTC with milliseconds */
      readonly expiresAt: string;
      readonly state: "active" | "ended";
      /** RFC 3339 UTC with milliseconds */
      readonly endedAt?: string;
      /** holder: given back */
      readonly endCause?: "expired" | "holder" | "administrator";
      /** The access.breakglass.granted, which has the justification */
      readonly auditEvent: {
        readonly chain: string;
        readonly seq: number;
      };
    } };
  };
  /** Whether every agent is kept from starting. `GET /v1/kill-switch` */
  getKillSwitch: {
    input: {};
    answer: { status: 200; body: {
      readonly scope: "fleet" | "workspace" | "agent";
      readonly workspaceId?: string;
      readonly agentId?: string;
      /** Of this switch alone: another one may hold as well */
      readonly engaged: boolean;
      /** RFC 3339 UTC with milliseconds */
      readonly engagedAt?: string;
      readonly engagedBy?: string;
      /** Absent once it is erased */
      readonly reason?: string;
      /** Of this request; null when nothing had to change */
      readonly auditEvent: {
        readonly chain: string;
        readonly seq: number;
        readonly hash: string;
      } | null;
    } };
  };
  /** Keep every agent from starting and stop all that run; needs no signer. `PUT /v1/kill-switch` */
  engageKillSwitch: {
    input: { body: {
      readonly reason: string;
    } };
    answer: { status: 200; body: {
      readonly scope: "fleet" | "workspace" | "agent";
      readonly workspaceId?: string;
      readonly agentId?: string;
      /** Of this switch alone: another one may hold as well */
      readonly engaged: boolean;
      /** RFC 3339 UTC with milliseconds */
      readonly engagedAt?: string;
      readonly engagedBy?: string;
      /** Absent once it is erased */
      readonly reason?: string;
      /** Of this request; null when nothing had to change */
      readonly auditEvent: {
        readonly chain: string;
        readonly seq: number;
        readonly hash: string;
      } | null;
      /** True: what it stops has not all stopped yet; that goes on by itself */
      readonly stopping: boolean;
    } };
  };
  /** Let agents start again, as far as no other switch is engaged; nothing is started. `DELETE /v1/kill-switch` */
  clearKillSwitch: {
    input: { body: {
      readonly reason: string;
    } };
    answer: { status: 200; body: {
      readonly scope: "fleet" | "workspace" | "agent";
      readonly workspaceId?: string;
      readonly agentId?: string;
      /** Of this switch alone: another one may hold as well */
      readonly engaged: boolean;
      /** RFC 3339 UTC with milliseconds */
      readonly engagedAt?: string;
      readonly engagedBy?: string;
      /** Absent once it is erased */
      readonly reason?: string;
      /** Of this request; null when nothing had to change */
      readonly auditEvent: {
        readonly chain: string;
        readonly seq: number;
        readonly hash: string;
      } | null;
    } };
  };
  /** Who has come with a token so far, and under which principal id. `GET /v1/people` */
  listPeople: {
    input: { query?: {
      /** Exactly as in `iss` */
      readonly issuer?: string;
      /** Exactly as in `sub` */
      readonly subject?: string;
      /** Default 50 */
      readonly limit?: number;
      /** The nextCursor of the page before; opaque */
      readonly cursor?: string;
    } };
    answer: { status: 200; body: {
      readonly people: readonly ({
        readonly principalId: string;
        readonly kind: "human" | "service";
        readonly issuer: string;
        readonly subject: string;
        /** RFC 3339 UTC with milliseconds */
        readonly firstSeenAt: string;
      })[];
      /** Null on the last page */
      readonly nextCursor: string | null;
    } };
    item: {
      readonly principalId: string;
      readonly kind: "human" | "service";
      readonly issuer: string;
      readonly subject: string;
      /** RFC 3339 UTC with milliseconds */
      readonly firstSeenAt: string;
    };
  };
  /** Who is behind the id of a principal that came with a token. `GET /v1/people/{principalId}` */
  getPerson: {
    input: { params: {
      readonly principalId: string;
    } };
    answer: { status: 200; body: {
      readonly principalId: string;
      readonly kind: "human" | "service";
      readonly issuer: string;
      readonly subject: string;
      /** RFC 3339 UTC with milliseconds */
      readonly firstSeenAt: string;
    } };
  };
  /** Every registered signer by id, in the form of signers.json. `GET /v1/signers` */
  listSigners: {
    input: {};
    answer: { status: 200; body: {
      readonly signers: readonly ({
        readonly signerId: string;
        readonly alg: "HMAC-SHA256" | "Ed25519" | "ECDSA-P256-SHA256" | "RSA-PSS-SHA256";
        /** SPKI in PEM; null for a shared secret */
        readonly publicKey: string | null;
        readonly purpose: "audit" | "proof" | "manifest" | "checkpoint";
        readonly state: "pending" | "active" | "retiring" | "retired" | "revoked" | "compromised";
        readonly notBefore: string | null;
        readonly notAfter: string | null;
        readonly revokedAt: string | null;
        readonly trustedUpTo: string | null;
        readonly validFromSize: number | null;
        readonly validToSize: number | null;
        readonly replaces: string | null;
        readonly createdAt: string;
        readonly updatedAt: string;
      })[];
    } };
  };
  /** Trust a public key for one purpose. `POST /v1/signers` */
  registerSigner: {
    input: { body: {
      readonly signerId: string;
      readonly alg: "HMAC-SHA256" | "Ed25519" | "ECDSA-P256-SHA256" | "RSA-PSS-SHA256";
      /** SPKI in PEM */
      readonly publicKey: string;
      readonly purpose: "audit" | "proof" | "manifest" | "checkpoint";
      readonly notBefore?: string;
      readonly notAfter?: string;
    } };
    answer: { status: 201; body: {
      readonly signerId: string;
      readonly alg: "HMAC-SHA256" | "Ed25519" | "ECDSA-P256-SHA256" | "RSA-PSS-SHA256";
      /** SPKI in PEM; null for a shared secret */
      readonly publicKey: string | null;
      readonly purpose: "audit" | "proof" | "manifest" | "checkpoint";
      readonly state: "pending" | "active" | "retiring" | "retired" | "revoked" | "compromised";
      readonly notBefore: string | null;
      readonly notAfter: string | null;
      readonly revokedAt: string | null;
      readonly trustedUpTo: string | null;
      readonly validFromSize: number | null;
      readonly validToSize: number | null;
      readonly replaces: string | null;
      readonly createdAt: string;
      readonly updatedAt: string;
    } };
  };
  /** Trust the keys of a signers.json: all of them, or none. `POST /v1/signers/import` */
  importSigners: {
    input: { body: {
      readonly signers: readonly ({
        readonly signerId: string;
        readonly alg: "HMAC-SHA256" | "Ed25519" | "ECDSA-P256-SHA256" | "RSA-PSS-SHA256";
        /** SPKI in PEM */
        readonly publicKey: string;
        readonly purpose: "audit" | "proof" | "manifest" | "checkpoint";
        readonly state?: "pending" | "active" | "retiring" | "retired" | "revoked" | "compromised";
        readonly notBefore?: string | null;
        readonly notAfter?: string | null;
        readonly revokedAt?: string | null;
        readonly trustedUpTo?: string | null;
        readonly validFromSize?: number | null;
        readonly validToSize?: number | null;
        readonly replaces?: string | null;
        readonly createdAt?: string;
        readonly updatedAt?: string;
      })[];
    } };
    answer: { status: 200; body: {
      /** signerIds that were not registered before */
      readonly imported: readonly string[];
      /** signerIds that were, just like this */
      readonly skipped: readonly string[];
    } };
  };
  /** Put a pending key of manifests in force. `POST /v1/signers/{signerId}/activate` */
  activateSigner: {
    input: { params: {
      readonly signerId: string;
    }; body?: { readonly [name: string]: never } };
    answer: { status: 200; body: {
      readonly signerId: string;
      readonly alg: "HMAC-SHA256" | "Ed25519" | "ECDSA-P256-SHA256" | "RSA-PSS-SHA256";
      /** SPKI in PEM; null for a shared secret */
      readonly publicKey: string | null;
      readonly purpose: "audit" | "proof" | "manifest" | "checkpoint";
      readonly state: "pending" | "active" | "retiring" | "retired" | "revoked" | "compromised";
      readonly notBefore: string | null;
      readonly notAfter: string | null;
      readonly revokedAt: string | null;
      readonly trustedUpTo: string | null;
      readonly validFromSize: number | null;
      readonly validToSize: number | null;
      readonly replaces: string | null;
      readonly createdAt: string;
      readonly updatedAt: string;
    } };
  };
  /** Say that a key was in other hands, and until when it surely was not. `POST /v1/signers/{signerId}/compromise` */
  compromiseSigner: {
    input: { params: {
      readonly signerId: string;
    }; body: {
      readonly reason: string;
      /** Until when the key was surely in nobody else’s hands; now when it is not given */
      readonly trustedUpTo?: string;
    } };
    answer: { status: 200; body: {
      readonly signerId: string;
      readonly alg: "HMAC-SHA256" | "Ed25519" | "ECDSA-P256-SHA256" | "RSA-PSS-SHA256";
      /** SPKI in PEM; null for a shared secret */
      readonly publicKey: string | null;
      readonly purpose: "audit" | "proof" | "manifest" | "checkpoint";
      readonly state: "pending" | "active" | "retiring" | "retired" | "revoked" | "compromised";
      readonly notBefore: string | null;
      readonly notAfter: string | null;
      readonly revokedAt: string | null;
      readonly trustedUpTo: string | null;
      readonly validFromSize: number | null;
      readonly validToSize: number | null;
      readonly replaces: string | null;
      readonly createdAt: string;
      readonly updatedAt: string;
    } };
  };
  /** End the overlap: the signer signs no more, and what it signed still counts. `POST /v1/signers/{signerId}/retire` */
  retireSigner: {
    input: { params: {
      readonly signerId: string;
    }; body?: { readonly [name: string]: never } };
    answer: { status: 200; body: {
      readonly signerId: string;
      readonly alg: "HMAC-SHA256" | "Ed25519" | "ECDSA-P256-SHA256" | "RSA-PSS-SHA256";
      /** SPKI in PEM; null for a shared secret */
      readonly publicKey: string | null;
      readonly purpose: "audit" | "proof" | "manifest" | "checkpoint";
      readonly state: "pending" | "active" | "retiring" | "retired" | "revoked" | "compromised";
      readonly notBefore: string | null;
      readonly notAfter: string | null;
      readonly revokedAt: string | null;
      readonly trustedUpTo: string | null;
      readonly validFromSize: number | null;
      readonly validToSize: number | null;
      readonly replaces: string | null;
      readonly createdAt: string;
      readonly updatedAt: string;
    } };
  };
  /** End the trust in a signer for good; what it signed no longer vouches for anything. `POST /v1/signers/{signerId}/revoke` */
  revokeSigner: {
    input: { params: {
      readonly signerId: string;
    }; body: {
      readonly reason: string;
    } };
    answer: { status: 200; body: {
      readonly signerId: string;
      readonly alg: "HMAC-SHA256" | "Ed25519" | "ECDSA-P256-SHA256" | "RSA-PSS-SHA256";
      /** SPKI in PEM; null for a shared secret */
      readonly publicKey: string | null;
      readonly purpose: "audit" | "proof" | "manifest" | "checkpoint";
      readonly state: "pending" | "active" | "retiring" | "retired" | "revoked" | "compromised";
      readonly notBefore: string | null;
      readonly notAfter: string | null;
      readonly revokedAt: string | null;
      readonly trustedUpTo: string | null;
      readonly validFromSize: number | null;
      readonly validToSize: number | null;
      readonly replaces: string | null;
      readonly createdAt: string;
      readonly updatedAt: string;
    } };
  };
  /** Put another key in its place: one that is named, once a replica signs with it, or the newest beside it. `POST /v1/signers/{signerId}/rotate` */
  rotateSigner: {
    input: { params: {
      readonly signerId: string;
    }; body: {
      readonly reason: string;
      /** the key that takes its place; absent: the newest other signer of its purpose does */
      readonly replacement?: {
        readonly signerId: string;
        readonly alg: "HMAC-SHA256" | "Ed25519" | "ECDSA-P256-SHA256" | "RSA-PSS-SHA256";
        /** SPKI in PEM */
        readonly publicKey: string;
      };
      /** the key to be replaced is gone: accepted even while nothing can be signed */
      readonly emergency?: boolean;
    } };
    answer: { status: 200; body: {
      readonly signerId: string;
      readonly alg: "HMAC-SHA256" | "Ed25519" | "ECDSA-P256-SHA256" | "RSA-PSS-SHA256";
      /** SPKI in PEM; null for a shared secret */
      readonly publicKey: string | null;
      readonly purpose: "audit" | "proof" | "manifest" | "checkpoint";
      readonly state: "pending" | "active" | "retiring" | "retired" | "revoked" | "compromised";
      readonly notBefore: string | null;
      readonly notAfter: string | null;
      readonly revokedAt: string | null;
      readonly trustedUpTo: string | null;
      readonly validFromSize: number | null;
      readonly validToSize: number | null;
      readonly replaces: string | null;
      readonly createdAt: string;
      readonly updatedAt: string;
    } } | { status: 201; body: {
      readonly signerId: string;
      readonly alg: "HMAC-SHA256" | "Ed25519" | "ECDSA-P256-SHA256" | "RSA-PSS-SHA256";
      /** SPKI in PEM; null for a shared secret */
      readonly publicKey: string | null;
      readonly purpose: "audit" | "proof" | "manifest" | "checkpoint";
      readonly state: "pending" | "active" | "retiring" | "retired" | "revoked" | "compromised";
      readonly notBefore: string | null;
      readonly notAfter: string | null;
      readonly revokedAt: string | null;
      readonly trustedUpTo: string | null;
      readonly validFromSize: number | null;
      readonly validToSize: number | null;
      readonly replaces: string | null;
      readonly createdAt: string;
      readonly updatedAt: string;
    } };
  };
  /** The workspaces the caller may use. `GET /v1/workspaces` */
  listWorkspaces: {
    input: { query?: {
      /** Default 50 */
      readonly limit?: number;
      /** The nextCursor of the page before; opaque */
      readonly cursor?: string;
    } };
    answer: { status: 200; body: {
      readonly workspaces: readonly ({
        readonly workspaceId: string;
        readonly displayName: string;
        readonly state: "active" | "suspended";
        /** RFC 3339 UTC with milliseconds */
        readonly createdAt: string;
        readonly createdBy: string;
        /** RFC 3339 UTC with milliseconds; absent while it is active */
        readonly suspendedAt?: string;
        readonly suspendedBy?: string;
      })[];
      /** Null on the last page */
      readonly nextCursor: string | null;
    } };
    item: {
      readonly workspaceId: string;
      readonly displayName: string;
      readonly state: "active" | "suspended";
      /** RFC 3339 UTC with milliseconds */
      readonly createdAt: string;
      readonly createdBy: string;
      /** RFC 3339 UTC with milliseconds; absent while it is active */
      readonly suspendedAt?: string;
      readonly suspendedBy?: string;
    };
  };
  /** Create a workspace with its audit chain and the shipped policy. `POST /v1/workspaces` */
  createWorkspace: {
    input: { body: {
      readonly workspaceId: string;
      /** Default: the workspaceId */
      readonly displayName?: string;
    } };
    answer: { status: 201; body: {
      readonly workspaceId: string;
      readonly displayName: string;
      readonly state: "active" | "suspended";
      /** RFC 3339 UTC with milliseconds */
      readonly createdAt: string;
      readonly createdBy: string;
      /** RFC 3339 UTC with milliseconds; absent while it is active */
      readonly suspendedAt?: string;
      readonly suspendedBy?: string;
    } };
  };
  /** One workspace. `GET /v1/workspaces/{workspaceId}` */
  getWorkspace: {
    input: { params: {
      readonly workspaceId: string;
    } };
    answer: { status: 200; body: {
      readonly workspaceId: string;
      readonly displayName: string;
      readonly state: "active" | "suspended";
      /** RFC 3339 UTC with milliseconds */
      readonly createdAt: string;
      readonly createdBy: string;
      /** RFC 3339 UTC with milliseconds; absent while it is active */
      readonly suspendedAt?: string;
      readonly suspendedBy?: string;
    } };
  };
  /** Agents by id; a page may be shorter than its limit when the specs are large. `GET /v1/workspaces/{workspaceId}/agents` */
  listAgents: {
    input: { params: {
      readonly workspaceId: string;
    }; query?: {
      /** Part of the name, in any case */
      readonly search?: string;
      readonly mode?: "sandbox" | "governed";
      readonly status?: "stopped" | "starting" | "running" | "stopping" | "failed" | "quarantined";
      readonly capability?: string;
      /** Default 50 */
      readonly limit?: number;
      /** The nextCursor of the page before; opaque */
      readonly cursor?: string;
    } };
    answer: { status: 200; body: {
      readonly agents: readonly ({
        /** UUIDv7 */
        readonly id: string;
        readonly workspaceId: string;
        readonly name: string;
        readonly mode: "sandbox" | "governed";
        readonly status: "stopped" | "starting" | "running" | "stopping" | "failed" | "quarantined";
        /** False: it runs elsewhere, Castellan decides whether it may */
        readonly managed: boolean;
        /** The spec as stored; its members are those of AgentSpec */
        readonly spec: unknown;
        readonly specVersion: number;
        /** sha256: and lower-case hex */
        readonly specHash: string;
        readonly expiresAt: string | null;
        readonly desiredReplicas: number;
        readonly readyReplicas: number;
        /** RFC 3339 UTC with milliseconds */
        readonly since: string;
        readonly lastExit?: { readonly [name: string]: unknown };
        readonly quarantine?: {
          /** RFC 3339 UTC with milliseconds */
          readonly at: string;
          readonly by: string;
          readonly reason: string;
        };
        readonly forkedFrom?: {
          /** UUIDv7 */
          readonly agentId: string;
          readonly specVersion: number;
        };
        /** RFC 3339 UTC with milliseconds */
        readonly createdAt: string;
        readonly createdBy: string;
        /** RFC 3339 UTC with milliseconds */
        readonly updatedAt: string;
      })[];
      readonly total: number;
      readonly totalIsLowerBound?: true;
      readonly nextCursor: string | null;
    } };
    item: {
      /** UUIDv7 */
      readonly id: string;
      readonly workspaceId: string;
      readonly name: string;
      readonly mode: "sandbox" | "governed";
      readonly status: "stopped" | "starting" | "running" | "stopping" | "failed" | "quarantined";
      /** False: it runs elsewhere, Castellan decides whether it may */
      readonly managed: boolean;
      /** The spec as stored; its members are those of AgentSpec */
      readonly spec: unknown;
      readonly specVersion: number;
      /** sha256: and lower-case hex */
      readonly specHash: string;
      readonly expiresAt: string | null;
      readonly desiredReplicas: number;
      readonly readyReplicas: number;
      /** RFC 3339 UTC with milliseconds */
      readonly since: string;
      readonly lastExit?: { readonly [name: string]: unknown };
      readonly quarantine?: {
        /** RFC 3339 UTC with milliseconds */
        readonly at: string;
        readonly by: string;
        readonly reason: string;
      };
      readonly forkedFrom?: {
        /** UUIDv7 */
        readonly agentId: string;
        readonly specVersion: number;
      };
      /** RFC 3339 UTC with milliseconds */
      readonly createdAt: string;
      readonly createdBy: string;
      /** RFC 3339 UTC with milliseconds */
      readonly updatedAt: string;
    };
  };
  /** Create a stopped sandbox agent from a spec, which is stored as sent. `POST /v1/workspaces/{workspaceId}/agents` */
  createAgent: {
    input: { params: {
      readonly workspaceId: string;
    }; body: {
      readonly spec: {
        readonly name: string;
        readonly description?: string;
        readonly profile?: string;
        readonly labels?: { readonly [name: string]: string };
        readonly model?: {
          readonly provider?: string;
          readonly name?: string;
          readonly temperature?: number;
        };
        readonly instructions?: string;
        readonly capabilities?: readonly string[];
        readonly tools?: readonly string[];
        readonly containment?: {
          /** Absent means false */
          readonly externalCalls?: boolean;
          /** Absent means false */
          readonly persistentWrites?: boolean;
        };
        readonly runtime?: {
          /** Excludes image */
          readonly command?: readonly string[];
          /** Excludes command */
          readonly image?: string;
          readonly args?: readonly string[];
          /** Never a secret; secretRef:n names one */
          readonly env?: { readonly [name: string]: string };
          readonly resources?: {
            /** Cores */
            readonly cpu?: number;
            readonly memoryMb?: number;
            readonly pids?: number;
            readonly diskMb?: number;
          };
          readonly network?: {
            readonly allowDomains?: readonly string[];
          };
          readonly replicas?: number;
        };
        readonly budget?: {
          readonly monthlyUsd?: number;
          readonly dailyUsd?: number;
          readonly hourlyUsd?: number;
          readonly perTaskUsd?: number;
          readonly dailyTokens?: number;
          readonly maxTokens?: number;
          readonly maxSeconds?: number;
          readonly maxTotalCostUsd?: number;
          readonly maxCostPerCallUsd?: number;
          readonly maxLlmCalls?: number;
          readonly maxToolCalls?: number;
        };
        readonly human?: {
          readonly requireToolApproval?: boolean;
          readonly autoApprovedTools?: readonly string[];
          readonly stopToken?: string;
        };
      };
      /** Default 86400 */
      readonly ttlSeconds?: number;
      /** Needed where the profile is illuvrse; checked wherever it is sent. Another form is MANIFEST_MALFORMED */
      readonly manifest?: {
        readonly manifest: {
          readonly v: 1;
          /** A UUID in lower case; each is accepted once */
          readonly manifestId: string;
          /** specHash of the spec that results */
          readonly agentConfigHash: string;
          /** RFC 3339 UTC with milliseconds */
          readonly issuedAt: string;
          /** RFC 3339 UTC with milliseconds */
          readonly expiresAt: string;
          /** Whom it is for: this service */
          readonly audience: string;
        };
        /** Canonical base64 of the signature over the RFC 8785 bytes of `manifest` */
        readonly manifestSignature: string;
        /** An active signer of purpose manifest */
        readonly manifestSignatureId: string;
        /** SHA-256 of the RFC 8785 bytes of `manifest` */
        readonly manifestHash: string;
      } | unknown;
    } };
    answer: { status: 201; body: {
      /** UUIDv7 */
      readonly id: string;
      readonly workspaceId: string;
      readonly name: string;
      readonly mode: "sandbox" | "governed";
      readonly status: "stopped" | "starting" | "running" | "stopping" | "failed" | "quarantined";
      /** False: it runs elsewhere, Castellan decides whether it may */
      readonly managed: boolean;
      /** The spec as stored; its members are those of AgentSpec */
      readonly spec: unknown;
      readonly specVersion: number;
      /** sha256: and lower-case hex */
      readonly specHash: string;
      readonly expiresAt: string | null;
      readonly desiredReplicas: number;
      readonly readyReplicas: number;
      /** RFC 3339 UTC with milliseconds */
      readonly since: string;
      readonly lastExit?: { readonly [name: string]: unknown };
      readonly quarantine?: {
        /** RFC 3339 UTC with milliseconds */
        readonly at: string;
        readonly by: string;
        readonly reason: string;
      };
      readonly forkedFrom?: {
        /** UUIDv7 */
        readonly agentId: string;
        readonly specVersion: number;
      };
      /** RFC 3339 UTC with milliseconds */
      readonly createdAt: string;
      readonly createdBy: string;
      /** RFC 3339 UTC with milliseconds */
      readonly updatedAt: string;
    } };
  };
  /** Run states by agent id, by page number or, at any depth for the same cost, by cursor. `GET /v1/workspaces/{workspaceId}/agents/statuses` */
  listAgentStatuses: {
    input: { params: {
      readonly workspaceId: string;
    }; query?: {
      readonly status?: "stopped" | "starting" | "running" | "stopping" | "failed" | "quarantined";
      /** Excludes cursor */
      readonly page?: number;
      /** Default 50 */
      readonly limit?: number;
      /** The nextCursor of the page before; opaque */
      readonly cursor?: string;
    } };
    answer: { status: 200; body: {
      readonly agents: readonly ({
        /** UUIDv7 */
        readonly agentId: string;
        readonly mode: "sandbox" | "governed";
        readonly status: "stopped" | "starting" | "running" | "stopping" | "failed" | "quarantined";
        readonly managed: boolean;
        readonly desiredReplicas: number;
        readonly readyReplicas: number;
        /** RFC 3339 UTC with milliseconds */
        readonly since: string;
        readonly lastExit?: { readonly [name: string]: unknown };
      })[];
      readonly total: number;
      readonly nextCursor: string | null;
    } };
    item: {
      /** UUIDv7 */
      readonly agentId: string;
      readonly mode: "sandbox" | "governed";
      readonly status: "stopped" | "starting" | "running" | "stopping" | "failed" | "quarantined";
      readonly managed: boolean;
      readonly desiredReplicas: number;
      readonly readyReplicas: number;
      /** RFC 3339 UTC with milliseconds */
      readonly since: string;
      readonly lastExit?: { readonly [name: string]: unknown };
    };
  };
  /** One agent; its ETag names the version of the whole agent, run state included. `GET /v1/workspaces/{workspaceId}/agents/{agentId}` */
  getAgent: {
    input: { params: {
      readonly workspaceId: string;
      readonly agentId: string;
    } };
    answer: { status: 200; body: {
      /** UUIDv7 */
      readonly id: string;
      readonly workspaceId: string;
      readonly name: string;
      readonly mode: "sandbox" | "governed";
      readonly status: "stopped" | "starting" | "running" | "stopping" | "failed" | "quarantined";
      /** False: it runs elsewhere, Castellan decides whether it may */
      readonly managed: boolean;
      /** The spec as stored; its members are those of AgentSpec */
      readonly spec: unknown;
      readonly specVersion: number;
      /** sha256: and lower-case hex */
      readonly specHash: string;
      readonly expiresAt: string | null;
      readonly desiredReplicas: number;
      readonly readyReplicas: number;
      /** RFC 3339 UTC with milliseconds */
      readonly since: string;
      readonly lastExit?: { readonly [name: string]: unknown };
      readonly quarantine?: {
        /** RFC 3339 UTC with milliseconds */
        readonly at: string;
        readonly by: string;
        readonly reason: string;
      };
      readonly forkedFrom?: {
        /** UUIDv7 */
        readonly agentId: string;
        readonly specVersion: number;
      };
      /** RFC 3339 UTC with milliseconds */
      readonly createdAt: string;
      readonly createdBy: string;
      /** RFC 3339 UTC with milliseconds */
      readonly updatedAt: string;
    } } | { status: 304; body: undefined };
  };
  /** Merge a patch (RFC 7396) into the spec of a sandbox agent that does not run; honours If-Match. `PATCH /v1/workspaces/{workspaceId}/agents/{agentId}` */
  patchAgent: {
    input: { params: {
      readonly workspaceId: string;
      readonly agentId: string;
    }; body: {
      /** RFC 7396 merge patch of the spec; the result must be an AgentSpec */
      readonly spec: { readonly [name: string]: unknown };
      /** Needed where the profile is illuvrse; checked wherever it is sent. Another form is MANIFEST_MALFORMED */
      readonly manifest?: {
        readonly manifest: {
          readonly v: 1;
          /** A UUID in lower case; each is accepted once */
          readonly manifestId: string;
          /** specHash of the spec that results */
          readonly agentConfigHash: string;
          /** RFC 3339 UTC with milliseconds */
          readonly issuedAt: string;
          /** RFC 3339 UTC with milliseconds */
          readonly expiresAt: string;
          /** Whom it is for: this service */
          readonly audience: string;
        };
        /** Canonical base64 of the signature over the RFC 8785 bytes of `manifest` */
        readonly manifestSignature: string;
        /** An active signer of purpose manifest */
        readonly manifestSignatureId: string;
        /** SHA-256 of the RFC 8785 bytes of `manifest` */
        readonly manifestHash: string;
      } | unknown;
    } };
    answer: { status: 200; body: {
      /** UUIDv7 */
      readonly id: string;
      readonly workspaceId: string;
      readonly name: string;
      readonly mode: "sandbox" | "governed";
      readonly status: "stopped" | "starting" | "running" | "stopping" | "failed" | "quarantined";
      /** False: it runs elsewhere, Castellan decides whether it may */
      readonly managed: boolean;
      /** The spec as stored; its members are those of AgentSpec */
      readonly spec: unknown;
      readonly specVersion: number;
      /** sha256: and lower-case hex */
      readonly specHash: string;
      readonly expiresAt: string | null;
      readonly desiredReplicas: number;
      readonly readyReplicas: number;
      /** RFC 3339 UTC with milliseconds */
      readonly since: string;
      readonly lastExit?: { readonly [name: string]: unknown };
      readonly quarantine?: {
        /** RFC 3339 UTC with milliseconds */
        readonly at: string;
        readonly by: string;
        readonly reason: string;
      };
      readonly forkedFrom?: {
        /** UUIDv7 */
        readonly agentId: string;
        readonly specVersion: number;
      };
      /** RFC 3339 UTC with milliseconds */
      readonly createdAt: string;
      readonly createdBy: string;
      /** RFC 3339 UTC with milliseconds */
      readonly updatedAt: string;
    } };
  };
  /** Delete an agent that does not run; its specs and proofs stay as evidence; honours If-Match. `DELETE /v1/workspaces/{workspaceId}/agents/{agentId}` */
  deleteAgent: {
    input: { params: {
      readonly workspaceId: string;
      readonly agentId: string;
    } };
    answer: { status: 204; body: undefined };
  };
  /** Stop an agent at once, without grace, by the stop token that its spec names; needs no signer. `POST /v1/workspaces/{workspaceId}/agents/{agentId}/emergency-stop` */
  emergencyStopAgent: {
    input: { params: {
      readonly workspaceId: string;
      readonly agentId: string;
    }; body: {
      /** human.stopToken of the agent's spec */
      readonly stopToken: string;
    } };
    answer: { status: 200; body: {
      readonly success: true;
      /** UUIDv7 */
      readonly agentId: string;
      readonly status: "stopped" | "starting" | "running" | "stopping" | "failed" | "quarantined";
      /** Null when nothing had to change */
      readonly auditEvent: {
        readonly chain: string;
        readonly seq: number;
        readonly hash: string;
      } | null;
    } };
  };
  /** A new sandbox agent with the spec of this one. `POST /v1/workspaces/{workspaceId}/agents/{agentId}/fork` */
  forkAgent: {
    input: { params: {
      readonly workspaceId: string;
      readonly agentId: string;
    }; body?: {
      readonly name?: string;
      /** Default 86400 */
      readonly ttlSeconds?: number;
      /** Needed where the profile is illuvrse; checked wherever it is sent. Another form is MANIFEST_MALFORMED */
      readonly manifest?: {
        readonly manifest: {
          readonly v: 1;
          /** A UUID in lower case; each is accepted once */
          readonly manifestId: string;
          /** specHash of the spec that results */
          readonly agentConfigHash: string;
          /** RFC 3339 UTC with milliseconds */
          readonly issuedAt: string;
          /** RFC 3339 UTC with milliseconds */
          readonly expiresAt: string;
          /** Whom it is for: this service */
          readonly audience: string;
        };
        /** Canonical base64 of the signature over the RFC 8785 bytes of `manifest` */
        readonly manifestSignature: string;
        /** An active signer of purpose manifest */
        readonly manifestSignatureId: string;
        /** SHA-256 of the RFC 8785 bytes of `manifest` */
        readonly manifestHash: string;
      } | unknown;
    } };
    answer: { status: 201; body: {
      /** UUIDv7 */
      readonly id: string;
      readonly workspaceId: string;
      readonly name: string;
      readonly mode: "sandbox" | "governed";
      readonly status: "stopped" | "starting" | "running" | "stopping" | "failed" | "quarantined";
      /** False: it runs elsewhere, Castellan decides whether it may */
      readonly managed: boolean;
      /** The spec as stored; its members are those of AgentSpec */
      readonly spec: unknown;
      readonly specVersion: number;
      /** sha256: and lower-case hex */
      readonly specHash: string;
      readonly expiresAt: string | null;
      readonly desiredReplicas: number;
      readonly readyReplicas: number;
      /** RFC 3339 UTC with milliseconds */
      readonly since: string;
      readonly lastExit?: { readonly [name: string]: unknown };
      readonly quarantine?: {
        /** RFC 3339 UTC with milliseconds */
        readonly at: string;
        readonly by: string;
        readonly reason: string;
      };
      readonly forkedFrom?: {
        /** UUIDv7 */
        readonly agentId: string;
        readonly specVersion: number;
      };
      /** RFC 3339 UTC with milliseconds */
      readonly createdAt: string;
      readonly createdBy: string;
      /** RFC 3339 UTC with milliseconds */
      readonly updatedAt: string;
    } };
  };
  /** How the agent stands with the policy of its workspace, with its proof. `GET /v1/workspaces/{workspaceId}/agents/{agentId}/governance` */
  getAgentGovernance: {
    input: { params: {
      readonly workspaceId: string;
      readonly agentId: string;
    } };
    answer: { status: 200; body: {
      readonly governance: {
        readonly mode: "sandbox" | "governed";
        readonly status: "SANDBOX" | "GOVERNED_VALID" | "GOVERNED_RESTRICTED" | "GOVERNED_INVALIDATED";
        /** sha256: and lower-case hex */
        readonly specHash: string;
        readonly policyHash: string | null;
        /** sha256: and lower-case hex */
        readonly currentPolicyHash: string;
        /** The DSSE envelope of the proof in force, or null. An agent gets { "statement": digest } of one that it shares with others */
        readonly proof: unknown;
        readonly invalidation?: {
          /** RFC 3339 UTC with milliseconds */
          readonly at: string;
          readonly denies: readonly {
            readonly code: string;
            readonly reason: string;
            readonly severity: string;
            readonly check: string;
            readonly [name: string]: unknown;
          }[];
        };
      };
    } };
  };
  /** Whether the agent is kept from starting by a switch of its own. `GET /v1/workspaces/{workspaceId}/agents/{agentId}/kill-switch` */
  getAgentKillSwitch: {
    input: { params: {
      readonly workspaceId: string;
      readonly agentId: string;
    } };
    answer: { status: 200; body: {
      readonly scope: "fleet" | "workspace" | "agent";
      readonly workspaceId?: string;
      readonly agentId?: string;
      /** Of this switch alone: another one may hold as well */
      readonly engaged: boolean;
      /** RFC 3339 UTC with milliseconds */
      readonly engagedAt?: string;
      readonly engagedBy?: string;
      /** Absent once it is erased */
      readonly reason?: string;
      /** Of this request; null when nothing had to change */
      readonly auditEvent: {
        readonly chain: string;
        readonly seq: number;
        readonly hash: string;
      } | null;
    } };
  };
  /** Keep the agent from starting and stop it in the same transaction; needs no signer. `PUT /v1/workspaces/{workspaceId}/agents/{agentId}/kill-switch` */
  engageAgentKillSwitch: {
    input: { params: {
      readonly workspaceId: string;
      readonly agentId: string;
    }; body: {
      readonly reason: string;
    } };
    answer: { status: 200; body: {
      readonly scope: "fleet" | "workspace" | "agent";
      readonly workspaceId?: string;
      readonly agentId?: string;
      /** Of this switch alone: another one may hold as well */
      readonly engaged: boolean;
      /** RFC 3339 UTC with milliseconds */
      readonly engagedAt?: string;
      readonly engagedBy?: string;
      /** Absent once it is erased */
      readonly reason?: string;
      /** Of this request; null when nothing had to change */
      readonly auditEvent: {
        readonly chain: string;
        readonly seq: number;
        readonly hash: string;
      } | null;
      /** True: what it stops has not all stopped yet; that goes on by itself */
      readonly stopping: boolean;
    } };
  };
  /** Let the agent start again, as far as no other switch is engaged; it is not started. `DELETE /v1/workspaces/{workspaceId}/agents/{agentId}/kill-switch` */
  clearAgentKillSwitch: {
    input: { params: {
      readonly workspaceId: string;
      readonly agentId: string;
    }; body: {
      readonly reason: string;
    } };
    answer: { status: 200; body: {
      readonly scope: "fleet" | "workspace" | "agent";
      readonly workspaceId?: string;
      readonly agentId?: string;
      /** Of this switch alone: another one may hold as well */
      readonly engaged: boolean;
      /** RFC 3339 UTC with milliseconds */
      readonly engagedAt?: string;
      readonly engagedBy?: string;
      /** Absent once it is erased */
      readonly reason?: string;
      /** Of this request; null when nothing had to change */
      readonly auditEvent: {
        readonly chain: string;
        readonly seq: number;
        readonly hash: string;
      } | null;
    } };
  };
  /** What the processes of an agent have written, as far as it is kept; with follow as it comes. `GET /v1/workspaces/{workspaceId}/agents/{agentId}/logs` */
  getAgentLogs: {
    input: { params: {
      readonly workspaceId: string;
      readonly agentId: string;
    }; query?: {
      /** Server-sent events: what is kept and then what comes; Last-Event-ID resumes */
      readonly follow?: boolean;
      /** Only so many of the newest entries; excludes cursor */
      readonly tail?: number;
      /** Default 50 */
      readonly limit?: number;
      /** The nextCursor of the page before; opaque */
      readonly cursor?: string;
    } };
    answer: { status: 200; body: string };
  };
  /** Ask the policy to make a sandbox agent a governed one, or approvers where the workspace wants them; a denial is an answer. `POST /v1/workspaces/{workspaceId}/agents/{agentId}/promote` */
  promoteAgent: {
    input: { params: {
      readonly workspaceId: string;
      readonly agentId: string;
    }; body?: {
      readonly justification?: string;
    } };
    answer: { status: 200; body: {
      readonly success: true;
      /** UUIDv7 */
      readonly promotionId: string;
      /** UUIDv7 */
      readonly decisionId: string;
      readonly governedAgent: {
        /** UUIDv7 */
        readonly id: string;
        readonly workspaceId: string;
        readonly name: string;
        readonly mode: "sandbox" | "governed";
        readonly status: "stopped" | "starting" | "running" | "stopping" | "failed" | "quarantined";
        /** False: it runs elsewhere, Castellan decides whether it may */
        readonly managed: boolean;
        /** The spec as stored; its members are those of AgentSpec */
        readonly spec: unknown;
        readonly specVersion: number;
        /** sha256: and lower-case hex */
        readonly specHash: string;
        readonly expiresAt: string | null;
        readonly desiredReplicas: number;
        readonly readyReplicas: number;
        /** RFC 3339 UTC with milliseconds */
        readonly since: string;
        readonly lastExit?: { readonly [name: string]: unknown };
        readonly quarantine?: {
          /** RFC 3339 UTC with milliseconds */
          readonly at: string;
          readonly by: string;
          readonly reason: string;
        };
        readonly forkedFrom?: {
          /** UUIDv7 */
          readonly agentId: string;
          readonly specVersion: number;
        };
        /** RFC 3339 UTC with milliseconds */
        readonly createdAt: string;
        readonly createdBy: string;
        /** RFC 3339 UTC with milliseconds */
        readonly updatedAt: string;
      };
      readonly proof: {
        readonly payloadType: string;
        /** base64 of the in-toto Statement v1 */
        readonly payload: string;
        readonly signatures: readonly {
          readonly keyid: string;
          readonly sig: string;
        }[];
      };
    } | {
      readonly success: false;
      /** UUIDv7 */
      readonly promotionId: string;
      /** UUIDv7 */
      readonly decisionId: string;
      readonly denies: readonly {
        readonly code: string;
        readonly reason: string;
        readonly severity: string;
        readonly check: string;
        readonly [name: string]: unknown;
      }[];
    } } | { status: 202; body: {
      /** UUIDv7 */
      readonly promotionId: string;
      readonly state: "pending";
      /** UUIDv7 */
      readonly agentId: string;
      /** The evaluation of the request */
      readonly decisionId: string;
      /** Given so far */
      readonly approvals: number;
      readonly approvalsRequired: number;
      /** RFC 3339 UTC with milliseconds */
      readonly expiresAt: string;
    } };
  };
  /** Stop an agent and forbid its start until a release; needs no signer. `POST /v1/workspaces/{workspaceId}/agents/{agentId}/quarantine` */
  quarantineAgent: {
    input: { params: {
      readonly workspaceId: string;
      readonly agentId: string;
    }; body: {
      readonly reason: string;
    } };
    answer: { status: 200; body: {
      readonly success: true;
      /** UUIDv7 */
      readonly agentId: string;
      readonly status: "stopped" | "starting" | "running" | "stopping" | "failed" | "quarantined";
      /** Null when nothing had to change */
      readonly auditEvent: {
        readonly chain: string;
        readonly seq: number;
        readonly hash: string;
      } | null;
    } };
  };
  /** Let a quarantined agent start again, if it passes the checks of a revalidation. `POST /v1/workspaces/{workspaceId}/agents/{agentId}/release` */
  releaseAgent: {
    input: { params: {
      readonly workspaceId: string;
      readonly agentId: string;
    }; body: {
      readonly reason: string;
    } };
    answer: { status: 200; body: {
      readonly success: true;
      /** UUIDv7 */
      readonly agentId: string;
      readonly status: "stopped";
      /** UUIDv7 */
      readonly decisionId: string;
      readonly proofId: string | null;
      readonly auditEvent: {
        readonly chain: string;
        readonly seq: number;
        readonly hash: string;
      };
    } };
  };
  /** Start an agent if admission lets it; one that runs is left alone. `POST /v1/workspaces/{workspaceId}/agents/{agentId}/start` */
  startAgent: {
    input: { params: {
      readonly workspaceId: string;
      readonly agentId: string;
    }; body?: {
      readonly replicas?: number;
    } };
    answer: { status: 200; body: {
      readonly success: true;
      /** UUIDv7 */
      readonly agentId: string;
      readonly status: "stopped" | "starting" | "running" | "stopping" | "failed" | "quarantined";
      readonly managed: boolean;
      /** Nothing was decided: no admission, no decision, no event */
      readonly alreadyRunning?: true;
      readonly admission?: {
        /** sha256: and lower-case hex */
        readonly policyHash: string;
        readonly checks: readonly ({
          readonly check: string;
          readonly outcome: "pass" | "skip";
        })[];
        readonly interceptors: readonly ({
          readonly check: string;
          readonly outcome: "pass" | "skip";
        })[];
      };
      /** UUIDv7 */
      readonly decisionId?: string;
      readonly auditEvent?: {
        readonly chain: string;
        readonly seq: number;
        readonly hash: string;
      };
    } };
  };
  /** The run state of one agent. `GET /v1/workspaces/{workspaceId}/agents/{agentId}/status` */
  getAgentStatus: {
    input: { params: {
      readonly workspaceId: string;
      readonly agentId: string;
    } };
    answer: { status: 200; body: {
      /** UUIDv7 */
      readonly agentId: string;
      readonly mode: "sandbox" | "governed";
      readonly status: "stopped" | "starting" | "running" | "stopping" | "failed" | "quarantined";
      readonly managed: boolean;
      readonly desiredReplicas: number;
      readonly readyReplicas: number;
      /** RFC 3339 UTC with milliseconds */
      readonly since: string;
      readonly lastExit?: { readonly [name: string]: unknown };
    } };
  };
  /** Stop an agent; needs no signer. One that does not run stays as it is, without an event. `POST /v1/workspaces/{workspaceId}/agents/{agentId}/stop` */
  stopAgent: {
    input: { params: {
      readonly workspaceId: string;
      readonly agentId: string;
    }; body?: {
      readonly reason?: string;
    } };
    answer: { status: 200; body: {
      readonly success: true;
      /** UUIDv7 */
      readonly agentId: string;
      readonly status: "stopped" | "starting" | "running" | "stopping" | "failed" | "quarantined";
      /** Null when nothing had to change */
      readonly auditEvent: {
        readonly chain: string;
        readonly seq: number;
        readonly hash: string;
      } | null;
    } };
  };
  /** Every version of the spec, the oldest first; also of a deleted agent. `GET /v1/workspaces/{workspaceId}/agents/{agentId}/versions` */
  listAgentVersions: {
    input: { params: {
      readonly workspaceId: string;
      readonly agentId: string;
    }; query?: {
      /** Default 50 */
      readonly limit?: number;
      /** The nextCursor of the page before; opaque */
      readonly cursor?: string;
    } };
    answer: { status: 200; body: {
      readonly versions: readonly {
        readonly version: number;
        /** sha256: and lower-case hex */
        readonly specHash: string;
        /** The spec as stored; its members are those of AgentSpec */
        readonly spec: unknown;
        /** RFC 3339 UTC with milliseconds */
        readonly createdAt: string;
        readonly createdBy: string;
      }[];
      readonly nextCursor: string | null;
    } };
    item: {
      readonly version: number;
      /** sha256: and lower-case hex */
      readonly specHash: string;
      /** The spec as stored; its members are those of AgentSpec */
      readonly spec: unknown;
      /** RFC 3339 UTC with milliseconds */
      readonly createdAt: string;
      readonly createdBy: string;
    };
  };
  /** One action on up to 200 agents, with an outcome for each; never all or nothing. `POST /v1/workspaces/{workspaceId}/agents:batch` */
  batchAgents: {
    input: { params: {
      readonly workspaceId: string;
    }; body: {
      readonly action: "start" | "stop" | "promote" | "delete";
      readonly agentIds: readonly string[];
    } };
    answer: { status: 200; body: {
      readonly results: readonly ({
        readonly agentId: string;
        readonly success: boolean;
        readonly code?: string;
        readonly detail?: string;
        readonly status?: "stopped" | "starting" | "running" | "stopping" | "failed" | "quarantined";
        readonly alreadyRunning?: true;
        /** UUIDv7 */
        readonly decisionId?: string;
        /** UUIDv7 */
        readonly promotionId?: string;
        /** The promotion waits for approvals: nothing is promoted yet */
        readonly state?: "pending";
        readonly denies?: readonly {
          readonly code: string;
          readonly reason: string;
          readonly severity: string;
          readonly check: string;
          readonly [name: string]: unknown;
        }[];
        readonly auditEvent?: {
          readonly chain: string;
          readonly seq: number;
          readonly hash: string;
        } | null;
      })[];
    } };
  };
  /** The newest signed note, and the newest checkpoint of the workspace's chain that it covers. `GET /v1/workspaces/{workspaceId}/audit/checkpoint` */
  getAuditCheckpoint: {
    input: { params: {
      readonly workspaceId: string;
    } };
    answer: { status: 200; body: {
      /** The newest signed note (C2SP tlog-checkpoint) */
      readonly note: string;
      readonly origin: string;
      readonly size: number;
      /** base64 of 32 bytes */
      readonly root: string;
      readonly signerId: string;
      readonly createdAt: string;
      readonly entry: {
        /** Position in the log, from 0 */
        readonly index: number;
        readonly chain: string;
        /** Events of the chain that it covers */
        readonly size: number;
        /** base64 of 32 bytes */
        readonly root: string;
        /** base64 of the exact bytes that are the leaf of the log */
        readonly entry: string;
        readonly createdAt: string;
        /** Inclusion in the log at the size of the note (RFC 6962 §2.1.1) */
        readonly proof: readonly string[];
      };
    } };
  };
  /** That the chain of one size begins with the chain of an earlier one. `GET /v1/workspaces/{workspaceId}/audit/consistency` */
  getAuditConsistency: {
    input: { params: {
      readonly workspaceId: string;
    }; query: {
      /** A number of events of the chain */
      readonly from: number;
      /** A later number of events, that a checkpoint covers */
      readonly to: number;
    } };
    answer: { status: 200; body: {
      readonly chain: string;
      readonly from: number;
      readonly to: number;
      /** base64 of 32 bytes */
      readonly fromRoot: string;
      /** base64 of 32 bytes */
      readonly toRoot: string;
      readonly proof: readonly string[];
    } };
  };
  /** Erase what people wrote in events of the workspace's chain; the events stay, and stay verifiable. `POST /v1/workspaces/{workspaceId}/audit/erasures` */
  erasePersonalData: {
    input: { params: {
      readonly workspaceId: string;
    }; body: {
      /** All that this actor wrote; either this or events */
      readonly actorId?: string;
      /** What stands in the events with these seq */
      readonly events?: readonly number[];
      readonly reason: string;
    } };
    answer: { status: 200; body: {
      readonly erasureId: string;
      /** Values that were erased; 0 when none was left */
      readonly values: number;
      /** More are left than one erasure takes: ask again */
      readonly more: boolean;
      readonly auditEvent: {
        readonly chain: string;
        readonly seq: number;
        readonly hash: string;
      };
    } };
  };
  /** Events of the workspace's chain, by seq ascending. `GET /v1/workspaces/{workspaceId}/audit/events` */
  listAuditEvents: {
    input: { params: {
      readonly workspaceId: string;
    }; query?: {
      /** Only events with a higher seq */
      readonly after?: number;
      /** The nextCursor of the page before; opaque */
      readonly cursor?: string;
      /** Default 50 */
      readonly limit?: number;
      readonly type?: "workspace.created" | "workspace.settings.changed" | "workspace.suspended" | "workspace.resumed" | "agent.created" | "agent.updated" | "agent.forked" | "agent.deleted" | "agent.start.allowed" | "agent.start.denied" | "agent.stopped" | "agent.launched" | "agent.exited" | "agent.failed" | "sandbox.run.created" | "sandbox.run.denied" | "sandbox.run.completed" | "sandbox.run.failed" | "sandbox.run.timeout" | "sandbox.run.killed" | "sandbox.run.cancelled" | "sandbox.run.error" | "agent.scaled" | "agent.expired" | "agent.quarantined" | "agent.released" | "agent.release.denied" | "agent.revalidated" | "agent.invalidated" | "promotion.requested" | "promotion.approval.given" | "promotion.rejected" | "promotion.lapsed" | "promotion.approved" | "promotion.denied" | "proof.issued" | "proof.renewed" | "proof.mass.renewed" | "template.created" | "template.updated" | "template.deleted" | "manifest.accepted" | "manifest.rejected" | "killswitch.engaged" | "killswitch.cleared" | "policy.activated" | "policy.rolledback" | "policy.shadowed" | "policy.rejected" | "revalidation.requested" | "signer.registered" | "signer.rotation.requested" | "signer.rotation.applied" | "signer.retired" | "signer.range.closed" | "signer.revoked" | "signer.compromise" | "identity.map.applied" | "trust.bundle.applied" | "server.certificate.applied" | "revocations.applied" | "token.issuers.applied" | "identity.reload.refused" | "access.lock.placed" | "access.lock.released" | "access.breakglass.granted" | "access.breakglass.used" | "access.breakglass.ended" | "access.denied" | "audit.deferred.covered" | "audit.signmode.switched" | "audit.range.reattested" | "audit.hold.placed" | "audit.hold.released" | "audit.pruned" | "erasure.performed";
      readonly actor?: string;
      /** Only events at or after this time */
      readonly from?: string;
      /** Only events before this time */
      readonly to?: string;
    } };
    answer: { status: 200; body: {
      readonly events: readonly ({
        readonly id: string;
        readonly chain: string;
        readonly seq: number;
        readonly eventType: string;
        readonly ts: string;
        readonly actor: {
          readonly id: string;
          readonly kind: string;
        };
        readonly payload: { readonly [name: string]: unknown };
        /** What people wrote, by the member of payload that commits to it; absent once it is erased */
        readonly personal?: { readonly [name: string]: string };
        readonly prevHash: string;
        readonly hash: string;
        readonly signature: string | null;
        readonly signerId: string | null;
        readonly signMode: string;
        /** Of mode batch: the way from the hash to the root that was signed (docs/audit-format.md §3) */
        readonly batch?: {
          readonly index: number;
          readonly size: number;
          readonly path: readonly string[];
        };
        /** base64 of the exact bytes that hash covers */
        readonly body: string;
      })[];
      readonly nextCursor: string | null;
      /** Events up to this seq were removed, or may be at any time, as an event audit.pruned says; null for none */
      readonly prunedTo: number | null;
    } };
    item: {
      readonly id: string;
      readonly chain: string;
      readonly seq: number;
      readonly eventType: string;
      readonly ts: string;
      readonly actor: {
        readonly id: string;
        readonly kind: string;
      };
      readonly payload: { readonly [name: string]: unknown };
      /** What people wrote, by the member of payload that commits to it; absent once it is erased */
      readonly personal?: { readonly [name: string]: string };
      readonly prevHash: string;
      readonly hash: string;
      readonly signature: string | null;
      readonly signerId: string | null;
      readonly signMode: string;
      /** Of mode batch: the way from the hash to the root that was signed (docs/audit-format.md §3) */
      readonly batch?: {
        readonly index: number;
        readonly size: number;
        readonly path: readonly string[];
      };
      /** base64 of the exact bytes that hash covers */
      readonly body: string;
    };
  };
  /** The workspace's chain as evidence, in JSONL; two at once, one of each chain, 30 minutes at most. `GET /v1/workspaces/{workspaceId}/audit/export` */
  exportAudit: {
    input: { params: {
      readonly workspaceId: string;
    }; query?: {
      /** Only events from this seq on */
      readonly from?: number;
    } };
    answer: { status: 200; body: string };
  };
  /** Whether the workspace's chain is under a legal hold. `GET /v1/workspaces/{workspaceId}/audit/hold` */
  getAuditHold: {
    input: { params: {
      readonly workspaceId: string;
    } };
    answer: { status: 200; body: {
      readonly held: boolean;
      /** RFC 3339 UTC with milliseconds */
      readonly placedAt?: string;
      readonly placedBy?: string;
      /** Absent once it is erased */
      readonly reason?: string;
      /** The audit.hold.placed */
      readonly auditEvent?: {
        readonly chain: string;
        readonly seq: number;
      };
    } };
  };
  /** Place a legal hold: nothing of the workspace's chain is erased or pruned until it is released. `PUT /v1/workspaces/{workspaceId}/audit/hold` */
  placeAuditHold: {
    input: { params: {
      readonly workspaceId: string;
    }; body: {
      readonly reason: string;
    } };
    answer: { status: 200; body: {
      readonly held: boolean;
      /** RFC 3339 UTC with milliseconds */
      readonly placedAt?: string;
      readonly placedBy?: string;
      /** Absent once it is erased */
      readonly reason?: string;
      /** The audit.hold.placed */
      readonly auditEvent?: {
        readonly chain: string;
        readonly seq: number;
      };
    } };
  };
  /** Release the legal hold on the workspace's chain. `DELETE /v1/workspaces/{workspaceId}/audit/hold` */
  releaseAuditHold: {
    input: { params: {
      readonly workspaceId: string;
    }; body: {
      readonly reason: string;
    } };
    answer: { status: 200; body: {
      readonly held: boolean;
      /** RFC 3339 UTC with milliseconds */
      readonly placedAt?: string;
      readonly placedBy?: string;
      /** Absent once it is erased */
      readonly reason?: string;
      /** The audit.hold.placed */
      readonly auditEvent?: {
        readonly chain: string;
        readonly seq: number;
      };
    } };
  };
  /** That an event is in the chain that the newest checkpoint covers. `GET /v1/workspaces/{workspaceId}/audit/proof` */
  getAuditProof: {
    input: { params: {
      readonly workspaceId: string;
    }; query: {
      /** Of an event that a checkpoint covers */
      readonly seq: number;
    } };
    answer: { status: 200; body: {
      readonly seq: number;
      /** base64 of 32 bytes */
      readonly leafHash: string;
      /** Leaf seq - 1 in the chain's tree at the size of the entry */
      readonly proof: readonly string[];
      readonly checkpoint: {
        /** The newest signed note (C2SP tlog-checkpoint) */
        readonly note: string;
        readonly origin: string;
        readonly size: number;
        /** base64 of 32 bytes */
        readonly root: string;
        readonly signerId: string;
        readonly createdAt: string;
        readonly entry: {
          /** Position in the log, from 0 */
          readonly index: number;
          readonly chain: string;
          /** Events of the chain that it covers */
          readonly size: number;
          /** base64 of 32 bytes */
          readonly root: string;
          /** base64 of the exact bytes that are the leaf of the log */
          readonly entry: string;
          readonly createdAt: string;
          /** Inclusion in the log at the size of the note (RFC 6962 §2.1.1) */
          readonly proof: readonly string[];
        };
      };
    } };
  };
  /** Approve the removal of the oldest events of the workspace's chain, which a checkpoint covers. `POST /v1/workspaces/{workspaceId}/audit/prunings` */
  pruneAudit: {
    input: { params: {
      readonly workspaceId: string;
    }; body: {
      /** The last event to be removed */
      readonly to: number;
      readonly reason: string;
    } | {
      /** All that may be removed of what is older; not in the future */
      readonly before: string;
      readonly reason: string;
    } };
    answer: { status: 201; body: {
      readonly chain: string;
      readonly to: number;
      /** Of the event at to */
      readonly hash: string;
      /** Entries of the log of checkpoints under the note that covers them */
      readonly logSize: number;
      readonly receipt: {
        readonly chain: string;
        readonly seq: number;
        readonly hash: string;
      };
    } };
  };
  /** Vouch for the events of the workspace's chain that a compromised signer left in doubt. `POST /v1/workspaces/{workspaceId}/audit/reattestations` */
  reattestAudit: {
    input: { params: {
      readonly workspaceId: string;
    }; body: {
      /** A signer that is compromised */
      readonly signerId: string;
      readonly reason: string;
      /** The last event that was compared: with another one in doubt behind it nothing is vouched for */
      readonly to?: number;
      /** Of that event */
      readonly hash?: string;
    } };
    answer: { status: 201; body: {
      readonly chain: string;
      readonly signerId: string;
      /** The first event of that signer outside the range for which it is trusted */
      readonly from: number;
      /** The last one */
      readonly to: number;
      /** Of the event at to */
      readonly hash: string;
      /** The event that vouches for them */
      readonly event: {
        readonly seq: number;
        readonly hash: string;
      };
    } };
  };
  /** Verify the workspace's chain; two at once, one of each chain; for a long chain use the command line. `POST /v1/workspaces/{workspaceId}/audit/verify` */
  verifyAudit: {
    input: { params: {
      readonly workspaceId: string;
    } };
    answer: { status: 200; body: {
      readonly ok: boolean;
      /** internal: nothing outside the log was compared */
      readonly strength: string;
      readonly events: number;
      readonly signatures: number;
      readonly findings: readonly {
        readonly chain: string;
        readonly seq: number;
        readonly class: string;
        readonly detail: string;
      }[];
    } };
  };
  /** Starts, promotions and releases that were decided, in the order of time. `GET /v1/workspaces/{workspaceId}/decisions` */
  listDecisions: {
    input: { params: {
      readonly workspaceId: string;
    }; query?: {
      readonly agentId?: string;
      readonly effect?: "ALLOW" | "DENY" | "REQUIRE_APPROVAL";
      readonly tier?: number;
      /** Among the codes of the denials */
      readonly code?: string;
      /** Only decisions at or after this time */
      readonly from?: string;
      /** Only decisions before this time */
      readonly to?: string;
      /** Default 50 */
      readonly limit?: number;
      /** The nextCursor of the page before; opaque */
      readonly cursor?: string;
    } };
    answer: { status: 200; body: {
      readonly decisions: readonly ({
        readonly decisionId: string;
        readonly kind: string;
        readonly agentId: string;
        readonly action: string;
        readonly effect: "ALLOW" | "DENY" | "REQUIRE_APPROVAL";
        readonly decision: "approve" | "deny" | "escalate";
        readonly tier: number;
        /** The denials, in chain order */
        readonly reasons: readonly {
          readonly code: string;
          readonly reason: string;
          readonly severity: string;
          readonly check: string;
          readonly [name: string]: unknown;
        }[];
        readonly actor: {
          readonly id: string;
          readonly kind: string;
        };
        readonly policyHash: string;
        readonly specHash: string;
        /** What the candidate policy would have answered */
        readonly shadow?: unknown;
        readonly traceId?: string;
        /** seq of the decision's event in the workspace's chain */
        readonly auditSeq: number;
        /** RFC 3339 UTC with milliseconds */
        readonly createdAt: string;
      })[];
      /** Null on the last page */
      readonly nextCursor: string | null;
    } };
    item: {
      readonly decisionId: string;
      readonly kind: string;
      readonly agentId: string;
      readonly action: string;
      readonly effect: "ALLOW" | "DENY" | "REQUIRE_APPROVAL";
      readonly decision: "approve" | "deny" | "escalate";
      readonly tier: number;
      /** The denials, in chain order */
      readonly reasons: readonly {
        readonly code: string;
        readonly reason: string;
        readonly severity: string;
        readonly check: string;
        readonly [name: string]: unknown;
      }[];
      readonly actor: {
        readonly id: string;
        readonly kind: string;
      };
      readonly policyHash: string;
      readonly specHash: string;
      /** What the candidate policy would have answered */
      readonly shadow?: unknown;
      readonly traceId?: string;
      /** seq of the decision's event in the workspace's chain */
      readonly auditSeq: number;
      /** RFC 3339 UTC with milliseconds */
      readonly createdAt: string;
    };
  };
  /** One decision. `GET /v1/workspaces/{workspaceId}/decisions/{decisionId}` */
  getDecision: {
    input: { params: {
      readonly workspaceId: string;
      readonly decisionId: string;
    } };
    answer: { status: 200; body: {
      readonly decisionId: string;
      readonly kind: string;
      readonly agentId: string;
      readonly action: string;
      readonly effect: "ALLOW" | "DENY" | "REQUIRE_APPROVAL";
      readonly decision: "approve" | "deny" | "escalate";
      readonly tier: number;
      /** The denials, in chain order */
      readonly reasons: readonly {
        readonly code: string;
        readonly reason: string;
        readonly severity: string;
        readonly check: string;
        readonly [name: string]: unknown;
      }[];
      readonly actor: {
        readonly id: string;
        readonly kind: string;
      };
      readonly policyHash: string;
      readonly specHash: string;
      /** What the candidate policy would have answered */
      readonly shadow?: unknown;
      readonly traceId?: string;
      /** seq of the decision's event in the workspace's chain */
      readonly auditSeq: number;
      /** RFC 3339 UTC with milliseconds */
      readonly createdAt: string;
    } };
  };
  /** Whether every agent of the workspace is kept from starting. `GET /v1/workspaces/{workspaceId}/kill-switch` */
  getWorkspaceKillSwitch: {
    input: { params: {
      readonly workspaceId: string;
    } };
    answer: { status: 200; body: {
      readonly scope: "fleet" | "workspace" | "agent";
      readonly workspaceId?: string;
      readonly agentId?: string;
      /** Of this switch alone: another one may hold as well */
      readonly engaged: boolean;
      /** RFC 3339 UTC with milliseconds */
      readonly engagedAt?: string;
      readonly engagedBy?: string;
      /** Absent once it is erased */
      readonly reason?: string;
      /** Of this request; null when nothing had to change */
      readonly auditEvent: {
        readonly chain: string;
        readonly seq: number;
        readonly hash: string;
      } | null;
    } };
  };
  /** Keep every agent of the workspace from starting and stop those that run; needs no signer. `PUT /v1/workspaces/{workspaceId}/kill-switch` */
  engageWorkspaceKillSwitch: {
    input: { params: {
      readonly workspaceId: string;
    }; body: {
      readonly reason: string;
    } };
    answer: { status: 200; body: {
      readonly scope: "fleet" | "workspace" | "agent";
      readonly workspaceId?: string;
      readonly agentId?: string;
      /** Of this switch alone: another one may hold as well */
      readonly engaged: boolean;
      /** RFC 3339 UTC with milliseconds */
      readonly engagedAt?: string;
      readonly engagedBy?: string;
      /** Absent once it is erased */
      readonly reason?: string;
      /** Of this request; null when nothing had to change */
      readonly auditEvent: {
        readonly chain: string;
        readonly seq: number;
        readonly hash: string;
      } | null;
      /** True: what it stops has not all stopped yet; that goes on by itself */
      readonly stopping: boolean;
    } };
  };
  /** Let agents of the workspace start again, as far as no other switch is engaged; nothing is started. `DELETE /v1/workspaces/{workspaceId}/kill-switch` */
  clearWorkspaceKillSwitch: {
    input: { params: {
      readonly workspaceId: string;
    }; body: {
      readonly reason: string;
    } };
    answer: { status: 200; body: {
      readonly scope: "fleet" | "workspace" | "agent";
      readonly workspaceId?: string;
      readonly agentId?: string;
      /** Of this switch alone: another one may hold as well */
      readonly engaged: boolean;
      /** RFC 3339 UTC with milliseconds */
      readonly engagedAt?: string;
      readonly engagedBy?: string;
      /** Absent once it is erased */
      readonly reason?: string;
      /** Of this request; null when nothing had to change */
      readonly auditEvent: {
        readonly chain: string;
        readonly seq: number;
        readonly hash: string;
      } | null;
    } };
  };
  /** Make a policy bundle the active version, or the candidate beside it; honours If-Match with the ETag of the snapshot. `POST /v1/workspaces/{workspaceId}/policy/hotreload` */
  hotReloadPolicy: {
    input: { params: {
      readonly workspaceId: string;
    }; body: {
      readonly policySet: string;
      readonly bundle: {
        /** Rego text by path */
        readonly modules: { readonly [name: string]: string };
        readonly data: { readonly [name: string]: unknown };
      } | {
        /** An OPA bundle (tar.gz) in base64 */
        readonly tarball: string;
      };
      /** Default enforce */
      readonly mode?: "enforce" | "shadow";
      /** Default true */
      readonly revalidate?: boolean;
      readonly expectedHash?: string;
      readonly reason?: string;
    } };
    answer: { status: 200; body: {
      readonly oldHash: string;
      readonly newHash: string;
      readonly revalidated: number;
      readonly revalidation: {
        /** null: nothing had to be revalidated */
        readonly id: string | null;
        readonly state: "running" | "done";
        readonly total: number;
        readonly done: number;
        readonly invalidated: number;
      };
    } };
  };
  /** Check governed agents against the active policy. `POST /v1/workspaces/{workspaceId}/policy/revalidate` */
  revalidateAgents: {
    input: { params: {
      readonly workspaceId: string;
    }; body?: {
      /** Only these; absent: every governed agent */
      readonly agentIds?: readonly string[];
    } };
    answer: { status: 200; body: {
      readonly results: readonly ({
        readonly agentId: string;
        readonly status: "GOVERNED_VALID" | "GOVERNED_RESTRICTED" | "GOVERNED_INVALIDATED";
        readonly denies?: readonly {
          readonly code: string;
          readonly reason: string;
          readonly severity: string;
          readonly check: string;
          readonly [name: string]: unknown;
        }[];
      })[];
      readonly revalidation: {
        readonly id: string;
        readonly state: "running" | "done";
        readonly total: number;
        readonly done: number;
        readonly invalidated: number;
      };
    } };
  };
  /** How far a revalidation is. `GET /v1/workspaces/{workspaceId}/policy/revalidations/{revalidationId}` */
  getRevalidation: {
    input: { params: {
      readonly workspaceId: string;
      readonly revalidationId: string;
    } };
    answer: { status: 200; body: {
      readonly id: string;
      readonly state: "running" | "done";
      readonly total: number;
      readonly done: number;
      readonly invalidated: number;
      readonly cause: "hotreload" | "rollback" | "request" | "renewal" | "revocation";
      readonly policyHash: string;
      readonly createdAt: string;
      readonly updatedAt: string;
    } };
  };
  /** Make an earlier version active again; honours If-Match with the ETag of the snapshot. `POST /v1/workspaces/{workspaceId}/policy/rollback` */
  rollBackPolicy: {
    input: { params: {
      readonly workspaceId: string;
    }; body: {
      readonly version: number;
      readonly reason?: string;
      /** Default true */
      readonly revalidate?: boolean;
    } };
    answer: { status: 200; body: {
      readonly oldHash: string;
      readonly newHash: string;
      readonly revalidated: number;
      readonly revalidation: {
        /** null: nothing had to be revalidated */
        readonly id: string | null;
        readonly state: "running" | "done";
        readonly total: number;
        readonly done: number;
        readonly invalidated: number;
      };
    } };
  };
  /** The active policy, revoked signers and invalidated agents; ETag "<hash>.<revision>". `GET /v1/workspaces/{workspaceId}/policy/snapshot` */
  getPolicySnapshot: {
    input: { params: {
      readonly workspaceId: string;
    } };
    answer: { status: 200; body: {
      readonly policySet: string;
      readonly version: number;
      readonly hash: string;
      readonly bundle: {
        readonly modules: { readonly [name: string]: string };
        readonly data: unknown;
      };
      readonly mode: "enforce";
      readonly activatedAt: string;
      readonly activatedBy: string;
      readonly revokedSigners: readonly string[];
      readonly invalidatedAgents: readonly string[];
      readonly invalidatedTotal: number;
      readonly revision: number;
    } } | { status: 304; body: undefined };
  };
  /** Policy versions, by version ascending. `GET /v1/workspaces/{workspaceId}/policy/versions` */
  listPolicyVersions: {
    input: { params: {
      readonly workspaceId: string;
    }; query?: {
      /** Default 50 */
      readonly limit?: number;
      /** The nextCursor of the page before; opaque */
      readonly cursor?: string;
    } };
    answer: { status: 200; body: {
      readonly versions: readonly ({
        readonly version: number;
        readonly policySet: string;
        readonly hash: string;
        readonly state: "active" | "shadow" | "inactive";
        readonly packages: readonly string[];
        readonly wasmSha256: string;
        readonly compilerVersion: string;
        readonly createdAt: string;
        readonly createdBy: string;
        readonly reason?: string;
      })[];
      readonly nextCursor: string | null;
    } };
    item: {
      readonly version: number;
      readonly policySet: string;
      readonly hash: string;
      readonly state: "active" | "shadow" | "inactive";
      readonly packages: readonly string[];
      readonly wasmSha256: string;
      readonly compilerVersion: string;
      readonly createdAt: string;
      readonly createdBy: string;
      readonly reason?: string;
    };
  };
  /** One policy version with its modules and data. `GET /v1/workspaces/{workspaceId}/policy/versions/{version}` */
  getPolicyVersion: {
    input: { params: {
      readonly workspaceId: string;
      readonly version: string;
    } };
    answer: { status: 200; body: {
      readonly version: number;
      readonly policySet: string;
      readonly hash: string;
      readonly state: "active" | "shadow" | "inactive";
      readonly packages: readonly string[];
      readonly wasmSha256: string;
      readonly compilerVersion: string;
      readonly createdAt: string;
      readonly createdBy: string;
      readonly reason?: string;
      readonly bundle: {
        readonly modules: { readonly [name: string]: string };
        readonly data: unknown;
      };
    } };
  };
  /** Promotions that were asked for, by id. `GET /v1/workspaces/{workspaceId}/promotions` */
  listPromotions: {
    input: { params: {
      readonly workspaceId: string;
    }; query?: {
      readonly state?: "pending" | "approved" | "denied" | "rejected" | "lapsed";
      readonly agentId?: string;
      /** Default 50 */
      readonly limit?: number;
      /** The nextCursor of the page before; opaque */
      readonly cursor?: string;
    } };
    answer: { status: 200; body: {
      readonly promotions: readonly ({
        /** UUIDv7 */
        readonly promotionId: string;
        /** UUIDv7 */
        readonly agentId: string;
        readonly state: "pending" | "approved" | "denied" | "rejected" | "lapsed";
        readonly requestedBy: {
          readonly id: string;
          readonly kind: string;
          readonly roles: readonly string[];
        };
        readonly justification: string | null;
        readonly decisionId: string | null;
        readonly denies: readonly {
          readonly code: string;
          readonly reason: string;
          readonly severity: string;
          readonly check: string;
          readonly [name: string]: unknown;
        }[];
        readonly proofId: string | null;
        readonly specVersion: number;
        /** sha256: and lower-case hex */
        readonly specHash: string;
        /** sha256: and lower-case hex */
        readonly policyHash: string;
        /** 0: policy decided alone, at once */
        readonly approvalsRequired: number;
        /** In the order they were given */
        readonly approvals: readonly ({
          readonly id: string;
          readonly kind: string;
          readonly roles: readonly string[];
          /** RFC 3339 UTC with milliseconds */
          readonly approvedAt: string;
          readonly comment: string | null;
        })[];
        readonly requestDecisionId: string | null;
        readonly expiresAt: string | null;
        readonly lapseCause: "EXPIRED" | "SPEC_CHANGED" | "POLICY_CHANGED" | "AGENT_DELETED" | "AGENT_GOVERNED" | null;
        readonly rejection: {
          readonly id: string;
          readonly kind: string;
          readonly reason: string | null;
        } | null;
        /** RFC 3339 UTC with milliseconds */
        readonly createdAt: string;
        readonly decidedAt: string | null;
      })[];
      readonly nextCursor: string | null;
    } };
    item: {
      /** UUIDv7 */
      readonly promotionId: string;
      /** UUIDv7 */
      readonly agentId: string;
      readonly state: "pending" | "approved" | "denied" | "rejected" | "lapsed";
      readonly requestedBy: {
        readonly id: string;
        readonly kind: string;
        readonly roles: readonly string[];
      };
      readonly justification: string | null;
      readonly decisionId: string | null;
      readonly denies: readonly {
        readonly code: string;
        readonly reason: string;
        readonly severity: string;
        readonly check: string;
        readonly [name: string]: unknown;
      }[];
      readonly proofId: string | null;
      readonly specVersion: number;
      /** sha256: and lower-case hex */
      readonly specHash: string;
      /** sha256: and lower-case hex */
      readonly policyHash: string;
      /** 0: policy decided alone, at once */
      readonly approvalsRequired: number;
      /** In the order they were given */
      readonly approvals: readonly ({
        readonly id: string;
        readonly kind: string;
        readonly roles: readonly string[];
        /** RFC 3339 UTC with milliseconds */
        readonly approvedAt: string;
        readonly comment: string | null;
      })[];
      readonly requestDecisionId: string | null;
      readonly expiresAt: string | null;
      readonly lapseCause: "EXPIRED" | "SPEC_CHANGED" | "POLICY_CHANGED" | "AGENT_DELETED" | "AGENT_GOVERNED" | null;
      readonly rejection: {
        readonly id: string;
        readonly kind: string;
        readonly reason: string | null;
      } | null;
      /** RFC 3339 UTC with milliseconds */
      readonly createdAt: string;
      readonly decidedAt: string | null;
    };
  };
  /** One promotion. `GET /v1/workspaces/{workspaceId}/promotions/{promotionId}` */
  getPromotion: {
    input: { params: {
      readonly workspaceId: string;
      readonly promotionId: string;
    } };
    answer: { status: 200; body: {
      /** UUIDv7 */
      readonly promotionId: string;
      /** UUIDv7 */
      readonly agentId: string;
      readonly state: "pending" | "approved" | "denied" | "rejected" | "lapsed";
      readonly requestedBy: {
        readonly id: string;
        readonly kind: string;
        readonly roles: readonly string[];
      };
      readonly justification: string | null;
      readonly decisionId: string | null;
      readonly denies: readonly {
        readonly code: string;
        readonly reason: string;
        readonly severity: string;
        readonly check: string;
        readonly [name: string]: unknown;
      }[];
      readonly proofId: string | null;
      readonly specVersion: number;
      /** sha256: and lower-case hex */
      readonly specHash: string;
      /** sha256: and lower-case hex */
      readonly policyHash: string;
      /** 0: policy decided alone, at once */
      readonly approvalsRequired: number;
      /** In the order they were given */
      readonly approvals: readonly ({
        readonly id: string;
        readonly kind: string;
        readonly roles: readonly string[];
        /** RFC 3339 UTC with milliseconds */
        readonly approvedAt: string;
        readonly comment: string | null;
      })[];
      readonly requestDecisionId: string | null;
      readonly expiresAt: string | null;
      readonly lapseCause: "EXPIRED" | "SPEC_CHANGED" | "POLICY_CHANGED" | "AGENT_DELETED" | "AGENT_GOVERNED" | null;
      readonly rejection: {
        readonly id: string;
        readonly kind: string;
        readonly reason: string | null;
      } | null;
      /** RFC 3339 UTC with milliseconds */
      readonly createdAt: string;
      readonly decidedAt: string | null;
    } };
  };
  /** Approve a promotion that somebody else asked for; the last approval has the policy decide. `POST /v1/workspaces/{workspaceId}/promotions/{promotionId}/approve` */
  approvePromotion: {
    input: { params: {
      readonly workspaceId: string;
      readonly promotionId: string;
    }; body?: {
      readonly comment?: string;
    } };
    answer: { status: 200; body: {
      readonly success: true;
      /** UUIDv7 */
      readonly promotionId: string;
      /** UUIDv7 */
      readonly decisionId: string;
      readonly governedAgent: {
        /** UUIDv7 */
        readonly id: string;
        readonly workspaceId: string;
        readonly name: string;
        readonly mode: "sandbox" | "governed";
        readonly status: "stopped" | "starting" | "running" | "stopping" | "failed" | "quarantined";
        /** False: it runs elsewhere, Castellan decides whether it may */
        readonly managed: boolean;
        /** The spec as stored; its members are those of AgentSpec */
        readonly spec: unknown;
        readonly specVersion: number;
        /** sha256: and lower-case hex */
        readonly specHash: string;
        readonly expiresAt: string | null;
        readonly desiredReplicas: number;
        readonly readyReplicas: number;
        /** RFC 3339 UTC with milliseconds */
        readonly since: string;
        readonly lastExit?: { readonly [name: string]: unknown };
        readonly quarantine?: {
          /** RFC 3339 UTC with milliseconds */
          readonly at: string;
          readonly by: string;
          readonly reason: string;
        };
        readonly forkedFrom?: {
          /** UUIDv7 */
          readonly agentId: string;
          readonly specVersion: number;
        };
        /** RFC 3339 UTC with milliseconds */
        readonly createdAt: string;
        readonly createdBy: string;
        /** RFC 3339 UTC with milliseconds */
        readonly updatedAt: string;
      };
      readonly proof: {
        readonly payloadType: string;
        /** base64 of the in-toto Statement v1 */
        readonly payload: string;
        readonly signatures: readonly {
          readonly keyid: string;
          readonly sig: string;
        }[];
      };
      readonly state: "approved";
    } | {
      readonly success: false;
      /** UUIDv7 */
      readonly promotionId: string;
      /** UUIDv7 */
      readonly decisionId: string;
      readonly denies: readonly {
        readonly code: string;
        readonly reason: string;
        readonly severity: string;
        readonly check: string;
        readonly [name: string]: unknown;
      }[];
      readonly state: "denied";
    } } | { status: 202; body: {
      /** UUIDv7 */
      readonly promotionId: string;
      readonly state: "pending";
      /** UUIDv7 */
      readonly agentId: string;
      /** The evaluation of the request */
      readonly decisionId: string;
      /** Given so far */
      readonly approvals: number;
      readonly approvalsRequired: number;
      /** RFC 3339 UTC with milliseconds */
      readonly expiresAt: string;
    } };
  };
  /** Reject a promotion that somebody else asked for; one rejection ends it. `POST /v1/workspaces/{workspaceId}/promotions/{promotionId}/reject` */
  rejectPromotion: {
    input: { params: {
      readonly workspaceId: string;
      readonly promotionId: string;
    }; body: {
      readonly reason: string;
    } };
    answer: { status: 200; body: {
      readonly success: true;
      /** UUIDv7 */
      readonly promotionId: string;
      /** UUIDv7 */
      readonly agentId: string;
      readonly state: "rejected";
      readonly auditEvent: {
        readonly chain: string;
        readonly seq: number;
        readonly hash: string;
      };
    } };
  };
  /** Whether a proof holds now: signer, signature, time, spec (when given) and the active policy. `POST /v1/workspaces/{workspaceId}/proofs/verify` */
  verifyProof: {
    input: { params: {
      readonly workspaceId: string;
    }; body: {
      /** The DSSE envelope; anything that is none is MALFORMED */
      readonly proof: unknown;
      /** The spec that the proof is meant to be about */
      readonly spec?: { readonly [name: string]: unknown };
      /** The agent that the proof is meant to be about. Of a proof of several agents it says which: without it, and without a `spec` that only one of them has, such a proof is MALFORMED */
      readonly agentId?: string;
    } };
    answer: { status: 200; body: {
      readonly valid: boolean;
      readonly reason?: "SIGNATURE_INVALID" | "SIGNER_UNKNOWN" | "SIGNER_REVOKED" | "EXPIRED" | "SPEC_HASH_MISMATCH" | "POLICY_HASH_MISMATCH" | "MALFORMED";
    } };
  };
  /** Let a suspended workspace go on; its agents stay stopped until they are started. `POST /v1/workspaces/{workspaceId}/resume` */
  resumeWorkspace: {
    input: { params: {
      readonly workspaceId: string;
    }; body: {
      readonly reason: string;
    } };
    answer: { status: 200; body: {
      readonly workspaceId: string;
      readonly displayName: string;
      readonly state: "active" | "suspended";
      /** RFC 3339 UTC with milliseconds */
      readonly createdAt: string;
      readonly createdBy: string;
      /** RFC 3339 UTC with milliseconds; absent while it is active */
      readonly suspendedAt?: string;
      readonly suspendedBy?: string;
    } };
  };
  /** The settings in force in the workspace; the ETag names them. `GET /v1/workspaces/{workspaceId}/settings` */
  getWorkspaceSettings: {
    input: { params: {
      readonly workspaceId: string;
    } };
    answer: { status: 200; body: {
      /** Approvals that a promotion needs, each of another human than the requester; 0: policy alone decides */
      readonly approvalsRequired: number;
      /** Whether approvals are asked for again when an agent is revalidated under another policy */
      readonly reapproveOnPolicyChange: boolean;
      /** How long a sandbox agent lives when its creator does not say */
      readonly defaultTtlSeconds: number;
      readonly limits: {
        /** Agents there may be at once */
        readonly maxAgents?: number;
        /** All callers' requests to the workspace; it only lowers what the service allows */
        readonly requestsPerSecond?: number;
      };
      /** Of sandbox runs and of agents that are run; they only lower what the service allows */
      readonly sandbox: {
        /** Cores of one sandbox run or replica */
        readonly maxCpu?: number;
        /** MiB of memory of one of them */
        readonly maxMemoryMb?: number;
        /** Processes and threads of one of them */
        readonly maxPids?: number;
        /** MiB of the working directory of one of them */
        readonly maxDiskMb?: number;
        /** Time of one sandbox run */
        readonly maxTimeoutSeconds?: number;
        /** Sandbox runs under way at once on one replica; 0: none at all */
        readonly maxConcurrentRuns?: number;
        /** Hosts that sandbox runs and agents may ask to reach, `*.` for subdomains; none when absent */
        readonly allowDomains?: readonly string[];
      };
    } } | { status: 304; body: undefined };
  };
  /** Merge a patch (RFC 7396) into the settings; null takes one back to its default; honours If-Match. `PATCH /v1/workspaces/{workspaceId}/settings` */
  patchWorkspaceSettings: {
    input: { params: {
      readonly workspaceId: string;
    }; body: {
      readonly approvalsRequired?: number | null;
      readonly reapproveOnPolicyChange?: boolean | null;
      readonly defaultTtlSeconds?: number | null;
      readonly limits?: {
        readonly maxAgents?: number | null;
        readonly requestsPerSecond?: number | null;
      } | null;
      readonly sandbox?: {
        readonly maxCpu?: number | null;
        readonly maxMemoryMb?: number | null;
        readonly maxPids?: number | null;
        readonly maxDiskMb?: number | null;
        readonly maxTimeoutSeconds?: number | null;
        readonly maxConcurrentRuns?: number | null;
        readonly allowDomains?: readonly string[] | null;
      } | null;
    } };
    answer: { status: 200; body: {
      /** Approvals that a promotion needs, each of another human than the requester; 0: policy alone decides */
      readonly approvalsRequired: number;
      /** Whether approvals are asked for again when an agent is revalidated under another policy */
      readonly reapproveOnPolicyChange: boolean;
      /** How long a sandbox agent lives when its creator does not say */
      readonly defaultTtlSeconds: number;
      readonly limits: {
        /** Agents there may be at once */
        readonly maxAgents?: number;
        /** All callers' requests to the workspace; it only lowers what the service allows */
        readonly requestsPerSecond?: number;
      };
      /** Of sandbox runs and of agents that are run; they only lower what the service allows */
      readonly sandbox: {
        /** Cores of one sandbox run or replica */
        readonly maxCpu?: number;
        /** MiB of memory of one of them */
        readonly maxMemoryMb?: number;
        /** Processes and threads of one of them */
        readonly maxPids?: number;
        /** MiB of the working directory of one of them */
        readonly maxDiskMb?: number;
        /** Time of one sandbox run */
        readonly maxTimeoutSeconds?: number;
        /** Sandbox runs under way at once on one replica; 0: none at all */
        readonly maxConcurrentRuns?: number;
        /** Hosts that sandbox runs and agents may ask to reach, `*.` for subdomains; none when absent */
        readonly allowDomains?: readonly string[];
      };
    } };
  };
  /** Stop what runs in the workspace and refuse what would change it; needs no signer. `POST /v1/workspaces/{workspaceId}/suspend` */
  suspendWorkspace: {
    input: { params: {
      readonly workspaceId: string;
    }; body: {
      readonly reason: string;
    } };
    answer: { status: 200; body: {
      readonly workspaceId: string;
      readonly displayName: string;
      readonly state: "active" | "suspended";
      /** RFC 3339 UTC with milliseconds */
      readonly createdAt: string;
      readonly createdBy: string;
      /** RFC 3339 UTC with milliseconds; absent while it is active */
      readonly suspendedAt?: string;
      readonly suspendedBy?: string;
      /** Agents that were stopped by this request */
      readonly stopped: number;
      /** More run still, and are stopped next */
      readonly stopping: boolean;
    } };
  };
}

export const OPERATIONS = {
  spawnAgent: {"method":"POST","path":"/api/v1/agent/spawn","readOnly":false,"answers":{"201":["agent_id","status","mode"]}},
  runSandbox: {"method":"POST","path":"/api/v1/agent/{agent_id}/sandbox/run","readOnly":false,"answers":{"200":["run_id","agent_id","status","created_at","created_by","limits","isolation","results"],"202":["run_id","status"]}},
  listSandboxRuns: {"method":"GET","path":"/api/v1/agent/{agent_id}/sandbox/runs","readOnly":true,"answers":{"200":["runs","next_cursor"]}},
  getSandboxRun: {"method":"GET","path":"/api/v1/agent/{agent_id}/sandbox/runs/{run_id}","readOnly":true,"answers":{"200":["run_id","agent_id","status","created_at","created_by","limits","isolation","results"]}},
  cancelSandboxRun: {"method":"POST","path":"/api/v1/agent/{agent_id}/sandbox/runs/{run_id}/cancel","readOnly":false,"answers":{"200":["run_id","agent_id","status","created_at","created_by","limits","isolation","results"]}},
  followSandboxRun: {"method":"GET","path":"/api/v1/agent/{agent_id}/sandbox/runs/{run_id}/output","readOnly":true,"answers":{"200":"text/event-stream"}},
  scaleSpawnedAgent: {"method":"POST","path":"/api/v1/agent/{agent_id}/scale","readOnly":false,"answers":{"200":["success","agent_id","status","managed","replicas","previous_replicas","audit_event"]}},
  startSpawnedAgent: {"method":"POST","path":"/api/v1/agent/{agent_id}/start","readOnly":false,"answers":{"200":["success","agent_id","status","managed"]}},
  stopSpawnedAgent: {"method":"POST","path":"/api/v1/agent/{agent_id}/stop","readOnly":false,"answers":{"200":["success","agent_id","status","audit_event"]}},
  listTemplates: {"method":"GET","path":"/api/v1/templates","readOnly":true,"answers":{"200":["templates","next_cursor"]}},
  createTemplate: {"method":"POST","path":"/api/v1/templates","readOnly":false,"answers":{"201":["template_id","version","workspace_id","name","agent_config","config_hash","updated_at","updated_by"]}},
  getTemplate: {"method":"GET","path":"/api/v1/templates/{template_id}","readOnly":true,"answers":{"200":["template_id","version","workspace_id","name","agent_config","config_hash","updated_at","updated_by"],"304":null}},
  patchTemplate: {"method":"PATCH","path":"/api/v1/templates/{template_id}","readOnly":false,"answers":{"200":["template_id","version","workspace_id","name","agent_config","config_hash","updated_at","updated_by"]}},
  deleteTemplate: {"method":"DELETE","path":"/api/v1/templates/{template_id}","readOnly":false,"answers":{"204":null}},
  getOpenApi: {"method":"GET","path":"/openapi.json","readOnly":true,"answers":{"200":[]}},
  listAccessLocks: {"method":"GET","path":"/v1/access/locks","readOnly":true,"answers":{"200":["locks","nextCursor"]},"list":"locks"},
  placeAccessLock: {"method":"POST","path":"/v1/access/locks","readOnly":false,"answers":{"201":["lockId","state","placedAt","placedBy","auditEvent"]}},
  getAccessLock: {"method":"GET","path":"/v1/access/locks/{lockId}","readOnly":true,"answers":{"200":["lockId","state","placedAt","placedBy","auditEvent"]}},
  releaseAccessLock: {"method":"DELETE","path":"/v1/access/locks/{lockId}","readOnly":false,"answers":{"200":["lockId","auditEvent"]}},
  getSystemAuditCheckpoint: {"method":"GET","path":"/v1/audit/checkpoint","readOnly":true,"answers":{"200":["note","origin","size","root","signerId","createdAt","entry"]}},
  getSystemAuditConsistency: {"method":"GET","path":"/v1/audit/consistency","readOnly":true,"answers":{"200":["chain","from","to","fromRoot","toRoot","proof"]}},
  eraseSystemPersonalData: {"method":"POST","path":"/v1/audit/erasures","readOnly":false,"answers":{"200":["erasureId","values","more","auditEvent"]}},
  listSystemAuditEvents: {"method":"GET","path":"/v1/audit/events","readOnly":true,"answers":{"200":["events","nextCursor","prunedTo"]},"list":"events"},
  exportSystemAudit: {"method":"GET","path":"/v1/audit/export","readOnly":true,"answers":{"200":"application/jsonl"}},
  getSystemAuditHold: {"method":"GET","path":"/v1/audit/hold","readOnly":true,"answers":{"200":["held"]}},
  placeSystemAuditHold: {"method":"PUT","path":"/v1/audit/hold","readOnly":false,"answers":{"200":["held"]}},
  releaseSystemAuditHold: {"method":"DELETE","path":"/v1/audit/hold","readOnly":false,"answers":{"200":["held"]}},
  getSystemAuditProof: {"method":"GET","path":"/v1/audit/proof","readOnly":true,"answers":{"200":["seq","leafHash","proof","checkpoint"]}},
  pruneSystemAudit: {"method":"POST","path":"/v1/audit/prunings","readOnly":false,"answers":{"201":["chain","to","hash","logSize","receipt"]}},
  reattestSystemAudit: {"method":"POST","path":"/v1/audit/reattestations","readOnly":false,"answers":{"201":["chain","signerId","from","to","hash","event"]}},
  verifySystemAudit: {"method":"POST","path":"/v1/audit/verify","readOnly":true,"answers":{"200":["ok","strength","events","signatures","findings"]}},
  listElevations: {"method":"GET","path":"/v1/break-glass","readOnly":true,"answers":{"200":["elevations","nextCursor"]},"list":"elevations"},
  elevate: {"method":"POST","path":"/v1/break-glass","readOnly":false,"answers":{"201":["elevationId","principalId","workspaceId","role","grantedAt","expiresAt","state","auditEvent"]}},
  endElevation: {"method":"DELETE","path":"/v1/break-glass/{elevationId}","readOnly":false,"answers":{"200":["elevationId","principalId","workspaceId","role","grantedAt","expiresAt","state","auditEvent"]}},
  getKillSwitch: {"method":"GET","path":"/v1/kill-switch","readOnly":true,"answers":{"200":["scope","engaged","auditEvent"]}},
  engageKillSwitch: {"method":"PUT","path":"/v1/kill-switch","readOnly":false,"answers":{"200":["scope","engaged","auditEvent","stopping"]}},
  clearKillSwitch: {"method":"DELETE","path":"/v1/kill-switch","readOnly":false,"answers":{"200":["scope","engaged","auditEvent"]}},
  listPeople: {"method":"GET","path":"/v1/people","readOnly":true,"answers":{"200":["people","nextCursor"]},"list":"people"},
  getPerson: {"method":"GET","path":"/v1/people/{principalId}","readOnly":true,"answers":{"200":["principalId","kind","issuer","subject","firstSeenAt"]}},
  listSigners: {"method":"GET","path":"/v1/signers","readOnly":true,"answers":{"200":["signers"]}},
  registerSigner: {"method":"POST","path":"/v1/signers","readOnly":false,"answers":{"201":["signerId","alg","publicKey","purpose","state","notBefore","notAfter","revokedAt","trustedUpTo","validFromSize","validToSize","replaces","createdAt","updatedAt"]}},
  importSigners: {"method":"POST","path":"/v1/signers/import","readOnly":false,"answers":{"200":["imported","skipped"]}},
  activateSigner: {"method":"POST","path":"/v1/signers/{signerId}/activate","readOnly":false,"answers":{"200":["signerId","alg","publicKey","purpose","state","notBefore","notAfter","revokedAt","trustedUpTo","validFromSize","validToSize","replaces","createdAt","updatedAt"]}},
  compromiseSigner: {"method":"POST","path":"/v1/signers/{signerId}/compromise","readOnly":false,"answers":{"200":["signerId","alg","publicKey","purpose","state","notBefore","notAfter","revokedAt","trustedUpTo","validFromSize","validToSize","replaces","createdAt","updatedAt"]}},
  retireSigner: {"method":"POST","path":"/v1/signers/{signerId}/retire","readOnly":false,"answers":{"200":["signerId","alg","publicKey","purpose","state","notBefore","notAfter","revokedAt","trustedUpTo","validFromSize","validToSize","replaces","createdAt","updatedAt"]}},
  revokeSigner: {"method":"POST","path":"/v1/signers/{signerId}/revoke","readOnly":false,"answers":{"200":["signerId","alg","publicKey","purpose","state","notBefore","notAfter","revokedAt","trustedUpTo","validFromSize","validToSize","replaces","createdAt","updatedAt"]}},
  rotateSigner: {"method":"POST","path":"/v1/signers/{signerId}/rotate","readOnly":false,"answers":{"200":["signerId","alg","publicKey","purpose","state","notBefore","notAfter","revokedAt","trustedUpTo","validFromSize","validToSize","replaces","createdAt","updatedAt"],"201":["signerId","alg","publicKey","purpose","state","notBefore","notAfter","revokedAt","trustedUpTo","validFromSize","validToSize","replaces","createdAt","updatedAt"]}},
  listWorkspaces: {"method":"GET","path":"/v1/workspaces","readOnly":true,"answers":{"200":["workspaces","nextCursor"]},"list":"workspaces"},
  createWorkspace: {"method":"POST","path":"/v1/workspaces","readOnly":false,"answers":{"201":["workspaceId","displayName","state","createdAt","createdBy"]}},
  getWorkspace: {"method":"GET","path":"/v1/workspaces/{workspaceId}","readOnly":true,"answers":{"200":["workspaceId","displayName","state","createdAt","createdBy"]}},
  listAgents: {"method":"GET","path":"/v1/workspaces/{workspaceId}/agents","readOnly":true,"answers":{"200":["agents","total","nextCursor"]},"list":"agents"},
  createAgent: {"method":"POST","path":"/v1/workspaces/{workspaceId}/agents","readOnly":false,"answers":{"201":["id","workspaceId","name","mode","status","managed","spec","specVersion","specHash","expiresAt","desiredReplicas","readyReplicas","since","createdAt","createdBy","updatedAt"]}},
  listAgentStatuses: {"method":"GET","path":"/v1/workspaces/{workspaceId}/agents/statuses","readOnly":true,"answers":{"200":["agents","total","nextCursor"]},"list":"agents"},
  getAgent: {"method":"GET","path":"/v1/workspaces/{workspaceId}/agents/{agentId}","readOnly":true,"answers":{"200":["id","workspaceId","name","mode","status","managed","spec","specVersion","specHash","expiresAt","desiredReplicas","readyReplicas","since","createdAt","createdBy","updatedAt"],"304":null}},
  patchAgent: {"method":"PATCH","path":"/v1/workspaces/{workspaceId}/agents/{agentId}","readOnly":false,"answers":{"200":["id","workspaceId","name","mode","status","managed","spec","specVersion","specHash","expiresAt","desiredReplicas","readyReplicas","since","createdAt","createdBy","updatedAt"]}},
  deleteAgent: {"method":"DELETE","path":"/v1/workspaces/{workspaceId}/agents/{agentId}","readOnly":false,"answers":{"204":null}},
  emergencyStopAgent: {"method":"POST","path":"/v1/workspaces/{workspaceId}/agents/{agentId}/emergency-stop","readOnly":false,"answers":{"200":["success","agentId","status","auditEvent"]}},
  forkAgent: {"method":"POST","path":"/v1/workspaces/{workspaceId}/agents/{agentId}/fork","readOnly":false,"answers":{"201":["id","workspaceId","name","mode","status","managed","spec","specVersion","specHash","expiresAt","desiredReplicas","readyReplicas","since","createdAt","createdBy","updatedAt"]}},
  getAgentGovernance: {"method":"GET","path":"/v1/workspaces/{workspaceId}/agents/{agentId}/governance","readOnly":true,"answers":{"200":["governance"]}},
  getAgentKillSwitch: {"method":"GET","path":"/v1/workspaces/{workspaceId}/agents/{agentId}/kill-switch","readOnly":true,"answers":{"200":["scope","engaged","auditEvent"]}},
  engageAgentKillSwitch: {"method":"PUT","path":"/v1/workspaces/{workspaceId}/agents/{agentId}/kill-switch","readOnly":false,"answers":{"200":["scope","engaged","auditEvent","stopping"]}},
  clearAgentKillSwitch: {"method":"DELETE","path":"/v1/workspaces/{workspaceId}/agents/{agentId}/kill-switch","readOnly":false,"answers":{"200":["scope","engaged","auditEvent"]}},
  getAgentLogs: {"method":"GET","path":"/v1/workspaces/{workspaceId}/agents/{agentId}/logs","readOnly":true,"answers":{"200":"text/event-stream"}},
  promoteAgent: {"method":"POST","path":"/v1/workspaces/{workspaceId}/agents/{agentId}/promote","readOnly":false,"answers":{"200":["success","promotionId","decisionId"],"202":["promotionId","state","agentId","decisionId","approvals","approvalsRequired","expiresAt"]}},
  quarantineAgent: {"method":"POST","path":"/v1/workspaces/{workspaceId}/agents/{agentId}/quarantine","readOnly":false,"answers":{"200":["success","agentId","status","auditEvent"]}},
  releaseAgent: {"method":"POST","path":"/v1/workspaces/{workspaceId}/agents/{agentId}/release","readOnly":false,"answers":{"200":["success","agentId","status","decisionId","proofId","auditEvent"]}},
  startAgent: {"method":"POST","path":"/v1/workspaces/{workspaceId}/agents/{agentId}/start","readOnly":false,"answers":{"200":["success","agentId","status","managed"]}},
  getAgentStatus: {"method":"GET","path":"/v1/workspaces/{workspaceId}/agents/{agentId}/status","readOnly":true,"answers":{"200":["agentId","mode","status","managed","desiredReplicas","readyReplicas","since"]}},
  stopAgent: {"method":"POST","path":"/v1/workspaces/{workspaceId}/agents/{agentId}/stop","readOnly":false,"answers":{"200":["success","agentId","status","auditEvent"]}},
  listAgentVersions: {"method":"GET","path":"/v1/workspaces/{workspaceId}/agents/{agentId}/versions","readOnly":true,"answers":{"200":["versions","nextCursor"]},"list":"versions"},
  batchAgents: {"method":"POST","path":"/v1/workspaces/{workspaceId}/agents:batch","readOnly":false,"answers":{"200":["results"]}},
  getAuditCheckpoint: {"method":"GET","path":"/v1/workspaces/{workspaceId}/audit/checkpoint","readOnly":true,"answers":{"200":["note","origin","size","root","signerId","createdAt","entry"]}},
  getAuditConsistency: {"method":"GET","path":"/v1/workspaces/{workspaceId}/audit/consistency","readOnly":true,"answers":{"200":["chain","from","to","fromRoot","toRoot","proof"]}},
  erasePersonalData: {"method":"POST","path":"/v1/workspaces/{workspaceId}/audit/erasures","readOnly":false,"answers":{"200":["erasureId","values","more","auditEvent"]}},
  listAuditEvents: {"method":"GET","path":"/v1/workspaces/{workspaceId}/audit/events","readOnly":true,"answers":{"200":["events","nextCursor","prunedTo"]},"list":"events"},
  exportAudit: {"method":"GET","path":"/v1/workspaces/{workspaceId}/audit/export","readOnly":true,"answers":{"200":"application/jsonl"}},
  getAuditHold: {"method":"GET","path":"/v1/workspaces/{workspaceId}/audit/hold","readOnly":true,"answers":{"200":["held"]}},
  placeAuditHold: {"method":"PUT","path":"/v1/workspaces/{workspaceId}/audit/hold","readOnly":false,"answers":{"200":["held"]}},
  releaseAuditHold: {"method":"DELETE","path":"/v1/workspaces/{workspaceId}/audit/hold","readOnly":false,"answers":{"200":["held"]}},
  getAuditProof: {"method":"GET","path":"/v1/workspaces/{workspaceId}/audit/proof","readOnly":true,"answers":{"200":["seq","leafHash","proof","checkpoint"]}},
  pruneAudit: {"method":"POST","path":"/v1/workspaces/{workspaceId}/audit/prunings","readOnly":false,"answers":{"201":["chain","to","hash","logSize","receipt"]}},
  reattestAudit: {"method":"POST","path":"/v1/workspaces/{workspaceId}/audit/reattestations","readOnly":false,"answers":{"201":["chain","signerId","from","to","hash","event"]}},
  verifyAudit: {"method":"POST","path":"/v1/workspaces/{workspaceId}/audit/verify","readOnly":true,"answers":{"200":["ok","strength","events","signatures","findings"]}},
  listDecisions: {"method":"GET","path":"/v1/workspaces/{workspaceId}/decisions","readOnly":true,"answers":{"200":["decisions","nextCursor"]},"list":"decisions"},
  getDecision: {"method":"GET","path":"/v1/workspaces/{workspaceId}/decisions/{decisionId}","readOnly":true,"answers":{"200":["decisionId","kind","agentId","action","effect","decision","tier","reasons","actor","policyHash","specHash","auditSeq","createdAt"]}},
  getWorkspaceKillSwitch: {"method":"GET","path":"/v1/workspaces/{workspaceId}/kill-switch","readOnly":true,"answers":{"200":["scope","engaged","auditEvent"]}},
  engageWorkspaceKillSwitch: {"method":"PUT","path":"/v1/workspaces/{workspaceId}/kill-switch","readOnly":false,"answers":{"200":["scope","engaged","auditEvent","stopping"]}},
  clearWorkspaceKillSwitch: {"method":"DELETE","path":"/v1/workspaces/{workspaceId}/kill-switch","readOnly":false,"answers":{"200":["scope","engaged","auditEvent"]}},
  hotReloadPolicy: {"method":"POST","path":"/v1/workspaces/{workspaceId}/policy/hotreload","readOnly":false,"answers":{"200":["oldHash","newHash","revalidated","revalidation"]}},
  revalidateAgents: {"method":"POST","path":"/v1/workspaces/{workspaceId}/policy/revalidate","readOnly":false,"answers":{"200":["results","revalidation"]}},
  getRevalidation: {"method":"GET","path":"/v1/workspaces/{workspaceId}/policy/revalidations/{revalidationId}","readOnly":true,"answers":{"200":["id","state","total","done","invalidated","cause","policyHash","createdAt","updatedAt"]}},
  rollBackPolicy: {"method":"POST","path":"/v1/workspaces/{workspaceId}/policy/rollback","readOnly":false,"answers":{"200":["oldHash","newHash","revalidated","revalidation"]}},
  getPolicySnapshot: {"method":"GET","path":"/v1/workspaces/{workspaceId}/policy/snapshot","readOnly":true,"answers":{"200":["policySet","version","hash","bundle","mode","activatedAt","activatedBy","revokedSigners","invalidatedAgents","invalidatedTotal","revision"],"304":null}},
  listPolicyVersions: {"method":"GET","path":"/v1/workspaces/{workspaceId}/policy/versions","readOnly":true,"answers":{"200":["versions","nextCursor"]},"list":"versions"},
  getPolicyVersion: {"method":"GET","path":"/v1/workspaces/{workspaceId}/policy/versions/{version}","readOnly":true,"answers":{"200":["version","policySet","hash","state","packages","wasmSha256","compilerVersion","createdAt","createdBy","bundle"]}},
  listPromotions: {"method":"GET","path":"/v1/workspaces/{workspaceId}/promotions","readOnly":true,"answers":{"200":["promotions","nextCursor"]},"list":"promotions"},
  getPromotion: {"method":"GET","path":"/v1/workspaces/{workspaceId}/promotions/{promotionId}","readOnly":true,"answers":{"200":["promotionId","agentId","state","requestedBy","justification","decisionId","denies","proofId","specVersion","specHash","policyHash","approvalsRequired","approvals","requestDecisionId","expiresAt","lapseCause","rejection","createdAt","decidedAt"]}},
  approvePromotion: {"method":"POST","path":"/v1/workspaces/{workspaceId}/promotions/{promotionId}/approve","readOnly":false,"answers":{"200":["success","promotionId","decisionId","state"],"202":["promotionId","state","agentId","decisionId","approvals","approvalsRequired","expiresAt"]}},
  rejectPromotion: {"method":"POST","path":"/v1/workspaces/{workspaceId}/promotions/{promotionId}/reject","readOnly":false,"answers":{"200":["success","promotionId","agentId","state","auditEvent"]}},
  verifyProof: {"method":"POST","path":"/v1/workspaces/{workspaceId}/proofs/verify","readOnly":true,"answers":{"200":["valid"]}},
  resumeWorkspace: {"method":"POST","path":"/v1/workspaces/{workspaceId}/resume","readOnly":false,"answers":{"200":["workspaceId","displayName","state","createdAt","createdBy"]}},
  getWorkspaceSettings: {"method":"GET","path":"/v1/workspaces/{workspaceId}/settings","readOnly":true,"answers":{"200":["approvalsRequired","reapproveOnPolicyChange","defaultTtlSeconds","limits","sandbox"],"304":null}},
  patchWorkspaceSettings: {"method":"PATCH","path":"/v1/workspaces/{workspaceId}/settings","readOnly":false,"answers":{"200":["approvalsRequired","reapproveOnPolicyChange","defaultTtlSeconds","limits","sandbox"]}},
  suspendWorkspace: {"method":"POST","path":"/v1/workspaces/{workspaceId}/suspend","readOnly":false,"answers":{"200":["workspaceId","displayName","state","createdAt","createdBy","stopped","stopping"]}},
} as const;
