import { CodedError } from '../errors.ts';

type TemplateErrorCode =
  | 'ALREADY_EXISTS' // the workspace has a template of that id
  | 'CONFLICT' // the version that was asked for is not the next one
  | 'UNPROCESSABLE'; // the stored config is not what its hash says

/** A use case on a template that did not happen; nothing changed. */
export class TemplateError extends CodedError {
  readonly code: TemplateErrorCode;

  constructor(code: TemplateErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}
