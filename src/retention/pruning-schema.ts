import { Type } from '@sinclair/typebox';

import { ReceiptSchema } from '../audit/schema.ts';

const reason = Type.String({ minLength: 1, maxLength: 1024 });

export const PruneBody = Type.Union([
  Type.Object(
    { to: Type.Integer({ minimum: 1, description: 'The last event to be removed' }), reason },
    { additionalProperties: false },
  ),
  Type.Object(
    {
      before: Type.String({
        format: 'date-time',
        description: 'All that may be removed of what is older; not in the future',
      }),
      reason,
    },
    { additionalProperties: false },
  ),
]);

/** An approval; `castellan audit prune` removes what it names. */
export const PruningSchema = Type.Object({
  chain: Type.String(),
  to: Type.Integer(),
  hash: Type.String({ description: 'Of the event at to' }),
  logSize: Type.Integer({ description: 'Entries of the log of checkpoints under the note that covers them' }),
  receipt: ReceiptSchema,
});
