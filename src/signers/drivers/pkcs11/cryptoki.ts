import { TokenFailure } from './messages.ts';

/** An optional dependency: a name that the compiler does not look up. */
const PACKAGE: string = 'pkcs11js';
const VERSION = '2.1.7';
const CKR_NAME = /^CKR_[A-Z0-9_]+$/;

/** A session, slot or object, as the library hands them around. */
export type Handle = Buffer;

export interface Mechanism {
  readonly mechanism: number;
  readonly parameter?: {
    readonly type: number;
    readonly hashAlg: number;
    readonly mgf: number;
    readonly saltLen: number;
  };
}

type Template = readonly { readonly type: number; readonly value?: number | string | boolean | Buffer }[];

/** What is used of pkcs11js: one method for one function of PKCS#11. All of them block. */
export interface Cryptoki {
  load(path: string): void;
  C_Initialize(): void;
  C_Finalize(): void;
  C_GetSlotList(tokenPresent: boolean): Handle[];
  C_GetTokenInfo(slot: Handle): { label: string; flags: number };
  C_OpenSession(slot: Handle, flags: number): Handle;
  C_GetSessionInfo(session: Handle): { state: number };
  C_Login(session: Handle, userType: number, pin: string): void;
  C_FindObjectsInit(session: Handle, template: Template): void;
  C_FindObjects(session: Handle, maxCount: number): Handle[];
  C_FindObjectsFinal(session: Handle): void;
  C_GetAttributeValue(session: Handle, object: Handle, template: Template): { value: Buffer }[];
  C_SignInit(session: Handle, mechanism: Mechanism, key: Handle): void;
  C_Sign(session: Handle, data: Buffer, room: Buffer): Buffer;
  C_VerifyInit(session: Handle, mechanism: Mechanism, key: Handle): void;
  C_Verify(session: Handle, data: Buffer, signature: Buffer): boolean;
}

/** The vendor's library at `path`, loaded and initialized. TokenFailure `unsuitable` when it cannot be had. */
export async function loadCryptoki(path: string): Promise<Cryptoki> {
  const PKCS11 = await loadPackage();
  const cryptoki = new PKCS11();
  try {
    cryptoki.load(path);
  } catch (error) {
    const why = error instanceof Error ? error.message : 'unknown';
    throw new TokenFailure('unsuitable', `${path} is no PKCS#11 module (${why})`);
  }
  call('C_Initialize', () => cryptoki.C_Initialize());
  return cryptoki;
}

/** Runs one function of the module. Throws TokenFailure; what the module itself refuses is `passing` unless it is known not to. */
export function call<T>(name: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    const value = returnValue(error);
    throw new TokenFailure(OF_THE_CALL.has(value) ? 'refused' : 'passing', `${name}: ${value}`);
  }
}

/** CKR_… of an error of the module, or the name of another error. */
export function returnValue(error: unknown): string {
  if (!(error instanceof Error)) return 'unknown error';
  // A message can hold more than the name: only the name is kept.
  return CKR_NAME.test(error.message) ? error.message : error.name;
}

/** Return values that another session would give as well. */
const OF_THE_CALL: ReadonlySet<string> = new Set([
  'CKR_ARGUMENTS_BAD',
  'CKR_BUFFER_TOO_SMALL',
  'CKR_DATA_INVALID',
  'CKR_DATA_LEN_RANGE',
  'CKR_KEY_FUNCTION_NOT_PERMITTED',
  'CKR_KEY_TYPE_INCONSISTENT',
  'CKR_MECHANISM_INVALID',
  'CKR_MECHANISM_PARAM_INVALID',
]);

async function loadPackage(): Promise<new () => Cryptoki> {
  try {
    const { PKCS11 }: { PKCS11: new () => Cryptoki } = (await import(PACKAGE)).default;
    return PKCS11;
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? ` (${String(error.code)})` : '';
    throw new TokenFailure(
      'unsuitable',
      `keys in an HSM need the npm package ${PACKAGE}, which is not installed or not built here${code}: run npm install --no-save ${PACKAGE}@${VERSION} where there are a C++ compiler, make and python`,
    );
  }
}
