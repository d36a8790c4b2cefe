import { CodedError } from '../errors.ts';

/** A check had no time to come to its word (503): asked again, it may. Nothing was decided. */
export class AdmissionOverloaded extends CodedError {
  readonly code = 'OVERLOADED';
}
