import { OPERATIONS, type Operations } from './generated.ts';

export type OperationId = keyof Operations;
/** `{ params, query, body }` of an operation, as far as it has them. */
export type Input<Id extends OperationId> = Operations[Id]['input'];
/** The body of a good answer. */
export type Body<Id extends OperationId> = Exclude<Operations[Id]['answer']['body'], undefined>;
/** Operations whose answer is a page of a list. */
export type ListId = { [Id in OperationId]: Operations[Id] extends { item: unknown } ? Id : never }[OperationId];
export type Item<Id extends ListId> = Operations[Id]['item'];

/** A good answer: by `status`, what the service describes for it. */
export type Answer<Id extends OperationId> = Operations[Id]['answer'] & {
  readonly requestId: string | undefined;
  readonly etag: string | undefined;
  /** The first answer to this Idempotency-Key, given again. */
  readonly replayed: boolean;
};

export interface OperationFacts {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  readonly path: string;
  readonly readOnly: boolean;
  /** By good status: members every body has; null where there is no body; the media type of one that is a text. */
  readonly answers: Readonly<Record<number, readonly string[] | string | null>>;
  /** The member with the items of a page. */
  readonly list?: string;
}

export const FACTS: Readonly<Record<OperationId, OperationFacts>> = OPERATIONS;

/** The input of any operation, seen without its own type. */
export interface AnyInput {
  readonly params?: Readonly<Record<string, string | number>>;
  readonly query?: Readonly<Record<string, string | number | boolean | undefined>>;
  readonly body?: unknown;
}
