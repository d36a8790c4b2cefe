import { type Static, type TSchema, Type } from '@sinclair/typebox';

/** What we read of resources; everything else in them is left alone. */
const Texts = Type.Record(Type.String(), Type.String());

export const Metadata = Type.Object({
  name: Type.String(),
  uid: Type.String(),
  resourceVersion: Type.String(),
  creationTimestamp: Type.Optional(Type.String()),
  deletionTimestamp: Type.Optional(Type.String()),
  labels: Type.Optional(Texts),
  annotations: Type.Optional(Texts),
  ownerReferences: Type.Optional(Type.Array(Type.Object({ uid: Type.String() }))),
});

export const Status = Type.Object({
  kind: Type.Literal('Status'),
  code: Type.Optional(Type.Integer()),
  reason: Type.Optional(Type.String()),
  message: Type.Optional(Type.String()),
});

const Terminated = Type.Object({
  exitCode: Type.Integer(),
  signal: Type.Optional(Type.Integer()),
  reason: Type.Optional(Type.String()),
  finishedAt: Type.Optional(Type.Union([Type.String(), Type.Null()])),
});
export type Terminated = Static<typeof Terminated>;

const ContainerState = Type.Object({
  waiting: Type.Optional(Type.Object({ reason: Type.Optional(Type.String()), message: Type.Optional(Type.String()) })),
  running: Type.Optional(Type.Object({})),
  terminated: Type.Optional(Terminated),
});

const Condition = Type.Object({
  type: Type.String(),
  status: Type.String(),
  reason: Type.Optional(Type.String()),
  message: Type.Optional(Type.String()),
});

export const Pod = Type.Object({
  metadata: Metadata,
  spec: Type.Object({
    schedulingGates: Type.Optional(Type.Array(Type.Object({ name: Type.String() }))),
  }),
  status: Type.Object({
    phase: Type.Optional(Type.String()),
    reason: Type.Optional(Type.String()),
    message: Type.Optional(Type.String()),
    conditions: Type.Optional(Type.Array(Condition)),
    containerStatuses: Type.Optional(
      Type.Array(
        Type.Object({
          name: Type.String(),
          ready: Type.Boolean(),
          restartCount: Type.Integer(),
          state: Type.Optional(ContainerState),
          lastState: Type.Optional(ContainerState),
        }),
      ),
    ),
  }),
});
export type Pod = Static<typeof Pod>;

export const Job = Type.Object({
  metadata: Metadata,
  status: Type.Optional(Type.Object({ conditions: Type.Optional(Type.Array(Condition)) })),
});
export type Job = Static<typeof Job>;

export const Deployment = Type.Object({
  metadata: Metadata,
  spec: Type.Object({
    replicas: Type.Optional(Type.Integer()),
    template: Type.Object({
      metadata: Type.Optional(Type.Object({ annotations: Type.Optional(Texts), labels: Type.Optional(Texts) })),
    }),
  }),
  status: Type.Optional(Type.Object({ readyReplicas: Type.Optional(Type.Integer()) })),
});
export type Deployment = Static<typeof Deployment>;

export const Secret = Type.Object({ metadata: Metadata, data: Type.Optional(Texts) });

export const Namespace = Type.Object({ metadata: Metadata });

const Selector = Type.Object({
  matchLabels: Type.Optional(Texts),
  matchExpressions: Type.Optional(Type.Array(Type.Object({}))),
});
const Peer = Type.Object({
  podSelector: Type.Optional(Selector),
  namespaceSelector: Type.Optional(Selector),
  ipBlock: Type.Optional(Type.Object({ cidr: Type.String() })),
});
export const NetworkPolicy = Type.Object({
  metadata: Metadata,
  spec: Type.Object({
    podSelector: Type.Optional(Selector),
    policyTypes: Type.Optional(Type.Array(Type.String())),
    egress: Type.Optional(
      Type.Array(
        Type.Object({
          to: Type.Optional(Type.Array(Peer)),
          ports: Type.Optional(
            Type.Array(
              Type.Object({
                protocol: Type.Optional(Type.String()),
                port: Type.Optional(Type.Union([Type.Integer(), Type.String()])),
                endPort: Type.Optional(Type.Integer()),
              }),
            ),
          ),
        }),
      ),
    ),
    ingress: Type.Optional(Type.Array(Type.Object({}))),
  }),
});
export type NetworkPolicy = Static<typeof NetworkPolicy>;

export const AccessReview = Type.Object({ status: Type.Object({ allowed: Type.Boolean() }) });

/** Something that was made, changed or deleted, and of which we need nothing. */
export const Anything = Type.Object({});

export function listOf<T extends TSchema>(item: T) {
  return Type.Object({
    metadata: Type.Object({ resourceVersion: Type.String(), continue: Type.Optional(Type.String()) }),
    items: Type.Array(item),
  });
}
