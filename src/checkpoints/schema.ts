import { Type } from '@sinclair/typebox';

const Hash = Type.String({ description: 'base64 of 32 bytes' });
const Hashes = Type.Array(Hash);
const position = { minimum: 1, maximum: Number.MAX_SAFE_INTEGER };

/** A chain's newest checkpoint, and that it is in the log that the note signs. */
const EntrySchema = Type.Object({
  index: Type.Integer({ description: 'Position in the log, from 0' }),
  chain: Type.String(),
  size: Type.Integer({ description: 'Events of the chain that it covers' }),
  root: Hash,
  entry: Type.String({ description: 'base64 of the exact bytes that are the leaf of the log' }),
  createdAt: Type.String(),
  proof: Type.Array(Hash, { description: 'Inclusion in the log at the size of the note (RFC 6962 §2.1.1)' }),
});

export const CheckpointSchema = Type.Object({
  note: Type.String({ description: 'The newest signed note (C2SP tlog-checkpoint)' }),
  origin: Type.String(),
  size: Type.Integer(),
  root: Hash,
  signerId: Type.String(),
  createdAt: Type.String(),
  entry: EntrySchema,
});

export const InclusionSchema = Type.Object({
  seq: Type.Integer(),
  leafHash: Hash,
  proof: Type.Array(Hash, { description: "Leaf seq - 1 in the chain's tree at the size of the entry" }),
  checkpoint: CheckpointSchema,
});

export const ConsistencySchema = Type.Object({
  chain: Type.String(),
  from: Type.Integer(),
  to: Type.Integer(),
  fromRoot: Hash,
  toRoot: Hash,
  proof: Hashes,
});

export const InclusionQuery = Type.Object(
  { seq: Type.Integer({ ...position, description: 'Of an event that a checkpoint covers' }) },
  { additionalProperties: false },
);

export const ConsistencyQuery = Type.Object(
  {
    from: Type.Integer({ ...position, description: 'A number of events of the chain' }),
    to: Type.Integer({ ...position, description: 'A later number of events, that a checkpoint covers' }),
  },
  { additionalProperties: false },
);

export const NoQuery = Type.Object({}, { additionalProperties: false });
